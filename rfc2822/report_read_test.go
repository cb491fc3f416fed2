package rfc2822

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// statusMessage puts a status part of this type into a report.
func statusMessage(kind, fields string) string {
	return crlf("From: mx\nDate: Fri, 20 Nov 2026 09:05:01 +0100\nContent-Type: multipart/report; boundary=b\n\n--b\n\nIt failed.\n--b\nContent-Type: " +
		kind + "\n\n" + fields + "\n--b--\n")
}

func short(r *Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%s|%s", r.ReportingMTA, r.ReceivedFromMTA, r.OriginalEnvelopeID)
	for _, s := range r.Recipients {
		fmt.Fprintf(&b, "\n%s|%s|%s|%s|%s|%s|%s|%s", s.OriginalRecipient, s.FinalRecipient, s.Action, s.Status, s.RemoteMTA, s.DiagnosticType, s.DiagnosticCode, s.FinalLogID)
	}
	return b.String()
}

// TestReportRoundTrip: what is written is read.
func TestReportRoundTrip(t *testing.T) {
	for _, utf8 := range []bool{false, true} {
		for _, ret := range []Return{ReturnHeaders, ReturnFull, ReturnNothing} {
			r := sampleReport()
			r.UTF8, r.Return = utf8, ret
			r.Recipients[1].FinalRecipient, r.Recipients[1].OriginalRecipient = "jürgen+x@bücher.example", "utf-8;jürgen@bücher.example"
			r.Recipients[2].DiagnosticType, r.Recipients[2].DiagnosticCode = "x-unix", "0 as it should be"
			m, _ := ReadString(write(t, r))
			got, err := m.ParseReport(Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want := "mx.example.org|client.example.com|QQ314159" +
				"\nrfc822;ben@example.net|ben2@example.net|failed|5.1.1|mx.example.net|smtp|550-5.1.1 No such user 550 5.1.1 Try another|abc" +
				"\nutf-8;jürgen@bücher.example|jürgen+x@bücher.example|delayed|4.4.1||||" +
				"\n|dee@example.net|delivered|2.0.0||x-unix|0 as it should be|"
			if short(got) != want || !got.Date.Equal(when) || !got.ArrivalDate.Equal(r.ArrivalDate) || !got.Recipients[0].LastAttempt.Equal(when) ||
				!got.Recipients[1].WillRetryUntil.Equal(when.Add(96*time.Hour)) || got.Return != ret || got.UTF8 != utf8 {
				t.Errorf("%v %v: %+v\n%s\nwant\n%s", utf8, ret, got, short(got), want)
			}
			if got.To != "ada@example.com" || got.From == "" || got.MessageID == "" || got.Subject != r.subject() || !strings.HasPrefix(got.Text, "This is the mail system at mx.example.org.") {
				t.Errorf("%+v", got)
			}
			if (got.Returned != nil) != (ret != ReturnNothing) || ret != ReturnNothing && got.Returned.Get("Subject") != "hi" {
				t.Errorf("returned: %+v", got.Returned)
			}
		}
	}
}

func TestDispositionRoundTrip(t *testing.T) {
	d := &Disposition{From: "ben@x", To: "ada@y", Date: when, ReportingUA: "x; Reader 1.0", OriginalRecipient: "rfc822;b@x", FinalRecipient: "ben@x", OriginalMessageID: "<1@y>",
		Automatic: true, Type: "processed", Modifiers: []string{"error", "expired"}, Errors: []string{"too late", "by far"}, Original: strings.NewReader("A: 1\r\n\r\nx")}
	m, _ := ReadString(write(t, d))
	got, err := m.ParseDisposition(Limits{})
	if err != nil || got.Returned == nil || got.Returned.Get("A") != "1" || !got.Date.Equal(when) {
		t.Fatalf("%+v, %v", got, err)
	}
	d.Original, d.Date, d.Return = nil, time.Time{}, got.Return
	d.Subject, d.MessageID, d.Text = got.Subject, got.MessageID, got.Text
	got.Returned, got.Date, d.source = nil, time.Time{}, source{}
	if !reflect.DeepEqual(got, d) {
		t.Errorf("%+v\nwant %+v", got, d)
	}
}

// TestParseReport: what other programs write, and what nobody should.
func TestParseReport(t *testing.T) {
	tests := []struct{ name, kind, fields, want string }{
		{"no empty line behind the first group", "message/delivery-status", "Reporting-MTA: dns; mx (the one)\nFinal-Recipient: RFC822; <a@b>\nAction: Failed (at last)\nStatus: 5.1.1 (unknown)\n",
			"mx||\n|a@b|failed|5.1.1||||"},
		{"an empty line within a group", "message/delivery-status", "Reporting-MTA: mx\n\n\n \n\nFinal-Recipient: rfc822;a@b\n\nAction: delayed\nStatus: 4.0.0\n\nAction: failed\n",
			"mx||\n|a@b|delayed|4.0.0||||"},
		{"only an original recipient, no status", "message/delivery-status", "\nOriginal-Recipient: a@b\nDiagnostic-Code: smtp; 550-5.7.1 no\n",
			"||\nrfc822;a@b|a@b|failed|5.7.1||smtp|550-5.7.1 no|"},
		{"a bad status", "message/delivery-status", "Final-Recipient: x\nStatus: 5.1\nDiagnostic-Code: nobody (#2.1.5)\nRemote-MTA: dns;mx;1\nFinal-Log-ID: 7\n", "||\n|x|delivered|2.1.5|mx;1||nobody (#2.1.5)|7"},
		{"unknown action, comments, folds", "message/delivery-status", "Final-Recipient: rfc822;\n a@b\nAction: (so) Bounced\nStatus:(so)4.2.2(full)\n", "||\n|a@b|bounced|4.2.2||||"},
		{"junk around", "message/delivery-status", "junk\n\njunk\nX: 1\njunk\njunk\nFinal-Recipient: rfc822;a@b\njunk\n", "||\n|a@b||||||"},
		{"rfc6533", "message/global-delivery-status", "Final-Recipient: utf-8; ü@b\n\nFinal-Recipient: utf-8; \\x{FC}@b\\x{110000}\\x{zz}\\x{41\n", "||\n|ü@b||||||\n|ü@b\\x{110000}\\x{zz}\\x{41||||||"},
		{"encoded", "message/delivery-status\nContent-Transfer-Encoding: base64", "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7YUBiDQpBY3Rpb246IGZhaWxlZA0K", "||\n|a@b|failed|||||"},
		{"control characters", "message/delivery-status", "Reporting-MTA: dns;a\x00b\nFinal-Recipient: rfc822;a\x1b[2J@b\nDiagnostic-Code: smtp;\x07\xff\n", "a b||\n|a [2J@b|||| smtp|||"},
		{"empty", "message/delivery-status", "", "||"},
	}
	tests[8].want = "a b||\n|a [2J@b||||smtp| ÿ|"
	for _, tt := range tests {
		m, _ := Read(stream(statusMessage(tt.kind, tt.fields)))
		r, err := m.ParseReport(Limits{})
		if err != nil || short(r) != tt.want || r.Text != "It failed." || r.Return != ReturnNothing {
			t.Errorf("%s: %+v, %v\n%q\nwant\n%q", tt.name, r, err, short(r), tt.want)
		}
	}
}

// TestParseRealReports: as Postfix, Sendmail, Exchange and others wrote them.
func TestParseRealReports(t *testing.T) {
	for name, want := range map[string]string{ // the first recipient, how many there are, and what is returned
		"cpython/msg_16.txt":                                              "cougar.noc.ucla.edu: rfc822;jangel1@cougar.noc.ucla.edu|jangel1@cougar.noc.ucla.edu|failed|5.0.0|||| of 1, 1",
		"cpython/msg_43.txt":                                              "sacspam01.dot.ca.gov: |xxxxxxx@dot.ca.gov|failed|5.7.1||smtp|550 5.7.1 Message content rejected, id=01956-02-2 - BANNED: auto__mail.python.bat| of 25, 0",
		"enmime/dsn-delayed_dsn.raw":                                      "sun2.nsfnet-relay.ac.uk: |thomas@de-montfort.ac.uk|delayed|4.0.0|||| of 1, 2",
		"enmime/dsn-dsn_with_multipart_alternative.raw":                   "1234.prod.outlook.com: |non-existing@example.com|failed|5.1.10||smtp|550 5.1.10 RESOLVER.ADR.RecipientNotFound| of 1, 1",
		"enmime/dsn-multi_recipient_dsn.raw":                              "cs.utk.edu: rfc822;arathib@vnet.ibm.com|arathib@vnet.ibm.com|failed|5.0.0|vnet.ibm.com|smtp|550 'arathib@vnet.IBM.COM' is not a registered gateway user| of 3, 1",
		"enmime/dsn-simple_dsn_with_html.raw":                             "cs.utk.edu: rfc822;louisl@larry.slip.umd.edu|louisl@larry.slip.umd.edu|failed|4.0.0||smtp|426 connection timed out| of 1, 1",
		"ruby-mail/multipart_report-multi_address_bounce2.eml":            "lvmail01.LL.com: rfc822;bbbbvhvbbvkjbhfbvbvjhb@gmail.com|bbbbvhvbbvkjbhfbvbvjhb@gmail.com|failed|5.1.1|gmail-smtp-in.l.google.com|smtp|550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. Learn more at 550 5.1.1 http://mail.google.com/support/bin/answer.py?answer=6596 41si5422799iwn.27| of 5, 1",
		"ruby-mail/multipart_report-multipart_report_multiple_status.eml": "schemailmta04.ci.com: rfc822;u@ci.com|u@ci.com|failed|5.3.0|||| of 1, 1",
		"ruby-mail/multipart_report-report_422.eml":                       "mail11.ttttt.com.au: |fraser@oooooooo.com.au|delayed|4.2.2|mail.oooooooo.com.au|smtp|452 4.2.2 <fraser@oooooooo.com.au>... Mailbox full| of 1, 0",
		"ruby-mail/multipart_report-report_530.eml":                       "mail12.rrrr.com.au: |edwin@zzzzzzz.com|failed|5.3.0|mail.zzzzzz.com|smtp|553 5.3.0 <edwin@zzzzzzz.com>... Unknown E-Mail Address| of 1, 0",
	} {
		m, _ := ReadString(sample(t, name))
		r, err := m.ParseReport(Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s: %s of %d, %d", r.ReportingMTA, strings.Split(short(r), "\n")[1], len(r.Recipients), r.Return); got != want {
			t.Errorf("%s: %q\nwant %q", name, got, want)
		}
	}
}

func TestParseReportRefuses(t *testing.T) {
	for _, in := range []string{"", "A: 1\r\n\r\nx", statusMessage("message/disposition-notification", "Final-Recipient: rfc822;a@b"),
		"Content-Type: message/rfc822\r\n\r\n" + statusMessage("message/delivery-status", "Final-Recipient: rfc822;a@b")} { // another's report
		m, _ := ReadString(in)
		if r, err := m.ParseReport(Limits{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %+v, %v", in, r, err)
		}
	}
	m, _ := ReadString("A: 1\r\n\r\nx")
	if d, err := m.ParseDisposition(Limits{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("%+v, %v", d, err)
	}
	broken := errors.New("gone")
	m, _ = Read(io.MultiReader(strings.NewReader(statusMessage("message/delivery-status", "A: 1\n")[:150]), iotest.ErrReader(broken)))
	if _, err := m.ParseReport(Limits{}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestParseReportLimits: neither parts, nor recipients, nor octets without end.
func TestParseReportLimits(t *testing.T) {
	one := "--b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: a@b\r\n\r\nFinal-Recipient: c@d\r\n\r\n"
	m, _ := ReadString("Content-Type: multipart/report; boundary=b\r\n\r\n" + strings.Repeat(one, 5000))
	if r, err := m.ParseReport(Limits{}); err != nil || len(r.Recipients) != 2*maxStatusParts {
		t.Errorf("%d recipients, %v", len(r.Recipients), err)
	}
	for _, fields := range []string{"Final-Recipient: a@b\n\n", "A:\n\n", "junk\n", "\n", "Final-Recipient: a@b\n"} {
		m, _ := ReadString(statusMessage("message/delivery-status", strings.Repeat(fields, 100000))) // a quadratic reader would take minutes
		if r, err := m.ParseReport(Limits{Parts: 50}); err != nil || len(r.Recipients) > 50 {
			t.Errorf("%q: %v", fields, err)
		}
	}
	m, _ = ReadString(statusMessage("message/disposition-notification", strings.Repeat("Error: x\n", 1000)+"Disposition: manual-action/MDN-sent-manually; displayed/"+strings.Repeat("x,", 1000)+"\n\nDisposition: a; b\n"))
	if d, err := m.ParseDisposition(Limits{}); err != nil || len(d.Errors) > maxParams || len(d.Modifiers) > maxParams || d.Type != "displayed" || d.Automatic {
		t.Errorf("%+v, %v", d, err)
	}
}
