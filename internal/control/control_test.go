package control_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/postrider-mail/postrider/internal/control"
)

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewServer(h)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return path
}

func TestCall(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /greet", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, map[string]string{"hello": "world"}, nil)
	})
	mux.HandleFunc("POST /refuse", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, nil, errors.New("not today"))
	})
	mux.HandleFunc("POST /whoami", func(w http.ResponseWriter, r *http.Request) {
		uid, err := control.Caller(r)
		control.Answer(w, uid, err)
	})
	path := serve(t, mux)
	c := control.NewClient(path)
	var out map[string]string
	if err := c.Call(context.Background(), "greet", nil, &out); err != nil || out["hello"] != "world" {
		t.Errorf("greet: %v, %v", out, err)
	}
	if err := c.Call(context.Background(), "refuse", nil, nil); err == nil || err.Error() != "not today" {
		t.Errorf("refuse: %v", err)
	}
	if runtime.GOOS == "linux" {
		var uid uint32
		if err := c.Call(context.Background(), "whoami", nil, &uid); err != nil || int(uid) != os.Getuid() {
			t.Errorf("whoami: %d, %v; want %d", uid, err, os.Getuid())
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	if err := control.NewClient(path).Call(context.Background(), "x", nil, nil); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("nothing there: %v", err)
	}
}

func TestListenTwice(t *testing.T) {
	path := serve(t, http.NewServeMux())
	if _, err := control.Listen(path); !errors.Is(err, control.ErrInUse) {
		t.Errorf("second listener: %v, want ErrInUse", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	// A daemon that died leaves its socket behind.
	left := path + ".left"
	os.Rename(path, left)
	l.Close()
	os.Rename(left, path)
	l, err = control.Listen(path)
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	l.Close()
	os.WriteFile(path, []byte("precious"), 0o600)
	if _, err := control.Listen(path); err == nil {
		t.Error("a file that is no socket was replaced")
	}
}

// TestTooManyOfOneUser: connections beyond the cap are closed, and there is
// room again when others have ended.
func TestTooManyOfOneUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, control.MaxPerUser+1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var first net.Conn
	for range control.MaxPerUser {
		dial()
		if c := <-accepted; first == nil {
			first = c
		}
	}
	if _, err := dial().Read(make([]byte, 1)); err == nil || len(accepted) > 0 {
		t.Errorf("one connection too many was taken (%v)", err)
	}
	first.Close()
	first.Close()
	dial()
	(<-accepted).Close()
}
