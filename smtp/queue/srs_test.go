package queue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
)

func srs() *SRS { return &SRS{Domain: "forward.example", Key: []byte("0123456789abcdef")} }

func TestSRS(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := srs()
	for _, from := range []string{"ann@example.org", "Ann.B=c+d@example.org", `"a b"@example.org`, "SRS@x.example", "SRS0x=y@x.example", "SRS1_hosts@x.example", "žofie@příklad.example"} {
		from := address(from)
		out, err := s.Forward(from, now)
		if err != nil || !strings.HasPrefix(out.Local, "SRS0=") || out.Domain != "forward.example" {
			t.Fatalf("%s becomes %q, %v", from, out, err)
		}
		back, err := s.Reverse(out, now.AddDate(0, 0, 20))
		if err != nil || back != from {
			t.Errorf("%s comes back as %q, %v", out, back, err)
		}
		if _, err := s.Reverse(out, now.AddDate(0, 0, 23)); !errors.Is(err, ErrStale) {
			t.Errorf("after 23 days: %v", err)
		}
		upper := out
		upper.Local = strings.ToUpper(out.Local[:14]) + out.Local[14:]
		if _, err := s.Reverse(upper, now); err != nil {
			t.Errorf("%s: %v", upper, err)
		}
		forged := out
		forged.Local = strings.Replace(out.Local, "=example.org", "=victim.example", 1)
		if forged != out {
			if _, err := s.Reverse(forged, now); !errors.Is(err, ErrForged) {
				t.Errorf("forged: %v", err)
			}
		}
		next := srs()
		next.Key, next.OldKeys = []byte("another key of 16"), [][]byte{s.Key}
		if back, err := next.Reverse(out, now); err != nil || back != from {
			t.Errorf("with an old key: %q, %v", back, err)
		}
	}
	for _, from := range []smtp.Path{{}, address("ann@forward.example"), address("ann@Forward.EXAMPLE")} {
		if out, err := s.Forward(from, now); err != nil || out != from {
			t.Errorf("%q becomes %q, %v", from, out, err)
		}
	}
	for _, to := range []string{"", "ann@forward.example", "SRS0=a@forward.example", "SRS0@", "SRS0=abcdefgh=aa=x@other.example", "SRS0@forward.example"} {
		if back, err := s.Reverse(address(to), now); err == nil {
			t.Errorf("%q goes to %q", to, back)
		}
	}
	if _, err := (&SRS{Domain: "x.example", Key: []byte("short")}).Forward(address("a@b.example"), now); err == nil {
		t.Error("a short key is used")
	}
}

// TestSRSChain: however many hosts forward, an address grows by two steps only,
// and each host sends a bounce one step back.
func TestSRSChain(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a, b, c := srs(), srs(), srs()
	b.Domain, b.Key = "b.example", []byte("bbbbbbbbbbbbbbbb")
	c.Domain, c.Key = "c.example", []byte("cccccccccccccccc")
	one, _ := a.Forward(address("ann@example.org"), now)
	two, _ := b.Forward(one, now)
	three, _ := c.Forward(two, now)
	if !strings.HasPrefix(two.Local, "SRS1=") || len(three.String()) != len(two.String()) {
		t.Errorf("%s, %s", two, three)
	}
	for _, at := range []*SRS{b, c} {
		addr := two
		if at == c {
			addr = three
		}
		if back, err := at.Reverse(addr, now); err != nil || back != one {
			t.Errorf("%s goes back to %q, %v; want %q", addr, back, err, one)
		}
	}
}

// TestSRSIncomplete: what we have signed and another host had made incomplete leads nowhere.
func TestSRSIncomplete(t *testing.T) {
	now, s := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), srs()
	day := srsDay(now)
	for tag, rests := range map[string][]string{
		"SRS1": {"", "x", "=", "=x", "x="},
		"SRS0": {"", day, day + "=", day + "=a.example", day + "=a.example=", day + "==ann"},
	} {
		for _, rest := range rests {
			if back, err := s.Reverse(s.sign(tag, rest), now); !errors.Is(err, ErrNotSRS) {
				t.Errorf("%s of %q goes to %q, %v", tag, rest, back, err)
			}
		}
	}
	for tag, rest := range map[string]string{"SRS1": "a.example==x", "SRS0": day + "=a.example=ann"} {
		if back, err := s.Reverse(s.sign(tag, rest), now); err != nil || back.Domain != "a.example" {
			t.Errorf("%s of %q goes to %q, %v", tag, rest, back, err)
		}
	}
}
