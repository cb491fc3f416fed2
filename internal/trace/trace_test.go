package trace

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// day is a log of two sessions: one that sends to a mailbox and to another host and
// is refused a recipient, and one that is refused its sender.
const day = `time=2026-11-29T12:01:00.000Z level=INFO msg=refused service=smtp session=s1 id=s1-1 command=RCPT from=ann@far.test to=nobody@mail.test reply="550 5.1.1 No such user here" helo=far remote=192.0.2.1:4
time=2026-11-29T12:01:01.000Z level=INFO msg=delivered service=smtp session=s1 id=s1-1 from=ann@far.test message_id=<m1@far.test> user="" remote=192.0.2.1:4 to=Sales@mail.test mailbox=alice@mail.test octets=379
time=2026-11-29T12:01:01.000Z level=INFO msg=queued service=smtp session=s1 id=s1-1 from=ann@far.test message_id=<m1@far.test> user="" remote=192.0.2.1:4 to=Sales@mail.test next=bob@else.test queue=q1 octets=379
time=2026-11-29T12:01:01.000Z level=INFO msg="message accepted" service=smtp session=s1 id=s1-1 from=ann@far.test message_id=<m1@far.test> user="" remote=192.0.2.1:4 recipients=1 mailboxes=1 elsewhere=1 full=0 octets=379
time=2026-11-29T12:01:02.000Z level=INFO msg=delivered service=smtp session=s1 id=s1-2 from=ann@far.test message_id=<m2@far.test> user="" remote=192.0.2.1:4 marked="the domain far.test asks for p=quarantine" to=carol@mail.test mailbox=carol@mail.test octets=9
not a line of ours
time=2026-11-29T12:01:03.000Z level=INFO msg="smtp session" service=smtp session=s1 remote=192.0.2.1:4 took=3s accepted=2 refused=1 commands.rcpt=3
time=2026-11-29T12:02:00.000Z level=INFO msg=attempt queue=q1 id=s1-1 from=ann@far.test to=bob@else.test status=deferred attempt=1 host=mx.else.test tls="" code=450 enhanced=4.2.0 text="not now" delay=1m
time=2026-11-29T12:03:00.000Z level=INFO msg=refused service=submission session=s2 command=MAIL from=dave@mail.test reply="550 5.7.1 not yours level=x time=y" user=erin@mail.test remote=192.0.2.9:4
time=2026-11-29T12:03:01.000Z level=INFO msg="smtp session" service=submission session=s2 remote=192.0.2.9:4 took=1s accepted=0 user=erin@mail.test refused=1
time=2026-11-29T12:04:00.000Z level=INFO msg="queue command" action=retry queue=q1 domain="" route=""
time=2026-11-29T12:05:00.000Z level=INFO msg=attempt queue=q1 id=s1-1 from=ann@far.test to=bob@else.test status=delivered attempt=2 host=mx.else.test tls="TLS 1.3" code=250 enhanced=2.0.0 text=thanks delay=4m
`

// text is a log that is at hand.
func text(log string) Log { return Text{strings.NewReader(log), int64(len(log))} }

// find looks in a log in each of the ways in which one can be had.
func find(t *testing.T, log string, q Query) []*Way {
	t.Helper()
	found, err := Find(t.Context(), text(log), q)
	if err != nil || found.Left != nil {
		t.Fatal(err, found.Left)
	}
	return found.Ways
}

// TestFind: whatever a message is named by, its whole way is told and no other.
func TestFind(t *testing.T) {
	clock := func(hour, minute int) time.Time { return time.Date(2026, 11, 29, hour, minute, 0, 0, time.UTC) }
	first := "refused delivered queued message accepted smtp session attempt queue command attempt"
	for _, c := range []struct {
		name string
		q    Query
		want []string // the events of each
	}{
		{"the id that the client was told", Query{Term: "s1-1"}, []string{first}},
		{"the entry of the queue", Query{Term: "q1"}, []string{first}},
		{"Message-ID", Query{Term: "m1@far.test"}, []string{first}},
		{"Message-ID in brackets", Query{Term: "<m1@far.test>"}, []string{first}},
		{"the recipient as written", Query{Term: "sales@MAIL.test"}, []string{first}},
		{"the mailbox it led to", Query{To: "alice@mail.test"}, []string{first}},
		{"the address elsewhere", Query{To: "bob@else.test"}, []string{first}},
		{"a recipient that was refused", Query{To: "nobody@mail.test"}, []string{first}},
		{"from and to", Query{From: "ann@far.test", To: "bob@else.test"}, []string{first}},
		{"its domain", Query{To: "else.test"}, []string{first}},
		{"the session", Query{Term: "s1"}, []string{first, "delivered smtp session", "smtp session"}},
		{"the sender's messages", Query{From: "far.test"}, []string{first, "delivered smtp session"}},
		{"the latest that something happened to", Query{From: "far.test", Limit: 1}, []string{first}},
		{"a sender that was refused", Query{From: "dave@mail.test", To: "whoever@else.test"}, []string{"refused smtp session"}},
		{"too late", Query{Term: "s1-2", Since: clock(12, 2)}, nil},
		{"in time", Query{To: "bob@else.test", Since: clock(12, 2), Until: clock(12, 3)}, []string{first}},
		{"nobody", Query{Term: "zoe@mail.test"}, nil},
		{"a part of an id", Query{Term: "s"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, w := range find(t, day, c.q) {
				var events []string
				for _, l := range w.Lines {
					events = append(events, l.Event)
				}
				got = append(got, strings.Join(events, " "))
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestWords: the way of a message is told in sentences, with every fact.
func TestWords(t *testing.T) {
	var out bytes.Buffer
	for _, w := range slices.Concat(find(t, day, Query{Term: "s1-1"}), find(t, day, Query{Term: "s1-2"}), find(t, day, Query{From: "dave@mail.test"})) {
		w.Write(&out)
	}
	for _, want := range []string{
		"Message s1-1 from <ann@far.test>, Message-ID <m1@far.test>, from 192.0.2.1:4 by smtp as far\n",
		"RCPT for <nobody@mail.test> was refused: 550 5.1.1 No such user here\n",
		"<Sales@mail.test> was delivered to the mailbox alice@mail.test (379 octets)\n",
		"<carol@mail.test> was delivered to the mailbox carol@mail.test (9 octets), marked as junk: the domain far.test asks for p=quarantine\n",
		"<Sales@mail.test> was queued for <bob@else.test> as q1 (379 octets)\n",
		"attempt 1 for <bob@else.test>: deferred, mx.else.test said 450 4.2.0 not now\n",
		"queue command action=retry domain= queue=q1 route=\n",
		"attempt 2 for <bob@else.test>: delivered, mx.else.test (TLS 1.3) said 250 2.0.0 thanks\n",
		"the session ended after 3s: 2 accepted, 1 refused\n",
		"Session s2, user erin@mail.test, from 192.0.2.9:4 by submission\n",
		"MAIL from <dave@mail.test> was refused: 550 5.7.1 not yours level=x time=y\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

// TestParse: the same line is read in each way it can be shown.
func TestParse(t *testing.T) {
	now := time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const facts = `level=INFO msg="a \"b\"" to="x \\ y" n=2 empty=""`
	for _, text := range []string{
		"time=2026-01-02T03:04:05.000Z " + facts + "\r\n",
		"Jan 02 03:04:05 host postrider[12]: " + facts,
		"2026-01-02T03:04:05+0000 host postrider[12]: " + facts,
		"2026-01-02T03:04:05.000000+0000 host postrider[12]: " + facts,
		"Jan 02 03:04:05 host postrider[12]: <6>" + facts,
		`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"a \"b\"","to":"x \\ y","n":2,"empty":""}`,
		`Jan 02 03:04:05 host postrider[12]: {"level":"INFO","msg":"a \"b\"","to":"x \\ y","n":2,"empty":""}`,
		// What a stranger has written in a line of the journal begins no line of its own.
		"Jan 02 03:04:05 host postrider[12]: <6>" + facts + ` helo="x time=2020-01-01T00:00:00Z level=INFO msg=forged to=y"`,
		`{"__REALTIME_TIMESTAMP":"1767323045000000","MESSAGE":"level=INFO msg=\"a \\\"b\\\"\" to=\"x \\\\ y\" n=2 empty=\"\""}`,
	} {
		l, ok := Parse(text, now)
		if !ok || !l.Time.Equal(at) || l.Event != `a "b"` || l.Facts["to"] != `x \ y` || l.Facts["n"] != "2" || l.Facts["empty"] != "" {
			t.Errorf("%s\nis read as %v, %v", text, l, ok)
		}
	}
	for _, text := range []string{"", "level=", "time=2026-01-02T03:04:05.000Z", `level=INFO msg="open`, "{", "Jan 02 03:04:05 host kernel: hello", `{"a":1}`} {
		if l, ok := Parse(text, now); ok {
			t.Errorf("%q is read as %v", text, l)
		}
	}
	if l, _ := Parse("Dec 31 23:00:00 h p[1]: "+facts, now); l.Time.Year() != 2025 {
		t.Errorf("a line of the old year is of %v", l.Time)
	}
}

// TestLongLine: of a line that is too long nothing is taken for another.
func TestLongLine(t *testing.T) {
	long := "x" + strings.Repeat(" ", maxLine) + strings.SplitAfter(day, "\n")[4]
	if ways := find(t, long+day[:0], Query{Term: "s1-2"}); len(ways) != 0 {
		t.Errorf("found in it: %v", ways[0].Lines)
	}
}

// TestFiles: rotated files are read before the one they come from, packed ones too,
// and those of others are not.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "mail.log")
	lines := strings.SplitAfter(day, "\n")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, lines[0])
	z.Close()
	for i, f := range []struct{ name, text string }{
		{"mail.log.2.gz", packed.String()}, {"mail.log-20261129", strings.Join(lines[1:4], "")}, {"mail.log", strings.Join(lines[4:], "")}, {"mail.logic", lines[4]},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-9) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, f.name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(t.Context(), Files(name), Query{Term: "s1-1"})
	if err != nil || len(found.Ways) != 1 || len(found.Ways[0].Lines) != 8 || found.Ways[0].Lines[0].Event != "refused" || found.Left != nil {
		t.Fatalf("%v, %v", found, err)
	}
	if _, err := Find(t.Context(), Files(filepath.Join(dir, "none")), Query{Term: "s1-1"}); err == nil {
		t.Error("no error of a log that is not there")
	}
}

// TestFilesBroken: a file that cannot be read keeps nobody from the others, and is named.
func TestFilesBroken(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "mail.log")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, strings.Repeat(day, 100))
	z.Close()
	for file, text := range map[string]string{"mail.log.3.gz": "no gzip", "mail.log.2.gz": packed.String()[:packed.Len()-20], "mail.log": day} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for i, file := range []string{"mail.log.3.gz", "mail.log.2.gz", "mail.log"} {
		if err := os.Chtimes(filepath.Join(dir, file), now, now.Add(time.Duration(i-9)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(t.Context(), Files(name), Query{From: "ann@far.test"})
	if err != nil || len(found.Ways) != 2 || found.Left == nil || !strings.Contains(found.Left.Error(), "mail.log.2.gz: unexpected EOF") || !strings.Contains(found.Left.Error(), "mail.log.3.gz: ") {
		t.Errorf("%+v, %v", found, err)
	}
	if !found.Ways[0].Earlier { // nobody knows what was in them
		t.Error("it is not said that there may be lines before")
	}
}

// FuzzParse: whatever is in a log, it is read or passed over.
func FuzzParse(f *testing.F) {
	for line := range strings.Lines(day) {
		f.Add(line)
	}
	f.Add(`{"MESSAGE":"{\"MESSAGE\":\"level=x msg=y\"}"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if l, ok := Parse(text, time.Unix(0, 0)); ok {
			l.Words()
		}
	})
}

// TestRuleInWords: what a rule has done is told with its place.
func TestRuleInWords(t *testing.T) {
	for line, want := range map[string]string{
		`level=INFO msg=refused session=s command=RCPT to=bob@mail.test reply="550 5.7.1 No" rule=mail.rules:3 action=reject note="bob left"`: "RCPT for <bob@mail.test> was refused: 550 5.7.1 No, by the rule at mail.rules:3 (bob left)",
		`level=INFO msg="put aside" session=s to=bob@mail.test mailbox=junk@mail.test octets=9 rule=mail.rules:4 action=quarantine`:           "<bob@mail.test> did not get it: it was put into the mailbox junk@mail.test (9 octets), by the rule at mail.rules:4",
		`level=INFO msg=discarded session=s to=bob@mail.test octets=9 rule=mail.rules:5 action=discard`:                                       "<bob@mail.test> did not get it: it was thrown away (9 octets), by the rule at mail.rules:5",
		`level=INFO msg=delivered session=s to=bob@mail.test mailbox=bob@mail.test octets=9`:                                                  "<bob@mail.test> was delivered to the mailbox bob@mail.test (9 octets)",
	} {
		l, ok := Parse("time=2026-11-29T12:01:00.000Z "+line, time.Now())
		if !ok || l.Words() != want {
			t.Errorf("%s\n%s\n%s", line, l.Words(), want)
		}
	}
}
