//go:build !unix

package spool

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// openFlags: there are no links or pipes here that opening would follow or wait for.
const openFlags = os.O_RDONLY

// readFile reads a small file.
func readFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%w: %s is longer than %d octets", errFormat, filepath.Base(name), maxFile)
	}
	return data, err
}
