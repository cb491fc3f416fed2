package rfc2822

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"

	"github.com/emersion/go-message"
)

func sampleReport() *Report {
	return &Report{
		To: "ada@example.com", Date: when,
		ReportingMTA: "mx.example.org", OriginalEnvelopeID: "QQ314159", ReceivedFromMTA: "client.example.com", ArrivalDate: when.Add(-time.Hour),
		Recipients: []RecipientStatus{
			{OriginalRecipient: "rfc822;ben@example.net", FinalRecipient: "ben2@example.net", Action: Failed, Status: "5.1.1",
				RemoteMTA: "mx.example.net", DiagnosticCode: "550-5.1.1 No such user\n550 5.1.1 Try another", LastAttempt: when, FinalLogID: "abc"},
			{FinalRecipient: "cy@example.net", Action: Delayed, Status: "4.4.1", WillRetryUntil: when.Add(96 * time.Hour)},
			{FinalRecipient: "dee@example.net", Action: Delivered},
		},
		Original: strings.NewReader(crlf("From: ada@example.com\nSubject: hi\n\nthe body\n")),
	}
}

// readReport reads a report back with go-message: its parts by media type, raw.
func readReport(t *testing.T, text string) (types []string, parts []string) {
	t.Helper()
	e, err := message.Read(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	kind, params, err := e.Header.ContentType()
	if err != nil || kind != "multipart/report" || params["report-type"] == "" {
		t.Fatalf("%s %v %v", kind, params, err)
	}
	mr := e.MultipartReader()
	for {
		p, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			return types, parts
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		kind, _, _ := p.Header.ContentType()
		b, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		types, parts = append(types, kind), append(parts, string(b))
	}
}

func write(t *testing.T, w io.WriterTo) string {
	t.Helper()
	var b bytes.Buffer
	n, err := w.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d of %d octets, %v", n, b.Len(), err)
	}
	return b.String()
}

func TestReport(t *testing.T) {
	text := write(t, sampleReport())
	m, _ := ReadString(text)
	if len(m.Defects) > 0 {
		t.Error(m.Defects)
	}
	for name, want := range map[string]string{
		"From": "Mail Delivery System <postmaster@mx.example.org>", "To": "ada@example.com",
		"Subject": "Undelivered mail returned to sender", "Auto-Submitted": "auto-replied", "MIME-Version": "1.0", "Content-Transfer-Encoding": "",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	types, parts := readReport(t, text)
	if strings.Join(types, " ") != "text/plain message/delivery-status text/rfc822-headers" {
		t.Fatal(types)
	}
	want := crlf(`Reporting-MTA: dns; mx.example.org
Original-Envelope-Id: QQ314159
Received-From-MTA: dns; client.example.com
Arrival-Date: Fri, 20 Nov 2026 08:05:01 +0100

Original-Recipient: rfc822; ben@example.net
Final-Recipient: rfc822; ben2@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550-5.1.1 No such user 550 5.1.1 Try another
Last-Attempt-Date: Fri, 20 Nov 2026 09:05:01 +0100
Final-Log-ID: abc

Final-Recipient: rfc822; cy@example.net
Action: delayed
Status: 4.4.1
Will-Retry-Until: Tue, 24 Nov 2026 09:05:01 +0100

Final-Recipient: rfc822; dee@example.net
Action: delivered
Status: 2.0.0
`)
	if parts[1] != want {
		t.Errorf("%s", parts[1])
	}
	if parts[2] != crlf("From: ada@example.com\nSubject: hi\n") {
		t.Errorf("%q", parts[2])
	}
	for _, say := range []string{"<ben2@example.net>", "(sent to <ben@example.net>)", "host mx.example.net said: 550-5.1.1 No such user\r\n      550 5.1.1 Try", "It will be tried until", "was delivered to"} {
		if !strings.Contains(parts[0], say) {
			t.Errorf("the text does not say %q:\n%s", say, parts[0])
		}
	}
}

// TestReportReturns: what of the original comes back, how labelled, for every
// kind of original and of way back.
func TestReportReturns(t *testing.T) {
	ascii := crlf("From: a@b\nSubject: hi\n\nbody\n")
	eight := crlf("From: a@b\nSubject: hi\n\nGrüße\n")
	head8 := crlf("From: a@b\nSubject: Grüße\n\nbody\n")
	latin := crlf("From: a@b\nSubject: Gr\xfc\xdfe\n\nbody\n")
	binary := "From: a@b\r\n\r\n\x00"
	long := "From: a@b\r\nX: " + strings.Repeat("x", 1200) + "\r\n\r\nb\r\n"
	tests := []struct {
		name                 string
		original             string
		ret                  Return
		stream, seven, utf8  bool
		kind, encoding, want string
	}{
		{name: "headers", original: ascii, kind: "text/rfc822-headers", encoding: "7bit", want: crlf("From: a@b\nSubject: hi\n")},
		{name: "full", original: ascii, ret: ReturnFull, kind: "message/rfc822", encoding: "7bit", want: ascii},
		{name: "full, way is 7-bit", original: ascii, ret: ReturnFull, seven: true, kind: "message/rfc822", encoding: "7bit", want: ascii},
		{name: "full of a stream", original: ascii, ret: ReturnFull, stream: true, kind: "message/rfc822", encoding: "8bit", want: ascii},
		{name: "stream, way is 7-bit", original: ascii, ret: ReturnFull, stream: true, seven: true, kind: "text/rfc822-headers", encoding: "7bit", want: crlf("From: a@b\nSubject: hi\n")},
		{name: "8-bit body", original: eight, ret: ReturnFull, kind: "message/rfc822", encoding: "8bit", want: eight},
		{name: "8-bit body, way is 7-bit", original: eight, ret: ReturnFull, seven: true, kind: "text/rfc822-headers", encoding: "7bit", want: crlf("From: a@b\nSubject: hi\n")},
		{name: "UTF-8 header", original: head8, kind: "text/rfc822-headers", encoding: "quoted-printable", want: crlf("From: a@b\nSubject: Grüße\n")},
		{name: "UTF-8 header on a clean way", original: head8, utf8: true, kind: "message/global-headers", encoding: "8bit", want: crlf("From: a@b\nSubject: Grüße\n")},
		{name: "UTF-8 message on a clean way", original: head8, ret: ReturnFull, utf8: true, kind: "message/global", encoding: "8bit", want: head8},
		{name: "Latin-1 header", original: latin, utf8: true, kind: "text/rfc822-headers", encoding: "quoted-printable", want: crlf("From: a@b\nSubject: Gr\xfc\xdfe\n")},
		{name: "binary", original: binary, ret: ReturnFull, kind: "text/rfc822-headers", encoding: "7bit", want: "From: a@b\r\n"},
		{name: "long line", original: long, ret: ReturnFull, kind: "text/rfc822-headers", encoding: "quoted-printable", want: "From: a@b\r\nX: " + strings.Repeat("x", 1200) + "\r\n"},
		{name: "no header", original: "text only", kind: "text/rfc822-headers", encoding: "7bit", want: ""},
		{name: "nothing", original: ascii, ret: ReturnNothing},
	}
	for _, tt := range tests {
		r := sampleReport()
		r.Return, r.SevenBit, r.UTF8 = tt.ret, tt.seven, tt.utf8
		r.Original = strings.NewReader(tt.original)
		if tt.stream {
			r.Original = stream(tt.original)
		}
		text := write(t, r)
		if tt.kind == "" {
			if types, _ := readReport(t, text); len(types) != 2 {
				t.Errorf("%s: %v", tt.name, types)
			}
			continue
		}
		// The tree walker must agree with go-message; it gives raw octets too.
		m, _ := ReadString(text)
		var got, encoding, kind string
		err := m.Walk(Limits{}, func(path []int, p *Part) error {
			if len(path) == 1 && path[0] == 3 {
				kind, encoding = p.MediaType, p.Header.Get("Content-Transfer-Encoding")
				b, err := io.ReadAll(p.Decoded())
				got = string(b)
				return err
			}
			return nil
		})
		if err != nil || got != tt.want || kind != tt.kind || encoding != tt.encoding {
			t.Errorf("%s: %s %s %q, %v\nwant %s %s %q", tt.name, kind, encoding, got, err, tt.kind, tt.encoding, tt.want)
		}
		if !tt.utf8 && encoding != "8bit" && !isASCII(text) {
			t.Errorf("%s: 8-bit data without the label", tt.name)
		}
		if labelled := m.Header.Get("Content-Transfer-Encoding") == "8bit"; labelled != (encoding == "8bit") {
			t.Errorf("%s: the whole report says 8bit: %v", tt.name, labelled)
		}
	}
}

// TestReportAddresses: RFC 6533.
// TestDiagnosticType: only a reply of SMTP says that it is one.
func TestDiagnosticType(t *testing.T) {
	for code, want := range map[string]string{
		"550 5.1.1 No such user": "smtp", "550": "smtp", "550-No\n550 such user": "smtp",
		"no route to host": "x-local", "55 men": "x-local", "5500 men": "x-local", "the message needs SMTPUTF8": "x-local",
	} {
		r := sampleReport()
		r.Recipients = []RecipientStatus{{FinalRecipient: "a@b.example", DiagnosticCode: code}}
		if text := write(t, r); !strings.Contains(text, "\r\nDiagnostic-Code: "+want+"; ") {
			t.Errorf("%q is not of type %s:\n%s", code, want, text)
		}
	}
}

func TestReportAddresses(t *testing.T) {
	r := sampleReport()
	r.To = "jürgen@bücher.example"
	r.Recipients = []RecipientStatus{{OriginalRecipient: "utf-8;ä+b@x", FinalRecipient: "jürgen@bücher.example", DiagnosticCode: "550 nö", Action: "nonsense", Status: "2.0.0"},
		{OriginalRecipient: "plain@example.com", FinalRecipient: "x\r\nAction: delivered@y"}, {OriginalRecipient: "x400;/C=DE/", FinalRecipient: strings.Repeat("a", 1500) + "@b"}}
	text := write(t, r)
	types, parts := readReport(t, text)
	if types[1] != "message/delivery-status" || !isASCII(parts[1]) {
		t.Errorf("%s %q", types[1], parts[1])
	}
	for _, want := range []string{
		"Original-Recipient: utf-8; \\x{E4}\\x{2B}b@x\r\n", "Final-Recipient: utf-8; j\\x{FC}rgen@b\\x{FC}cher.example\r\n", "Diagnostic-Code: smtp; 550 n?\r\n",
		"Action: failed\r\nStatus: 5.0.0\r\n", "Original-Recipient: rfc822; plain@example.com\r\n", "Final-Recipient: rfc822; x Action: delivered@y\r\n", "Original-Recipient: x400; /C=DE/\r\n",
	} {
		if !strings.Contains(parts[1], want) {
			t.Errorf("no %q in\n%s", want, parts[1])
		}
	}
	m, _ := ReadString(text)
	if to := m.Header.Get("To"); !isASCII(to) || !strings.HasSuffix(to, " :;") || DecodeWords(to) != "jürgen@bücher.example :;" {
		t.Errorf("To: %q", to)
	}
	r.UTF8 = true
	r.Original = nil
	text = write(t, r)
	if types, parts = readReport(t, text); types[1] != "message/global-delivery-status" || !strings.Contains(parts[1], "Final-Recipient: utf-8; jürgen@bücher.example\r\n") {
		t.Errorf("%s %s", types[1], parts[1])
	}
	if m, _ = ReadString(text); m.Header.Get("To") != r.To || m.Header.Get("Content-Transfer-Encoding") != "8bit" {
		t.Error(fieldsOf(m))
	}
}

func TestReportInjection(t *testing.T) {
	r := &Report{From: "a\r\nBcc: x@y", To: "b\nX: 1", Subject: "s\r\n\r\nbody", MessageID: "<1@x>\r\nX-Evil: 1", ReportingMTA: "mx\r\nX: 1", OriginalEnvelopeID: "e\r\nAction: delivered", Text: "nö\n" + strings.Repeat("long ", 300)}
	m, _ := ReadString(write(t, r))
	if m.Header.Has("Bcc") || m.Header.Has("X") || m.Header.Has("X-Evil") || len(m.Defects) > 0 {
		t.Errorf("%s\n%v", fieldsOf(m), m.Defects)
	}
	_, parts := readReport(t, octets(m))
	if len(parts) != 2 || strings.Contains(parts[1], "\r\nAction") || parts[0] != crlf(r.Text)+"\r\n" {
		t.Errorf("%q", parts)
	}
	r.Subject = strings.Repeat("x", 3000)
	if m, _ := ReadString(write(t, r)); len(m.Defects) > 0 || m.Header.Get("Subject") == "" {
		t.Errorf("%v", m.Defects)
	}
}

func TestReportErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	r := sampleReport()
	r.Original = iotest.ErrReader(broken)
	if _, err := r.WriteTo(io.Discard); !errors.Is(err, broken) {
		t.Error(err)
	}
	r.Original, r.Return = io.MultiReader(strings.NewReader("A: 1\r\n\r\nx"), iotest.ErrReader(broken)), ReturnFull
	if _, err := r.WriteTo(io.Discard); !errors.Is(err, broken) {
		t.Error(err)
	}
	r.Original = &brokenSeeker{strings.NewReader("A: 1\r\n\r\nx"), 0}
	if _, err := r.WriteTo(io.Discard); err == nil {
		t.Error("an original that cannot be rewound")
	}
	if n, err := sampleReport().WriteTo(&failWriter{10}); err == nil || n != 0 {
		t.Error("the writer's error is lost", n, err)
	}
	r = sampleReport()
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = pw.WriteString("A: 1\r\n\r\nx")
	pw.Close()
	defer pr.Close()
	r.Original, r.Return = pr, ReturnFull
	if types, parts := readReport(t, write(t, r)); types[2] != "message/rfc822" || parts[2] != "A: 1\r\n\r\nx" {
		t.Error(types, parts)
	}
}

type brokenSeeker struct {
	*strings.Reader
	seeks int
}

func (b *brokenSeeker) Seek(off int64, whence int) (int64, error) {
	if b.seeks++; b.seeks > 1 {
		return 0, errors.New("no")
	}
	return b.Reader.Seek(off, whence)
}

// TestReportMemory: a big original is streamed.
func TestReportMemory(t *testing.T) {
	const size = 20 << 20
	r := sampleReport()
	r.Return = ReturnFull
	got := allocated(func() {
		r.Original = io.MultiReader(strings.NewReader("A: 1\r\n\r\n"), io.LimitReader(&endless{}, size))
		if n, err := r.WriteTo(onlyWriter{}); err != nil || n < size {
			t.Fatal(n, err)
		}
	})
	if got > 512<<10 {
		t.Errorf("%d octets allocated", got)
	}
}

func TestDisposition(t *testing.T) {
	d := &Disposition{From: "Ben <ben@example.org>", To: "ada@example.com", Date: when, ReportingUA: "pc.example.org; Mailer 1.0",
		OriginalRecipient: "rfc822;b@example.org", FinalRecipient: "ben@example.org", OriginalMessageID: "<1@example.com>",
		Type: "Displayed", Modifiers: []string{"error", "x"}, Errors: []string{"one"}, Original: strings.NewReader("A: 1\r\n\r\nb")}
	types, parts := readReport(t, write(t, d))
	if strings.Join(types, " ") != "text/plain message/disposition-notification text/rfc822-headers" {
		t.Error(types)
	}
	want := crlf("Reporting-UA: pc.example.org; Mailer 1.0\nOriginal-Recipient: rfc822; b@example.org\nFinal-Recipient: rfc822; ben@example.org\nOriginal-Message-ID: <1@example.com>\nDisposition: manual-action/MDN-sent-manually; displayed/error,x\nError: one\n")
	if parts[1] != want || !strings.Contains(parts[0], "was displayed") {
		t.Errorf("%q\n%s", parts[1], parts[0])
	}
	d = &Disposition{To: "a@b", FinalRecipient: "c@d", Automatic: true, Type: "eaten", Subject: "S", Text: "T"}
	text := write(t, d)
	if !strings.Contains(text, "Disposition: automatic-action/MDN-sent-automatically; processed\r\n") || !strings.Contains(text, "Subject: S\r\n") || !strings.Contains(text, "\r\n\r\nT\r\n") {
		t.Error(text)
	}
	d.Text = ""
	if text := write(t, d); !strings.Contains(text, "without a person") {
		t.Error(text)
	}
}

// TestReportInPython: Python's email package reads the report, and finds no defect.
func TestReportInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	const script = `
import sys, email, email.policy
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
print(m.get_content_type(), m['subject'], m['to'])
for p in m.walk():
    if p.defects: print('DEFECT', p.get_content_type(), p.defects)
report, status, original = m.get_payload()
print(status.get_content_type(), [dict(s.items()).get('Action') for s in status.get_payload()])
print([dict(s.items()).get('Final-Recipient') for s in status.get_payload()])
print(original.get_content_type(), original.get_payload(0)['subject'] if original.is_multipart() else original.get_content().split()[0:2])
`
	for _, ret := range []Return{ReturnFull, ReturnHeaders} {
		r := sampleReport()
		r.Return = ret
		cmd := exec.Command(python, "-c", script)
		cmd.Stdin = strings.NewReader(write(t, r))
		out, err := cmd.CombinedOutput()
		last := "message/rfc822 hi"
		if ret == ReturnHeaders {
			last = "text/rfc822-headers ['From:', 'ada@example.com']"
		}
		want := fmt.Sprintf("multipart/report Undelivered mail returned to sender ada@example.com\nmessage/delivery-status [None, 'failed', 'delayed', 'delivered']\n"+
			"[None, 'rfc822; ben2@example.net', 'rfc822; cy@example.net', 'rfc822; dee@example.net']\n%s\n", last)
		if err != nil || string(out) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, out, want)
		}
	}
}

// TestReportQuotes: what another host answered, and an address that it was told, cannot
// turn around or hide what a report says.
func TestReportQuotes(t *testing.T) {
	const odd = "a\u202eb\u2066c\u200bd\u2028e\u0085f\u061cg\x1bh"
	report := &Report{From: "d@mx.example", To: "ann@home.example", ReportingMTA: "mx.example", UTF8: true, Recipients: []RecipientStatus{{
		FinalRecipient: "ben" + odd + "@far.example", OriginalRecipient: "rfc822;" + odd + "@far.example", Action: Failed,
		RemoteMTA: odd, DiagnosticCode: "550 no " + odd + "\nreally " + odd,
	}}}
	text := report.text()
	if n := strings.Count(text, `a\u202eb\u2066c\u200bd\u2028e\u0085f\u061cg h`); n != 5 {
		t.Errorf("%d escaped of 5:\n%s", n, text)
	}
	disposition := (&Disposition{FinalRecipient: odd}).text()
	for _, c := range text + disposition {
		if c != '\n' && (unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%U stands in %q", c, text+disposition)
		}
	}
	if !strings.Contains((&Report{Recipients: []RecipientStatus{{FinalRecipient: "x", Action: Failed, DiagnosticCode: "550 größer 日本"}}}).text(), "550 größer 日本") {
		t.Error("other letters are escaped, too")
	}
}
