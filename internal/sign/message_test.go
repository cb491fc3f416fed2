package sign

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// shown is what the DNS has for keys.
type shown zone

func (s shown) LookupTXT(_ context.Context, name string) ([]string, error) {
	if record := s["ns1"][name]; record != "" {
		return []string{record}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// signed has a message pass, and returns it as it leaves, with whose signatures are good on it.
func signed(t *testing.T, r *Ring, z zone, look post.Look, text string) (d string, refused error) {
	t.Helper()
	header, whole, err := rfc2822.Peek(strings.NewReader(text), 2000)
	if err != nil {
		t.Fatal(err)
	}
	look.Header, look.Envelope = header, &smtp.Envelope{Session: &smtp.Session{}}
	all, _ := io.ReadAll(whole)
	body := string(all[header.Size():])
	top := ""
	if i := r.Inspect(t.Context(), &look); i != nil {
		io.WriteString(i, body)
		found, err := i.Findings(t.Context())
		if err != nil {
			return "", err
		}
		top = strings.Join(found.Fields, "")
		if _, most := i.Most(); len(top) > most || len(found.Results) > 0 {
			t.Errorf("%d octets, and %d at most", len(top), most)
		}
	}
	left, _, err := rfc2822.Peek(strings.NewReader(top+look.Completed+string(all)), 0)
	if err != nil {
		t.Fatal(err)
	}
	v := dkim.Verifier{Resolver: shown(z)}
	check := v.Verify(t.Context(), left.String())
	io.WriteString(check, (top + look.Completed + string(all))[left.Size():])
	var good []string
	for _, result := range check.Results() {
		if result.Status != dkim.Pass {
			t.Errorf("%.100q: %+v", text, result)
		}
		good = append(good, result.Domain)
	}
	return strings.Join(good, " "), nil
}

// TestWhoIsSigned: mail of who speaks for its author is signed in the name of the author's domain, whatever the
// message looks like, and nobody else's.
func TestWhoIsSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, z := usual, two()
		s.Domains = []domains.Name{home, "other.test", "nokey.test"}
		r := open(t, t.TempDir(), s, z)
		run(t, r)
		z.publish(r, "ns1", "ns2")
		z.change(func() {
			for name := range z["ns1"] {
				if strings.Contains(name, "nokey") {
					delete(z["ns1"], name)
				}
			}
		})
		after(2 * time.Hour)
		ann := func(p smtp.Path) bool { return domains.Canonical(p.Domain) == home }
		all := func(smtp.Path) bool { return true }
		none := func(smtp.Path) bool { return false }
		user, host := post.Look{Trusted: true, SpeaksFor: ann}, post.Look{Trusted: true, SpeaksFor: all}
		for _, c := range []struct {
			look post.Look
			text string
			want string
		}{
			{user, "From: ann@mail.test\r\n\r\nx\r\n", "mail.test"},
			{user, "From: Ann <ANN@Mail.TEST>\r\nSubject: a\r\n b\r\n\r\n", "mail.test"},
			{user, "From: ann@mail.test\r\n", "mail.test"},
			{user, "From: x@far.test, ann@mail.test\r\n\r\nx\r\n", "mail.test"},
			{user, "From: boss@other.test\r\n\r\nx\r\n", ""},
			{user, "From: boss@other.test, ann@mail.test\r\n\r\nx\r\n", "mail.test"},
			{user, "From: x@far.test\r\nSender: ann@mail.test\r\n\r\nx\r\n", ""},
			{user, "Subject: s\r\n\r\nFrom: ann@mail.test\r\n", ""},
			{user, "no header at all\r\n", ""},
			{user, " half a field\r\nFrom: ann@mail.test\r\n\r\nx\r\n", "mail.test"},
			{user, "From: ann@mail.test\r\nX: a\rb\r\n\r\nx\r\n", ""}, // no two programs read that alike
			{user, "From: ann@mail.test\r\n\r\n\x00\xff\r\n.\r\nlast line without end", "mail.test"},
			{host, "From: boss@other.test\r\n\r\nx\r\n", "other.test"},
			{host, "From: boss@nokey.test\r\n\r\nx\r\n", ""},
			{post.Look{SpeaksFor: all}, "From: ann@mail.test\r\n\r\nx\r\n", ""},
			{post.Look{Trusted: true, SpeaksFor: none}, "From: ann@mail.test\r\n\r\nx\r\n", ""},
			{post.Look{Trusted: true, SpeaksFor: ann, Submission: true, Completed: "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <a@mail.test>\r\n"}, "From: ann@mail.test\r\n\r\nx\r\n", "mail.test"},
			{user, "From: ann@mail.test\r\nX: " + strings.Repeat("y", 3000) + "\r\n\r\nx\r\n", ""}, // beyond what is looked at
		} {
			if c.text[0] == ' ' {
				c.look.Completed += "X-Leading-Line:\r\n"
			}
			if got, err := signed(t, r, z, c.look, c.text); got != c.want || err != nil {
				t.Errorf("%.100q: signed by %q, not %q (%v)", c.text, got, c.want, err)
			}
		}
		s.Require = true
		r.Configure(s)
		for text, code := range map[string]int{
			"From: boss@nokey.test\r\n\r\nx\r\n": 451, "From: x@far.test\r\n\r\nx\r\n": 0, "From: ann@mail.test\r\nX: a\rb\r\n\r\nx\r\n": 451,
			"From: ann@mail.test\r\nX: " + strings.Repeat("y", 3000) + "\r\n\r\nx\r\n": 550,
		} {
			_, err := signed(t, r, z, host, text)
			if reply, _ := err.(*smtp.Reply); (reply != nil) != (code != 0) || code != 0 && reply.Code != code {
				t.Errorf("%.100q: %v, not %d", text, err, code)
			}
		}
	})
}
