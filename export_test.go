package lockstep

import "context"

// LeadsSystem says whether the host leads group 0, which the public face hides.
func (h *Host) LeadsSystem() bool {
	s, ok := h.h.GroupStatus(0)
	return ok && s.Role == "leader"
}

// TransferSystem has another host lead group 0.
func (h *Host) TransferSystem(ctx context.Context) error { return h.h.TransferLeader(ctx, 0, 0) }

// SystemCommit is how far group 0's log is committed, as this host knows it.
func (h *Host) SystemCommit() uint64 {
	s, _ := h.h.GroupStatus(0)
	return uint64(s.Commit)
}
