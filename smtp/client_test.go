package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/parsers/textual"
)

// follow is a server that follows a script: lines "S: ..." are said, in one
// piece as far as they follow each other, lines "C: ..." must come from the
// client. "tls" makes a handshake, "close" hangs up, "wait 5m" waits, "end"
// reads until the client has hung up.
func follow(conn net.Conn, script string, config *tls.Config) error {
	defer func() { conn.Close() }()
	r := textual.NewReader(conn)
	var say bytes.Buffer
	waited := false // the client may have said anything meanwhile
	flush := func() {
		if say.Len() > 0 {
			conn.Write(say.Bytes()) // a client that has gone is seen when reading
			say.Reset()
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb == "" {
			continue
		}
		if verb == "S:" {
			say.WriteString(rest + "\r\n")
			continue
		}
		flush()
		switch verb {
		case "C:":
			got, err := r.ReadLine(textual.MaxLine)
			if err != nil || string(got) != rest {
				return fmt.Errorf("client said %q, %v; want %q", got, err, rest)
			}
		case "raw":
			io.WriteString(conn, strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00").Replace(rest))
		case "tls":
			upgraded := tls.Server(conn, config)
			if err := upgraded.Handshake(); err != nil {
				return fmt.Errorf("server's handshake: %w", err)
			}
			conn = upgraded
			r.Reset(conn)
		case "wait":
			d, _ := time.ParseDuration(rest)
			time.Sleep(d)
			waited = true
		case "close":
			return nil
		case "end":
			if got, err := io.ReadAll(r); len(got) > 0 {
				return fmt.Errorf("client said %q, %v at the end", got, err)
			}
			return nil
		default:
			return fmt.Errorf("bad script line %q", line)
		}
	}
	flush()
	got, _ := io.ReadAll(r)
	if len(got) > 0 && !waited {
		return fmt.Errorf("client said %q behind the script", got)
	}
	return nil
}

// withServer runs client in a bubble against the script, and checks that the
// server saw what it should.
func withServer(t *testing.T, script string, client func(conn net.Conn)) {
	t.Helper()
	withTLSServer(t, script, func(conn net.Conn, _ *tls.Config) { client(conn) })
}

// withTLSServer does so with a certificate for mx.example; config trusts it.
func withTLSServer(t *testing.T, script string, client func(conn net.Conn, config *tls.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := mailtest.Pipe("192.0.2.1:1025", "192.0.2.2:25")
		var server, config *tls.Config
		if strings.Contains(script, "tls") {
			server, config = certificate(t) // in the bubble, whose clock it has to fit
		}
		done := make(chan error, 1)
		go func() { done <- follow(theirs, script, server) }()
		client(ours, config)
		ours.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	certPEM, keyPEM, err := certs.SelfSigned("mx.example")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, &tls.Config{RootCAs: roots}
}

// started makes a Client with d, of which the greeting and EHLO are in the
// script.
func started(t *testing.T, d Dialer, conn net.Conn) *Client {
	t.Helper()
	d.Hello = "me.example"
	c, err := d.Start(context.Background(), conn, "mx.example")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hello(extensions ...string) string {
	lines := append([]string{"mx.example hello"}, extensions...)
	var b strings.Builder
	b.WriteString("S: 220 mx.example ESMTP\nC: EHLO me.example\n")
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		fmt.Fprintf(&b, "S: 250%s%s\n", sep, l)
	}
	return b.String()
}

func mail(from string, to ...string) *Outgoing {
	m, err := envelope(from, to)
	if err != nil {
		panic(err)
	}
	return m
}

// outcome is results in short: "ok", "550 5.1.1 ...", "doubt ..." or the error.
func outcome(results []RcptResult) string {
	var s []string
	for _, r := range results {
		switch {
		case r.Err == nil:
			s = append(s, "ok")
		case r.InDoubt:
			s = append(s, "doubt")
		case r.Reply != nil:
			var e *ClientError
			errors.As(r.Err, &e)
			s = append(s, e.Op+" "+r.Reply.Error())
		default:
			s = append(s, r.Err.Error())
		}
	}
	return strings.Join(s, ", ")
}
