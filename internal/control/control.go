// Package control is the socket through which the command line talks to a
// running daemon: HTTP over a Unix socket that only the daemon's own user may
// open. What is said through it is the daemon's business.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/sys"
)

// ErrNotRunning: nobody answers at the socket.
var ErrNotRunning = errors.New("no daemon is running there")

// ErrInUse: a daemon answers at the socket already.
var ErrInUse = errors.New("another daemon is listening there")

// maxAnswer bounds what a client reads of one answer, in octets.
const maxAnswer = 64 << 20

// Listen opens the socket for its own user only, mode 0600. A socket left
// behind by a daemon that died is replaced; one that answers is ErrInUse.
func Listen(path string) (net.Listener, error) { return ListenMode(path, 0o600) }

// ListenMode is Listen with another mode.
func ListenMode(path string, mode fs.FileMode) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("control socket %s: %w", path, ErrInUse)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("control socket %s: there is something else of that name", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	// The socket is made under a name nobody knows and renamed when its mode
	// is right, so that there is no moment in which others could connect.
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	os.Remove(tmp)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	err = errors.Join(os.Chmod(tmp, mode), os.Rename(tmp, path))
	if err != nil {
		l.Close()
		os.Remove(tmp)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &listener{Listener: l, path: path}, nil
}

// listener removes the socket under its final name, and bounds what one user
// can have open.
type listener struct {
	net.Listener
	path string
	users
}

func (l *listener) Close() error {
	os.Remove(l.path)
	return l.Listener.Close()
}

type peerKey struct{}

// NewServer returns a server for a socket's requests, through which handlers
// can ask Caller.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		// Nobody here is behind a slow line, but somebody may wait on purpose.
		ReadTimeout:    5 * time.Minute,
		WriteTimeout:   10 * time.Minute,
		IdleTimeout:    30 * time.Second,
		MaxHeaderBytes: 64 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c)
		},
	}
}

// Caller returns the user id of the process at the other end of the request's
// connection, as the kernel knows it (SO_PEERCRED), or an error where the
// system cannot tell.
func Caller(r *http.Request) (uid uint32, err error) {
	c, _ := r.Context().Value(peerKey{}).(net.Conn)
	if counted, ok := c.(*conn); ok {
		c = counted.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("control: not a Unix socket")
	}
	return peerUID(u)
}

// Client talks to the daemon at one socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client for the socket. Nothing is opened yet.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	// One call, one connection: an idle one would count as its user's.
	return &Client{path, http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Call posts in as JSON to the named action and decodes the answer into out;
// either may be nil. The daemon's own refusal comes back as its text.
// ErrNotRunning if nobody is there.
func (c *Client) Call(ctx context.Context, action string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", action, err)
	}
	return c.Stream(ctx, action, bytes.NewReader(body), out)
}

// Stream is Call with a body that is sent as it is.
func (c *Client) Stream(ctx context.Context, action string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daemon/"+action, body)
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, sys.ConnRefused) || errors.Is(err, sys.FamilyUnknown) {
		return fmt.Errorf("control socket %s: %w", c.path, ErrNotRunning)
	}
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer to %s: %w", action, err)
	}
	if resp.StatusCode != http.StatusOK {
		refused := &Refusal{Text: strings.TrimSpace(string(answer))}
		fmt.Sscan(resp.Header.Get(replyHeader), &refused.Code, &refused.Enhanced) // neither, where there is none
		return refused
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode answer to %s: %w", action, err)
	}
	return nil
}

// Refusal is the daemon's answer that something cannot be done.
type Refusal struct {
	Text     string
	Code     int    // of SMTP, where the reason has one; else 0
	Enhanced string // as in RFC 3463; may be empty
}

// Error is the text.
func (r *Refusal) Error() string { return r.Text }

// replyHeader carries the codes of a Refusal.
const replyHeader = "Postrider-Reply"

// maxRequest bounds a request's body, in octets.
const maxRequest = 1 << 20

// Read reads into a value what a request asks for, as JSON.
func Read(w http.ResponseWriter, r *http.Request, into any) error {
	return json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(into)
}

// Answer writes what a handler found: err as plain text with status 422, beside it
// the codes of a Refusal, or out as JSON.
func Answer(w http.ResponseWriter, out any, err error) {
	if err != nil {
		var refused *Refusal
		if errors.As(err, &refused) && refused.Code != 0 {
			w.Header().Set(replyHeader, strings.TrimSpace(fmt.Sprint(refused.Code, " ", refused.Enhanced)))
		}
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}
