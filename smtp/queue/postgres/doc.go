// Package postgres keeps a queue in a PostgreSQL database, for several servers (nodes) that share it: each takes mail and sends
// it, and what one that dies has left is sent by the others.
//
//	db, err := database.Connect(ctx, "postgres://mail@db1,db2/mail", database.Options{})
//	...
//	spool, err := postgres.Open(ctx, db)
//	...
//	q := &queue.Queue{Spool: spool, Transport: relay}
//
// What holds:
//
//   - An entry is one row; who works on it has a claim, which has a number that grows and an end that is put off while its node
//     lives (30 seconds). States are saved and entries removed where the number is still that of who says so, and a message is read
//     for an attempt under the same condition: a node that hung for longer than its claims sends nothing more of them and removes
//     nothing. What remains is SMTP's own: the other side had said 250, and the node died or hung before it could write that down.
//   - Entries are claimed many at a time (SKIP LOCKED), and saved and removed many at a time: what comes together is one transaction.
//   - A new entry is claimed by who took it, so that its first attempt costs no claim.
//   - Nobody holds a list of all: what is due, how much there is and what is oldest are questions to the database.
//   - Nodes look once a second for what has become due, and are told nothing: a notification (NOTIFY) in each transaction would make
//     all of them wait for one lock, and who takes a message tries it at once anyway.
//   - A commit whose outcome is not known is done again: all three kinds of change can be done twice. Where that fails, too, the
//     client is told to come again.
package postgres
