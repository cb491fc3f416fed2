package rfc2822

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

// FuzzRead: what is read is what is written, whole or octet by octet, and a
// field added on top changes nothing below it.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"", "A: 1\r\n\r\nbody", "From x\nA: 1\n b\n\n", "no header", " fold\r\nA: 1", "A: 1\r\njunk\r\nB : 2\r\nbody\r\nbody", "A:\x00\r\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(data)
		m, err := ReadString(text)
		if err != nil || octets(m) != text {
			t.Fatalf("not identical: %v", err)
		}
		s, _ := Read(iotest.OneByteReader(bytes.NewReader(data)))
		if kinds(s.Defects) != kinds(m.Defects) || s.Header.Len() != m.Header.Len() || s.Header.String() != m.Header.String() {
			t.Fatal("octet by octet it is another message")
		}
		for field := range m.Header.All() {
			if v := field.Value(); strings.Contains(v, "\n") {
				t.Fatalf("a value with a line end: %q", v)
			}
			if v := field.Text(); !utf8.ValidString(v) || strings.ContainsAny(v, "\r\n\x00") {
				t.Fatalf("a text with control characters: %q", v)
			}
		}
		small, _ := ReadLimited(bytes.NewReader(data), Limits{HeaderBytes: 10})
		if octets(small) != text || small.Header.Size() > 12 {
			t.Fatal("the limit loses octets or does not hold")
		}
		above, _ := ReadString("Trace: ours\r\n" + m.Header.Seam() + text)
		if f, ok := above.Header.First("Trace"); !ok || f.Raw() != "Trace: ours\r\n" {
			t.Fatalf("%q became part of the trace above it: %q", text, f.Raw())
		}
		if err := m.Header.Add("X-Added", "1"); err != nil {
			t.Fatal(err)
		}
		if got := octets(m); !strings.HasPrefix(got, "X-Added: 1") || !strings.HasSuffix(got, text) {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

// FuzzAddress: what is read strictly is written so that it reads the same;
// tolerant reading finds no less.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b", `"x y" <a@b>, c@d`, "G: a@b (c), <@x:d@e>;", "broken, a@b", `"\"@b`, "=?utf-8?q?=2C?= <a@[::1]>", "a . b @ c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		loose, bad := ReadAddressList(s)
		if len(loose) > len(s) || len(bad) > 2*len(s) {
			t.Fatalf("%d addresses and %d errors in %d octets", len(loose), len(bad), len(s))
		}
		for _, a := range loose {
			if again, err := ParseAddress(a.String()); a.Domain != "" && (err != nil || again.Addr() != a.Addr()) {
				t.Fatalf("%q gives %+v, written as %q: %v", s, a, a.String(), err)
			}
			if strings.ContainsAny(a.Addr(), "\r\n\x00") || !utf8.ValidString(a.Addr()) || strings.ContainsAny(a.String(), "\r\n\x00") {
				t.Fatalf("%q gives %q", s, a.String())
			}
		}
		list, err := ParseAddressList(s)
		if err != nil {
			var e *AddressError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(s) {
				t.Fatal(err)
			}
			return
		}
		out := FormatAddressList(list)
		again, err := ParseAddressList(out)
		if len(list) > 0 && (err != nil || len(again) != len(list)) {
			t.Fatalf("%q is written as %q: %v", s, out, err)
		}
		for i := range again {
			if again[i].Local != list[i].Local || again[i].Domain != list[i].Domain {
				t.Fatalf("%q is written as %q", s, out)
			}
		}
		if len(loose) < len(list) {
			t.Fatalf("%q: strictly %d addresses, tolerantly %d", s, len(list), len(loose))
		}
	})
}

// FuzzDate: a date that is read is written so that it reads the same.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"Fri, 20 Nov 2026 09:05:01 +0100 (x)", "21 Nov 97 09:55 EST", "2026-11-20T09:05:01Z", "Nov 21st 1997 9:55 pm", "21-Nov-97 1:2:60"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDate(s)
		if err != nil {
			return
		}
		again, err := ParseDate(FormatDate(d))
		if d.Year() > 999 && d.Year() < 10000 && (err != nil || !again.Equal(d.Truncate(time.Second))) {
			t.Fatalf("%q: %v is written as %q, %v", s, d, FormatDate(d), err)
		}
	})
}

// FuzzWalk: the walk ends, keeps its limits, and finds the same however the
// octets arrive.
func FuzzWalk(f *testing.F) {
	for _, name := range []string{"mixed-related.eml", "forwarded.eml", "digest.eml", "unterminated.eml", "bad-base64.eml", "flowed.eml"} {
		f.Add([]byte(sample(f, name)))
	}
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\n--\n\n----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		walk := func(r io.Reader) (string, int, error) {
			m, _ := Read(r)
			var b strings.Builder
			parts := 0
			err := m.Walk(Limits{Parts: 50, Depth: 5, Work: 1 << 20, HeaderBytes: 4096}, func(path []int, p *Part) error {
				parts++
				if len(path) > 6 {
					t.Fatalf("depth %d", len(path))
				}
				b.WriteString(p.Path() + p.MediaType + p.FileName() + "\n")
				if p.IsMultipart() || p.IsMessage() {
					return nil
				}
				text, err := io.ReadAll(p.Text())
				if !utf8.Valid(text) {
					t.Fatalf("%q is not UTF-8", text)
				}
				b.Write(text)
				return err
			})
			return b.String() + kinds(m.Defects), parts, err
		}
		whole, parts, err := walk(bytes.NewReader(data))
		var d Defect
		if err != nil && !errors.As(err, &d) || parts > 50 {
			t.Fatalf("%d parts, %v", parts, err)
		}
		bytewise, _, err2 := walk(iotest.OneByteReader(bytes.NewReader(data)))
		if whole != bytewise || (err == nil) != (err2 == nil) {
			t.Fatalf("at once\n%q, %v\noctet by octet\n%q, %v", whole, err, bytewise, err2)
		}
		m, _ := ReadString(string(data))
		if c, err := m.Content(Limits{}, 1000); err == nil && (len(c.Text) > 2100 || !utf8.ValidString(c.Text)) {
			t.Fatalf("%d octets of text", len(c.Text))
		}
	})
}

// FuzzReceived: whatever a stranger says, the field is one clean field; and a
// field of any kind can be taken apart.
func FuzzReceived(f *testing.F) {
	f.Add("helo.example.com", "mx1.example.com", "u@example.org", "abc", "TLS1.3")
	f.Add("evil\r\nX: 1", "a) by b (", "<>", "<a@b>", "(")
	f.Fuzz(func(t *testing.T, helo, rdns, rcpt, id, tls string) {
		r := Received{From: helo, FromIP: netip.MustParseAddr("192.0.2.25"), FromRDNS: rdns, By: "mx.example.org", With: "ESMTPS", TLS: tls, ID: id, For: rcpt, Date: when}
		field := r.Field()
		s, n, defects := ParseHeader(field.Raw() + "\r\n")
		if s.Len() != 1 || n != len(field.Raw())+2 || len(defects) != 0 || !field.Is("Received") {
			t.Fatalf("%q: %v", field.Raw(), defects)
		}
		back, ok := ParseReceived(field.Value())
		if !ok || back.By != r.By || back.With != r.With || back.FromIP != r.FromIP || !back.Date.Equal(when) {
			t.Fatalf("%q: %+v", field.Raw(), back)
		}
		ParseReceived(helo + rdns + rcpt)
		if p, err := ReturnPath(rcpt); err == nil {
			if s, _, defects := ParseHeader(p.Raw()); s.Len() != 1 || len(defects) != 0 {
				t.Fatalf("%q", p.Raw())
			}
		}
	})
}

// FuzzWords: decoded text is clean UTF-8, and what is encoded decodes to itself.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "=?iso-2022-jp?b?GyRC?=", "=?utf-7?q?+AOQ-?=", "Grüße \xff", "=?x?q?", "a  =? b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := DecodeWords(s); !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00") {
			t.Fatalf("%q decodes to %q", s, got)
		}
		clean := printable(strings.ToValidUTF8(s, "?"))
		if clean = oneLine(clean); DecodeWords(EncodeWords(clean)) != clean {
			t.Fatalf("%q is encoded as %q, which is %q", clean, EncodeWords(clean), DecodeWords(EncodeWords(clean)))
		}
		kind, params, _ := ParseMediaType(s)
		for k, v := range params {
			if strings.ContainsAny(v, "\r\n") {
				t.Fatalf("%s: %s=%q", kind, k, v)
			}
		}
		if name := safeName(s); name == "" || len(name) > maxName+1 || strings.ContainsAny(name, "/\\\x00\n") || name[0] == '.' || !utf8.ValidString(name) {
			t.Fatalf("%q makes the name %q", s, name)
		}
	})
}

// FuzzParseReport: whatever a status says, what is read of it is clean and
// within the limits; and once it is written, it is read as the same.
func FuzzParseReport(f *testing.F) {
	f.Add([]byte("Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no\r\n"), "delivery-status")
	f.Add([]byte("Original-Recipient: utf-8;\\x{FC}@b\nStatus: x\n\n\nAction: (a) b\n\nFinal-Recipient: <c>"), "global-delivery-status\r\nContent-Transfer-Encoding: base64")
	f.Add([]byte("Disposition: automatic-action/MDN-sent-automatically; displayed/a,b\nError: x\nFinal-Recipient: a"), "disposition-notification")
	f.Fuzz(func(t *testing.T, status []byte, kind string) {
		text := "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/" + kind + "\r\n\r\n" + string(status)
		m, _ := ReadString(text)
		if d, err := m.ParseDisposition(Limits{}); err == nil && (len(d.Errors) > maxParams || strings.ContainsAny(d.Type+d.FinalRecipient, "\r\n\x00")) {
			t.Fatalf("%+v", d)
		}
		r, err := m.ParseReport(Limits{Parts: 10})
		if err != nil {
			return
		}
		if len(r.Recipients) > 10 {
			t.Fatalf("%d recipients", len(r.Recipients))
		}
		again := func(r *Report) *Report {
			var b strings.Builder
			if _, err := r.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			m, _ := ReadString(b.String())
			out, err := m.ParseReport(Limits{Parts: 100})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		one := again(r) // the writer cuts what is too long and drops what is empty
		two := again(one)
		if len(one.Recipients) > len(r.Recipients) || short(one) != short(two) {
			t.Fatalf("%s\nis written as\n%s\nand that as\n%s", short(r), short(one), short(two))
		}
		if strings.ContainsAny(strings.ReplaceAll(short(r), "\n", ""), "\r\x00\x1b") || !utf8.ValidString(short(r)) {
			t.Fatalf("%q", short(r))
		}
	})
}

// FuzzReport: whatever is reported, the report is a clean message with its parts in place.
func FuzzReport(f *testing.F) {
	f.Add("a@b", "550 no\n550 such", "rfc822;c@d", []byte("A: 1\r\n\r\nbody"), true)
	f.Add("ü@b\r\nX: 1", "\xff", ";", []byte("no header\x00\xff"), false)
	f.Fuzz(func(t *testing.T, addr, diagnostic, orcpt string, original []byte, full bool) {
		r := &Report{To: addr, ReportingMTA: addr, OriginalEnvelopeID: diagnostic, Date: when, Original: bytes.NewReader(original),
			Recipients: []RecipientStatus{{FinalRecipient: addr, OriginalRecipient: orcpt, DiagnosticCode: diagnostic, RemoteMTA: orcpt}}}
		if full {
			r.Return = ReturnFull
		}
		var b strings.Builder
		if _, err := r.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		m, _ := ReadString(b.String())
		if len(m.Defects) != 0 || m.Header.Len() > 9 {
			t.Fatalf("%v\n%q", m.Defects, fieldsOf(m))
		}
		var types []string
		err := m.Walk(Limits{Depth: 1}, func(path []int, p *Part) error {
			if len(path) == 1 {
				types = append(types, p.MediaType)
			}
			return nil
		})
		if err != nil || len(types) != 3 || types[1] != "message/delivery-status" {
			t.Fatalf("%v %v", types, err)
		}
	})
}
