// Package post is a message's way in and out: from a session into the mailboxes
// of this host and into the queue, and from the queue to other hosts.
//
// Post is the way in:
//
//   - receive.go answers for sender and recipients, and is the handler that stores
//     what they were promised; submit.go is the way of programs on this host;
//   - message.go reads the header (headers.go) and makes what stands on top of a
//     message; plan.go says where it goes, and who hears of mailboxes that are
//     full; deliver.go writes it to all of them and commits;
//   - forward.go and srs.go are what is different for mail that an alias leads to
//     another host;
//   - report.go tells senders, late.go and refusals.go remember refusals;
//   - limits.go says for whom a message counts, and refuses what is too much; rates.go
//     counts; stop.go holds the mail of a user who has sent too much, and tells of it.
//
// Outbound is the way out: outbound.go opens the queue and brings its news to
// senders, relay.go puts what delivers in place, as the settings of the moment have
// it, policyclient.go and tlsreport.go ask and tell other hosts about TLS.
//
// The package asks for what it needs through small interfaces and values (Directory,
// Mailboxes, Rules, Sending) and knows neither the settings nor who runs it.
package post
