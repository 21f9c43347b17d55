package etcdapi

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// refusals are the machine's "no" in etcd's words.
var refusals = map[int32]error{
	kv.ErrEmptyKey.Code:      rpctypes.ErrGRPCEmptyKey,
	kv.ErrTooManyOps.Code:    rpctypes.ErrGRPCTooManyOps,
	kv.ErrDuplicateKey.Code:  rpctypes.ErrGRPCDuplicateKey,
	kv.ErrCompacted.Code:     rpctypes.ErrGRPCCompacted,
	kv.ErrFutureRev.Code:     rpctypes.ErrGRPCFutureRev,
	kv.ErrKeyNotFound.Code:   rpctypes.ErrGRPCKeyNotFound,
	kv.ErrValueProvided.Code: rpctypes.ErrGRPCValueProvided,
	kv.ErrLeaseProvided.Code: rpctypes.ErrGRPCLeaseProvided,
	kv.ErrLeaseNotFound.Code: rpctypes.ErrGRPCLeaseNotFound,
	kv.ErrNoSpace.Code:       rpctypes.ErrGRPCNoSpace,
	kv.ErrInvalidSort.Code:   rpctypes.ErrGRPCInvalidSortOption,
}

// NoReplica is what a server that does not serve the keys says: one that was removed, or waits. Nothing was done, and
// another server may serve.
const NoReplica = "this server holds no replica of the keys; lockstep status tells why"

// failures are the group's "cannot" in etcd's words. Unavailable makes a client try elsewhere,
// reads by itself; whatever else is final for it.
var failures = []struct{ is, as error }{
	{lockstep.ErrBusy, rpctypes.ErrGRPCRequestTooManyRequests},
	{lockstep.ErrTooLarge, rpctypes.ErrGRPCRequestTooLarge},
	{lockstep.ErrNoSpace, rpctypes.ErrGRPCNoSpace},
	{lockstep.ErrDropped, rpctypes.ErrGRPCLeaderChanged},
	{lockstep.ErrClosed, rpctypes.ErrGRPCStopped},
	{lockstep.ErrQuarantined, rpctypes.ErrGRPCUnhealthy},
	{lockstep.ErrHalted, rpctypes.ErrGRPCUnhealthy},
	{lockstep.ErrSkipped, rpctypes.ErrGRPCTimeout},
	{lockstep.ErrNoReplica, status.Error(codes.Unavailable, "etcdserver: "+NoReplica)},
	{lockstep.ErrStale, rpctypes.ErrGRPCTimeoutWaitAppliedIndex},
	{lockstep.ErrBehind, rpctypes.ErrGRPCTimeoutWaitAppliedIndex},
}

// answer turns any error of the group or the machine into what a client of etcd expects. ctx is the
// client's own, without this server's bound.
func (s *Server) answer(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var no *machine.Refusal
	if errors.As(err, &no) {
		if known, ok := refusals[no.Code]; ok {
			return known
		}
		return status.Error(codes.InvalidArgument, no.Error())
	}
	// The client's own end comes first: it has stopped listening for anything else.
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return rpctypes.ErrGRPCDeadlineExceeded
	case ctx.Err() != nil:
		return rpctypes.ErrGRPCCanceled
	}
	for _, f := range failures {
		if errors.Is(err, f.is) {
			return f.as
		}
	}
	if _, is := status.FromError(err); is {
		return err
	}
	if call := (*lockstep.Error)(nil); errors.Is(err, lockstep.ErrRecovering) && errors.As(err, &call) {
		return status.Error(codes.Unavailable, "etcdserver: "+call.Err.Error())
	}
	if errors.Is(err, lockstep.ErrNoQuorum) && lockstep.OutcomeOf(err) == lockstep.NotCommitted {
		return rpctypes.ErrGRPCNoLeader // says "retry", which a write that may be in the log must not hear
	}
	if errors.Is(err, lockstep.ErrNoQuorum) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return rpctypes.ErrGRPCTimeout
	}
	return status.Error(codes.Unavailable, "etcdserver: "+err.Error())
}
