package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"net"
	"os"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/sys"
)

// CanListen returns a check of whether a listener's address is free, or held
// already by the daemon that answers at the control socket.
func CanListen(ctx context.Context) func(l conf.Listener, controlSocket string) error {
	var running *Status
	return func(l conf.Listener, controlSocket string) error {
		if running == nil {
			running = &Status{}
			if err := control.NewClient(controlSocket).Call(ctx, "status", nil, running); err != nil {
				running = &Status{}
			}
		}
		if _, ours := running.Listeners[l.Address]; ours || l.Address == running.Web {
			return nil
		}
		if path, ok := strings.CutPrefix(l.Address, "unix:"); ok {
			return canBind(path)
		}
		probe, err := net.Listen("tcp", l.Address)
		switch {
		case err == nil:
			return probe.Close()
		case errors.Is(err, fs.ErrPermission):
			// A port below 1024, which the service may be allowed to have
			// though this shell is not.
			return nil
		}
		return explainOwn(l.Address, explainListen(l.Address, err), maps.Keys(running.Listeners))
	}
}

// explainOwn names the listener of this server itself that keeps it from listening at an address. own are the
// addresses of the settings in force. One of two conflicting addresses has all of the host's.
func explainOwn(address string, err error, own iter.Seq[string]) error {
	host, port, _ := net.SplitHostPort(address)
	for held := range own {
		heldHost, heldPort, _ := net.SplitHostPort(held)
		if errors.Is(err, sys.AddrInUse) && port == heldPort && (everywhere(host) || everywhere(heldHost)) {
			return fmt.Errorf("this server listens on %s, and on %s after a restart only: %w", held, address, sys.AddrInUse)
		}
	}
	return err
}

// everywhere reports whether a host of an address means all addresses of this host.
func everywhere(host string) bool { return host == "" || net.ParseIP(host).IsUnspecified() }

// canBind says why a Unix socket cannot be made at path. That its folder can be
// written to is another check's.
func canBind(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is there and not a socket", path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return fmt.Errorf("another program answers at %s", path)
	}
	return nil
}

// explainListen puts why an address cannot be listened at in the words of who has
// to change it.
func explainListen(address string, err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, sys.AddrInUse):
		return fmt.Errorf("another program listens on %s: %w", address, sys.AddrInUse)
	case errors.Is(err, sys.AddrNotAvail):
		host, _, _ := net.SplitHostPort(address)
		return fmt.Errorf("%s is not an address of this host", host)
	case errors.Is(err, sys.FamilyUnknown):
		return fmt.Errorf("this host has no addresses of the kind of %s", address)
	case errors.As(err, &dns):
		return fmt.Errorf("%s has no address", dns.Name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("ports below 1024, as in %s, need the capability CAP_NET_BIND_SERVICE, root, or sockets from the service manager: %w", address, sys.PermissionError)
	}
	return err
}
