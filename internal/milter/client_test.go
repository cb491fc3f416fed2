package milter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

const wait = 5 * time.Second

func dial(t *testing.T, m *mailtest.Milter) *Client {
	t.Helper()
	c, err := Dial(t.Context(), m.Network, m.Address, wait)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// steps are all that there are, by their commands.
func steps(c *Client) map[byte]func() (Answer, error) {
	return map[byte]func() (Answer, error){
		'C': func() (Answer, error) {
			return c.Connect("", netip.MustParseAddrPort("192.0.2.7:2525"), Macros{"j", "mail.test"})
		},
		'H': func() (Answer, error) { return c.Helo("far.test", nil) },
		'M': func() (Answer, error) { return c.Mail("a@far.test", Macros{"i", "s-1"}) },
		'R': func() (Answer, error) { return c.Rcpt("b@home.test", nil) },
		'T': func() (Answer, error) { return c.Data() },
		'L': func() (Answer, error) { return c.Header("Subject", " x\r\n\ty") },
		'N': func() (Answer, error) { return c.EndHeader() },
		'B': func() (Answer, error) { return c.Body([]byte("body\r\n")) },
		'E': func() (Answer, error) { return c.End(Macros{"i", "s-1"}, func(Change) {}) },
	}
}

const order = "CHMRTLNBE"

// TestDialogue: what a milter is told, octet for octet, and that it is taken leave of.
func TestDialogue(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, nil))
	c := dial(t, m)
	for _, command := range order {
		if a, err := steps(c)[byte(command)](); err != nil || a != (Answer{}) {
			t.Fatalf("%c: %+v, %v", command, a, err)
		}
	}
	c.Close()
	for m.Open() > 0 {
		time.Sleep(time.Millisecond)
	}
	want := []string{"O \x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xf7\xff", "D Cj\x00mail.test\x00", "C [192.0.2.7]\x004\x09\xdd192.0.2.7\x00", "H far.test\x00", "D Mi\x00s-1\x00", "M <a@far.test>\x00",
		"R <b@home.test>\x00", "T ", "L Subject\x00x\n\ty\x00", "N ", "B body\r\n", "D Ei\x00s-1\x00", "E ", "Q "}
	if got := m.Seen(); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// TestConnect: how clients are called.
func TestConnect(t *testing.T) {
	for _, c := range []struct{ name, client, want string }{
		{"", "192.0.2.7:25", "C [192.0.2.7]\x004\x00\x19192.0.2.7\x00"},
		{"far.test", "[::ffff:192.0.2.7]:25", "C far.test\x004\x00\x19192.0.2.7\x00"},
		{"", "[2001:db8::1%eth0]:25", "C [2001:db8::1%eth0]\x006\x00\x192001:db8::1\x00"},
		{"", "", "C localhost\x00U"},
	} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, nil))
		k := dial(t, m)
		client, _ := netip.ParseAddrPort(c.client)
		if _, err := k.Connect(c.name, client, nil); err != nil {
			t.Fatal(err)
		}
		if got := m.Seen()[1]; got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestWants: a step that the milter wants left out is not taken, one that it does not answer is not waited for, and old ones hear of no
// DATA. Whatever is left out, all that follows is heard.
func TestWants(t *testing.T) {
	without := map[byte]uint32{'C': 1, 'H': 2, 'M': 4, 'R': 8, 'B': 0x10, 'L': 0x20, 'N': 0x40, 'T': 0x200}
	quiet := map[byte]uint32{'L': 0x80, 'C': 0x1000, 'H': 0x2000, 'M': 0x4000, 'R': 0x8000, 'T': 0x10000, 'N': 0x40000, 'B': 0x80000}
	told := func(m *mailtest.Milter) (all string) {
		for _, s := range m.Seen()[1:] {
			if s[0] != 'D' {
				all += s[:1]
			}
		}
		return all
	}
	for command := range without {
		for wants, want := range map[uint32]string{without[command]: strings.ReplaceAll(order, string(command), ""), quiet[command]: order} {
			m := mailtest.NewMilter(t, func(c byte, _ string) []byte {
				switch {
				case c == 'O':
					return mailtest.MilterOptions(6, 0, wants)
				case c == command:
					return nil
				}
				return mailtest.MilterPacket('c', "")
			})
			c := dial(t, m)
			for _, s := range order {
				if a, err := steps(c)[byte(s)](); err != nil || a != (Answer{}) {
					t.Fatalf("%c, %#x: %+v, %v", command, wants, a, err)
				}
			}
			if got := told(m); got != want {
				t.Errorf("%c, %#x: told %s, want %s", command, wants, got, want)
			}
		}
	}
	for version, want := range map[uint32]string{2: "CHMRLNBE", 3: "CHMRLNBE", 4: order, 6: order} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'O': mailtest.MilterOptions(version, 0, 0)}))
		c := dial(t, m)
		for _, s := range order {
			if _, err := steps(c)[byte(s)](); err != nil {
				t.Fatal(err)
			}
		}
		if got := told(m); got != want {
			t.Errorf("version %d: told %s, want %s", version, got, want)
		}
	}
}

// TestSkip: a milter that knows enough hears no more of the same, and all the rest.
func TestSkip(t *testing.T) {
	for _, command := range []byte("RLB") {
		m := mailtest.NewMilter(t, mailtest.MilterSays(maySkip, map[byte][]byte{command: mailtest.MilterPacket('s', "")}))
		c := dial(t, m)
		for _, s := range order {
			for range 3 {
				if s == 'E' {
					break
				}
				if _, err := steps(c)[byte(s)](); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := steps(c)['E'](); err != nil {
			t.Fatal(err)
		}
		n := make(map[byte]int)
		for _, s := range m.Seen() {
			n[s[0]]++
		}
		for _, s := range "RLB" {
			if want := map[bool]int{true: 1, false: 3}[byte(s) == command]; n[byte(s)] != want {
				t.Errorf("%c skipped: %c was told %d times, want %d", command, s, n[byte(s)], want)
			}
		}
	}
}

// TestLeadingSpace: values are given as the milter wants them.
func TestLeadingSpace(t *testing.T) {
	for _, c := range []struct {
		wants      uint32
		body, want string
	}{
		{0, " x", "x"}, {0, "  x", " x"}, {0, "\tx", "x"}, {0, "x", "x"}, {0, "", ""}, {leadingSpace, " x", " x"}, {leadingSpace, "x", "x"},
		{0, " a\x00b\r\n c", "a?b\n c"},
	} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(c.wants, nil))
		k := dial(t, m)
		if _, err := k.Header("N", c.body); err != nil || k.Exact() != (c.wants != 0) {
			t.Fatal(err)
		}
		if got := m.Seen()[1]; got != "L N\x00"+c.want+"\x00" {
			t.Errorf("%q is told as %q", c.body, got)
		}
	}
}

// TestAnswers: what each answer means, at each step. What is none ends the conversation.
func TestAnswers(t *testing.T) {
	p := mailtest.MilterPacket
	garbage := errors.New("garbage")
	for name, c := range map[string]struct {
		packet []byte
		steps  string // at which
		want   Answer
		err    error
	}{
		"continue":        {p('c', ""), order, Answer{}, nil},
		"accept":          {p('a', ""), order, Answer{}, nil},
		"reject":          {p('r', ""), order, Answer{Refuse, 550, "5.7.1", ""}, nil},
		"later":           {p('t', ""), order, Answer{Refuse, 451, "4.7.1", ""}, nil},
		"discard":         {p('d', ""), "MRTLNBE", Answer{Verdict: Discard}, nil},
		"too early":       {p('d', ""), "CH", Answer{}, garbage},
		"skip":            {p('s', ""), order, Answer{}, garbage},
		"goodbye":         {p('4', ""), order, Answer{Refuse, 421, "4.7.0", ""}, nil},
		"cannot":          {p('f', ""), order, Answer{}, errors.ErrUnsupported},
		"progress":        {slices.Concat(p('p', ""), p('p', ""), p('c', "")), order, Answer{}, nil},
		"words":           {p('y', "550 5.7.1 No, 100%%\x00"), order, Answer{Refuse, 550, "5.7.1", "No, 100%"}, nil},
		"plain words":     {p('y', "450 Later\x00"), order, Answer{Refuse, 450, "", "Later"}, nil},
		"no words":        {p('y', "554\x00"), order, Answer{Refuse, 554, "", ""}, nil},
		"two lines":       {p('y', "550-5.7.1 a\r\n550 5.7.1 b\r\n\x00"), order, Answer{Refuse, 550, "5.7.1", "a\nb"}, nil},
		"another class":   {p('y', "550 4.7.1 a\x00"), order, Answer{Refuse, 550, "", "4.7.1 a"}, nil},
		"no code":         {p('y', "550 5.7.01 a\x00"), order, Answer{Refuse, 550, "", "5.7.01 a"}, nil},
		"control":         {p('y', "550 a\x07\tb\rc\x00"), order, Answer{Refuse, 550, "", "abc"}, nil},
		"positive":        {p('y', "250 fine\x00"), order, Answer{}, garbage},
		"two codes":       {p('y', "550-a\r\n450 b\x00"), order, Answer{}, garbage},
		"no number":       {p('y', "5x0 a\x00"), order, Answer{}, garbage},
		"short":           {p('y', "55\x00"), order, Answer{}, garbage},
		"600":             {p('y', "600 a\x00"), order, Answer{}, garbage},
		"399":             {p('y', "399 a\x00"), order, Answer{}, garbage},
		"glued":           {p('y', "5500 a\x00"), order, Answer{}, garbage},
		"no end":          {p('y', "550 a"), order, Answer{}, garbage},
		"two ends":        {p('y', "550 a\x00550 b\x00"), order, Answer{}, garbage},
		"unknown":         {p('?', ""), order, Answer{}, garbage},
		"changes early":   {p('h', "X-A\x00b\x00"), "CHMRTLNB", Answer{}, garbage},
		"body early":      {p('b', "b"), "CHMRTLNB", Answer{}, garbage},
		"options again":   {mailtest.MilterOptions(6, 0, 0), order, Answer{}, garbage},
		"nothing":         {[]byte{0, 0, 0, 0}, order, Answer{}, garbage},
		"large":           {[]byte{0, 1, 0, 2, 'c'}, order, Answer{}, garbage},
		"as large as can": {[]byte{0xff, 0xff, 0xff, 0xff, 'c'}, order, Answer{}, garbage},
		"text":            {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), order, Answer{}, garbage},
		"half":            {[]byte{0, 0}, order, Answer{}, ErrSlow},
		"half a reply":    {p('y', "550 a\x00")[:8], order, Answer{}, ErrSlow},
		"hangs up":        {mailtest.Hangup, order, Answer{}, errors.New("closed")},
	} {
		for _, s := range c.steps {
			m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{byte(s): c.packet}))
			k := dial(t, m)
			if c.err == ErrSlow {
				k.wait = 20 * time.Millisecond
			}
			a, err := steps(k)[byte(s)]()
			switch {
			case a != c.want || (err == nil) != (c.err == nil):
				t.Errorf("%s at %c: %+v, %v", name, s, a, err)
			case c.err == garbage && !errors.Is(err, ErrGarbage), c.err == ErrSlow && err != ErrSlow:
				t.Errorf("%s at %c: %v", name, s, err)
			case name == "hangs up" && !strings.Contains(err.Error(), "closed the connection"):
				t.Errorf("%s at %c: %v", name, s, err)
			}
			if over := name == "accept" || name == "discard"; k.Accepted() != over {
				t.Errorf("%s at %c: over %v", name, s, k.Accepted())
			} else if over {
				m.Seen()
				for _, s := range order {
					if a, err := steps(k)[byte(s)](); a != (Answer{}) || err != nil {
						t.Error(name, a, err)
					}
				}
				if seen := m.Seen(); len(seen) > 0 {
					t.Errorf("%s at %c: told %q afterwards", name, s, seen)
				}
			}
		}
	}
}

// TestReplyBounds: a client is told so many lines, and so much of each, in whole characters.
func TestReplyBounds(t *testing.T) {
	mailtest.Edge(t, "lines of a reply", mostLines, func(n int) bool {
		a, ok := reply([]byte(strings.Repeat("550-x\r\n", n-1) + "550 x\x00"))
		return ok && strings.Count(a.Text, "x") == n
	})
	mailtest.Edge(t, "octets of a line", mostLine, func(n int) bool {
		a, ok := reply([]byte("550 " + strings.Repeat("x", n) + "\x00"))
		return ok && len(a.Text) == n
	})
	if a, ok := reply([]byte("550 x" + strings.Repeat("\u00e4", mostLine) + "\x00")); !ok || a.Text != "x"+strings.Repeat("\u00e4", mostLine/2-1) {
		t.Errorf("%q", a.Text)
	}
}

// TestBroken: a milter that ends within an answer has closed the connection, as one that ends before it.
func TestBroken(t *testing.T) {
	for _, said := range []string{"", "\x00\x00", "\x00\x00\x00\x05", "\x00\x00\x00\x05y550"} {
		c := &Client{wire: wire{conn: script{r: bytes.NewReader([]byte(said))}, wait: wait, left: wait}, version: newest}
		c.r = bufio.NewReader(c.conn)
		if _, err := c.Data(); err == nil || !strings.Contains(err.Error(), "closed the connection") {
			t.Errorf("%q: %v", said, err)
		}
	}
}

// TestBegin: a milter that begins wrongly is not asked.
func TestBegin(t *testing.T) {
	p := mailtest.MilterPacket
	for name, out := range map[string][]byte{
		"another answer": p('c', ""), "short": p('O', "\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"), "version 1": mailtest.MilterOptions(1, 0, 0),
		"version 7": mailtest.MilterOptions(7, 0, 0), "rejected recipients": mailtest.MilterOptions(6, 0, 0x800), "large pieces": mailtest.MilterOptions(6, 0, 0x10000000),
		"text": []byte("220 mail.test ESMTP\r\n"), "nothing": make([]byte, 4), "end": mailtest.Hangup,
	} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'O': out}))
		if c, err := Dial(t.Context(), m.Network, m.Address, wait); err == nil || c != nil {
			t.Errorf("%s: %v", name, err)
		} else if !errors.Is(err, ErrGarbage) && name != "end" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The macros that a milter asks for follow; that it has unknown actions is its own affair.
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'O': p('O', "\x00\x00\x00\x06\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01{rcpt_addr} i\x00")}))
	dial(t, m)
}

// TestUnasked: an answer to what was not asked would be taken for that to what comes next.
func TestUnasked(t *testing.T) {
	c := mailtest.MilterPacket('c', "")
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'B': slices.Concat(c, c)}))
	k := dial(t, m)
	if _, err := k.Body([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.End(nil, func(Change) {}); !errors.Is(err, ErrGarbage) {
		t.Errorf("%v", err)
	}
}

// TestPieces: what comes octet by octet is the same; a body is given in pieces that fit.
func TestPieces(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sizes := make(chan int, 10)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		say := func(out []byte) {
			for i := range out {
				conn.Write(out[i : i+1])
				runtime.Gosched()
			}
		}
		buffer := make([]byte, 1<<17)
		for {
			n, err := readPacket(conn, buffer)
			switch {
			case err != nil:
				return
			case buffer[0] == 'O':
				say(mailtest.MilterOptions(6, 0, 0))
				continue
			case buffer[0] == 'E':
				say(slices.Concat(mailtest.MilterPacket('h', "X-A\x00b\x00"), mailtest.MilterPacket('y', "550 5.7.1 no\x00")))
				continue
			}
			sizes <- n
			say(mailtest.MilterPacket('c', ""))
		}
	}()
	c, err := Dial(t.Context(), "tcp", l.Addr().String(), wait)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Body(make([]byte, 2*mostChunk+1)); err != nil {
		t.Fatal(err)
	}
	if a, b, c := <-sizes, <-sizes, <-sizes; a != mostChunk || b != mostChunk || c != 1 {
		t.Errorf("%d, %d, %d", a, b, c)
	}
	var changes []Change
	a, err := c.End(nil, func(w Change) { changes = append(changes, w) })
	if err != nil || a.Text != "no" || fmt.Sprint(changes) != "[{add field 0 X-A b}]" {
		t.Errorf("%+v, %v, %v", a, changes, err)
	}
}

// readPacket reads one, and returns the size of its data.
func readPacket(conn net.Conn, to []byte) (int, error) {
	var head [4]byte
	for n := 0; n < 4; {
		m, err := conn.Read(head[n:])
		if err != nil {
			return 0, err
		}
		n += m
	}
	size := int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	for n := 0; n < size; {
		m, err := conn.Read(to[n:size])
		if err != nil {
			return 0, err
		}
		n += m
	}
	return size - 1, nil
}

// TestChanges: what a milter may wish at the end, and what is no wish.
func TestChanges(t *testing.T) {
	p := mailtest.MilterPacket
	for _, c := range []struct {
		packet []byte
		want   Change // the zero one: it is none
	}{
		{p('h', "X-A\x00b\n\tc\x00"), Change{AddField, 0, "X-A", "b\n\tc"}},
		{p('h', "X-A\x00\x00"), Change{AddField, 0, "X-A", ""}},
		{p('i', "\x00\x00\x00\x01X-A\x00b\x00"), Change{InsertField, 1, "X-A", "b"}},
		{p('m', "\xff\xff\xff\xffX-A\x00b\x00"), Change{ChangeField, 1<<32 - 1, "X-A", "b"}},
		{p('b', strings.Repeat("x", mostAnswer+1)), Change{Kind: ChangeBody}},
		{p('+', "<a@b>\x00"), Change{Kind: AddRecipient, Value: "<a@b>"}},
		{p('2', "<a@b>\x00NOTIFY=NEVER\x00"), Change{Kind: AddRecipient, Value: "<a@b>"}},
		{p('-', "<a@b>\x00"), Change{Kind: DropRecipient, Value: "<a@b>"}},
		{p('e', "<a@b>\x00"), Change{Kind: ChangeSender, Value: "<a@b>"}},
		{p('q', "looks odd\x00"), Change{Kind: QuarantineMail, Value: "looks odd"}},
		{p('h', "X-A\x00"), Change{}}, {p('h', "X-A\x00b\x00c\x00"), Change{}}, {p('h', "X-A\x00b"), Change{}}, {p('h', ""), Change{}},
		{p('i', "\x00\x00\x01"), Change{}}, {p('i', "\x00\x00\x00\x01"), Change{}}, {p('q', "looks odd"), Change{}}, {p('+', ""), Change{}},
		{p('h', strings.Repeat("x", mostAnswer+1)), Change{}},
	} {
		m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'E': slices.Concat(c.packet, p('c', ""))}))
		k := dial(t, m)
		var got []Change
		_, err := k.End(nil, func(w Change) { got = append(got, w) })
		if none := c.want == (Change{}); none != errors.Is(err, ErrGarbage) || !none && (len(got) != 1 || got[0] != c.want) {
			t.Errorf("%.40q: %+v, %v", c.packet, got, err)
		}
	}
}

// TestSlow: a milter may take its time once, or for some answers; not for ever. That it is at work lengthens nothing.
func TestSlow(t *testing.T) {
	progress := slices.Repeat(mailtest.MilterPacket('p', ""), 100)
	for name, answer := range map[string]func(byte) []byte{
		"silent":  func(byte) []byte { return nil },
		"at work": func(byte) []byte { return progress },
		"delays":  func(byte) []byte { time.Sleep(30 * time.Millisecond); return mailtest.MilterPacket('c', "") },
	} {
		m := mailtest.NewMilter(t, func(command byte, _ string) []byte {
			if command == 'O' {
				return mailtest.MilterOptions(6, 0, 0)
			}
			return answer(command)
		})
		c := dial(t, m)
		c.wait, c.left = 200*time.Millisecond, 400*time.Millisecond
		var err error
		n := 0
		for ; n < 100 && err == nil; n++ {
			_, err = c.Body([]byte("x"))
		}
		if !errors.Is(err, ErrSlow) || name != "delays" && n != 1 || name == "delays" && (n < 2 || n > 15) {
			t.Errorf("%s: %v after %d", name, err, n)
		}
	}
}

// TestGone: the end of a session is that of the conversation.
func TestGone(t *testing.T) {
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'B': nil}))
	ctx, gone := context.WithCancel(t.Context())
	c, err := Dial(ctx, m.Network, m.Address, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, gone)
	if _, err := c.Body([]byte("x")); err == nil {
		t.Error("it goes on")
	}
	for m.Open() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// TestReplacedBody: however long it is, nothing of it stays in memory.
func TestReplacedBody(t *testing.T) {
	const size = 32 << 20
	m := mailtest.NewMilter(t, mailtest.MilterSays(0, map[byte][]byte{'E': slices.Concat(mailtest.MilterPacket('b', strings.Repeat("x", size)), mailtest.MilterPacket('c', ""))}))
	c := dial(t, m)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.End(nil, func(Change) {})
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err != nil || got > size/8 {
		t.Errorf("%d octets, %v", got, err)
	}
}

// TestSocket: whoever cannot reach a milter is told why, and whose the socket is.
func TestSocket(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for path, want := range map[string]string{filepath.Join(dir, "none"): "there is no " + filepath.Join(dir, "none"), stale: "nobody listens at " + stale} {
		if _, err := Dial(t.Context(), "unix", path, wait); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if os.Getuid() == 0 {
		return // who may do everything
	}
	closed := filepath.Join(dir, "closed")
	if l, err = net.Listen("unix", closed); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	os.Chmod(closed, 0)
	if _, err := Dial(t.Context(), "unix", closed, wait); err == nil || !strings.Contains(err.Error(), closed+" belongs to user ") || !strings.Contains(err.Error(), "(mode 0000), and this server, which is user ") {
		t.Errorf("%v", err)
	}
	os.Chmod(closed, 0o600)
	os.Chmod(dir, 0)
	defer os.Chmod(dir, 0o700)
	if _, err := Dial(t.Context(), "unix", closed, wait); err == nil || !strings.Contains(err.Error(), "is in a folder that this server, which is user ") {
		t.Errorf("%v", err)
	}
}
