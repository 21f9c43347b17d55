package e2e

import (
	"context"
	"testing"
	"time"
)

// within calls f, at short intervals, until it returns nil, and fails the test with f's last error when
// d has passed. The context that f gets ends then. It returns how long it took.
func within(t testing.TB, d time.Duration, what string, f func(ctx context.Context) error) time.Duration {
	t.Helper()
	took, err := poll(t.Context(), d, f)
	if err != nil {
		t.Fatalf("%s: not within %v: %v", what, d, err)
	}
	return took
}

// poll is within for goroutines that may not end the test.
func poll(ctx context.Context, d time.Duration, f func(ctx context.Context) error) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return time.Since(began), nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return time.Since(began), err
		}
	}
}

// pass waits until d has passed, for tests in which the wait is the fault.
func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
