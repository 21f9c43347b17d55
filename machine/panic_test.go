package machine

import (
	"strings"
	"testing"
)

func TestPanicFramesNameTheGuilty(t *testing.T) {
	for name, f := range map[string]func(){
		"outOfRange": func() { outOfRange(nil, 3) },
		"byHand":     func() { byHand(20) },
	} {
		told := guarded(f)
		frames := strings.Split(told, " ← ")
		if !strings.HasPrefix(told, "machine."+name+" panic_test.go:") || len(frames) > maxFrames || strings.Contains(told, "guarded") || strings.Contains(told, "runtime.") {
			t.Errorf("%s: %s", name, told)
		}
		if again := guarded(f); again != told {
			t.Errorf("%s is told as %q, then as %q", name, told, again)
		}
	}
}

func guarded(f func()) (told string) {
	defer func() {
		if p := recover(); p != nil {
			told = PanicFrames()
		}
	}()
	f()
	return "it did not panic"
}

//go:noinline
func outOfRange(p []byte, i int) byte { return p[i] }

//go:noinline
func byHand(deep int) {
	if deep == 0 {
		panic("by hand")
	}
	byHand(deep - 1)
}
