//go:build !linux

package spool

import (
	"io"
	"os"
)

// readDir calls fn for each name in a directory, in no order. Where the file is
// on the disk is not known here.
func readDir(dir string, fn func(name []byte, inode uint64)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			fn([]byte(name), 0)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
