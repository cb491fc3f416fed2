package reports

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func gz(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

func zipped(files ...[]byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, data := range files {
		w, _ := z.Create(fmt.Sprintf("folder/%d.xml", i))
		w.Write(data)
	}
	z.Close()
	return b.Bytes()
}

// attachment is a part of a message.
type attachment struct {
	kind, name string
	data       []byte
}

// mailOf is a message with attachments, as reporters send them.
func mailOf(parts ...attachment) []byte {
	var b bytes.Buffer
	b.WriteString("From: Reporter <reports@reporter.example>\r\nTo: dmarc@ours.example\r\nSubject: Report Domain: ours.example\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n" +
		"--cut\r\nContent-Type: text/plain\r\n\r\nThis is a report. {It is} <not> this text.\r\n" +
		"--cut\r\nContent-Type: text/html\r\n\r\n<html><body>Nor <feedback>this</feedback>.</body></html>\r\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "--cut\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", p.kind, p.name)
		for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(p.data)), 76) {
			b.Write(chunk)
			b.WriteString("\r\n")
		}
	}
	b.WriteString("--cut--\r\n")
	return b.Bytes()
}

func readBytes(t testing.TB, data []byte) *message {
	t.Helper()
	m, err := readMessage(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func one(data []byte, kind, name string) []byte { return mailOf(attachment{kind, name, data}) }

// total counts messages and sessions in reports, and those of them that are good.
func total(all []*Report) (count, good int64) {
	for _, r := range all {
		for _, row := range r.Rows {
			count += row.Count
			if row.Passes() {
				good += row.Count
			}
		}
		for _, s := range r.Sessions {
			count += s.Count
			if s.Failure == "" {
				good += s.Count
			}
		}
		count += r.Further.Count
		good += r.Further.Count - r.Further.Failed
	}
	return count, good
}

// TestReports: whatever form a report comes in, it is read, or it is said why not.
func TestReports(t *testing.T) {
	v9, v7 := sample(t, "rfc9990.xml"), sample(t, "rfc7489.xml")
	tls := sample(t, "tls.json")
	swap := func(data []byte, old, new string) []byte {
		if !bytes.Contains(data, []byte(old)) {
			t.Fatalf("no %q in the sample", old)
		}
		return bytes.ReplaceAll(data, []byte(old), []byte(new))
	}
	encrypted := zipped(v7)
	for _, mark := range []string{"PK\x03\x04", "PK\x01\x02"} {
		at := bytes.Index(encrypted, []byte(mark)) + 6
		if mark == "PK\x01\x02" {
			at += 2
		}
		encrypted[at] |= 1
	}
	utf16 := []byte{0xff, 0xfe}
	for _, c := range swap(v7, `encoding="UTF-8"`, `encoding="UTF-16"`) {
		utf16 = append(utf16, c, 0)
	}
	for _, c := range []struct {
		name        string
		mail        []byte
		reports     int
		count, good int64
		reason      string // a piece of it
	}{
		{"RFC 9990", one(gz(v9), "application/gzip", "r.xml.gz"), 1, 43, 40, ""},
		{"RFC 7489, upper case", one(gz(v7), "application/gzip", "r.xml.gz"), 1, 2, 2, ""},
		{"zip", one(zipped(v7), "application/zip", "r.zip"), 1, 2, 2, ""},
		{"plain XML", one(v9, "text/xml", "r.xml"), 1, 43, 40, ""},
		{"octet-stream without a useful name", one(gz(v9), "application/octet-stream", "report"), 1, 43, 40, ""},
		{"gzip that is called zip", one(gz(v9), "application/zip", "r.zip"), 1, 43, 40, ""},
		{"zip that is called xml", one(zipped(v7), "text/xml", "r.xml"), 1, 2, 2, ""},
		{"XML that is called gzip", one(v7, "application/gzip", "r.xml.gz"), 1, 2, 2, ""},
		{"xml.zip: a gzip in a zip", one(zipped(gz(v7)), "application/x-zip-compressed", "r.xml.zip"), 1, 2, 2, ""},
		{"zip in gzip", one(gz(zipped(v7)), "application/gzip", "r.zip.gz"), 1, 2, 2, ""},
		{"gzip three times", one(gz(gz(gz(v7))), "application/gzip", "r.gz"), 1, 2, 2, ""},
		{"gzip four times", one(gz(gz(gz(gz(v7)))), "application/gzip", "r.gz"), 0, 0, 0, "packed more than 3 times"},
		{"octets after the gzip", one(append(gz(v7), "\r\n\r\n"...), "application/gzip", "r.gz"), 1, 2, 2, ""},
		{"two files", mailOf(attachment{"application/gzip", "a", gz(v7)}, attachment{"application/gzip", "b", gz(v9)}), 2, 45, 42, ""},
		{"two files in one zip", one(zipped(v7, v9), "application/zip", "r.zip"), 2, 45, 42, ""},
		{"one good, one bad", mailOf(attachment{"application/gzip", "a.gz", gz(v7)}, attachment{"application/gzip", "b.gz", gz([]byte("word"))}), 1, 2, 2, `"b.gz": gzip: neither XML`},
		{"schema around it", one(gz(sample(t, "wrapped.xml")), "application/gzip", "r.gz"), 1, 1, 1, ""},
		{"an ampersand, entities, nothing but rows", one(gz(sample(t, "bare.xml")), "application/gzip", "r.gz"), 1, 1, 0, ""},
		{"byte order mark", one(gz(append([]byte("\xef\xbb\xbf"), v9...)), "application/gzip", "r.gz"), 1, 43, 40, ""},
		{"UTF-16", one(gz(utf16), "application/gzip", "r.gz"), 1, 2, 2, ""},
		{"UTF-16, not packed", one(utf16, "application/octet-stream", "report"), 1, 2, 2, ""},
		{"Latin-1", one(gz(swap(swap(v9, "UTF-8", "ISO-8859-1"), "Reporter, Inc.", "M\xfcller")), "application/gzip", "r.gz"), 1, 43, 40, ""},
		{"unknown charset", one(gz(swap(v9, "UTF-8", "x-nobody-knows")), "application/gzip", "r.gz"), 1, 43, 40, ""},
		{"not valid UTF-8", one(gz(swap(v9, "Reporter, Inc.", "M\xfcller")), "application/gzip", "r.gz"), 1, 43, 40, ""},
		{"a control", one(gz(swap(v9, "Reporter, Inc.", "R\x01\x1b[31m")), "application/gzip", "r.gz"), 1, 43, 40, ""},
		{"no namespace prefix, other case of names", one(gz(swap(v7, "source_ip", "Source_IP")), "application/gzip", "r.gz"), 1, 2, 2, ""},
		{"base64 that nobody has declared", []byte("From: r@reporter.example\r\nContent-Type: application/gzip\r\n\r\n" + base64.StdEncoding.EncodeToString(gz(v7)) + "\r\n"), 1, 2, 2, ""},
		{"the message itself", []byte("From: r@reporter.example\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(zipped(v7)) + "\r\n"), 1, 2, 2, ""},
		{"forwarded", []byte("From: r@reporter.example\r\nContent-Type: message/rfc822\r\n\r\n" + string(one(gz(v7), "application/gzip", "r.gz"))), 1, 2, 2, ""},
		{"TLS", one(gz(tls), "application/tlsrpt+gzip", "r.json.gz"), 1, 5326 + 303 + 7, 5326 + 7, ""},
		{"TLS, not packed", one(tls, "application/tlsrpt+json", "r.json"), 1, 5326 + 303 + 7, 5326 + 7, ""},
		{"TLS as anything", one(append([]byte("\xef\xbb\xbf"), tls...), "application/octet-stream", "report"), 1, 5326 + 303 + 7, 5326 + 7, ""},
		{"TLS without addresses and lists", one(gz(sample(t, "tls-odd.json")), "application/tlsrpt+gzip", "r.gz"), 1, 16, 12, ""},

		{"gzip of one word", one(gz([]byte("word")), "application/gzip", "r.gz"), 0, 0, 0, "gzip: neither XML, JSON, gzip nor zip in it"},
		{"gzip of nothing", one(gz(nil), "application/gzip", "r.gz"), 0, 0, 0, "neither"},
		{"empty file", one(nil, "application/gzip", "r.gz"), 0, 0, 0, "empty"},
		{"half a gzip", one(gz(v9)[:200], "application/gzip", "r.gz"), 0, 0, 0, "unexpected EOF"},
		{"half a report", one(gz(v9[:900]), "application/gzip", "r.gz"), 0, 0, 0, "unexpected EOF"},
		{"half a zip", one(zipped(v7)[:200], "application/zip", "r.zip"), 0, 0, 0, "zip: not a valid zip file"},
		{"empty zip", one(zipped(), "application/zip", "r.zip"), 0, 0, 0, "neither"},
		{"encrypted zip", one(encrypted, "application/zip", "r.zip"), 0, 0, 0, "encrypted"},
		{"zip of many", one(zipped(slices.Repeat([][]byte{v7}, 21)...), "application/zip", "r.zip"), 0, 0, 0, "more than 20 files"},
		{"HTML that is called XML", one(gz([]byte("<html><body>Not found</body></html>")), "application/gzip", "r.xml.gz"), 0, 0, 0, "no DMARC report"},
		{"crossed tags", one(gz([]byte("<feedback><record></feedback>")), "application/gzip", "r.gz"), 0, 0, 0, "says nothing"},
		{"no XML at all", one(gz([]byte("<<<<")), "application/gzip", "r.gz"), 0, 0, 0, "XML"},
		{"an empty report", one(gz([]byte("<feedback></feedback>")), "application/gzip", "r.gz"), 0, 0, 0, "says nothing"},
		{"other JSON", one([]byte(`{"a": 1}`), "application/json", "r.json"), 0, 0, 0, "no TLS report"},
		{"half a JSON", one(gz(tls[:300]), "application/tlsrpt+gzip", "r.gz"), 0, 0, 0, "unexpected EOF"},
		{"nothing attached", mailOf(), 0, 0, 0, "no report in it"},
		{"a failure report", []byte("From: r@reporter.example\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=x\r\n\r\n--x\r\n\r\nfailed\r\n--x\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: auth-failure\r\n--x--\r\n"), 0, 0, 0, "no report in it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mail := range [][]byte{c.mail, bytes.ReplaceAll(c.mail, []byte("\r\n"), []byte("\n"))} {
				m := readBytes(t, mail)
				count, good := total(m.reports)
				if len(m.reports) != c.reports || count != c.count || good != c.good {
					t.Errorf("%d reports of %d messages, %d good; %v", len(m.reports), count, good, m.err)
				}
				if c.reason == "" && m.err != nil || c.reason != "" && (m.err == nil || !strings.Contains(m.err.Error(), c.reason)) {
					t.Errorf("reason: %v", m.err)
				}
				for _, r := range m.reports {
					if r.Org != clean(r.Org) || strings.Contains(r.Org, "\x1b") {
						t.Errorf("organization %q", r.Org)
					}
				}
			}
		})
	}
}

// TestValues: what stands in a report is what is kept of it.
func TestValues(t *testing.T) {
	r := readBytes(t, one(gz(sample(t, "rfc9990.xml")), "application/gzip", "r.gz"))
	if r.sender != "reports@reporter.example" {
		t.Errorf("sender %q", r.sender)
	}
	got := r.reports[0]
	if got.Org != "Reporter, Inc." || got.ID != "2026-11-28.ours.example@reporter.example" || got.Domain != "ours.example" || got.Policy != "quarantine" ||
		got.Begin.Format("2006-01-02") != "2026-11-28" || got.End.Sub(got.Begin).Hours() < 23 {
		t.Errorf("%+v", got)
	}
	row := got.Rows[1]
	if row.Source.String() != "2001:db8::bad" || row.Count != 3 || row.Disposition != "none" || row.From != "ours.example" || row.Envelope != "list.example" ||
		row.Reason != "mailing_list list of ours" || row.Auth != "dkim=fail ours.example, spf=pass list.example" {
		t.Errorf("%+v", row)
	}
	s := readBytes(t, one(gz(sample(t, "tls.json")), "application/gzip", "r.gz")).reports[0].Sessions
	if len(s) != 5 || s[1].Failure != "certificate-expired" || s[1].Host != "mx1.ours.example" || s[1].Source.String() != "2001:db8:abcd:12::1" || s[1].Policy != "sts" ||
		s[2].Detail != "https://reporter.example/info" || s[3].Failure != "unspecified" || s[3].Count != 3 || s[4].Domain != "other.example" {
		t.Errorf("%+v", s)
	}
}

// TestLatin: a name is read in the charset that the report declares, and what is not valid
// in it is shown to be missing.
func TestLatin(t *testing.T) {
	for _, c := range []struct{ charset, name, want string }{
		{"ISO-8859-1", "M\xfcller", "Müller"},
		{"windows-1252", "\x80 5", "€ 5"},
		{"Windows-1251", "\xcf\xee\xf7\xf2\xe0", "Почта"},
		{"us-ascii", "M\xfcller", "Müller"},
		{"UTF-8", "M\xfcller", "M\uFFFDller"},
		{"UTF-8", "Müller", "Müller"},
		{"x-unknown", "M\xfcller", "M\uFFFDller"},
		{"UTF-8", "a\x00b\x1b[31m", "a\uFFFDb\uFFFD[31m"},
	} {
		doc := `<?xml version="1.0" encoding="` + c.charset + `"?><feedback><report_metadata><org_name>` + c.name + `</org_name></report_metadata>` +
			`<policy_published><domain>ours.example</domain></policy_published></feedback>`
		r, err := readDMARC(strings.NewReader(doc), &unpacker{left: maxUnpacked})
		if err != nil || r.Org != c.want {
			t.Errorf("%s: %+v, %v", c.charset, r, err)
		}
	}
}

// TestOneOctetAtATime: it does not matter in what pieces a document comes.
func TestOneOctetAtATime(t *testing.T) {
	for _, name := range []string{"rfc9990.xml", "rfc7489.xml", "wrapped.xml", "tls.json"} {
		u := &unpacker{left: maxUnpacked}
		if err := u.read(iotest.OneByteReader(bytes.NewReader(sample(t, name))), 0); err != nil || len(u.found) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bomb is octets that unpack to many more. Files of gzip that are put one behind the
// other are one.
func bomb(begin string, piece []byte, times int, end string) []byte {
	return slices.Concat(gz([]byte(begin)), bytes.Repeat(gz(piece), times), gz([]byte(end)))
}

// TestBombs: what is small and unpacks to very much, nests very deep or never ends is
// refused, and costs little memory.
func TestBombs(t *testing.T) {
	mib := 1 << 20
	zeros := make([]byte, mib)
	entities := `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">`
	for i := range 20 {
		entities += fmt.Sprintf(`<!ENTITY %c "%s">`, 'b'+i, strings.Repeat(fmt.Sprintf("&%c;", 'a'+i), 10))
	}
	row := []byte(`<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>`)
	noise := make([]byte, 0, mib) // rows that pack badly enough for the ratio
	for i := 0; len(noise) < mib-200; i++ {
		noise = fmt.Appendf(noise, `<record><row><source_ip>2001:db8::%x</source_ip><count>1</count></row></record>`, i*7919%65536)
	}
	for _, c := range []struct {
		name, reason string
		data         []byte
	}{
		{"a gigabyte of zeros", "neither", bomb("", zeros, 1024, "")},
		{"a gigabyte of text", "longer than", bomb("<feedback><version>", bytes.Repeat([]byte("x"), mib), 1024, "</version></feedback>")},
		{"a gigabyte of attributes", "longer than", bomb("<feedback", bytes.Repeat([]byte(" a='b'"), mib/6), 1024, "></feedback>")},
		{"a gigabyte of comment", "longer than", bomb("<feedback><!--", bytes.Repeat([]byte("x"), mib), 1024, "--></feedback>")},
		{"a gigabyte of blanks", "longer than", bomb("<feedback>", bytes.Repeat([]byte(" "), mib), 1024, "</feedback>")},
		{"a gigabyte of rows", "100 times as large", bomb("<feedback>", bytes.Repeat(row, mib/len(row)), 1024, "</feedback>")},
		{"elements within elements", "nested deeper than 16", bomb("<feedback>", bytes.Repeat([]byte("<a>"), mib/3), 20, "")},
		{"a gigabyte of JSON string", "longer than", bomb(`{"report-id": "`, bytes.Repeat([]byte("x"), mib), 1024, `"}`)},
		{"a gigabyte of JSON number", "longer than", bomb(`{"report-id": `, bytes.Repeat([]byte("1"), mib), 1024, `}`)},
		{"lists within lists", "nested deeper than 16", bomb(`{"policies": `, bytes.Repeat([]byte("["), mib), 20, "")},
		{"a gigabyte of policies", "100 times as large", bomb(`{"policies": [{}`, bytes.Repeat([]byte(`,{"summary":{}}`), mib/15), 1024, "]}")},
		{"entities", "", gz([]byte(entities + "]><feedback><policy_published><domain>a.example</domain><p>&u;</p></policy_published></feedback>"))},
		{"a bomb in a gzip", "100 times as large", gz(bomb("<feedback>", bytes.Repeat(row, mib/len(row)), 1024, "</feedback>"))},
		{"a bomb in a zip", "longer than", zipped(bomb("<feedback><version>", bytes.Repeat([]byte("x"), mib), 1024, ""))},
		{"what does not pack that well", "more than 100 MiB", bomb("<feedback>", noise, 101, "</feedback>")},
	} {
		t.Run(c.name, func(t *testing.T) {
			mail := one(c.data, "application/gzip", "r.gz")
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			most := uint64(0)
			m, err := readMessage(func() (io.ReadCloser, error) {
				return io.NopCloser(&heap{r: bytes.NewReader(mail), most: &most}), nil
			})
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if c.reason == "" && m.err != nil || c.reason != "" && (m.err == nil || !strings.Contains(m.err.Error(), c.reason)) {
				t.Errorf("reason: %v", m.err)
			}
			if grown := int64(max(most, after.HeapAlloc)) - int64(before.HeapAlloc); grown > 50<<20 {
				t.Errorf("%d MiB of memory", grown>>20)
			}
			for _, r := range m.reports {
				if strings.Contains(r.Policy, "lollol") {
					t.Errorf("expanded: %q", r.Policy)
				}
			}
		})
	}
}

// heap looks at the memory in use while it is read.
type heap struct {
	r    io.Reader
	most *uint64
	n    int
}

func (h *heap) Read(p []byte) (int, error) {
	if h.n++; h.n%16 == 0 {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		*h.most = max(*h.most, now.HeapAlloc)
	}
	return h.r.Read(p[:min(len(p), 4096)])
}

// TestTooLarge: an attachment is no larger than what a report can be.
func TestTooLarge(t *testing.T) {
	big := one(append([]byte("<feedback>"), bytes.Repeat([]byte("<a>"+strings.Repeat("x", 1000)+"</a>"), 11<<10)...), "text/xml", "r.xml")
	if m := readBytes(t, big); m.err == nil || !strings.Contains(m.err.Error(), "larger than 10 MiB") {
		t.Errorf("%v", m.err)
	}
}

// TestWork: a document of nothing but tags costs more than its octets.
func TestWork(t *testing.T) {
	for _, doc := range []string{"<feedback>" + strings.Repeat("<a/>", 20<<10), `{"policies": [` + strings.Repeat("0,", 40<<10)} {
		u := &unpacker{left: 1 << 20}
		if err := u.read(strings.NewReader(doc), 0); err == nil || !strings.Contains(err.Error(), errUnpacked.Error()) {
			t.Errorf("%.20s: %v", doc, err)
		}
	}
	if maxUnpacked != 100<<20 || maxPacked != 10<<20 || maxRatio != 100 || maxLevels != 3 || maxDepth != 16 {
		t.Error("docs/reports.md says other bounds")
	}
}

// TestRows: what is kept of a report has bounds, and what is beyond is counted.
func TestRows(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("<feedback><policy_published><domain>ours.example</domain></policy_published>")
	row := func(i int, result string) {
		fmt.Fprintf(&b, "<record><row><source_ip>10.0.%d.%d</source_ip><count>2</count><policy_evaluated><spf>%s</spf></policy_evaluated></row></record>", i/256, i%256, result)
	}
	for i := range maxRows {
		row(i, "pass")
	}
	row(0, "pass") // again: no row of its own
	row(maxRows+1, "fail")
	row(maxRows+2, "pass")
	b.WriteString("</feedback>")
	r, err := readDMARC(&b, &unpacker{left: maxUnpacked})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != maxRows || r.Rows[0].Count != 4 || r.Further != (Further{Rows: 2, Count: 4, Failed: 2}) {
		t.Errorf("%d rows, the first of %d; further %+v", len(r.Rows), r.Rows[0].Count, r.Further)
	}
	r = &Report{}
	r.addSession(Session{Failure: "x"})
	for range maxRows {
		r.addSession(Session{Count: 1})
	}
	if len(r.Sessions) != maxRows || r.Further.Count != 1 {
		t.Errorf("%d sessions, further %+v", len(r.Sessions), r.Further)
	}
}

// TestNumbers: a count is what a computer can add up.
func TestNumbers(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "7": 7, " 7 ": 7, "7.0": 7, "-3": 0, "NaN": 0, "Inf": most, "1e99": most, "x": 0, "0x10": 0} {
		if got := number(s); got != want {
			t.Errorf("%q: %d", s, got)
		}
	}
	for s, want := range map[string]string{"1795824000": "2026-11-28", "1795824000.0": "2026-11-28", "1795824000000": "2026-11-28", "2026-11-28T00:00:00Z": "2026-11-28",
		"2026-11-28T23:00:00-05:00": "2026-11-29", "": "0001-01-01", "12": "0001-01-01", "99999999999999999": "0001-01-01", "9999-01-01T00:00:00Z": "0001-01-01"} {
		if got := moment(s).Format("2006-01-02"); got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
}
