//go:build !linux

package dirents

import (
	"io"
	"os"
)

// Read calls fn for each name in a directory but "." and "..", in no order. Where a
// file is on the disk is not known here.
func Read(dir string, fn func(*Entry)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		ents, err := d.ReadDir(1000)
		for _, e := range ents {
			fn(&Entry{Name: []byte(e.Name()), dir: dir, kind: e.Type()})
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
