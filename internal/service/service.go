// Package service is what a service manager such as systemd and a daemon have
// to say to each other: the sockets that the manager opened or kept
// (sd_listen_fds(3)), and how the daemon is (sd_notify(3)). It knows nothing of
// what is served.
package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// firstFile is the number of the first descriptor that is passed.
const firstFile = 3

// mostFiles is how many descriptors are taken.
const mostFiles = 1024

// keptPrefix begins the names of sockets that a process had its manager keep
// for the next one; those of socket units are chosen by their authors.
const keptPrefix = "kept-"

// Socket is a listening socket that was open before this process began.
type Socket struct {
	// Name is the FileDescriptorName of a socket unit, or what Keep was given.
	Name string
	// Kept says that an earlier process of this service had it kept.
	Kept     bool
	Listener net.Listener
}

// Manager is the service manager that this process was started by. A nil one
// stands for none: it has passed nothing and hears nothing. Its methods may be
// called at the same time.
type Manager struct {
	// Sockets are those that were passed. Whoever takes them closes them.
	Sockets []Socket
	// Watchdog is how often Alive has to be called at least; 0 means never.
	Watchdog time.Duration

	conn *net.UnixConn // nil: it does not listen
}

// FromEnvironment returns the manager that the environment tells of, nil if
// there is none. It takes what it reads out of the environment, so that no
// child of this process takes it for its own.
func FromEnvironment() (*Manager, error) {
	m := &Manager{Watchdog: watchdog()}
	socket := take("NOTIFY_SOCKET")
	var err error
	if m.Sockets, err = sockets(); err != nil {
		return nil, err
	}
	if socket != "" {
		m.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			m.Close()
			return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
		}
	}
	if m.conn == nil && m.Sockets == nil {
		return nil, nil
	}
	return m, nil
}

// take reads a variable and removes it.
func take(name string) string {
	text := os.Getenv(name)
	os.Unsetenv(name)
	return text
}

// forUs reports whether a variable that names a process names this one, or is
// not there.
func forUs(pid string) bool { return pid == "" || pid == strconv.Itoa(os.Getpid()) }

func watchdog() time.Duration {
	pid, text := take("WATCHDOG_PID"), take("WATCHDOG_USEC")
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) || !forUs(pid) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// sockets takes the descriptors that were passed.
func sockets() (all []Socket, err error) {
	pid, count, names := take("LISTEN_PID"), take("LISTEN_FDS"), take("LISTEN_FDNAMES")
	if count == "" {
		return nil, nil
	}
	if pid == "" || !forUs(pid) {
		return nil, fmt.Errorf("LISTEN_PID is %q, and this is process %d: the sockets were passed to another one; start the program itself, not through a script, or without LISTEN_FDS", pid, os.Getpid())
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > mostFiles {
		return nil, fmt.Errorf("LISTEN_FDS is %q, which is no number of sockets", count)
	}
	var name []string
	if names != "" {
		name = strings.Split(names, ":")
	}
	var problems []error
	for i := range n {
		s := Socket{Name: "unknown"} // as sd_listen_fds_with_names(3) has it
		if i < len(name) {
			s.Name = name[i]
		}
		if s.Listener, err = listener(firstFile+i, s.Name); err != nil {
			problems = append(problems, err)
			continue
		}
		s.Name, s.Kept = strings.CutPrefix(s.Name, keptPrefix)
		if s.Kept {
			s.Name = unescape(s.Name)
		}
		all = append(all, s)
	}
	if len(problems) > 0 {
		for _, s := range all {
			s.Listener.Close()
		}
		return nil, errors.Join(problems...)
	}
	return all, nil
}

// Close closes the connection to the manager, and the sockets that nobody has
// taken.
func (m *Manager) Close() {
	if m == nil {
		return
	}
	for _, s := range m.Sockets {
		s.Listener.Close()
	}
	if m.conn != nil {
		m.conn.Close()
	}
}

// escape makes a name of sd_pid_notify_with_fds(3) of any text: printable
// ASCII without a colon.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 127 || c == ':' || c == '%' {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) {
			if c, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
