package relay

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/smtp/resolver"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// TestEachLookupFails: a lookup that fails is no answer, whatever was asked: mail waits, and
// goes nowhere where it would not have gone otherwise. Of the lookups only that of a policy
// which nobody has announced before may be done without.
func TestEachLookupFails(t *testing.T) {
	for protected, want := range map[bool]string{true: "[MX TXT A TLSA]", false: "[MX A]"} {
		if failed := eachLookupFails(t, protected); fmt.Sprint(failed) != want {
			t.Errorf("lookups: %q", failed)
		}
	}
}

// eachLookupFails sends to a domain that has a policy and TLSA records, or nothing of that.
func eachLookupFails(t *testing.T, protected bool) (failed []string) {
	return mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
		synctest.Test(t, func(t *testing.T) {
			s := newScene()
			defer s.Close()
			if protected {
				a := s.secure(t)
				s.enforceSTS(enforce)
				s.zone.secure = true
				sum := sha256.Sum256(a.cert.Raw)
				s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 2, Selector: 0, Matching: 1, Data: sum[:]}}
			}
			web := &fakeMX{} // at the address of the domain there is a server that takes everything
			s.zone.addr["example.net"], s.net.hosts["192.0.2.80:25"] = []string{"192.0.2.80"}, web
			s.zone.nth = n
			r := s.send(t, delivery("bob@example.net"))[0]
			want := queue.Pending
			if n.Failed() == "" || n.Failed() == "TXT" {
				want = queue.Delivered
			}
			if got := len(s.mx.messages()); r.Status != want || (got == 1) != (want == queue.Delivered) || web.dials != 0 {
				t.Errorf("%s fails: %+v; %d messages, %d connections to the web server", n.Failed(), r, got, web.dials)
			}
		})
	})
}

// counted is a message of which one call fails, and that is counted while it is open.
type counted struct {
	*strings.Reader
	n    *mailtest.Nth
	open *int
}

func (c counted) Read(p []byte) (int, error) {
	if err := c.n.Fail("read"); err != nil {
		return 0, err
	}
	return c.Reader.Read(p[:min(len(p), 10_000)])
}

func (c counted) Seek(to int64, whence int) (int64, error) {
	if err := c.n.Fail("seek"); err != nil {
		return 0, err
	}
	return c.Reader.Seek(to, whence)
}

func (c counted) Close() error { *c.open--; return nil }

// TestEachReadFails: a message that cannot be read waits, whichever octet it is that cannot
// be had, and is never ended where its end is not; and each that was opened is closed.
func TestEachReadFails(t *testing.T) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("hello\r\n", 10_000)
	for _, ext := range [][]string{{"8BITMIME"}, {"PIPELINING"}, {"8BITMIME", "CHUNKING"}, {"8BITMIME", "CHUNKING", "PIPELINING"}} {
		failed := mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene()
				defer s.Close()
				s.mx.ext = slices.DeleteFunc(slices.Clone(ext), func(e string) bool { return e == "CHUNKING" })
				open := 0
				d := delivery("bob@example.net")
				d.Open = func() (io.ReadCloser, error) {
					if err := n.Fail("open"); err != nil {
						return nil, err
					}
					open++
					return counted{strings.NewReader(text), n, &open}, nil
				}
				r := s.send(t, d)[0]
				want, messages := queue.Pending, 0
				if n.Failed() == "" {
					want, messages = queue.Delivered, 1
				}
				if r.Status != want || len(s.mx.messages()) != messages || open != 0 || strings.Contains(r.Text, "cannot be read") != (messages == 0) {
					t.Errorf("%s fails: %+v, %d messages, %d open", n.Failed(), r, len(s.mx.messages()), open)
				}
			})
		})
		if !slices.Contains(failed, "open") || !slices.Contains(failed, "read") {
			t.Errorf("%q: %q", ext, failed)
		}
	}
}

// TestWaiverIsClosed: a message that is looked into for its sender's wish is closed.
func TestWaiverIsClosed(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.secure(t)
		s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour)
		s.enforceSTS(enforce)
		open := 0
		d := delivery("bob@example.net")
		d.Open = func() (io.ReadCloser, error) {
			open++
			return counted{strings.NewReader("TLS-Required: No\r\n\r\nx\r\n"), nil, &open}, nil
		}
		if r := s.send(t, d)[0]; r.Status != queue.Delivered || open != 0 {
			t.Errorf("%+v, %d open", r, open)
		}
	})
}

// fullCache keeps nothing.
type fullCache struct{}

func (fullCache) Get(string, string) ([]byte, bool)                           { return nil, false }
func (fullCache) Put(context.Context, string, string, []byte) error           { return mailtest.ErrNth }
func (fullCache) Delete(ctx context.Context, kind, domain string) (err error) { return mailtest.ErrNth }

// TestCacheFails: what cannot be kept is known as long as the program runs, and somebody
// hears of it.
func TestCacheFails(t *testing.T) {
	s := seen{cache: fullCache{}}
	if err := s.note(t.Context(), "example.net"); err == nil {
		t.Error("nobody hears of it")
	}
	if !s.verified("example.net") {
		t.Error("forgotten at once")
	}
}
