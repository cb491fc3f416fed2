package lineserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"
)

// Identity is what a server of any protocol knows of one connection and writes
// into its lines of the log. The Session of smtp and pop3 embeds it. It belongs to
// the connection's goroutine; only Close and End may be called from others.
type Identity struct {
	ID   string // random; in every log line, and in what the client hears of failures
	User string // the account that logged in; empty before
	// RemoteAddr and LocalAddr are the connection's ends; RemoteAddr is the
	// original client's where a trusted proxy told it (XCLIENT).
	RemoteAddr, LocalAddr net.Addr
	TLS                   *tls.ConnectionState // nil in the clear
	Began                 time.Time            // when the connection was taken
	// Values is for the callbacks' own use. An upgrade to TLS within the session
	// takes it back to what CheckConn left.
	Values map[any]any

	conn io.Closer // nil where there is no connection
}

// NewIdentity is that of a connection, with a new ID. It asks the connection for
// its addresses, which behind a proxy may block.
func NewIdentity(c *Conn) Identity {
	return Identity{ID: newID(), RemoteAddr: c.RemoteAddr(), LocalAddr: c.LocalAddr(), Began: time.Now(), conn: c}
}

// Close ends the session at once: nothing more is said, not even the answer to
// the command at hand. A message in progress is not delivered, and nothing is
// removed. It may be called at any time while the session lasts, from any
// goroutine.
func (i *Identity) Close() error {
	if i.conn == nil {
		return nil
	}
	return i.conn.Close()
}

// End ends the session at once as Close does, but for a last word: 421 (RFC 5321 §3.8) or -ERR. No further command is obeyed, a message in progress whose
// end is not here yet is not delivered, and nothing is removed; the answer to the command at hand is still given, if that takes no more than five seconds. It may
// be called as Close may.
func (i *Identity) End() error {
	if c, ok := i.conn.(*Conn); ok {
		c.Expel()
		return nil
	}
	return i.Close()
}

// String names the session for logs: its id and the client's address.
func (i *Identity) String() string { return i.ID + " [" + i.Remote() + "]" }

// Remote is RemoteAddr's text; empty if there is none.
func (i *Identity) Remote() string {
	if i.RemoteAddr == nil {
		return ""
	}
	return i.RemoteAddr.String()
}

// TLSName is the version of TLS and the cipher suite; empty in the clear.
func (i *Identity) TLSName() string {
	if i.TLS == nil {
		return ""
	}
	return tls.VersionName(i.TLS.Version) + " " + tls.CipherSuiteName(i.TLS.CipherSuite)
}

// Set puts a value into Values, making the map if needed.
func (i *Identity) Set(key, value any) {
	if i.Values == nil {
		i.Values = make(map[any]any)
	}
	i.Values[key] = value
}

// LogAttrs are what every line about the session begins with: "session", "user" if
// there is one, and "remote".
func (i *Identity) LogAttrs(more ...slog.Attr) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, 4+len(more)), slog.String("session", i.ID))
	if i.User != "" {
		attrs = append(attrs, slog.String("user", i.User))
	}
	if i.RemoteAddr != nil {
		attrs = append(attrs, slog.String("remote", i.Remote()))
	}
	return append(attrs, more...)
}

// LogError writes an error about the session into the log.
func (i *Identity) LogError(log *slog.Logger, what string, more ...slog.Attr) {
	log.LogAttrs(context.Background(), slog.LevelError, what, i.LogAttrs(more...)...)
}

// LogDialogue writes a line of the dialogue into the log, at debug: what a Tracer is
// given, where nobody has set one.
func (i *Identity) LogDialogue(log *slog.Logger, dir byte, line string) {
	log.LogAttrs(context.Background(), slog.LevelDebug, "dialogue", slog.String("session", i.ID), slog.String("dir", string(dir)), slog.String("line", line))
}

// ErrPanic is the error of Protect where what it called has panicked.
var ErrPanic = errors.New("panic in a session")

// Panic is what something has panicked with, in a line of the log: whoever counts them knows it by its type.
type Panic struct{ Value any }

// LogValue implements slog.LogValuer.
func (p Panic) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(p.Value)) }

// Protect calls f. A panic in it is written into the log with its stack, and
// becomes an error that wraps ErrPanic: it costs this session and nothing else.
func (i *Identity) Protect(log *slog.Logger, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrPanic, p)
			i.LogError(log, "panic in a session", slog.Any("panic", Panic{p}), slog.String("stack", string(debug.Stack())))
		}
	}()
	return f()
}
