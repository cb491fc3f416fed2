package relay

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// smtpSink starts Postfix's test server on a socket and returns the socket's
// path and where it writes what it receives.
func smtpSink(t *testing.T, args ...string) (socket, dir string) {
	t.Helper()
	name, err := exec.LookPath("smtp-sink")
	if err != nil {
		if name = "/usr/sbin/smtp-sink"; !executable(name) {
			if os.Getenv("CI") == "true" {
				t.Fatal("smtp-sink (of Postfix) is not installed")
			}
			t.Skip("smtp-sink (of Postfix) is not installed")
		}
	}
	// It gives up its privileges, and wants a short path for the socket.
	dir, err = os.MkdirTemp("", "sink")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o777)
	args = append(args, "-d", "%M.", "unix:"+filepath.Join(dir, "s"), "100")
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	socket = filepath.Join(dir, "s")
	for {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return socket, dir
		}
		select {
		case <-t.Context().Done():
			t.Fatal("smtp-sink does not start")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func executable(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.Mode()&0o111 != 0
}

// TestPostfixSink: the dialogue with a server that is not ours, as ESMTP, as
// plain SMTP, without pipelining, as LMTP, and refusing at every step.
func TestPostfixSink(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		lmtp bool
		want string
	}{
		{"ESMTP", nil, false, "delivered 250, delivered 250"},
		{"SMTP", []string{"-e"}, false, "delivered 250, delivered 250"},
		{"no pipelining", []string{"-p"}, false, "delivered 250, delivered 250"},
		{"LMTP", []string{"-L"}, true, "delivered 250, delivered 250"},
		{"MAIL refused", []string{"-f", "mail"}, false, "failed 500, failed 500"},
		{"RCPT put off", []string{"-r", "rcpt"}, false, "pending 450, pending 450"},
		{"DATA refused", []string{"-f", "data"}, false, "failed 500, failed 500"},
		{"dot put off", []string{"-r", "."}, false, "pending 450, pending 450"},
		{"dot drop", []string{"-q", "."}, false, "pending 0, pending 0"},
		{"RCPT drop", []string{"-q", "rcpt"}, false, "pending 0, pending 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket, dir := smtpSink(t, c.args...)
			r := &Relay{Hostname: "mail.example.org", Resolver: newZone(), Private: loopback, Log: slog.New(slog.DiscardHandler),
				Routes:  map[string]*Route{"sink": {Name: "sink", Hosts: []string{socket}, LMTP: c.lmtp}},
				Domains: ways(map[string]string{"*": "sink"}),
				Dial: func(ctx context.Context, network, address string, _ netip.Addr) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				}}
			defer r.Close()
			res := r.Deliver(t.Context(), delivery("bob@example.net", "carol@example.net"))
			if got := summary(res); got != c.want {
				t.Fatalf("%s, want %s: %+v", got, c.want, res)
			}
			if res[0].Status != queue.Delivered {
				return
			}
			files, _ := filepath.Glob(filepath.Join(dir, "*.*"))
			if len(files) != 1 {
				t.Fatalf("%d files", len(files))
			}
			data, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(string(data), "\r\n", "\n"); !strings.HasSuffix(strings.TrimRight(got, "\n"), strings.TrimRight(strings.ReplaceAll(message, "\r\n", "\n"), "\n")) {
				t.Errorf("it received %q", got)
			}
		})
	}
}
