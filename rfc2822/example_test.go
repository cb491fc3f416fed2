package rfc2822_test

import (
	"fmt"
	"io"
	"log"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

const message = "Received: from a.example by b.example; Fri, 20 Nov 2026 09:00:00 +0000\r\n" +
	"From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\n" +
	"To: Ben <ben@example.org>, broken, cy@example.org\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
	"Date: Fri, 20 Nov 2026 09:00:00 EST\r\n" +
	"Message-ID: <1@example.com>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n" +
	"\r\n" +
	"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n" +
	"--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"../rates.csv\"\r\n\r\na;b\r\n" +
	"--b--\r\n"

// show prints without the CRs, which comments with the output cannot hold.
type show struct{}

func (show) Write(p []byte) (int, error) {
	fmt.Print(strings.ReplaceAll(string(p), "\r", ""))
	return len(p), nil
}

func Example() {
	m, err := rfc2822.ReadString(message)
	if err != nil {
		log.Fatal(err) // only if the source cannot be read
	}
	content, err := m.Content(rfc2822.Limits{}, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Header.Text("Subject"))
	fmt.Println(content.Text)
	for _, a := range content.Attachments {
		fmt.Println(a.Name, a.MediaType, a.Size)
	}
	// Output:
	// Grüße
	// Grüße
	// rates.csv text/csv 3
}

// Whatever a message looks like, it is read, and written as it was.
func ExampleRead() {
	broken := "From ada Fri Nov 20 09:00:00 2026\nSubject: odd\nwhat is this?\nTo: b@example.org\n\nbody\n"
	m, err := rfc2822.Read(strings.NewReader(broken))
	fmt.Println(err, m.Header.Get("To"))
	for _, d := range m.Defects {
		fmt.Println(d)
	}
	var same strings.Builder
	_, _ = m.WriteTo(&same)
	fmt.Println(same.String() == broken)
	// Output:
	// <nil> b@example.org
	// rfc2822: mbox From line at octet 0
	// rfc2822: line is not a header field at octet 47
	// true
}

func ExampleSection_Add() {
	m, _ := rfc2822.ReadString("Subject: hi\r\n\r\nbody\r\n")
	fmt.Println(m.Header.Add("X-Note", "kept"))
	fmt.Println(m.Header.Add("X-Evil", "a\r\nBcc: everybody@example.org"))
	_, _ = m.WriteTo(show{})
	// Output:
	// <nil>
	// rfc2822: CR, LF or NUL in a header field value: X-Evil
	// X-Note: kept
	// Subject: hi
	//
	// body
}

// A submission server adds what is missing and lets the stream go on.
func ExamplePeek() {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	stream := strings.NewReader("From: j@example.com\r\nMessage-ID: <1@example.com>\r\n\r\nbody\r\n")
	head, whole, err := rfc2822.Peek(stream, 1<<20)
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range head.Missing("Date", "Message-ID") {
		switch name {
		case "Date":
			fmt.Fprint(show{}, rfc2822.DateField(now).Raw())
		case "Message-ID":
			fmt.Fprint(show{}, rfc2822.MessageIDField("mx.example.org", now).Raw())
		}
	}
	fmt.Fprint(show{}, head.Seam()) // "" for this message
	_, _ = io.Copy(show{}, whole)
	// Output:
	// Date: Fri, 20 Nov 2026 09:00:00 +0000
	// From: j@example.com
	// Message-ID: <1@example.com>
	//
	// body
}

func ExampleReceived() {
	fmt.Fprint(show{}, rfc2822.Received{
		From: "client.example.com", FromIP: netip.MustParseAddr("192.0.2.25"), FromRDNS: "host25.example.com",
		By: "mx.example.org", With: "ESMTPSA", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256",
		ID: "4Fk3x", For: "ben@example.org", Date: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC),
	})
	// Output:
	// Received: from client.example.com (host25.example.com [192.0.2.25])
	// 	by mx.example.org with ESMTPSA (TLS1.3 TLS_AES_128_GCM_SHA256)
	// 	id 4Fk3x
	// 	for <ben@example.org>;
	// 	Fri, 20 Nov 2026 09:00:00 +0000
}

func ExampleParseReceived() {
	m, _ := rfc2822.ReadString("Received: from helo.example (mx.example [192.0.2.1]) by here with SMTP id 7; 20 Nov 2026 09:00:00 GMT\r\n\r\n")
	r, ok := rfc2822.ParseReceived(m.Header.Get("Received"))
	fmt.Println(ok, r.From, r.FromRDNS, r.FromIP, r.By, r.With, r.ID, r.Date.UTC())
	// Output: true helo.example mx.example 192.0.2.1 here SMTP 7 2026-11-20 09:00:00 +0000 UTC
}

func ExampleReturnPath() {
	f, err := rfc2822.ReturnPath("bounce@example.com")
	fmt.Printf("%q %v\n", f.Raw(), err)
	_, err = rfc2822.ReturnPath("a@b>\r\nX: 1")
	fmt.Println(err)
	// Output:
	// "Return-Path: <bounce@example.com>\r\n" <nil>
	// rfc2822: CR, LF or NUL in a header field value: Return-Path
}

func ExampleAuthResults() {
	fmt.Fprint(show{}, rfc2822.AuthResults{AuthServID: "mx.example.org", Results: []rfc2822.AuthResult{
		{Method: "spf", Result: "pass", Props: []rfc2822.AuthProp{{Type: "smtp", Property: "mailfrom", Value: "j@example.com"}}},
	}}.Field().Raw())
	// Output:
	// Authentication-Results: mx.example.org;
	// 	spf=pass
	// 	 smtp.mailfrom=j@example.com
}

func ExampleReport() {
	r := &rfc2822.Report{
		To: "j@example.com", ReportingMTA: "mx.example.org", Date: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC),
		Recipients: []rfc2822.RecipientStatus{{
			FinalRecipient: "ben@example.net", Action: rfc2822.Failed, Status: "5.1.1",
			RemoteMTA: "mx.example.net", DiagnosticCode: "550 5.1.1 No such user",
		}},
		Original: strings.NewReader(message), Return: rfc2822.ReturnHeaders,
	}
	var out strings.Builder
	if _, err := r.WriteTo(&out); err != nil {
		log.Fatal(err)
	}
	m, _ := rfc2822.ReadString(out.String())
	_ = m.Walk(rfc2822.Limits{}, func(_ []int, p *rfc2822.Part) error {
		fmt.Println(p.MediaType)
		if p.MediaType == "message/delivery-status" {
			_, err := io.Copy(show{}, p.Raw())
			return err
		}
		return nil
	})
	// Output:
	// multipart/report
	// text/plain
	// message/delivery-status
	// Reporting-MTA: dns; mx.example.org
	//
	// Final-Recipient: rfc822; ben@example.net
	// Action: failed
	// Status: 5.1.1
	// Remote-MTA: dns; mx.example.net
	// Diagnostic-Code: smtp; 550 5.1.1 No such user
	// text/rfc822-headers
}

func ExampleReadAddressList() {
	list, bad := rfc2822.ReadAddressList(`"Byron, Ada" <ada@example.com>, broken, Team: ben@example.org, cy@bücher.example;`)
	for _, a := range list {
		ascii, _ := a.ASCII()
		fmt.Printf("%q %s %q\n", a.Name, ascii.Addr(), a.Group)
	}
	for _, e := range bad {
		fmt.Println(e)
	}
	// Output:
	// "Byron, Ada" ada@example.com ""
	// "" broken ""
	// "" ben@example.org "Team"
	// "" cy@xn--bcher-kva.example "Team"
	// rfc2822: bad address at octet 32: no domain
}

func ExampleParseAddress() {
	a, err := rfc2822.ParseAddress("=?utf-8?q?J=C3=BCrgen?= <j@example.com>")
	fmt.Println(a.Name, a.Addr(), err)
	_, err = rfc2822.ParseAddress("a..b@example.com")
	fmt.Println(err)
	// Output:
	// Jürgen j@example.com <nil>
	// rfc2822: bad address at octet 2: a dot too many
}

func ExampleParseDate() {
	for _, s := range []string{"Fri, 20 Nov 2026 09:00:00 EST", "20 Nov 26 9:00 (about) PDT", "2026-11-20T09:00:00Z"} {
		t, err := rfc2822.ParseDate(s)
		fmt.Println(rfc2822.FormatDate(t), err)
	}
	// Output:
	// Fri, 20 Nov 2026 09:00:00 -0500 <nil>
	// Fri, 20 Nov 2026 09:00:00 -0700 <nil>
	// Fri, 20 Nov 2026 09:00:00 +0000 <nil>
}

func ExampleMessage_Walk() {
	m, _ := rfc2822.ReadString(message)
	err := m.Walk(rfc2822.Limits{Parts: 100, Depth: 10}, func(path []int, p *rfc2822.Part) error {
		fmt.Printf("%v %s %q\n", path, p.MediaType, p.FileName())
		return nil
	})
	fmt.Println(err)
	// Output:
	// [] multipart/mixed ""
	// [1] text/plain ""
	// [2] text/csv "rates.csv"
	// <nil>
}

func ExampleMessage_WritePart() {
	m, _ := rfc2822.ReadString(message)
	_, err := m.WritePart(show{}, rfc2822.Limits{}, []int{2})
	fmt.Println()
	fmt.Println(err)
	// Output:
	// a;b
	// <nil>
}

func ExampleDraft() {
	d := &rfc2822.Draft{
		From:    []rfc2822.Address{{Name: "Jürgen", Local: "j", Domain: "bücher.example"}},
		To:      []rfc2822.Address{{Local: "ben", Domain: "example.org"}},
		Subject: "Grüße", Text: "Hello Ben\n",
		Date: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), MessageID: "<1@xn--bcher-kva.example>",
	}
	_, _ = d.WriteTo(show{})
	// Output:
	// Date: Fri, 20 Nov 2026 09:00:00 +0000
	// From: =?utf-8?q?J=C3=BCrgen?= <j@xn--bcher-kva.example>
	// To: ben@example.org
	// Subject: =?utf-8?b?R3LDvMOfZQ==?=
	// Message-ID: <1@xn--bcher-kva.example>
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=us-ascii
	//
	// Hello Ben
}
