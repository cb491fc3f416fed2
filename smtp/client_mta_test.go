package smtp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/smtp"
)

// mtaSession is the client's side of a conversation with a mail server of
// others.
type mtaSession struct {
	*smtp.Client
	t    *testing.T
	said *strings.Builder // the commands
}

func mtaDial(t *testing.T, m *peertest.MTA, d smtp.Dialer) *mtaSession {
	t.Helper()
	s := &mtaSession{t: t, said: new(strings.Builder)}
	d.Hello = "home.test"
	d.Trace = func(dir byte, line string) {
		if dir == 'w' {
			s.said.WriteString(line + "\n")
		}
	}
	var err error
	if s.Client, err = d.Dial(t.Context(), m.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mtaPath(t *testing.T, address string) smtp.Path {
	t.Helper()
	p, err := smtp.ParsePath("<"+address+">", smtp.PathUTF8)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// send sends a message and returns what became of each recipient.
func (s *mtaSession) send(text string, params smtp.Params, to ...string) []smtp.RcptResult {
	s.t.Helper()
	m := &smtp.Outgoing{From: mtaPath(s.t, "ann@home.test"), Params: params}
	for _, address := range to {
		m.To = append(m.To, smtp.Recipient{Path: mtaPath(s.t, address)})
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	results, err := s.Send(ctx, m, strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	return results
}

func eachMTA(t *testing.T, f func(t *testing.T, m *peertest.MTA, roots *tls.Config)) {
	t.Parallel()
	for name, start := range peertest.Servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := peertest.NewAuthority(t)
			m := start(t, peertest.Options{Cert: a.Issue(t, "127.0.0.1")})
			f(t, m, &tls.Config{RootCAs: a.Pool})
		})
	}
}

// TestMTASamples: every message is in the mailbox as it was sent, over BDAT
// where that is offered and over DATA, in the clear and under verified TLS.
func TestMTASamples(t *testing.T) {
	eachMTA(t, func(t *testing.T, m *peertest.MTA, roots *tls.Config) {
		ways := []smtp.Dialer{{TLS: smtp.TLSNever}, {TLS: smtp.TLSNever, NoChunking: true}}
		if !m.BrokenTLS {
			ways = append(ways, smtp.Dialer{TLS: smtp.TLSRequired, TLSConfig: roots})
		}
		samples := peertest.Samples()
		for _, d := range ways {
			s := mtaDial(t, m, d)
			if want := d.TLS == smtp.TLSRequired; (s.TLS() != nil) != want {
				t.Errorf("TLS is %v", s.TLS() != nil)
			}
			for _, sample := range samples {
				var p smtp.Params
				if sample.EightBit {
					p.Body = "8BITMIME"
				}
				if r := s.send(sample.Text, p, peertest.Box); r[0].Err != nil {
					t.Errorf("%s: %v", sample.Name, r[0].Err)
				}
			}
			if err := s.Quit(t.Context()); err != nil {
				t.Error(err)
			}
			_, chunking := s.Extension("CHUNKING")
			if used := strings.Contains(s.said.String(), "BDAT"); used != (chunking && !d.NoChunking) {
				t.Errorf("CHUNKING %v, BDAT used: %v", chunking, used)
			}
		}
		if t.Failed() {
			return
		}
		found := map[string]int{}
		for _, stored := range m.Received(peertest.Box, len(ways)*len(samples)) {
			trace, text := peertest.Untraced(stored)
			found[text]++
			if len(trace) == 0 {
				t.Error("no trace fields")
			}
		}
		for _, sample := range samples {
			want := sample.StoredBy(m.Name)
			if found[want] != len(ways) {
				t.Errorf("%s: %d arrived as they were", sample.Name, found[want])
			}
			delete(found, want)
		}
		for text, n := range found {
			t.Errorf("%d changed: %.1200q", n, text)
		}
	})
}

// TestMTARecipients: each recipient has its own answer, and the others get the
// message; recipients without one left stop it.
func TestMTARecipients(t *testing.T) {
	eachMTA(t, func(t *testing.T, m *peertest.MTA, _ *tls.Config) {
		s := mtaDial(t, m, smtp.Dialer{TLS: smtp.TLSNever})
		text := "Subject: several\r\n\r\nx\r\n"
		r := s.send(text, smtp.Params{}, peertest.Box, peertest.Nobody, peertest.Grey, peertest.Second)
		if r[0].Err != nil || r[3].Err != nil {
			t.Errorf("refused: %v, %v", r[0].Err, r[3].Err)
		}
		var reply *smtp.Response
		if !errors.As(r[1].Err, &reply) || !reply.Permanent() {
			t.Errorf("nobody: %v", r[1].Err)
		}
		if !errors.As(r[2].Err, &reply) || !reply.Temporary() {
			t.Errorf("grey: %v", r[2].Err)
		}
		if r := s.send(text, smtp.Params{}, peertest.Nobody, peertest.Grey); r[0].Err == nil || r[1].Err == nil {
			t.Errorf("delivered to nobody: %v", r)
		}
		m.Welcome()
		// A server may look at its settings for each connection.
		s.Quit(t.Context())
		s = mtaDial(t, m, smtp.Dialer{TLS: smtp.TLSNever})
		if r := s.send(text, smtp.Params{}, peertest.Grey); r[0].Err != nil {
			t.Errorf("grey, welcome: %v", r[0].Err)
		}
		for _, to := range []string{peertest.Box, peertest.Second, peertest.Grey} {
			if got := m.Received(to, 1); len(got) != 1 {
				t.Errorf("%d messages for %s", len(got), to)
			}
		}
	})
}

// TestMTATooBig: a size that the server does not take stays here if it is
// known before. If not, the server's refusal is heard, whenever it comes, and
// the next message goes through, over this connection or, where the server has
// ended it, over another.
func TestMTATooBig(t *testing.T) {
	const limit = 32 << 20
	eachMTA(t, func(t *testing.T, m *peertest.MTA, _ *tls.Config) {
		for _, noChunking := range []bool{false, true} {
			s := mtaDial(t, m, smtp.Dialer{TLS: smtp.TLSNever, NoChunking: noChunking})
			out := &smtp.Outgoing{From: mtaPath(t, "ann@home.test"), To: []smtp.Recipient{{Path: mtaPath(t, peertest.Box)}}}
			out.Params.Size = limit + 1
			if _, err := s.Send(t.Context(), out, strings.NewReader("")); !errors.Is(err, smtp.ErrTooBigForServer) {
				t.Errorf("announced: %v", err)
			}
			out.Params.Size = 0
			r, err := s.Send(t.Context(), out, strings.NewReader("Subject: big\r\n\r\n"+strings.Repeat("0123456789012345678901234567890123456789\r\n", limit/40)))
			// Postfix answers pipelined chunks in bundles, and hangs up after 20
			// that it has refused, with more of them unread: in one run of 60
			// the bundle with the refusals does not come through. That is a
			// failure to be tried again. Where DATA is used nobody is forgiven.
			var reply *smtp.Response
			var lost *smtp.ClientError
			answered := len(r) == 1 && errors.As(r[0].Err, &reply) && reply.Permanent()
			cutOff := m.Name == "Postfix" && !noChunking && len(r) == 1 && errors.As(r[0].Err, &lost) && lost.Temporary() && !s.Usable()
			if !answered && !cutOff {
				t.Errorf("not announced: %v, %+v", err, r)
			}
			if !s.Usable() {
				t.Logf("%s ended the connection", m.Name)
				s = mtaDial(t, m, smtp.Dialer{TLS: smtp.TLSNever})
			}
			if r := s.send("Subject: small\r\n\r\nx\r\n", smtp.Params{}, peertest.Box); r[0].Err != nil {
				t.Error(r[0].Err)
			}
		}
		for _, text := range m.Received(peertest.Box, 2) {
			if !strings.Contains(text, "Subject: small\n") {
				t.Errorf("received %.300q", text)
			}
		}
	})
}

// TestMTAUntrusted: a certificate that nobody vouches for is not taken.
func TestMTAUntrusted(t *testing.T) {
	eachMTA(t, func(t *testing.T, m *peertest.MTA, _ *tls.Config) {
		d := smtp.Dialer{Hello: "home.test", TLS: smtp.TLSRequired}
		if c, err := d.Dial(t.Context(), m.Addr); err == nil {
			c.Close()
			t.Error("it was taken")
		}
	})
}

// TestMTAAuth: every mechanism that Exim has, the right password and a wrong
// one.
func TestMTAAuth(t *testing.T) {
	t.Parallel()
	a := peertest.NewAuthority(t)
	m := peertest.Exim(t, peertest.Options{Cert: a.Issue(t, "127.0.0.1")})
	d := smtp.Dialer{TLS: smtp.TLSRequired, TLSConfig: &tls.Config{RootCAs: a.Pool}}
	mechanisms := mtaDial(t, m, d).Mechanisms()
	if len(mechanisms) != 3 {
		t.Errorf("it offers %v", mechanisms)
	}
	for _, mechanism := range mechanisms {
		for _, password := range []string{peertest.Password, "wrong"} {
			d.Auth = func(_ []string, cs *tls.ConnectionState) (sasl.Client, error) {
				return sasl.Choose([]string{mechanism}, peertest.User, password, cs)
			}
			c, err := d.Dial(t.Context(), m.Addr)
			if err == nil {
				c.Close()
			}
			var reply *smtp.Response
			if password == peertest.Password && err != nil || password != peertest.Password && (!errors.As(err, &reply) || reply.Code != 535) {
				t.Errorf("%s, %q: %v", mechanism, password, err)
			}
		}
	}
}
