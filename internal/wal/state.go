package wal

import "time"

// Full says that entries are being refused with ErrFull now.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuses()
}

// refuses is Full: mu is held.
func (l *Log) refuses() bool {
	free := l.admits(0) && (len(l.spares) > 1 || len(l.spares) == 1 && l.dead() > 0)
	return l.over() || l.full && !free
}

// Pressed says that entries fill more than half of MaxBytes, or are refused for that bound: whoever can
// compact should. Where the disk is what lacks space, it is no reason: who is behind may have none for a snapshot.
func (l *Log) Pressed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live > l.o.MaxBytes/2 || l.over() || l.full && l.trouble == nil
}

// StalledSince is when the running write was issued, or a read that writes wait for, on the env's clock; 0:
// none runs.
func (l *Log) StalledSince() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}
