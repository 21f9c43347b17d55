package wal

import "time"

// Full says that entries are being refused with ErrFull now.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full && !(len(l.spares) > 1 || len(l.spares) == 1 && l.dead() > 0)
}

// Pressed says that the files fill more than half of MaxBytes: whoever can compact should.
func (l *Log) Pressed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live > l.o.MaxBytes/2
}

// StalledSince is when the running write was issued, on the env's clock; 0: none runs.
func (l *Log) StalledSince() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}
