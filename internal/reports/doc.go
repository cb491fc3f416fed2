// Package reports takes in what other hosts tell of mail in the name of domains here,
// DMARC aggregate reports (RFC 9990, and the older form of RFC 7489) and TLS reports
// (RFC 8460):
//
//	kept, err := reports.OpenStore(ctx, dir, disk)
//	reader := &reports.Reader{Mailboxes: store, Store: kept, Names: names, Age: age}
//	go reader.Run(ctx)
//
// and shows what is wrong:
//
//	all, err := reports.ReadAll(dir, since)
//	summary := reports.Summarize(all, reports.Query{Own: own})
//
// The mail with a report comes into a mailbox like any other, and is stored when its
// sender hears 250; Reader opens that mailbox later, as often as it takes. All of it may be
// a stranger's doing: message.go finds the attachment by its contents, unpack.go takes it
// out of what it is packed in, walk.go goes through XML and JSON holding one value at a
// time, dmarc.go and tls.go keep a bounded list of what it says, and store.go one small
// file of that.
package reports
