package machinetest

// beside asks and saves a View on another goroutine while the machine goes on. The race detector does
// the judging; without it, this finds only what crashes.
func (s *suite) beside() {
	s.t.Helper()
	m := s.machine()
	half := len(s.script) / 2
	s.play(m, 0, half, s.anyCut)
	v := s.view(m)
	var asked [][]byte
	for range 64 {
		asked = append(asked, s.query(s.r))
	}
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		for _, q := range asked {
			_ = v.Query(q, discard{})
		}
	}()
	s.play(m, half, len(s.script), s.anyCut)
	saved := s.save(v)
	if p := <-done; p != nil {
		s.fatalf("Query panicked: %v", p)
	}
	s.close(v)
	s.load(s.machine(), saved, half)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
