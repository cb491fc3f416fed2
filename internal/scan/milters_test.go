package scan

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/internal/milter"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/smtp"
)

// consult plays a transaction with milters, and returns what each recipient was answered.
type consult struct {
	*Milters
	sets     []Milter
	outcomes []string
	took     time.Duration // of the last
	lines    mailtest.Log
	session  *smtp.Session
	refused  []error // for each recipient
}

func newConsult(milters ...*mailtest.Milter) *consult {
	c := &consult{}
	for i, m := range milters {
		c.sets = append(c.sets, Milter{Name: []string{"one", "two", "three"}[i], Network: m.Network, Address: m.Address, Wait: 10 * time.Second, MaxSize: 1 << 20})
	}
	c.Milters = &Milters{Settings: func() []Milter { return c.sets }, Scanned: func(o string, took time.Duration) { c.outcomes, c.took = append(c.outcomes, o), took }, Log: slog.New(slog.NewTextHandler(&c.lines, nil))}
	return c
}

// play sends a message to two recipients, in pieces, and goes on where a recipient is refused.
func (c *consult) play(t testing.TB, text string) (post.Findings, error) {
	t.Helper()
	l := look(t, text)
	return c.playLook(t, l, text[l.Header.Size():])
}

func (c *consult) playLook(t testing.TB, l *post.Look, body string) (post.Findings, error) {
	t.Helper()
	e := l.Envelope
	all := e.To
	if c.session == nil {
		c.session = e.Session
	}
	e.Session = c.session
	c.session.Envelope, e.To = e, nil
	if err := c.Sender(t.Context(), c.session, e.From, false); err != nil {
		t.Fatal(err)
	}
	c.refused, c.outcomes = nil, nil
	for i := range all {
		err := c.Recipient(t.Context(), c.session, &all[i])
		if c.refused = append(c.refused, err); err == nil {
			e.To = append(e.To, all[i])
		}
	}
	if len(e.To) == 0 {
		return post.Findings{}, c.refused[0]
	}
	i := c.Inspect(t.Context(), l)
	if i == nil {
		return post.Findings{}, errors.New("not scanned")
	}
	for len(body) > 0 {
		n := min(len(body), 30_000)
		if _, err := io.WriteString(i, body[:n]); err != nil {
			if _, again := i.Findings(t.Context()); again == nil {
				t.Error("refused, and found")
			}
			return post.Findings{}, err
		}
		body = body[n:]
	}
	return i.Findings(t.Context())
}

func replyOf(err error) string {
	var reply *smtp.Reply
	if err != nil && !errors.As(err, &reply) {
		return "no reply: " + err.Error()
	}
	if reply == nil {
		return ""
	}
	text := reply.Error()
	for _, f := range reply.Facts() {
		text += " [" + f.String() + "]"
	}
	return text
}

func factsOf(found post.Findings) (all []string) {
	for _, f := range found.Facts {
		all = append(all, f.String())
	}
	return all
}

func says(command byte, packets ...[]byte) map[byte][]byte {
	return map[byte][]byte{command: slices.Concat(packets...)}
}

var packet = mailtest.MilterPacket

// TestMilterTold: a milter sees all of a message, as it came, with its client and envelope, and only when a recipient is there.
func TestMilterTold(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, nil))
	c := newConsult(m)
	text := "From: a@far.test\r\nnonsense\r\nSubject: x\r\n\ty\r\n\r\nbody\r\n.\r\n"
	found, err := c.play(t, text)
	if err != nil || found.Junk || found.Aside != "" || found.Instead != nil || len(found.Fields)+len(found.Results) > 0 || !slices.Equal(factsOf(found), []string{"milter=one:clean"}) || !slices.Equal(c.outcomes, []string{"clean"}) {
		t.Errorf("%+v, %v, %v", found, err, c.outcomes)
	}
	var told []string
	for _, s := range m.Seen()[1:] {
		told = append(told, strings.ReplaceAll(s, "\x00", "|"))
	}
	want := []string{"D Cj|mail.test|{daemon_name}|postrider|v|Postrider|", "C [192.0.2.7]|4|\x01192.0.2.7|", "H far .test~|", "D Mi|s-1|{mail_addr}|a@far.test|", "M <a@far.test>|",
		"D R{rcpt_addr}|b@home.test|", "R <b@home.test>|", "D R{rcpt_addr}|c@home.test|", "R <c@home.test>|", "T ", "L From|a@far.test|", "L X-Not-A-Field|nonsense|", "L Subject|x\n\ty|", "N ", "B body\r\n.\r\n", "D Ei|s-1|", "E "}
	if told = slices.DeleteFunc(told, func(s string) bool { return s == "Q " }); !slices.Equal(told, want) {
		t.Errorf("%q\nwant %q", told, want)
	}
	c.Sender(t.Context(), c.session, smtp.Path{}, false)
	if seen := m.Seen(); len(seen) > 1 || m.Begun() != 1 {
		t.Errorf("%q and %d connections for a sender without recipients", seen, m.Begun())
	}
	// A message without header is all body; a header without body has an end.
	for text, want := range map[string]string{"just a line\r\n": "N |B just a line\r\n", "Subject: x\r\n": "N |D Ei"} {
		c := newConsult(m)
		l := look(t, text)
		l.Completed = l.Header.Seam()
		if _, err := c.playLook(t, l, text[l.Header.Size():]); err != nil {
			t.Fatal(err)
		}
		if seen := strings.Join(m.Seen(), "|"); !strings.Contains(seen, want) {
			t.Errorf("%q is told as %q", text, seen)
		}
	}
}

// TestMilterAnswers: what each answer does at each step. Every refusal has the milter's name.
func TestMilterAnswers(t *testing.T) {
	const no = "550 5.7.1 one: The message is refused [milter=one:refused]"
	for _, c := range []struct {
		says    map[byte][]byte
		rcpt    string // what the recipients were answered, where that is not the end of it
		reply   string // to the message; or to all recipients, which is the same to a client
		outcome string
	}{
		{says('C', packet('r', "")), no + no, no, "refused"},
		{says('H', packet('t', "")), "", "451 4.7.1 one: The message is not taken now; try again later [milter=one:later]", "later"},
		{says('M', packet('y', "553 5.1.8 go away\x00")), "", "553 5.1.8 one: go away [milter=one:refused]", "refused"},
		{says('R', packet('r', "")), no + no, no, ""},
		{says('T', packet('r', "")), "", no, "refused"},
		{says('L', packet('y', "451 4.7.1 who?\x00")), "", "451 4.7.1 one: who? [milter=one:later]", "later"},
		{says('N', packet('r', "")), "", no, "refused"},
		{says('B', packet('y', "554-5.7.1 a\r\n554 5.7.1 b\x00")), "", "554 5.7.1 one: a; b [milter=one:refused]", "refused"},
		{says('E', packet('r', "")), "", no, "refused"},
		{says('E', packet('t', "")), "", "451 4.7.1 one: The message is not taken now; try again later [milter=one:later]", "later"},
		{says('E', packet('h', "X-A\x00b\x00"), packet('y', "550 5.7.1 a virus\x00")), "", "550 5.7.1 one: a virus [milter=one:refused]", "refused"},
		{says('M', packet('d', "")), "", "", "discarded"},
		{says('R', packet('d', "")), "", "", "discarded"},
		{says('L', packet('d', "")), "", "", "discarded"},
		{says('B', packet('d', "")), "", "", "discarded"},
		{says('E', packet('d', "")), "", "", "discarded"},
		{says('C', packet('a', "")), "", "", "clean"},
		{says('R', packet('a', "")), "", "", "clean"},
		{says('B', packet('a', "")), "", "", "clean"},
		{says('E', packet('a', "")), "", "", "clean"},
		{says('E', packet('q', "looks\r\nodd\x00"), packet('c', "")), "", "", "marked"},
	} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, c.says))
		k := newConsult(m)
		for range 2 { // what came of one message is nothing to the next
			found, err := k.play(t, message)
			rcpt := ""
			for _, err := range k.refused {
				rcpt += replyOf(err)
			}
			if got := replyOf(err); got != c.reply || c.rcpt != "" && rcpt != c.rcpt || strings.Join(k.outcomes, " ") != c.outcome {
				t.Errorf("%q: %q, recipients %q, %v", c.says, got, rcpt, k.outcomes)
			}
			if discarded := found.Instead != nil; discarded != (c.outcome == "discarded") || discarded && found.Instead.Mailbox != "" {
				t.Errorf("%q: %+v", c.says, found)
			}
			if marked := c.outcome == "marked"; marked != found.Junk || marked && (found.Aside != "one: looksodd" || len(found.Results) != 2 || !strings.Contains(found.Results[1], "one: looksodd")) || !marked && len(found.Results) > 0 {
				t.Errorf("%q: %+v", c.says, found)
			}
			if len(k.Problems()) > 0 || k.lines.Take() != "" {
				t.Errorf("%q: %v", c.says, k.Problems())
			}
		}
		for end := time.Now().Add(10 * time.Second); m.Open() > 0 && len(k.refused) > 0 && c.rcpt == ""; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q: a connection is left", c.says)
			}
		}
	}
}

// TestMilterRecipient: one recipient is refused, and the message goes to the others.
func TestMilterRecipient(t *testing.T) {
	m := mailtest.NewMilter(t, func(command byte, data string) []byte {
		if command == 'R' && strings.HasPrefix(data, "<b@") {
			return packet('y', "550 5.1.1 not b\x00")
		}
		return mailtest.MilterSays(0, nil)(command, data)
	})
	c := newConsult(m)
	found, err := c.play(t, message)
	if err != nil || replyOf(c.refused[0]) != "550 5.1.1 one: not b [milter=one:refused]" || c.refused[1] != nil || factsOf(found)[0] != "milter=one:clean" {
		t.Errorf("%v, %v, %v", c.refused, found, err)
	}
}

// TestMilterOrder: they are asked one after another, and who refuses is the last; that one accepts says nothing for the others.
func TestMilterOrder(t *testing.T) {
	for _, c := range []struct {
		one, two map[byte][]byte
		want     string
		outcomes string
		second   bool // is asked at the end
	}{
		{nil, nil, "", "clean clean", true},
		{says('C', packet('a', "")), says('E', packet('r', "")), "550 5.7.1 two: The message is refused [milter=two:refused]", "clean refused", true},
		{says('E', packet('r', "")), nil, "550 5.7.1 one: The message is refused [milter=one:refused]", "refused", false},
		{says('E', packet('d', "")), says('E', packet('r', "")), "", "discarded", false},
		{says('C', packet('r', "")), nil, "550 5.7.1 one: The message is refused [milter=one:refused]", "refused", false},
		{says('B', packet('r', "")), nil, "550 5.7.1 one: The message is refused [milter=one:refused]", "refused", false},
		{nil, says('B', packet('r', "")), "550 5.7.1 two: The message is refused [milter=two:refused]", "refused", false},
		{says('L', packet('r', "")), nil, "550 5.7.1 one: The message is refused [milter=one:refused]", "refused", false},
		{says('B', mailtest.Hangup), says('E', packet('r', "")), "550 5.7.1 two: The message is refused [milter=two:refused]", "failed refused", true},
	} {
		one, two := mailtest.NewMilter(t, mailtest.MilterSays(0, c.one)), mailtest.NewMilter(t, mailtest.MilterSays(0, c.two))
		k := newConsult(one, two)
		_, err := k.play(t, message)
		if got := replyOf(err); got != c.want || strings.Join(k.outcomes, " ") != c.outcomes {
			t.Errorf("%q, %q: %q, %v", c.one, c.two, got, k.outcomes)
		}
		if asked := slices.Contains(two.Seen(), "E "); asked != c.second {
			t.Errorf("%q, %q: the second was asked: %v", c.one, c.two, asked)
		}
	}
}

// TestMilterFields: what is added stands on top, as fields and nothing else; what would change the message is not done, and told.
func TestMilterFields(t *testing.T) {
	at := func(n byte, rest string) string { return "\x00\x00\x00" + string(n) + rest }
	for _, c := range []struct {
		name    string
		says    [][]byte
		fields  string
		refused string
	}{
		{"add", [][]byte{packet('h', "X-A\x00one\x00"), packet('h', "X-B\x00two\x00")}, "X-A: one\r\nX-B: two\r\n", ""},
		{"insert", [][]byte{packet('h', "X-C\x00c\x00"), packet('i', at(0, "X-A\x00a\x00")), packet('i', at(0, "X-B\x00b\x00")), packet('i', at(1, "X-D\x00d\x00")), packet('i', at(2, "X-E\x00e\x00")), packet('i', "\xff\xff\xff\xffX-F\x00f\x00")},
			"X-D: d\r\nX-E: e\r\nX-B: b\r\nX-A: a\r\nX-F: f\r\nX-C: c\r\n", ""},
		{"folded", [][]byte{packet('h', "X-A\x00one;\n\ttwo\r\n three\n\x00")}, "X-A: one;\r\n\ttwo\r\n three\r\n", ""},
		{"long", [][]byte{packet('h', "X-A\x00"+strings.Repeat("word ", 250)+"\x00")}, "X-A:", ""},
		{"one long word", [][]byte{packet('h', "X-A\x00"+strings.Repeat("x", 2000)+"\x00")}, "", "one: add field X-A"},
		{"line within", [][]byte{packet('h', "X-A\x00b\nSubject: mine\x00")}, "", "one: add field X-A"},
		{"return within", [][]byte{packet('h', "X-A\x00b\rSubject: mine\x00")}, "", "one: add field X-A"},
		{"end of the header", [][]byte{packet('i', at(0, "X-A\x00b\n\nbody\x00"))}, "", "one: insert field X-A"},
		{"blank line", [][]byte{packet('h', "X-A\x00b\n \n\tc\x00")}, "", "one: add field X-A"},
		{"bad name", [][]byte{packet('h', "X A\x00b\x00"), packet('h', "\x00b\x00"), packet('h', "X-A:\x00b\x00"), packet('h', "X\nA\x00b\x00"), packet('h', "X-A \x00b\x00")}, "", "one: add field X A, one: add field , one: add field X-A:, one: add field XA, one: add field X-A "},
		{"too much", [][]byte{packet('h', "X-A\x00"+strings.Repeat("word\n ", 2000)+"x\x00"), packet('h', "X-B\x00"+strings.Repeat("word\n ", 500)+"x\x00")}, "X-A:", "one: add field X-B"},
		{"empty", [][]byte{packet('h', "X-A\x00\x00")}, "X-A: \r\n", ""},
		{"body", [][]byte{packet('b', "mine\r\n"), packet('b', "all mine\r\n")}, "", "one: replace body"},
		{"envelope", [][]byte{packet('+', "<x@home.test>\x00"), packet('2', "<y@home.test>\x00\x00"), packet('-', "<b@home.test>\x00"), packet('e', "<z@far.test>\x00")}, "", "one: add recipient, one: remove recipient, one: change sender"},
		{"change", [][]byte{packet('m', at(1, "subject\x00mine\x00"))}, "", "one: change field subject"},
		{"remove", [][]byte{packet('m', at(1, "Subject\x00\x00"))}, "", "one: remove field Subject"},
		{"first", [][]byte{packet('m', at(0, "Subject\x00\x00"))}, "", "one: remove field Subject"},
		{"as it is", [][]byte{packet('m', at(1, "Subject\x00x\x00"))}, "", ""},
		{"none there", [][]byte{packet('m', at(1, "X-A\x00a\x00")), packet('m', at(2, "Subject\x00another\x00")), packet('m', at(2, "Subject\x00\x00"))}, "X-A: a\r\nSubject: another\r\n", ""},
		{"many", slices.Repeat([][]byte{packet('-', "<b@home.test>\x00"), packet('b', "")}, 50), "", "one: remove recipient, one: replace body"},
	} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, says('E', append(c.says, packet('c', ""))...)))
		k := newConsult(m)
		found, err := k.play(t, message)
		got := strings.Join(found.Fields, "")
		if long := strings.HasSuffix(c.fields, "X-A:"); err != nil || got != c.fields && !(long && strings.HasPrefix(got, c.fields)) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		for line := range strings.Lines(got) {
			if len(line) > 1000 || !strings.HasSuffix(line, "\r\n") {
				t.Errorf("%s: the line %.60q", c.name, line)
			}
		}
		want := []string{"milter=one:clean"}
		if c.refused != "" {
			want = append(want, "milter_refused="+c.refused)
		}
		if facts := factsOf(found); !slices.Equal(facts, want) {
			t.Errorf("%s: %q, want %q", c.name, facts, want)
		}
	}
	// Who wants values with all that follows the colon writes them so.
	m := mailtest.NewMilter(t, mailtest.MilterSays(1<<20, says('E', packet('h', "X-A\x00 b\x00"), packet('h', "X-C\x00d\x00"), packet('c', ""))))
	if found, err := newConsult(m).play(t, message); err != nil || strings.Join(found.Fields, "") != "X-A: b\r\nX-C:d\r\n" {
		t.Errorf("%+v, %v", found, err)
	}
	kinds := make([][]byte, 20)
	for i := range kinds {
		kinds[i] = packet('h', "X "+strings.Repeat("x", i)+"\x00b\x00")
	}
	m = mailtest.NewMilter(t, mailtest.MilterSays(0, says('E', append(kinds, packet('c', ""))...)))
	if found, _ := newConsult(m).play(t, message); strings.Count(factsOf(found)[1], "add field") != mostRefused {
		t.Errorf("%v", factsOf(found))
	}
}

// TestMilterTwoFields: each of two has its fields, the first above.
func TestMilterTwoFields(t *testing.T) {
	one := mailtest.NewMilter(t, mailtest.MilterSays(0, says('E', packet('h', "X-A\x00a\x00"), packet('q', "odd\x00"), packet('c', ""))))
	two := mailtest.NewMilter(t, mailtest.MilterSays(0, says('E', packet('h', "X-B\x00b\x00"), packet('b', ""), packet('q', "odd, too\x00"), packet('c', ""))))
	c := newConsult(one, two)
	found, err := c.play(t, message)
	if err != nil || strings.Join(found.Fields, "") != "X-A: a\r\nX-B: b\r\n" || found.Aside != "one: odd" || len(found.Results) != 2 || !slices.Equal(factsOf(found), []string{"milter=one:marked two:marked", "milter_refused=two: replace body"}) {
		t.Errorf("%+v, %v", found, err)
	}
	c.Marked = func(*smtp.Session) bool { return true }
	if found, err := c.play(t, message); err != nil || !found.Junk || len(found.Results) != 0 {
		t.Errorf("marked before: %+v, %v", found, err)
	}
}

// TestMilterDown: a milter that is not there, hangs, dies or answers nonsense at any step costs no message and no more than its time;
// where the settings have it so the sender comes again. It is left alone after three of them.
func TestMilterDown(t *testing.T) {
	progress := slices.Repeat(packet('p', ""), 50)
	steps := []byte("OCHMRTLNBE")
	for name, out := range map[string][]byte{"hangs": {}, "dies": mailtest.Hangup, "lies": []byte("HTTP/1.1 200 OK\r\n\r\n"), "nothing": {0, 0, 0, 0}, "works on": progress, "half": {0, 0, 0, 9, 'y'}, "gone": nil} {
		for _, step := range steps {
			for _, later := range []bool{false, true} {
				m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{step: out}))
				if out == nil {
					m.Close()
				}
				c := newConsult(m)
				c.sets[0].Wait, c.sets[0].Later = 10*time.Millisecond, later
				if name == "dies" || name == "lies" || name == "nothing" || name == "gone" {
					c.sets[0].Wait = 10 * time.Second
				}
				for i := range MostFails + 1 {
					found, err := c.play(t, message)
					if later != (replyOf(err) == "451 4.3.0 one: The message cannot be checked now; try again later [milter=one:failed]") || !later && err != nil || strings.Join(c.outcomes, " ") != "failed" {
						t.Errorf("%s at %c, message %d: %q, %v", name, step, i, replyOf(err), c.outcomes)
					}
					if !later && (len(found.Results) != 1 || found.Results[0] != "X-Spam-Status: Unknown, not scanned by one\r\n" || found.Junk || factsOf(found)[0] != "milter=one:failed") {
						t.Errorf("%s at %c, message %d: %+v", name, step, i, found)
					}
					if rests := len(c.Problems()) == 1; rests != (i >= MostFails-1) || rests && !strings.Contains(c.Problems()[0], "the milter one has not answered since ") {
						t.Errorf("%s at %c, message %d: %q", name, step, i, c.Problems())
					}
				}
				for end := time.Now().Add(10 * time.Second); out != nil && m.Begun() != MostFails; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%s at %c: asked %d times", name, step, m.Begun())
					}
				}
				if said := c.lines.Take(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "the scanner does not answer") || !strings.Contains(said, "milter=one") {
					t.Errorf("%s at %c: %s", name, step, said)
				}
				if out == nil {
					break
				}
			}
			if out == nil {
				break
			}
		}
	}
}

// TestMilterRecovers: after a rest one message asks again. Another milter is none the wiser, and a reload forgets nothing.
func TestMilterRecovers(t *testing.T) {
	var well atomic.Bool
	m := mailtest.NewMilter(t, func(command byte, data string) []byte {
		if !well.Load() && command == 'E' {
			return mailtest.Hangup
		}
		return mailtest.MilterSays(0, nil)(command, data)
	})
	other := mailtest.NewMilter(t, mailtest.MilterSays(0, nil))
	c := newConsult(m, other)
	for range MostFails {
		if found, err := c.play(t, message); err != nil || factsOf(found)[0] != "milter=one:failed two:clean" {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	well.Store(true)
	c.sets = []Milter{c.sets[1], {Name: "renamed", Network: m.Network, Address: m.Address, Wait: time.Second}}
	if found, err := c.play(t, message); err != nil || factsOf(found)[0] != "milter=two:clean renamed:failed" {
		t.Errorf("%+v, %v", found, err)
	}
	b := c.breakerOf(&c.sets[1])
	b.mu.Lock()
	b.next = time.Now()
	b.mu.Unlock()
	for range 2 {
		if found, err := c.play(t, message); err != nil || factsOf(found)[0] != "milter=two:clean renamed:clean" || len(c.Problems()) > 0 {
			t.Errorf("%+v, %v, %v", found, err, c.Problems())
		}
	}
	if said := c.lines.Take(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "the scanner answers again") {
		t.Error(said)
	}
}

// TestMilterReload: a transaction keeps to the settings that it began with.
func TestMilterReload(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, says('E', packet('r', ""))))
	c := newConsult(m)
	l := look(t, message)
	s := l.Envelope.Session
	s.Envelope = l.Envelope
	before := c.sets
	c.Sender(t.Context(), s, l.Envelope.From, false)
	c.sets = nil
	if err := c.Recipient(t.Context(), s, &l.Envelope.To[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Inspect(t.Context(), l).Findings(t.Context()); replyOf(err) == "" {
		t.Error("forgotten by a reload")
	}
	c.Sender(t.Context(), s, l.Envelope.From, false)
	c.sets = before
	if err := c.Recipient(t.Context(), s, &l.Envelope.To[0]); err != nil || c.Inspect(t.Context(), l) != nil || m.Begun() != 1 {
		t.Errorf("asked for a transaction that began without it: %v", err)
	}
}

// TestMilterSize: of a message that is too large a milter has no say, and the message says so; what may be as large as it is is scanned.
func TestMilterSize(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, says('E', packet('r', ""))))
	c := newConsult(m)
	c.sets[0].Later = true
	c.sets[0].MaxSize = int64(len(message))
	if _, err := c.play(t, message); replyOf(err) == "" {
		t.Error("not scanned")
	}
	c.sets[0].MaxSize--
	for range MostFails + 1 {
		found, err := c.play(t, message)
		if err != nil || factsOf(found)[0] != "milter=one:skipped" || len(found.Results) != 1 || strings.Join(c.outcomes, " ") != "skipped" || len(c.Problems()) > 0 {
			t.Errorf("%+v, %v, %v", found, err, c.outcomes)
		}
	}
	c.sets[0].MaxSize = 0
	if _, err := c.play(t, message); replyOf(err) == "" {
		t.Error("not scanned")
	}
}

// TestMilterPieces: a body that comes octet by octet is told in pieces, whole, and a last one that fills a piece is not told twice.
func TestMilterPieces(t *testing.T) {
	for size, want := range map[int][]int{0: nil, 1: {1}, piece - 1: {piece - 1}, piece: {piece}, piece + 1: {piece, 1}} {
		var got []int
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, nil))
		c := newConsult(m)
		l := look(t, message)
		s := l.Envelope.Session
		s.Envelope = l.Envelope
		c.Sender(t.Context(), s, l.Envelope.From, false)
		if err := c.Recipient(t.Context(), s, &l.Envelope.To[0]); err != nil {
			t.Fatal(err)
		}
		i := c.Inspect(t.Context(), l).(*consulting)
		for range size {
			if n, err := i.Write([]byte("x")); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		total := i.visit.all[0].size
		if _, err := i.Findings(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Seen() {
			if s[0] == 'B' {
				got = append(got, len(s)-2)
			}
		}
		for k := range want {
			want[k] = min(want[k], 1024) // as much as is remembered
		}
		if !slices.Equal(got, want) || i.visit.all[0].size != int64(l.Header.Size()+size) || total > i.visit.all[0].size {
			t.Errorf("%d octets: pieces %v, want %v; size %d", size, got, want, i.visit.all[0].size)
		}
	}
}

// TestMilterEarly: what is refused in its middle is not read to its end.
func TestMilterEarly(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, says('B', packet('r', ""))))
	c := newConsult(m)
	l := look(t, message)
	s := l.Envelope.Session
	s.Envelope = l.Envelope
	c.Sender(t.Context(), s, l.Envelope.From, false)
	if err := c.Recipient(t.Context(), s, &l.Envelope.To[0]); err != nil {
		t.Fatal(err)
	}
	i := c.Inspect(t.Context(), l)
	if _, err := i.Write(make([]byte, piece-1)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := i.Write([]byte("x")); replyOf(err) != "550 5.7.1 one: The message is refused [milter=one:refused]" {
			t.Errorf("%v", err)
		}
	}
	c.Scanned = nil // nobody counts
	if _, err := c.play(t, message); replyOf(err) == "" {
		t.Error("not refused")
	}
}

// TestWishBounds: as much as a milter may add is added, and an octet more is not; lines are as long as they may be; what is told of it
// is short, and text.
func TestWishBounds(t *testing.T) {
	header := look(t, message).Header
	mailtest.Edge(t, "octets of fields", MostAdded, func(n int) bool {
		w := &wishes{header: header}
		// A field of 14,000 octets and one of what is left; the second is of "X-B: ", words and a line end.
		w.take(milter.Change{Kind: milter.AddField, Name: "X-A", Value: strings.Repeat("word\n ", 1999) + "x"})
		left := n - w.octets - len("X-B: \r\n")
		lines := left / 100
		w.take(milter.Change{Kind: milter.AddField, Name: "X-B", Value: strings.Repeat(strings.Repeat("x", 97)+"\n ", lines) + strings.Repeat("x", left-100*lines)})
		return len(w.fields) == 2 && w.octets == n && len(w.refused) == 0
	})
	mailtest.Edge(t, "octets of a line", longestLine, func(n int) bool {
		raw, ok := fieldOf("X-A", "word "+strings.Repeat("x", n-len("X-A: word ")), false)
		return ok && strings.Count(raw, "\r\n") == 1 && len(raw) == n+2
	})
	w := &wishes{header: header}
	w.take(milter.Change{Kind: milter.QuarantineMail, Value: strings.Repeat("\u00e4", mostReason)})
	if len(w.quarantine) != mostReason || !utf8.ValidString(w.quarantine) {
		t.Errorf("%q", w.quarantine)
	}
	w.take(milter.Change{Kind: milter.QuarantineMail, Value: "x" + strings.Repeat("\u00e4", mostReason)})
	if len(w.quarantine) != mostReason-1 || !utf8.ValidString(w.quarantine) {
		t.Errorf("%q", w.quarantine)
	}
	w.take(milter.Change{Kind: milter.QuarantineMail})
	if w.quarantine != "it is to be put aside" {
		t.Errorf("%q", w.quarantine)
	}
	w.take(milter.Change{Kind: milter.AddField, Name: strings.Repeat("\u00e4", 50), Value: "x"})
	w.take(milter.Change{Kind: milter.AddField, Name: "x" + strings.Repeat("\u00e4", 50), Value: "x\n\nx"})
	if want := []string{"add field " + strings.Repeat("\u00e4", 20), "add field x" + strings.Repeat("\u00e4", 19)}; !slices.Equal(w.refused, want) {
		t.Errorf("%q, want %q", w.refused, want)
	}
}

// TestMilterSlowClient: a milter that loses patience with a client that is slow is not ill; one that loses it with others is.
func TestMilterSlowClient(t *testing.T) {
	for _, idle := range []time.Duration{time.Nanosecond, time.Hour} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, says('E', mailtest.Hangup)))
		c := newConsult(m)
		c.idle = idle
		for range MostFails {
			if found, err := c.play(t, message); err != nil || factsOf(found)[0] != "milter=one:failed" {
				t.Errorf("%+v, %v", found, err)
			}
		}
		if ill := len(c.Problems()) > 0; ill != (idle == time.Hour) {
			t.Errorf("%v: %q", idle, c.Problems())
		}
	}
}

// TestMilterTook: how long a milter has had a message wait is told, and that of one that is not there as nothing.
func TestMilterTook(t *testing.T) {
	const slow = 30 * time.Millisecond
	m := mailtest.NewMilter(t, func(command byte, data string) []byte {
		if command == 'L' || command == 'E' {
			time.Sleep(slow)
		}
		return mailtest.MilterSays(0, nil)(command, data)
	})
	c := newConsult(m)
	if _, err := c.play(t, message); err != nil || c.took < 3*slow {
		t.Errorf("%v, %v", c.took, err)
	}
	m.Close()
	if _, err := c.play(t, message); err != nil || c.took != 0 {
		t.Errorf("%v, %v", c.took, err)
	}
}

// TestMilterMemory: a message of 50 MB passes, and takes no more memory than a small one.
func TestMilterMemory(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, nil))
	c := newConsult(m)
	c.sets[0].MaxSize = 0
	body := strings.Repeat("x", 50_000_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found, err := c.play(t, message+body)
	runtime.ReadMemStats(&after)
	if err != nil || factsOf(found)[0] != "milter=one:clean" {
		t.Errorf("%+v, %v", found, err)
	}
	// The test itself makes octets of the message once, joins it once, and has a milter that remembers the beginnings of pieces.
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*uint64(len(body))+30_000_000 {
		t.Errorf("%d octets", got)
	}
	pieces := 0
	for _, s := range m.Seen() {
		if s[0] == 'B' {
			pieces++
		}
	}
	if pieces < len(body)/piece {
		t.Errorf("%d pieces", pieces)
	}
}

// TestMilterNotAsked: users' mail, and that of programs of this host; a header that was cut short is refused.
func TestMilterNotAsked(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, nil))
	c := newConsult(m)
	for i := range 3 {
		l := look(t, message)
		s := l.Envelope.Session
		s.LMTP, l.Trusted = i == 1, i == 2
		s.Envelope = l.Envelope
		c.Sender(t.Context(), s, l.Envelope.From, i == 0 || i == 2)
		if err := c.Recipient(t.Context(), s, &l.Envelope.To[0]); err != nil || c.Inspect(t.Context(), l) != nil {
			t.Errorf("%d: asked, %v", i, err)
		}
	}
	l := look(t, message)
	l.Envelope.Session = nil
	if c.Inspect(t.Context(), l) != nil || m.Begun() != 0 {
		t.Error("asked about a message without a session")
	}
	long := look(t, "X-A: b\r\n"+strings.Repeat("X-Long: "+strings.Repeat("x", 900)+"\r\n", 2000)+"\r\nbody\r\n")
	if _, err := c.playLook(t, long, "body\r\n"); replyOf(err) != "552 5.3.4 The header of the message is too long" {
		t.Errorf("%v", err)
	}
	many := func(n int) (post.Findings, error) { return c.play(t, strings.Repeat("X:\r\n", n)+"\r\nbody\r\n") }
	if _, err := many(mostHeader); err != nil {
		t.Error(err)
	}
	if _, err := many(mostHeader + 1); replyOf(err) != "552 5.3.4 The header of the message is too long" {
		t.Errorf("%v", err)
	}
	m.Close()
	c.session = nil
	if found, err := many(mostHeader + 1); err != nil || factsOf(found)[0] != "milter=one:failed" {
		t.Errorf("many fields that nobody looks at: %v", err)
	}
	if found, err := c.playLook(t, long, "body\r\n"); err != nil || factsOf(found)[0] != "milter=one:failed" {
		t.Errorf("a long header that nobody looks at: %v", err)
	}
}

// TestMilterGivenUp: a client that goes away, or begins anew, leaves no connection and is no fault of the milter's.
func TestMilterGivenUp(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, says('B', nil)))
	c := newConsult(m)
	for i := range MostFails + 1 {
		l := look(t, message)
		s := l.Envelope.Session
		s.Envelope = l.Envelope
		ctx, gone := context.WithCancel(t.Context())
		c.Sender(ctx, s, l.Envelope.From, false)
		if err := c.Recipient(ctx, s, &l.Envelope.To[0]); err != nil {
			t.Fatal(err)
		}
		look := c.Inspect(ctx, l)
		if i == 0 {
			c.Sender(ctx, s, l.Envelope.From, false) // RSET, and MAIL again
		} else {
			time.AfterFunc(5*time.Millisecond, gone)
			io.WriteString(look, "body")
			look.Findings(ctx)
		}
		for end := time.Now().Add(10 * time.Second); m.Open() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a connection is left")
			}
		}
		gone()
	}
	if len(c.Problems()) > 0 {
		t.Error(c.Problems())
	}
}

// BenchmarkMilter: a message of 2 kB, and one of 10 MB, with a milter that has nothing against it, connection and all.
func BenchmarkMilter(b *testing.B) {
	for name, size := range map[string]int{"2kB": 2000, "10MB": 10_000_000} {
		b.Run(name, func(b *testing.B) {
			m := mailtest.NewMilter(b, mailtest.MilterSays(0, nil))
			c := newConsult(m)
			c.sets[0].MaxSize = 0
			text := message + strings.Repeat("x", size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.play(b, text); err != nil {
					b.Fatal(err)
				}
				m.Seen()
			}
		})
	}
}
