package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
)

// CanListen returns a check of whether a listener's address is free, or held
// already by the daemon that answers at the control socket.
func CanListen(ctx context.Context, socket string) func(conf.Listener) error {
	var running Status
	ours := control.NewClient(socket).Call(ctx, "status", nil, &running) == nil
	return func(l conf.Listener) error {
		if _, ok := running.Listeners[l.Address]; ours && ok {
			return nil
		}
		if path, ok := strings.CutPrefix(l.Address, "unix:"); ok {
			if c, err := net.Dial("unix", path); err == nil {
				c.Close()
				return fmt.Errorf("another program answers at %s", path)
			}
			return nil
		}
		if _, _, err := net.SplitHostPort(l.Address); err != nil {
			return nil // has been said
		}
		probe, err := net.Listen("tcp", l.Address)
		switch {
		case err == nil:
			return probe.Close()
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("another program listens on %s", l.Address)
		case errors.Is(err, os.ErrPermission):
			// A port below 1024, which the service may be allowed to have
			// though this shell is not.
			return nil
		}
		return err
	}
}
