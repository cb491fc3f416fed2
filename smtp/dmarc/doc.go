// Package dmarc finds out whether a message comes from the domain that its From
// field shows, and what that domain asks for if it does not: RFC 9989, which
// obsoletes RFC 7489.
//
//	c := &dmarc.Checker{Resolver: net.DefaultResolver}
//	o := c.CheckMessage(ctx, m.Header.Named("From"), dmarc.Passed{
//		SPF:  "example.com",           // what SPF says pass of
//		DKIM: []string{"example.com"}, // whose signatures are good
//	})
//	fmt.Println(o.Result, o.Disposition()) // pass none
//
// Where one organization ends and the next begins is found by asking the DNS (§4.10);
// there is no list of public suffixes. [Authors] says which domain a message is
// judged by, or why there is none; [Parse] reads a record, and [Checker.Recipients]
// says where reports about a domain may be sent.
//
// No name is asked for twice in one evaluation, and each domain costs at most eight
// queries. A Checker may be used by any number of goroutines at a time; a Record is
// not changed once it is made. Domains are compared, and returned, as lower-case
// A-labels without a dot at the end. Nothing panics for what a stranger publishes or
// writes.
package dmarc
