package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

const sampleEnvelope = `postrider-envelope 1
id: 01k3v8m2x7q4
queued: 2026-03-01T08:15:00.25Z
from: ann@example.org
envid: QQ314159
ret: HDRS
body: 8BITMIME
smtputf8: yes
requiretls: yes
notbefore: 2026-03-01T09:00:00Z
session: 7f3a01
user: ann@example.org
size: 2048
crc32c: 0a1b2c3d
to: bob@example.net
notify: SUCCESS,FAILURE
orcpt: rfc822;bob@example.net
to: carol@example.com
end
`

const sampleState = `postrider-state 1
queued: 2026-03-01T08:15:00.25Z
size: 2048
held: yes
route: smarthost
to: pending
attempts: 3
next: 2026-03-01T08:35:00Z
warned: yes
last: 2026-03-01T08:25:00Z
result: pending
code: 451
enhanced: 4.7.1
text: Greylisted, come back later
host: mx.example.net [192.0.2.7]:25
tls: TLS1.3
to: delivered
attempts: 1
reported: yes
end
`

// TestSamples: the files of the package comment are read, and written the same
// again.
func TestSamples(t *testing.T) {
	e, sum, err := parseEnvelope([]byte(sampleEnvelope))
	if err != nil {
		t.Fatal(err)
	}
	if sum != (proof{sum: 0x0a1b2c3d}) || len(e.To) != 2 || e.To[0].Params.Notify != smtp.NotifySuccess|smtp.NotifyFailure || !e.Params.RequireTLS {
		t.Errorf("%+v %x", e, sum)
	}
	if got := string(formatEnvelope(e, sum)); got != sampleEnvelope {
		t.Errorf("written as\n%s", got)
	}
	s, err := parseState([]byte(sampleState))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Held || s.To[0].Last.Text != "Greylisted, come back later" || s.To[1].Status != queue.Delivered {
		t.Errorf("%+v", s)
	}
	if got := string(formatState(s)); got != sampleState {
		t.Errorf("written as\n%s", got)
	}
}

// TestEveryPrefix: no part of a file passes for the whole.
func TestEveryPrefix(t *testing.T) {
	for i := range len(sampleEnvelope) {
		if _, _, err := parseEnvelope([]byte(sampleEnvelope[:i])); err == nil {
			t.Errorf("envelope cut at %d is taken", i)
		}
	}
	for i := range len(sampleState) {
		if _, err := parseState([]byte(sampleState[:i])); err == nil {
			t.Errorf("state cut at %d is taken", i)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, replace := range map[string][2]string{
		"unknown key":     {"ret: HDRS", "return: HDRS"},
		"unknown RET":     {"ret: HDRS", "ret: ALL"},
		"flag":            {"smtputf8: yes", "smtputf8: true"},
		"time":            {"queued: 2026-03-01T08:15:00.25Z", "queued: yesterday"},
		"notify":          {"SUCCESS,FAILURE", "NEVER,FAILURE"},
		"bad id":          {"id: 01k", "id: ../01k"},
		"negative size":   {"size: 2048", "size: -1"},
		"no recipient":    {"to: bob@example.net\nnotify: SUCCESS,FAILURE\norcpt: rfc822;bob@example.net\nto: carol@example.com\n", ""},
		"notify first":    {"to: bob@example.net\n", ""},
		"carriage return": {"from: ann", "from: ann\r"},
		"other version":   {"envelope 1", "envelope 2"},
		"after the end":   {"end\n", "end\nx\n"},
	} {
		b := bytes.Replace([]byte(sampleEnvelope), []byte(replace[0]), []byte(replace[1]), 1)
		if _, _, err := parseEnvelope(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzEnvelope: nothing panics; what is read is written and read back the same.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(sampleEnvelope))
	f.Add([]byte(sampleState))
	f.Add([]byte("postrider-envelope 1\nend\n"))
	f.Add([]byte("postrider-state 1\nqueued: 9999-12-31T23:59:59+14:00\nto: pending\nend\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, sum, err := parseEnvelope(data); err == nil {
			again, sum2, err := parseEnvelope(formatEnvelope(e, sum))
			if err != nil || sum != sum2 || !reflect.DeepEqual(e, again) {
				t.Fatalf("%+v\nbecame %+v, %v", e, again, err)
			}
		}
		if s, err := parseState(data); err == nil {
			again, err := parseState(formatState(s))
			if err != nil {
				t.Fatalf("%+v: %v", s, err)
			}
			// Texts may be cleaned once, and are then stable.
			third, err := parseState(formatState(again))
			if err != nil || !reflect.DeepEqual(again, third) {
				t.Fatalf("%+v\nbecame %+v, %v", again, third, err)
			}
			if len(again.To) != len(s.To) || !again.Queued.Equal(s.Queued) {
				t.Fatalf("%+v\nbecame %+v", s, again)
			}
		}
	})
}

// FuzzState: whatever a host said, the state it goes into can be read again.
func FuzzState(f *testing.F) {
	f.Add("451 later", "4.7.1", "mx [::1]", int64(1), 3)
	f.Add("a\r\nend\n", "\x00", "to: delivered", int64(-1), -3)
	f.Fuzz(func(t *testing.T, text, enhanced, host string, at int64, attempts int) {
		s := &queue.State{Queued: time.Unix(1, 0).UTC(), To: []queue.RcptState{{
			Status: queue.Pending, Attempts: attempts, Next: time.Unix(at%(1<<37), 0).UTC(),
			Last: queue.Result{Text: text, Enhanced: enhanced, Host: host},
		}}}
		got, err := parseState(formatState(s))
		if err != nil {
			t.Fatal(err)
		}
		r, w := got.To[0], s.To[0]
		if len(got.To) != 1 || r.Status != w.Status || r.Attempts != w.Attempts || !r.Next.Equal(w.Next) {
			t.Fatalf("%+v became %+v", w, r)
		}
	})
}

// address is one as a path.
func address(s string) smtp.Path {
	at := strings.LastIndexByte(s, '@')
	return smtp.Path{Local: s[:at], Domain: s[at+1:]}
}

// TestOldAddresses: what was accepted once is read for ever, also what no command
// could name any more, and is written the same again.
func TestOldAddresses(t *testing.T) {
	for text, want := range map[string]smtp.Path{
		"bob@example.net":        {Local: "bob", Domain: "example.net"},
		`"odd one"@[192.0.2.1]`:  {Local: "odd one", Domain: "[192.0.2.1]"},
		`"a\"b\\c"@x.example`:    {Local: `a"b\c`, Domain: "x.example"},
		"žofie@příklad.example":  {Local: "žofie", Domain: "příklad.example"},
		"bob@my_host.example":    {Local: "bob", Domain: "my_host.example"},
		`"a@b"@c.example`:        {Local: "a@b", Domain: "c.example"},
		`"a..b"@c.example`:       {Local: "a..b", Domain: "c.example"},
		"bob@-x-.example":        {Local: "bob", Domain: "-x-.example"},
		"bob@two words":          {Local: "bob", Domain: "two words"},
		"\"\xff\"@x.example":     {Local: "\xff", Domain: "x.example"},
		`"half@x.example`:        {Local: `"half`, Domain: "x.example"},
		`"x\"@y.example`:         {Local: `"x\"`, Domain: "y.example"},
		"bob@[IPv6:2001:DB8::1]": {Local: "bob", Domain: "[IPv6:2001:DB8::1]"},
	} {
		for _, key := range []string{"to: ", "from: "} {
			old := "postrider-envelope 1\nid: a\nqueued: 2026-03-01T08:15:00Z\n" + key + text + "\nto: carol@example.com\nend\n"
			e, sum, err := parseEnvelope([]byte(old))
			if err != nil {
				t.Errorf("%s%s: %v", key, text, err)
				continue
			}
			got := e.From
			if key == "to: " {
				got = e.To[0].Path
			}
			if got != want {
				t.Errorf("%s%s: %+v, want %+v", key, text, got, want)
			}
			again, _, err := parseEnvelope(formatEnvelope(e, sum))
			if err != nil || !reflect.DeepEqual(e, again) {
				t.Errorf("%s%s: %+v\nbecame %+v, %v", key, text, e, again, err)
			}
		}
	}
}

// TestOldParameters: of ORCPT and ENVID, what is not xtext stands for itself.
func TestOldParameters(t *testing.T) {
	for text, want := range map[string]smtp.RcptParams{
		"rfc822;bob+40example.net": {ORcptType: "rfc822", ORcpt: "bob@example.net"},
		"rfc822;bob@example.net":   {ORcptType: "rfc822", ORcpt: "bob@example.net"},
		"utf-8;+C5+BEofie@x":       {ORcptType: "utf-8", ORcpt: "žofie@x"},
		"rfc822;a+b c":             {ORcptType: "rfc822", ORcpt: "a+b c"},
		"rfc822;":                  {},
		"nothing":                  {},
	} {
		old := "postrider-envelope 1\nid: a\nqueued: 2026-03-01T08:15:00Z\nenvid: x+y z\nto: b@c.example\norcpt: " + text + "\nend\n"
		e, sum, err := parseEnvelope([]byte(old))
		if err != nil || e.To[0].Params != want || e.Params.EnvID != "x+y z" {
			t.Errorf("%s: %+v, %v, want %+v", text, e, err, want)
			continue
		}
		again, _, err := parseEnvelope(formatEnvelope(e, sum))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Errorf("%s: %+v\nbecame %+v, %v", text, e, again, err)
		}
	}
}

// TestWishes: what a sender asks of time and owner is written and read; what is no
// such wish is refused.
func TestWishes(t *testing.T) {
	const with = "postrider-envelope 1\nid: a\nqueued: 2026-03-01T08:15:00Z\nby: 2026-03-01T09:15:00.5Z;NT\npriority: -9\n" +
		"crc32c: 00000001\nto: b@c.example\nrrvs: 2020-01-01T00:00:00Z;R\nto: d@c.example\nrrvs: 2020-01-01T00:00:00Z;C\nend\n"
	e, sum, err := parseEnvelope([]byte(with))
	if err != nil {
		t.Fatal(err)
	}
	if by := e.Params.By; by.Return || !by.Trace || by.By.Nanosecond() != 5e8 || e.Params.Priority != -9 || !e.To[0].Params.RRVSReject || e.To[1].Params.RRVSReject {
		t.Errorf("%+v, %v", e, by)
	}
	if got := string(formatEnvelope(e, sum)); got != with {
		t.Errorf("written as\n%s", got)
	}
	for _, c := range [][2]string{
		{";NT", ";T"}, {";NT", ""}, {"2026-03-01T09", "soon"}, {"-9", "-10"}, {"-9", "high"}, {";R\n", "\n"}, {";R\n", ";X\n"}, {"2020", "long"},
	} {
		if _, _, err := parseEnvelope([]byte(strings.Replace(with, c[0], c[1], 1))); err == nil {
			t.Errorf("%q instead of %q is taken", c[1], c[0])
		}
	}
}

// TestReadPath: what is on disk is a path whatever it looks like, and no octet of it is lost.
func TestReadPath(t *testing.T) {
	for text, want := range map[string]smtp.Path{
		"a@b.test":     {Local: "a", Domain: "b.test"},
		"postmaster":   {Local: "postmaster"},
		`"a b"`:        {Local: "a b"},
		`"a@b"@c.test`: {Local: "a@b", Domain: "c.test"},
		`"a@b"@c d@e`:  {Local: `"a@b"@c d`, Domain: "e"},
		`"a\"b"@c d`:   {Local: `a"b`, Domain: "c d"},
		"a b":          {Local: "a b"},
		"@b":           {Domain: "b"},
		"a b@":         {Local: "a b"},
		"a@b@c d":      {Local: "a@b", Domain: "c d"},
		`"a b`:         {Local: `"a b`},
	} {
		if got := readPath(text); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// TestCorruptCount: an entry that was put aside is one, however many files stand beside it, and whether
// or not all of them were finished.
func TestCorruptCount(t *testing.T) {
	dir := t.TempDir()
	s := &Spool{dir: dir}
	if n, err := s.Corrupt(); n != 0 || err != nil {
		t.Errorf("nothing was put aside: %d, %v", n, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "corrupt"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "one" + stateExt, "one" + whyExt, "two", "two" + whyExt + tmpExt, "three" + tmpExt, "four" + stateExt, "four" + stateExt + tmpExt} {
		if err := os.WriteFile(filepath.Join(dir, "corrupt", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Corrupt(); n != 3 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
}
