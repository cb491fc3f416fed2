// Package daily counts things about domains for a day and has them told when it is over:
//
//	book := &daily.Book[counts, *counts]{Kind: "tlsrpt", Cache: cache, Seed: hostname, Send: send}
//	go book.Run(ctx)
//	book.Update("example.com", func(c *counts) { c.N++ })
//
// It is the clockwork behind reports of TLS (RFC 8460) and of DMARC (RFC 9990): counts
// outlive a restart, a day is told once, some hours after its end, what could not be sent is
// sent later and only there where it has not arrived, and after three days it is given up.
package daily
