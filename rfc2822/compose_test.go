package rfc2822

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-message/mail"
)

func sampleDraft() *Draft {
	return &Draft{
		From: []Address{{Name: "Jürgen Müller", Local: "j", Domain: "bücher.example"}},
		To:   []Address{{Name: "Ben, B.", Local: "ben", Domain: "example.org"}, {Local: "cy", Domain: "example.org"}},
		Bcc:  []Address{{Local: "secret", Domain: "example.org"}}, Subject: "Grüße aus " + strings.Repeat("Köln und ", 10) + "Bonn", Date: when,
		InReplyTo: []string{"1@x"}, References: []string{"0@x", "<1@x>"}, Fields: []Field{parseField("X-Kind: " + EncodeWords("ünusual") + "\r\n")},
		Text: "Grüße,\nJ.\n", HTML: `<p>Grüße <img src="cid:i@x"></p>`,
		Inline:      []File{{Name: "i.png", MediaType: "image/png", ContentID: "i@x", Data: bytes.NewReader(make([]byte, 1000))}},
		Attachments: []File{{Name: "../€ rates.pdf", MediaType: "application/pdf", Data: strings.NewReader("pdf")}, {Name: "a \"b\".txt", MediaType: ""}, {MediaType: "message/rfc822", Data: strings.NewReader("A: 1\r\n\r\nü")}},
	}
}

func TestDraft(t *testing.T) {
	text := write(t, sampleDraft())
	m, _ := ReadString(text)
	if len(m.Defects) != 0 || !isASCII(fieldsOf(m)) || strings.Contains(text, "secret") {
		t.Errorf("%v\n%s", m.Defects, fieldsOf(m))
	}
	for line := range strings.SplitSeq(fieldsOf(m), "\r\n") {
		if len(line) > softLine {
			t.Errorf("line of %d octets: %s", len(line), line)
		}
	}
	d := sampleDraft()
	if got := m.Header.Text("Subject"); got != d.Subject {
		t.Error(got)
	}
	for name, want := range map[string]string{
		"From": "=?utf-8?b?SsO8cmdlbiBNw7xsbGVy?= <j@xn--bcher-kva.example>", "To": `"Ben, B." <ben@example.org>, cy@example.org`,
		"In-Reply-To": "<1@x>", "References": "<0@x> <1@x>", "X-Kind": "=?utf-8?q?=C3=BCnusual?=", "Date": "Fri, 20 Nov 2026 09:05:01 +0100",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if !strings.HasSuffix(m.MessageID(), "@xn--bcher-kva.example") || len(d.Recipients()) != 3 {
		t.Error(m.MessageID(), d.Recipients())
	}
	c, err := m.Content(Limits{}, 0)
	if err != nil || c.Text != crlf(d.Text) || c.HTML != d.HTML || len(c.Attachments) != 4 {
		t.Fatalf("%+v, %v\n%s", c, err, text)
	}
	if a := c.Attachments[0]; a.Name != "i.png" || !a.Inline || a.ContentID != "i@x" || a.Size != 1000 {
		t.Errorf("%+v", a)
	}
	if a := c.Attachments[1]; a.Name != "€ rates.pdf" || a.Inline || a.MediaType != "application/pdf" || a.Size != 3 {
		t.Errorf("%+v", a)
	}
	if a := c.Attachments[2]; a.Name != "a _b_.txt" || a.MediaType != "application/octet-stream" || a.Size != 0 {
		t.Errorf("%+v", a)
	}
	var b strings.Builder
	if n, err := m.WritePart(&b, Limits{}, c.Attachments[1].Path); n != 3 || b.String() != "pdf" || err != nil {
		t.Error(n, b.String(), err)
	}
	if _, err := m.WritePart(&b, Limits{}, []int{9}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := m.WritePart(&failWriter{}, Limits{}, c.Attachments[1].Path); err == nil {
		t.Error("the writer's error is lost")
	}
	// go-message reads it too.
	r, err := mail.CreateReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Header.Subject(); s != d.Subject || err != nil {
		t.Error(s, err)
	}
	parts := 0
	for {
		if _, err := r.NextPart(); err != nil {
			break
		}
		parts++
	}
	if parts != 6 {
		t.Errorf("%d parts in go-message", parts)
	}
}

func TestDraftForms(t *testing.T) {
	from := []Address{{Local: "a", Domain: "[192.0.2.1]"}}
	tests := []struct {
		d    Draft
		want string
	}{
		{Draft{From: from, Text: "plain\n"}, "Content-Type: text/plain; charset=us-ascii\r\n\r\nplain\r\n"},
		{Draft{From: from, HTML: "<p>"}, "Content-Type: text/html; charset=us-ascii\r\n\r\n<p>"},
		{Draft{From: from, Text: "Grüße\n"}, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"},
		{Draft{From: from, Text: "日本語"}, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n5pel5pys6Kqe\r\n"},
		{Draft{From: from, Text: strings.Repeat("x", 1000)}, "quoted-printable\r\n\r\n" + strings.Repeat("x", 75) + "=\r\n"},
		{Draft{From: from, Text: "t", Inline: []File{{Name: "i"}}}, "Content-Type: multipart/mixed;"},
		{Draft{From: from, Sender: &Address{Local: "s", Domain: "x"}}, "Sender: s@x\r\n"},
		{Draft{From: from, ReplyTo: from, MessageID: "<own@id>"}, "Message-ID: <own@id>\r\n"},
		{Draft{From: []Address{{Local: "ü", Domain: "bad\u200d\u200d"}}}, "@localhost>\r\n"},
	}
	for _, tt := range tests {
		if text := write(t, &tt.d); !strings.Contains(text, tt.want) {
			t.Errorf("no %q in\n%s", tt.want, text)
		}
	}
	if _, err := (&Draft{}).WriteTo(io.Discard); !errors.Is(err, ErrNoSender) {
		t.Error(err)
	}
	if _, err := (&Draft{From: from, Fields: []Field{{}}}).WriteTo(io.Discard); !errors.Is(err, ErrBadName) {
		t.Error(err)
	}
	broken := errors.New("gone")
	for _, kind := range []string{"", "message/rfc822"} {
		d := &Draft{From: from, Attachments: []File{{MediaType: kind, Data: iotest.ErrReader(broken)}}}
		if _, err := d.WriteTo(io.Discard); !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	d := &Draft{From: from, Attachments: []File{{Data: io.LimitReader(&endless{}, 100000)}}}
	if _, err := d.WriteTo(&failWriter{5000}); err == nil {
		t.Error("the writer's error is lost")
	}
}

func TestResend(t *testing.T) {
	m, _ := ReadString(threeFields)
	err := m.Resend(Resent{From: []Address{{Local: "r", Domain: "x"}}, To: []Address{{Name: "B", Local: "b", Domain: "y"}}, Date: when, MessageID: "<id@x>"})
	want := crlf("Resent-Date: Fri, 20 Nov 2026 09:05:01 +0100\nResent-From: r@x\nResent-To: B <b@y>\nResent-Message-ID: <id@x>\n") + threeFields
	if err != nil || octets(m) != want {
		t.Errorf("%q, %v", octets(m), err)
	}
	m, _ = ReadString(threeFields)
	two := []Address{{Local: "r", Domain: "bücher.example"}, {Local: "s", Domain: "x"}}
	if err := m.Resend(Resent{From: two, Sender: &two[1]}); err != nil || m.Header.Get("Resent-Sender") != "s@x" ||
		!strings.HasSuffix(m.Header.Get("Resent-Message-ID"), "@xn--bcher-kva.example>") {
		t.Errorf("%q, %v", fieldsOf(m), err)
	}
	for _, from := range [][]Address{nil, {}, {{}}, {{Name: "R"}}, {{}, {Local: "r", Domain: "x"}}} {
		before := octets(m)
		if err := m.Resend(Resent{From: from}); !errors.Is(err, ErrNoSender) || octets(m) != before {
			t.Errorf("%+v: %v", from, err)
		}
	}
	if err := m.Resend(Resent{From: []Address{{Local: "r", Domain: "x"}}}); err != nil || !m.Header.Has("Resent-Date") {
		t.Error(err)
	}
	if err := m.Resend(Resent{From: []Address{{Local: "r", Domain: "x\ny"}}}); !errors.Is(err, ErrBadValue) {
		t.Error(err)
	}
}

func TestContent(t *testing.T) {
	tests := []struct{ name, text, html, files string }{
		{"mixed-related.eml", "plain text", `<p>html <img src="cid:img@x"></p>`, "dot.png € rates.pdf passwd"},
		{"alternative.eml", "Grüße, € 100 soft", "<p>Grüße, € 100</p>", ""},
		{"forwarded.eml", "See below.", "", "unnamed"},
		{"flowed.eml", "This paragraph flows over three lines.\n> quoted flows too\n>> deeper\nFrom space-stuffed\n-- \nAda\n", "", ""},
		{"8bit-utf8.eml", "Grüße aus Köln, 100 €, 日本語, 🙂\r\n", "", ""},
	}
	for _, tt := range tests {
		m, _ := ReadString(sample(t, tt.name))
		c, err := m.Content(Limits{}, 0)
		if err != nil || c.Text != tt.text || c.HTML != tt.html {
			t.Errorf("%s: %q %q, %v", tt.name, c.Text, c.HTML, err)
		}
		var files []string
		for _, a := range c.Attachments {
			files = append(files, a.Name)
		}
		if got := strings.Join(files, " "); got != tt.files {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	two := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
	m, _ := ReadString(two)
	if c, _ := m.Content(Limits{}, 0); c.Text != "one\n\ntwo" {
		t.Errorf("%q", c.Text)
	}
	if c, _ := m.Content(Limits{}, 4); c.Text != "one" || !c.Truncated {
		t.Errorf("%q %v", c.Text, c.Truncated)
	}
	if c, _ := m.Content(Limits{}, 2); c.Text != "on" || !c.Truncated {
		t.Errorf("%q %v", c.Text, c.Truncated)
	}
	for in, want := range map[string]string{ // a letter is a part: p(lain), h(tml), a(ttachment), brackets a multipart
		"p(first) [alternative p(second) h(x)]":               "first\n\nsecond",
		"[alternative p(a) h(x)] p(footer)":                   "a\n\nfooter",
		"[alternative p(a) [mixed p(b) a(f) p(c)]]":           "b\n\nc",
		"[alternative p(a) p(b)] [alternative p(c) p()] p(d)": "b\n\nc\n\nd",
	} {
		m, _ := ReadString(sketch(in))
		if c, err := m.Content(Limits{}, 0); err != nil || c.Text != want {
			t.Errorf("%s: %q, %v, want %q", in, c.Text, err, want)
		}
	}
	many, _ := ReadString("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 200000))
	if _, err := many.Content(Limits{Parts: 1 << 20}, 1<<30); err != nil { // a quadratic one would take minutes
		t.Error(err)
	}
	broken := errors.New("gone")
	m, _ = Read(io.MultiReader(strings.NewReader("A: 1\r\n\r\nx"), iotest.ErrReader(broken)))
	if _, err := m.Content(Limits{}, 0); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// sketch writes a multipart/mixed from a drawing of its parts.
func sketch(s string) string {
	var b strings.Builder
	depth := 0
	part := func(kind string) { b.WriteString("--b" + strconv.Itoa(depth) + "\r\nContent-Type: " + kind) }
	b.WriteString("Content-Type: multipart/mixed; boundary=b0\r\n\r\n")
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		switch {
		case s[0] == '[':
			kind, rest, _ := strings.Cut(s[1:], " ")
			part("multipart/" + kind)
			depth++
			b.WriteString("; boundary=b" + strconv.Itoa(depth) + "\r\n\r\n")
			s = rest
		case s[0] == ']':
			b.WriteString("--b" + strconv.Itoa(depth) + "--\r\n")
			depth--
			s = s[1:]
		default:
			text, rest, _ := strings.Cut(s[2:], ")")
			part(map[byte]string{'p': "text/plain", 'h': "text/html", 'a': "image/png"}[s[0]] + "\r\n\r\n" + text + "\r\n")
			s = rest
		}
	}
	return b.String() + "--b0--\r\n"
}

func TestUnflow(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a\n": "a\n", "a \nb": "a b", "a \r\nb\r\n": "a b\n", "> a \n> b\n": "> a b\n", "> a \nb\n": "> a \nb\n", " >not quoted\n": ">not quoted\n", "a \n-- \nsig": "a \n-- \nsig", ">\n": ">\n", "open ": "open ", "open \n": "open \n",
	} {
		if got := unflow(in, false); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := unflow("日本 \n語\n", true); got != "日本語\n" {
		t.Errorf("%q", got)
	}
}

func TestSafeName(t *testing.T) {
	for in, want := range map[string]string{
		"a.txt": "a.txt", "../../etc/passwd": "passwd", `C:\Users\x\a.doc`: "a.doc", "/": "unnamed", "": "unnamed", "..": "unnamed", ".bashrc": "bashrc", "a\x00b\r\n.txt": "a b  .txt",
		"x\u202etxt.exe": "xtxt.exe", "CON.txt": "_CON.txt", "lpt1": "_lpt1", "lptx": "lptx", "nul .txt": "_nul .txt", "a:b*c?.txt": "a_b_c_.txt", "name. ": "name", "-rf": "rf", "über.txt": "über.txt", "\xfcber": "über", "|": "unnamed",
		strings.Repeat("é", 200) + ".txt": strings.Repeat("é", 98) + ".txt", strings.Repeat("a", 300): strings.Repeat("a", 200), "a." + strings.Repeat("b", 300): "a." + strings.Repeat("b", 198),
	} {
		if got := safeName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// oneShot is a reader that cannot go back, of a type that can be compared or not.
type oneShot struct{ io.Reader }

type oneShotValue struct {
	io.Reader
	_ []int
}

// broken is a Seeker that cannot seek, as a pipe is.
type broken struct{ io.Reader }

func (broken) Seek(int64, int) (int64, error) { return 0, errors.New("is a pipe") }

// TestWrittenAgain: a message that is written a second time is the same message,
// with everything in it, or an error and nothing.
func TestWrittenAgain(t *testing.T) {
	data := strings.Repeat("x", 3000)
	original := "From: a@b\r\nSubject: x\r\n\r\n" + data + "\r\n"
	stood := strings.NewReader("skipped" + data)
	_, _ = stood.Seek(7, io.SeekStart)
	for name, tt := range map[string]struct {
		data  func(string) io.Reader
		again bool
	}{
		"strings.Reader": {func(s string) io.Reader { return strings.NewReader(s) }, true},
		"in its middle": {func(s string) io.Reader {
			r := strings.NewReader("skipped" + s)
			_, _ = r.Seek(7, io.SeekStart)
			return r
		}, true},
		"a stream":                 {func(s string) io.Reader { return &oneShot{strings.NewReader(s)} }, false},
		"a value":                  {func(s string) io.Reader { return oneShotValue{Reader: strings.NewReader(s)} }, false},
		"a pipe":                   {func(s string) io.Reader { return &broken{strings.NewReader(s)} }, false},
		"a buffer":                 {func(s string) io.Reader { return bytes.NewBufferString(s) }, false},
		"a section":                {func(s string) io.Reader { return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s))) }, true},
		"nothing that can be left": {func(s string) io.Reader { return io.LimitReader(strings.NewReader(s), 1<<20) }, false},
	} {
		from := []Address{{Local: "a", Domain: "b.c"}}
		drafts := map[string]io.WriterTo{
			"attachment":  &Draft{From: from, Text: "see attached", Attachments: []File{{Name: "bill.pdf", Data: tt.data(data)}}},
			"inline":      &Draft{From: from, HTML: "<p>", Inline: []File{{ContentID: "i@x", Data: tt.data(data)}, {Name: "empty"}}},
			"message":     &Draft{From: from, Attachments: []File{{MediaType: "message/rfc822", Data: tt.data(original)}}},
			"report":      &Report{ReportingMTA: "mx", To: "a@b", Original: tt.data(original), Return: ReturnFull},
			"headers":     &Report{ReportingMTA: "mx", To: "a@b", Original: tt.data(original)},
			"disposition": &Disposition{From: "a@b", To: "c@d", Original: tt.data(original), Return: ReturnFull},
		}
		for kind, d := range drafts {
			first := plainBoundaries(write(t, d))
			var b strings.Builder
			n, err := d.WriteTo(&b)
			switch second := plainBoundaries(b.String()); {
			case tt.again && (err != nil || second != first):
				t.Errorf("%s, %s: %v, %d octets and then %d", name, kind, err, len(first), len(second))
			case !tt.again && (!errors.Is(err, ErrBodyRead) || n != 0 || second != ""):
				t.Errorf("%s, %s: %v, %d octets", name, kind, err, len(second))
			}
		}
	}
	// A writer that fails in the middle is followed by another.
	d := &Draft{From: []Address{{Local: "a", Domain: "b"}}, Attachments: []File{{Data: stood}}}
	if _, err := d.WriteTo(&failWriter{2000}); err == nil {
		t.Fatal("the writer's error is lost")
	}
	if got := write(t, d); len(got) < 4000 || d.MessageID == "" || !strings.Contains(got, d.MessageID) || d.Date.IsZero() {
		t.Errorf("%d octets, %q, %v", len(got), d.MessageID, d.Date)
	}
	// A new reader takes the place of one that was read.
	d = &Draft{From: d.From, Attachments: []File{{Data: &oneShot{strings.NewReader(data)}}}}
	first := plainBoundaries(write(t, d))
	d.Attachments[0].Data = &oneShot{strings.NewReader(data)}
	if plainBoundaries(write(t, d)) != first {
		t.Error("a new reader is not read")
	}
	// Two files of one reader.
	one := strings.NewReader(data)
	m, _ := ReadString(write(t, &Draft{From: d.From, Attachments: []File{{Data: one}, {Data: one}}}))
	if c, err := m.Content(Limits{}, 0); err != nil || len(c.Attachments) != 2 || c.Attachments[1].Size != 3000 {
		t.Errorf("%+v, %v", c, err)
	}
}

// plainBoundaries takes the random octets out of a message.
func plainBoundaries(s string) string {
	for {
		i := strings.Index(s, "=_")
		if i < 0 || len(s) < i+34 {
			return s
		}
		s = s[:i] + "boundary" + s[i+34:]
	}
}

// TestDraftRefuses: what cannot be written as it is meant is an error, and nothing is written.
func TestDraftRefuses(t *testing.T) {
	from, empty := []Address{{Local: "a", Domain: "b"}}, []Address{{}}
	field := func(name string) []Field { return []Field{parseField("X: 1\r\n"), parseField(name + ": x\r\n")} }
	file := func(kind, id string) []File {
		return []File{{MediaType: "text/plain"}, {MediaType: kind, ContentID: id}}
	}
	tests := map[string]struct {
		d    Draft
		want error
	}{
		"no From":            {Draft{}, ErrNoSender},
		"empty From":         {Draft{From: empty}, ErrNoSender},
		"name only":          {Draft{From: []Address{{Name: "Ada"}}}, ErrNoSender},
		"second From":        {Draft{From: append(from, empty...)}, ErrBadValue},
		"From no domain":     {Draft{From: []Address{{Local: "a"}}}, ErrBadValue},
		"From no local part": {Draft{From: []Address{{Domain: "a"}}}, ErrBadValue},
		"Sender":             {Draft{From: from, Sender: &Address{}}, ErrBadValue},
		"To":                 {Draft{From: from, To: empty}, ErrBadValue},
		"Cc":                 {Draft{From: from, Cc: empty}, ErrBadValue},
		"Reply-To":           {Draft{From: from, ReplyTo: empty}, ErrBadValue},
		"domain":             {Draft{From: from, To: []Address{{Local: "a", Domain: "b\nc"}}}, ErrBadValue},
		"In-Reply-To":        {Draft{From: from, InReplyTo: []string{"a@b", "bad >id"}}, ErrBadValue},
		"empty id":           {Draft{From: from, InReplyTo: []string{""}}, ErrBadValue},
		"References":         {Draft{From: from, References: []string{"a b"}}, ErrBadValue},
		"Message-ID":         {Draft{From: from, MessageID: "<a\r\nX: 1>"}, ErrBadValue},
		"long Message-ID":    {Draft{From: from, MessageID: "<" + strings.Repeat("a", 601) + ">"}, ErrBadValue},
		"no field":           {Draft{From: from, Fields: []Field{{}}}, ErrBadName},
		"junk line":          {Draft{From: from, Fields: []Field{parseField("junk\r\n")}}, ErrBadName},
		"media type":         {Draft{From: from, Attachments: file("nonsense", "")}, ErrBadValue},
		"multipart":          {Draft{From: from, Attachments: file("multipart/mixed; boundary=x", "")}, ErrBadValue},
		"odd media type":     {Draft{From: from, Inline: file("a b/c", "")}, ErrBadValue},
		"injected":           {Draft{From: from, Inline: file("text/plain; a=b\r\nX: 1", "")}, ErrBadValue},
		"injected boundary":  {Draft{From: from, Inline: file("text/plain; boundary=\"b\rX: 1\"", "")}, ErrBadValue},
		"odd parameter":      {Draft{From: from, Inline: file("text/plain; ü=b", "")}, ErrBadValue},
		"long parameter":     {Draft{From: from, Inline: file("text/plain; a="+strings.Repeat("b", 1000), "")}, ErrBadValue},
		"Content-ID":         {Draft{From: from, Inline: file("text/plain", "a b")}, ErrBadValue},
	}
	for _, name := range []string{"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "SUBJECT", "Message-Id", "In-Reply-To", "References", "MIME-Version", "Content-Type", "content-transfer-encoding", "Content-X"} {
		tests[name+" among Fields"] = struct {
			d    Draft
			want error
		}{Draft{From: from, Fields: field(name)}, ErrBadName}
	}
	for name, tt := range tests {
		tt.d.HTML = "<p>"
		if n, err := tt.d.WriteTo(io.Discard); !errors.Is(err, tt.want) || n != 0 {
			t.Errorf("%s: %d octets, %v", name, n, err)
		}
	}
	m, _ := ReadString(threeFields)
	for _, r := range []Resent{{From: empty}, {From: from, To: empty}, {From: from, MessageID: "a b"}, {From: from, Sender: &Address{}}} {
		if err := m.Resend(r); err == nil || octets(m) != threeFields {
			t.Errorf("%+v: %v, %q", r, err, octets(m))
		}
	}
}

// TestDraftInvitation: the parameters of a file's media type are kept.
func TestDraftInvitation(t *testing.T) {
	from := []Address{{Local: "a", Domain: "b"}}
	for kind, want := range map[string]string{
		"text/calendar; method=REQUEST":                    "Content-Type: text/calendar;\r\n\tmethod=REQUEST\r\n",
		"Text/Calendar; METHOD=REQUEST; charset=\"utf-8\"": "Content-Type: text/calendar;\r\n\tcharset=utf-8;\r\n\tmethod=REQUEST\r\n",
		`a/b; x="two words"; y="q\"q"; z=""`:               "Content-Type: a/b;\r\n\tx=\"two words\";\r\n\ty=\"q\\\"q\";\r\n\tz=\"\"\r\n",
		"a/b; name*=utf-8''%C3%BC":                         "Content-Type: a/b;\r\n\tname*=utf-8''%C3%BC\r\n",
		"":                                                 "Content-Type: application/octet-stream\r\n",
		"message/rfc822; x=y":                              "Content-Type: message/rfc822;\r\n\tx=y\r\n",
	} {
		text := write(t, &Draft{From: from, Attachments: []File{{Name: "i.ics", MediaType: kind, Data: strings.NewReader("x")}}})
		if !strings.Contains(text, want) {
			t.Errorf("%s: no %q in\n%s", kind, want, text)
		}
		_, params, _ := ParseMediaType(kind)
		m, _ := ReadString(text)
		_ = m.Walk(Limits{}, func(_ []int, p *Part) error {
			for k, v := range params {
				if p.Index == 2 && p.Params[k] != v {
					t.Errorf("%s: %s=%q reads back as %q", kind, k, v, p.Params[k])
				}
			}
			return nil
		})
	}
}
