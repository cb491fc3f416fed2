package daemon

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/service"
)

// inherit takes over the sockets that were open before this process began, by
// the address in the settings: those of socket units, and those that an earlier
// process of this service had kept. Of the latter, the ones that the settings do
// not name any more are closed.
func (d *Daemon) inherit(want []conf.Listener) (map[string]*socket, error) {
	if d.manager == nil {
		return nil, nil
	}
	var kept []service.Socket
	for _, s := range d.manager.Sockets {
		if s.Kept {
			kept = append(kept, s)
		} else {
			d.passed = append(d.passed, s)
		}
	}
	given, err := assign(d.passed, want)
	if err != nil {
		return nil, err
	}
	d.manager.Sockets = nil // they are ours now
	taken := make(map[string]*socket)
	for address, s := range given {
		taken[address] = newSocket(s.Listener)
	}
	for _, s := range kept {
		if taken[s.Name] == nil && listensAt(want, s.Name) {
			taken[s.Name] = newSocket(s.Listener)
			continue
		}
		s.Listener.Close()
		d.forget(s.Name)
	}
	return taken, nil
}

func listensAt(listeners []conf.Listener, address string) bool {
	return slices.ContainsFunc(listeners, func(l conf.Listener) bool { return l.Address == address })
}

// keep has the service manager hold the sockets of these addresses for the next
// process, so that a restart refuses nobody. It has those of socket units
// already. Unix sockets are opened anew: their names may be gone by then.
func (d *Daemon) keep(addresses []string) {
	for _, address := range addresses {
		if _, ok := d.listeners[address].socket.listener.(*net.TCPListener); !ok || d.isPassed(address) {
			continue
		}
		if err := d.manager.Keep(address, d.listeners[address].socket.listener); err != nil {
			d.log.Warn("a restart will refuse connections", "addr", address, "err", err)
		}
	}
}

// forget has the service manager close a socket that is not to be listened at
// any more.
func (d *Daemon) forget(address string) {
	if err := d.manager.Forget(address); err != nil {
		d.log.Warn("the service manager keeps a socket that nobody listens at", "addr", address, "err", err)
	}
}

func (d *Daemon) isPassed(address string) bool {
	given, err := assign(d.passed, d.state().settings.Listeners)
	_, ok := given[address]
	return err == nil && ok
}

// assign finds for each listener the socket that its unit has passed, by the
// name in the settings, else by the address. A socket that nobody would accept
// from is an error, and so is a listener that was forgotten in the units: the
// port may be one that only the service manager can open.
func assign(passed []service.Socket, want []conf.Listener) (map[string]service.Socket, error) {
	given := make(map[string]service.Socket)
	if len(passed) == 0 {
		return given, nil
	}
	var without, unwanted []string
	used := make([]bool, len(passed))
	for _, l := range want {
		i := slices.IndexFunc(passed, func(s service.Socket) bool { return l.Socket != "" && s.Name == l.Socket })
		if l.Socket == "" {
			i = slices.IndexFunc(passed, func(s service.Socket) bool { return sameAddress(l.Address, s.Listener.Addr()) })
		}
		switch {
		case i >= 0 && !used[i]:
			given[l.Address], used[i] = passed[i], true
		case l.Socket != "":
			without = append(without, fmt.Sprintf("%s (%s)", l.Address, l.Socket))
		case !strings.HasPrefix(l.Address, "unix:"):
			without = append(without, l.Address)
		}
	}
	for i, s := range passed {
		if !used[i] {
			unwanted = append(unwanted, fmt.Sprintf("%s (%s)", s.Listener.Addr(), s.Name))
		}
	}
	if len(without)+len(unwanted) == 0 {
		return given, nil
	}
	return nil, fmt.Errorf("the socket units and Listeners differ: %w", errors.Join(differ("listeners without a socket", without), differ("sockets without a listener", unwanted),
		errors.New("make them fit (systemctl edit --full postrider.socket), or let the server open its own (systemctl disable --now postrider.socket)")))
}

func differ(what string, which []string) error {
	if len(which) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", what, strings.Join(which, ", "))
}

// sameAddress reports whether a listener of the settings would be bound to addr.
// All addresses are one, be they written as those of IPv4, of IPv6 or of both.
func sameAddress(address string, addr net.Addr) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return addr.Network() == "unix" && addr.String() == path
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	is, ok := addr.(*net.TCPAddr)
	if err != nil || !ok || want.Port != is.Port || want.Port == 0 {
		return false
	}
	all := func(ip net.IP) bool { return ip == nil || ip.IsUnspecified() }
	return all(want.IP) && all(is.IP) || want.IP.Equal(is.IP)
}
