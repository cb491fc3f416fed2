package rfc2822_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

// What became of each recipient, as a bounce tells it.
func ExampleMessage_ParseReport() {
	m, _ := rfc2822.ReadString(strings.ReplaceAll(`From: MAILER-DAEMON@mx.example.org
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

Your message could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; ben@example.net
Action: failed
Status: 5.1.1 (no such mailbox)
Diagnostic-Code: smtp; 550 5.1.1 Never heard of Ben

--b
Content-Type: text/rfc822-headers

Message-ID: <1@example.com>
--b--
`, "\n", "\r\n"))
	report, err := m.ParseReport(rfc2822.Limits{})
	if err != nil {
		fmt.Println(err) // ErrNotFound: this is no report
		return
	}
	for _, r := range report.Recipients {
		fmt.Println(report.ReportingMTA, r.FinalRecipient, r.Action, r.Status)
		fmt.Println(r.DiagnosticCode)
	}
	fmt.Println(report.Returned.Get("Message-ID"))
	// Output:
	// mx.example.org ben@example.net failed 5.1.1
	// 550 5.1.1 Never heard of Ben
	// <1@example.com>
}

// A receipt, written and read.
func ExampleMessage_ParseDisposition() {
	d := &rfc2822.Disposition{
		From: "ben@example.net", To: "ada@example.com", FinalRecipient: "ben@example.net",
		OriginalMessageID: "<1@example.com>", Type: "displayed",
	}
	var b strings.Builder
	_, _ = d.WriteTo(&b)
	m, _ := rfc2822.ReadString(b.String())
	got, err := m.ParseDisposition(rfc2822.Limits{})
	fmt.Println(got.OriginalMessageID, got.Type, got.Automatic, err)
	// Output: <1@example.com> displayed false <nil>
}

func ExampleDecodeWords() {
	fmt.Println(rfc2822.DecodeWords("=?iso-8859-1?q?Gr=FC=DFe?= aus =?gb2312?b?sbG+qQ==?="))
	// Output: Grüße aus 北京
}

func ExampleEncodeWords() {
	fmt.Println(rfc2822.EncodeWords("Re: Grüße aus Bonn"))
	// Output: Re: =?utf-8?b?R3LDvMOfZQ==?= aus Bonn
}

func ExampleParseMessageIDs() {
	fmt.Println(rfc2822.ParseMessageIDs("<1@example.com>\r\n (the second:) <2@example.com>"))
	// Output: [1@example.com 2@example.com]
}

// A reply belongs to the thread of the message it answers.
func ExampleMessage_References() {
	m, _ := rfc2822.ReadString("Message-ID: <2@x>\r\nReferences: <1@x>\r\n\r\n")
	reply := rfc2822.Draft{References: m.References(), InReplyTo: []string{m.MessageID()}}
	fmt.Println(reply.References, reply.InReplyTo)
	// Output: [1@x 2@x] [2@x]
}

func ExampleParseMediaType() {
	kind, params, ok := rfc2822.ParseMediaType("Text/Plain; charset=utf-8; name*0*=utf-8''gr%C3%BC; name*1=n.txt")
	fmt.Println(kind, params["charset"], params["name"], ok)
	// Output: text/plain utf-8 grün.txt true
}

func ExampleMessage_Resend() {
	m, _ := rfc2822.ReadString("Subject: hi\r\n\r\n")
	_ = m.Resend(rfc2822.Resent{
		From: []rfc2822.Address{{Local: "ada", Domain: "example.com"}}, To: []rfc2822.Address{{Local: "ben", Domain: "example.net"}},
		Date: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), MessageID: "<r1@example.com>",
	})
	_, _ = m.WriteTo(show{})
	// Output:
	// Resent-Date: Fri, 20 Nov 2026 09:00:00 +0000
	// Resent-From: ada@example.com
	// Resent-To: ben@example.net
	// Resent-Message-ID: <r1@example.com>
	// Subject: hi
}

// A result that claims to be ours and came with the message is a forgery
// (RFC 8601 §5).
func ExampleParseAuthResults() {
	r, ok := rfc2822.ParseAuthResults(`mx.example.org; dkim=fail (body; changed) reason="bad hash" header.d=example.com; spf=none`)
	fmt.Println(r.AuthServID, ok)
	for _, found := range r.Results {
		fmt.Println(found.Method, found.Result, found.Reason, found.Comment, found.Props)
	}
	// Output:
	// mx.example.org true
	// dkim fail bad hash body; changed [{header d example.com}]
	// spf none   []
}

// A host takes away what strangers wrote in its name, and nothing else.
func ExampleAuthResultsOf() {
	m, _ := rfc2822.ReadString("Authentication-Results: \"MX.Example.Org\" 1; dmarc=pass\r\n" +
		"Authentication-Results: mx.example.net; dmarc=none\r\n\r\n")
	for f := range m.Header.All() {
		fmt.Println(rfc2822.AuthResultsOf(f, "mx.example.org"), f.Value())
	}
	// Output:
	// true "MX.Example.Org" 1; dmarc=pass
	// false mx.example.net; dmarc=none
}

// Fields on top of a message that is passed on as a stream.
func ExampleSection_Seam() {
	head, whole, _ := rfc2822.Peek(strings.NewReader(" by evil.example\r\nSubject: hi\r\n\r\n"), 0)
	trace := rfc2822.DateField(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)).Raw() + head.Seam()
	b := new(strings.Builder)
	_, _ = fmt.Fprint(b, trace)
	m, _ := rfc2822.Read(whole)
	_, _ = m.WriteTo(b)
	_, _ = fmt.Fprint(show{}, b.String())
	// Output:
	// Date: Fri, 20 Nov 2026 09:00:00 +0000
	// X-Leading-Line:
	//  by evil.example
	// Subject: hi
}
