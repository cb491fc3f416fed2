package lineserver_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/parsers/lineserver"
)

// line makes a logger of one line, without its time.
func line(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "stack" {
			return slog.Attr{}
		}
		return a
	}}))
}

// TestIdentity: what is not known is no key, and no panic.
func TestIdentity(t *testing.T) {
	var none lineserver.Identity
	full := lineserver.Identity{ID: "s1", User: "ann", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5},
		TLS: &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}}
	if none.Close() != nil || none.Remote() != "" || none.TLSName() != "" || none.String() != " []" {
		t.Errorf("%q %q %q", none.Remote(), none.TLSName(), none.String())
	}
	if got := full.String() + "/" + full.TLSName(); got != "s1 [192.0.2.1:5]/TLS 1.3 TLS_AES_128_GCM_SHA256" {
		t.Error(got)
	}
	full.Set("k", 1)
	if full.Values["k"] != 1 {
		t.Error(full.Values)
	}
	var b bytes.Buffer
	none.LogError(line(&b), "no")
	full.LogError(line(&b), "yes", slog.Int("n", 1))
	full.LogDialogue(line(&b), 'r', "NOOP")
	if want := "level=ERROR msg=no session=\"\"\nlevel=ERROR msg=yes session=s1 user=ann remote=192.0.2.1:5 n=1\n" +
		"level=DEBUG msg=dialogue session=s1 dir=r line=NOOP\n"; b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// TestProtect: an error stays as it is, and a panic is a line and an error.
func TestProtect(t *testing.T) {
	i := lineserver.Identity{ID: "s1", User: "ann"}
	var b bytes.Buffer
	if err := i.Protect(line(&b), func() error { return net.ErrClosed }); err != net.ErrClosed || b.Len() != 0 {
		t.Errorf("%v, %s", err, b.String())
	}
	err := i.Protect(line(&b), func() error { panic("oh") })
	if !errors.Is(err, lineserver.ErrPanic) || !strings.Contains(err.Error(), "oh") {
		t.Error(err)
	}
	if want := "level=ERROR msg=\"panic in a session\" session=s1 user=ann panic=oh\n"; b.String() != want {
		t.Errorf("%s", b.String())
	}
}
