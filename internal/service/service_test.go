package service

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestEscape: any address becomes a name that sd_pid_notify_with_fds(3) takes, and
// comes back.
func TestEscape(t *testing.T) {
	for _, text := range []string{"", ":25", "[::1]:25", "127.0.0.1:0", "%3a", "100%", "a b\n", "ü"} {
		name := escape(text)
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 127 || r == ':' }) {
			t.Errorf("%q becomes %q", text, name)
		}
		if back := unescape(name); back != text {
			t.Errorf("%q becomes %q and comes back as %q", text, name, back)
		}
	}
}

// TestEnvironment: what is read is taken out of the environment; what is wrong with
// it, or meant for another process, is an error or nothing.
func TestEnvironment(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name, pid, fds, usec string
		want                 string // of the error
		watchdog             time.Duration
	}{
		{name: "nothing"},
		{name: "no sockets", pid: self, fds: "0"},
		{name: "no number", pid: self, fds: "x", want: "no number"},
		{name: "too many", pid: self, fds: "100000", want: "no number"},
		{name: "another process", pid: "1", fds: "1", want: "passed to another one"},
		{name: "nobody's", fds: "1", want: "passed to another one"},
		{name: "watchdog", usec: "60000000", watchdog: time.Minute},
		{name: "no watchdog", usec: "-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("LISTEN_PID", c.pid)
			t.Setenv("LISTEN_FDS", c.fds)
			t.Setenv("WATCHDOG_USEC", c.usec)
			t.Setenv("NOTIFY_SOCKET", "")
			if w := watchdog(); w != c.watchdog {
				t.Errorf("the watchdog waits %v, want %v", w, c.watchdog)
			}
			m, err := FromEnvironment()
			if m != nil || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v", m, err)
			}
			for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "WATCHDOG_USEC", "NOTIFY_SOCKET"} {
				if _, ok := os.LookupEnv(name); ok {
					t.Errorf("%s is left to children", name)
				}
			}
			if err := m.Ready("x"); err != nil { // no manager hears nothing
				t.Error(err)
			}
			m.Close()
		})
	}
}
