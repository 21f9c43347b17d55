//go:build !linux

package cli

// whoListens knows nothing here.
func whoListens(string) (pid int, name string) { return 0, "" }

// starterOf knows nothing here.
func starterOf(int) int { return 0 }

// describeOwner knows nothing here.
func describeOwner(string) string { return "" }
