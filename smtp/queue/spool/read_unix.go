//go:build unix

package spool

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFlags: a link or a pipe with the name of an entry is nothing of ours, and
// opening it must neither lead elsewhere nor wait.
const openFlags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK

// readFile reads a small file. A start reads a million of them: os.File, made
// for more than that, would take half again as many system calls.
func readFile(name string) ([]byte, error) {
	fd, err := openRetry(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 1024)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		}
		data = data[:len(data)+n]
		if len(data) > maxFile {
			return nil, fmt.Errorf("%w: %s is longer than %d octets", errFormat, filepath.Base(name), maxFile)
		}
		if len(data) < cap(data) { // a file is read as far as it goes
			return data, nil
		}
		data = append(data, 0)[:len(data)]
	}
}

func openRetry(name string) (fd int, err error) {
	for {
		fd, err = unix.Open(name, openFlags, 0)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}
