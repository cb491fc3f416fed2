//go:build unix

package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the time of the clock that the manager compares with.
func monotonic() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano()), err
}

// send sends a datagram, with a descriptor if f is not nil.
func send(conn *net.UnixConn, f *os.File, text string) error {
	say := func(rights []byte) error {
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		var sent error
		err = raw.Write(func(fd uintptr) bool { // WriteMsgUnix wants an address
			sent = unix.Sendmsg(int(fd), []byte(text), rights, nil, 0)
			return !errors.Is(sent, unix.EAGAIN)
		})
		if err := errors.Join(err, sent); err != nil {
			return fmt.Errorf("tell the service manager: %w", err)
		}
		return nil
	}
	if f == nil {
		return say(nil)
	}
	// Not f.Fd: that would make the socket blocking for all who share it.
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var said error
	err = raw.Control(func(fd uintptr) { said = say(unix.UnixRights(int(fd))) })
	return errors.Join(err, said)
}

// listener makes one of a descriptor that was passed.
func listener(fd int, name string) (net.Listener, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // FileListener has its own
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case err != nil:
		return nil, fmt.Errorf("descriptor %d, %q, is not a socket: %w", fd, name, err)
	case listens == 0:
		return nil, fmt.Errorf("the socket %q does not listen; its unit needs ListenStream, and Accept=no", name)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the socket %q: %w", name, err)
	}
	return l, nil
}
