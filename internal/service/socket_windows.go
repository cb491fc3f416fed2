package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// No manager of this kind is here, and so none can be told anything, or pass sockets.

func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }

func send(*net.UnixConn, *os.File, string) error { return errors.ErrUnsupported }

func listener(int, string) (net.Listener, error) {
	return nil, fmt.Errorf("LISTEN_FDS: sockets cannot be passed on this system: %w", errors.ErrUnsupported)
}
