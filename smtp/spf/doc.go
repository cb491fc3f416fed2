// Package spf finds out whether a host may send mail in a domain's name: the
// Sender Policy Framework, RFC 7208.
//
//	o := spf.Check(ctx, spf.Query{
//		IP:       netip.MustParseAddr("192.0.2.1"),
//		Helo:     "mail.example.com",
//		MailFrom: "tim@example.com",
//	}, net.DefaultResolver)
//	fmt.Println(o.Result, o.Domain, o.Mechanism) // fail example.com -all
//
// A [Checker] holds what stays the same from one message to the next. [Parse]
// reads a record without asking anybody, [Checker.Bill] adds up what a record
// costs those who evaluate it, and [Mistaken] says what is wrong with a TXT record
// that was meant to be one.
//
// A record is read as a whole before any of its terms counts, so that a syntax
// error, or an eleventh term that asks the DNS, is a permerror wherever it stands
// and whichever term matches first. Work is bounded by the limits of RFC 7208 §4.6.4,
// which count over all records of an evaluation together; redirect= counts as a term.
//
// A Checker may be used by any number of goroutines at a time; a Record is not
// changed once it is made. Lengths and offsets are in octets. Nothing panics for
// what a stranger publishes or says.
package spf
