package raft

// logClock tells log time to a leader: the last entry's time plus what its monotonic clock
// measured since that entry was appended here.
type logClock struct {
	last Time    // of the newest entry
	at   Instant // when it was appended here
	from int64   // the calendar less log time when this replica began to lead; 0: unknown
}

// appended notes an entry's time.
func (c *logClock) appended(t Time, now Instant) { c.last, c.at = t, now }

// lead starts the clock of a new leader. Log time stood still while nobody led: of the time since
// the newest entry came, only that until the former leader's last sign of life counts. A machine
// that expires leases must not expire all of them because an election took an hour.
func (c *logClock) lead(contact, now Instant, wall int64) {
	c.at = now - max(0, min(contact, now)-c.at)
	c.from = 0
	if wall != 0 {
		c.from = wall - int64(c.last) - int64(now-c.at)
	}
}

// steerDivisor bounds how fast log time follows the calendar: one part in a hundred.
const steerDivisor = 100

// read returns log time at now. It follows the calendar's rate since this replica leads, by at most
// one part in a hundred: wall is in Unix nanoseconds, 0 if unknown. Log time is no date, so the
// calendar's distance counts for nothing. It never goes back (R11), whatever the clocks do.
func (c *logClock) read(now Instant, wall int64) Time {
	elapsed := int64(max(0, now-c.at))
	t := int64(c.last) + elapsed
	if wall != 0 {
		t += max(-elapsed/steerDivisor, min(elapsed/steerDivisor, wall-c.from-t))
	}
	return max(c.last, Time(t))
}
