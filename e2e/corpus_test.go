package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

const (
	maxFileBytes = 1 << 20
	minFiles     = 500
)

// A file is one value to store, and where it came from.
type file struct {
	path    string
	content []byte
}

// corpus copies the small readable files of this machine's settings and time zones to a directory of
// the test, once, so that they stay as they are, and returns them.
func corpus(t testing.TB) (files []file) {
	t.Helper()
	dir := t.TempDir()
	for _, root := range []string{"/etc", "/usr/share/zoneinfo"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // what cannot be read is left out
			}
			info, err := d.Info()
			if err != nil || info.Size() > maxFileBytes {
				return nil //nolint:nilerr // as above
			}
			content, err := os.ReadFile(path)
			if err != nil || len(content) > maxFileBytes {
				return nil //nolint:nilerr // as above
			}
			copied := filepath.Join(dir, strconv.Itoa(len(files)))
			if err := os.WriteFile(copied, content, 0o600); err != nil {
				return err
			}
			files = append(files, file{path, content})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < minFiles {
		t.Fatalf("%d readable files up to %d bytes, want at least %d: install tzdata", len(files), maxFileBytes, minFiles)
	}
	return files
}
