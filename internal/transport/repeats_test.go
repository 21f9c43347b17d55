package transport

import (
	"fmt"
	"testing"
	"time"
)

func TestRepeatsAreToldEveryTenSecondsWithTheirNumber(t *testing.T) {
	var r repeats
	var told []int
	for i := range 101 { // five a second, for 20 s
		if n := r.news(time.Duration(i)*200*time.Millisecond, "host 1: no cluster"); n > 0 {
			told = append(told, n)
		}
	}
	if fmt.Sprint(told) != "[1 50 50]" {
		t.Errorf("101 refusals in 20 s are told as %v", told)
	}
	if n := r.news(0, "host 2: no cluster"); n != 1 {
		t.Errorf("another one is told %d times", n)
	}
	for i := range 1000 {
		r.news(0, fmt.Sprint("stranger ", i))
		if len(r.said) > maxRepeats {
			t.Fatalf("%d are remembered", len(r.said))
		}
	}
}
