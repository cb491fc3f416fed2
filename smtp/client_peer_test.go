package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startSink starts Postfix's smtp-sink with options on a Unix socket and returns
// its path. Messages are put into the file that the second result names.
func startSink(t *testing.T, options ...string) (socket, dump string) {
	t.Helper()
	program, err := exec.LookPath("smtp-sink")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("smtp-sink (Postfix) is not installed")
		}
		t.Skip("smtp-sink (Postfix) is not installed")
	}
	dir, err := os.MkdirTemp("", "sink") // t.TempDir is too long a name for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o777)
	socket, dump = filepath.Join(dir, "s"), filepath.Join(dir, "dump")
	args := append([]string{"-D", dump, "-h", "sink.example"}, options...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	cmd := exec.Command(program, append(args, "unix:"+socket, "10")...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return socket, dump
}

// dialSink waits for the sink to listen.
func dialSink(ctx context.Context, d *Dialer, socket string) (*Client, error) {
	d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		for {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				return conn, nil
			}
			select {
			case <-ctx.Done():
				return nil, err
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	d.Hello = "me.example"
	return d.Dial(ctx, socket)
}

func TestSmtpSink(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options []string
		dialer  Dialer
		want    string
		is      error
	}{
		{"plain", nil, Dialer{}, "ok, ok", nil},
		{"no pipelining", []string{"-p"}, Dialer{}, "ok, ok", nil},
		{"no ESMTP", []string{"-e"}, Dialer{}, "ok, ok", nil},
		{"LMTP", []string{"-L"}, Dialer{LMTP: true}, "ok, ok", nil},
		{"recipients refused", []string{"-f", "rcpt"}, Dialer{}, "RCPT 500 5.3.0 Error: command failed, RCPT 500 5.3.0 Error: command failed", nil},
		{"DATA refused for now", []string{"-r", "data"}, Dialer{}, "DATA 450 4.3.0 Error: command failed, DATA 450 4.3.0 Error: command failed", nil},
		{"message refused", []string{"-f", "."}, Dialer{}, "message 500 5.3.0 Error: command failed, message 500 5.3.0 Error: command failed", nil},
		{"hangs up at DATA", []string{"-q", "data"}, Dialer{}, "", io.ErrUnexpectedEOF},
		{"hangs up at the dot", []string{"-q", "."}, Dialer{}, "doubt, doubt", ErrInDoubt},
		{"421 at RCPT", []string{"-Q", "rcpt"}, Dialer{}, "", &Reply{Code: 421, Enhanced: "4.0.0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			socket, dump := startSink(t, tt.options...)
			c, err := dialSink(ctx, &tt.dialer, socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var bodies []string
			for _, size := range []int{0, 100, 100_000} {
				body := "Subject: x\r\n\r\n" + strings.Repeat(".a line\r\n..\r\n", size/13)
				bodies = append(bodies, body)
				results, err := c.Send(ctx, mail("a@b.example", "r1@d.example", "r2@d.example"), strings.NewReader(body))
				if tt.want != "" && outcome(results) != tt.want || tt.is == nil && err != nil || !errors.Is(err, tt.is) {
					t.Fatalf("%s, %v", outcome(results), err)
				}
				if !c.Usable() {
					return
				}
			}
			if err := c.Quit(ctx); err != nil {
				t.Error(err)
			}
			if tt.want != "ok, ok" {
				return
			}
			got, err := os.ReadFile(dump)
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range bodies {
				if !strings.Contains(string(got), strings.ReplaceAll(body, "\r\n", "\n")) {
					t.Errorf("a message of %d octets did not arrive as it was", len(body))
				}
			}
		})
	}
}
