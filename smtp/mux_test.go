package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

func TestServeMux(t *testing.T) {
	nothing := func(context.Context, *smtp.Envelope) error { return nil }
	patterns := []string{"*@*", "info@*", "*@example.com", "Sales@example.com", "@exämple.org", "only@sub.example.com"}
	for _, backtrack := range []bool{false, true} {
		m := smtp.NewServeMux()
		m.Backtrack = backtrack
		for _, p := range patterns {
			m.HandleFunc(p, nothing)
		}
		for address, want := range map[string]string{
			"x@elsewhere.net":       "*@*",
			"info@elsewhere.net":    "info@*",
			"x@example.com":         "*@example.com",
			"x@EXAMPLE.com":         "*@example.com",
			"Sales@example.com":     "Sales@example.com",
			"sales@example.com":     "*@example.com",
			"info@example.com":      "*@example.com",
			"x@exämple.org":         "@exämple.org",
			"x@EXÄMPLE.org":         "@exämple.org",
			"x@xn--exmple-cua.org":  "@exämple.org",
			"only@sub.example.com":  "only@sub.example.com",
			"other@sub.example.com": map[bool]string{false: "", true: "*@*"}[backtrack],
			"info@sub.example.com":  map[bool]string{false: "", true: "info@*"}[backtrack],
			"x@evilexample.com":     "*@*",
			"first.last@domain":     "*@*",
			"a+tag@domain":          "*@*",
		} {
			p, err := smtp.ParseMailbox(address, smtp.PathUTF8)
			if err != nil {
				t.Fatal(err)
			}
			h, got := m.Match(p)
			if got != want || (h == nil) != (want == "") {
				t.Errorf("backtrack %v: %s matches %q, want %q", backtrack, address, got, want)
			}
		}
	}
}

// TestServeMuxBeginnings: within a domain the exact local part comes first, then the longest beginning, then "*", in whatever order they were
// registered, and with Backtrack as well.
func TestServeMuxBeginnings(t *testing.T) {
	patterns := []string{"info@a.example", "info-*@a.example", "i*@a.example", "info-de-*@a.example", "*@a.example", "x*@b.example", "*@*"}
	for n := range 20 {
		m := smtp.NewServeMux()
		m.Backtrack = n%2 == 1
		rand.Shuffle(len(patterns), func(i, j int) { patterns[i], patterns[j] = patterns[j], patterns[i] })
		for _, p := range patterns {
			m.HandleFunc(p, func(context.Context, *smtp.Envelope) error { return nil })
		}
		for address, want := range map[string]string{
			"info@a.example": "info@a.example", "info-1@a.example": "info-*@a.example", "info-@a.example": "info-*@a.example", "info-de-1@a.example": "info-de-*@a.example",
			"info-de@a.example": "info-*@a.example", "inf@a.example": "i*@a.example", "i@a.example": "i*@a.example", "I@a.example": "*@a.example", "ann@a.example": "*@a.example",
			"x1@b.example": "x*@b.example", "y@b.example": map[bool]string{false: "", true: "*@*"}[m.Backtrack], "info-1@c.example": "*@*",
		} {
			p, err := smtp.ParseMailbox(address, smtp.PathUTF8)
			if err != nil {
				t.Fatal(err)
			}
			if h, got := m.Match(p); got != want || (h == nil) != (want == "") {
				t.Errorf("%q, backtrack %v: %s matches %q, want %q", patterns, m.Backtrack, address, got, want)
			}
		}
	}
}

func TestServeMuxCanonical(t *testing.T) {
	m := smtp.NewServeMux()
	m.Canonical = func(local, domain string) string {
		local, _, _ = strings.Cut(strings.ToLower(local), "+")
		return strings.ReplaceAll(local, ".", "")
	}
	m.HandleFunc("First.Last@example.com", func(context.Context, *smtp.Envelope) error { return nil })
	if _, got := m.Match(smtp.Path{Local: "firstLAST+tag", Domain: "example.com"}); got == "" {
		t.Error("canonical form does not match")
	}
	if _, got := m.Match(smtp.Path{Local: "postmaster"}); got != "" {
		t.Errorf("postmaster matches %q", got)
	}
}

func TestServeMuxServe(t *testing.T) {
	var called []string
	m := smtp.NewServeMux()
	for _, p := range []string{"*@a.example", "*@b.example"} {
		m.HandleFunc(p, func(_ context.Context, e *smtp.Envelope) error {
			called = append(called, fmt.Sprint(p, len(e.To)))
			return nil
		})
	}
	to := func(domains ...string) *smtp.Envelope {
		e := new(smtp.Envelope)
		for _, d := range domains {
			e.To = append(e.To, smtp.Recipient{Path: smtp.Path{Local: "x", Domain: d}})
		}
		return e
	}
	for _, c := range []struct {
		e    *smtp.Envelope
		want error
	}{
		{to("a.example", "a.example"), nil},
		{to("a.example", "b.example"), nil},
		{to("a.example", "c.example"), smtp.ErrNoSuchUser},
		{to(), smtp.ErrNoSuchUser},
	} {
		if err := m.ServeSMTP(context.Background(), c.e); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.e.To, err, c.want)
		}
	}
	if want := "[*@a.example2 *@a.example1 *@b.example1]"; fmt.Sprint(called) != want {
		t.Errorf("called %v, want %s", called, want)
	}
}

func TestServeMuxPanics(t *testing.T) {
	for _, patterns := range [][]string{{"nodomain"}, {"a@"}, {"a@b", "a@B"}, {"*@*", "@*"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: no panic", patterns)
				}
			}()
			m := smtp.NewServeMux()
			for _, p := range patterns {
				m.HandleFunc(p, func(context.Context, *smtp.Envelope) error { return nil })
			}
		}()
	}
}

func TestReply(t *testing.T) {
	cause := errors.New("disk")
	r := smtp.ErrTryLater.With(cause).Textf("wait %d s", 5)
	switch {
	case !errors.Is(r, smtp.ErrTryLater), !errors.Is(r, cause), errors.Is(r, smtp.ErrNoSuchUser):
		t.Error("errors.Is")
	case r.Error() != "451 4.3.0 wait 5 s", !r.Temporary(), r.Permanent(), r.Positive():
		t.Errorf("%v", r)
	case smtp.ErrTryLater.Reply().Text == r.Text:
		t.Error("the sentinel has changed")
	}
}
