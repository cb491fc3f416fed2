// Package postgres keeps mailboxes in a PostgreSQL database (14 or later), for servers that share one store: any number of
// processes may have it open at once.
//
//	store, err := postgres.Open(ctx, "postgres://mail@db1,db2/mail")
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// What holds:
//
//   - A message is one transaction, whose body and whose places in all its mailboxes are seen together or not at all. Deliveries
//     that come at one time are one transaction together (group commit), and one that cannot be had spoils none of the others.
//   - Commit returns nil only after the database has confirmed the commit, without a warning: PostgreSQL confirms one whose wait
//     for a standby was cancelled, and says so in a warning alone. Where the connection breaks during the commit, the store asks
//     for the truth under the locks that the lost transaction held; if it cannot be had, the error is mailstore.ErrUncertain.
//   - A maildrop is locked by a row with an end and a number that grows (a lease), not by a connection. Who has lost it, because
//     he hung or the database was away, removes nothing: mailstore.ErrLockLost.
//   - What a mailbox holds is counted by the database itself, in the transaction that changes it.
//   - Nothing is listed by "what is newer than the last I saw": a list is whole, and kept while the number of the mailbox's
//     version stays.
//
// A server without the means to keep such promises is refused, when the store is opened and whenever a connection is made:
// one that is in recovery, has fsync, full_page_writes or synchronous_commit off, is older than one that was seen before (its
// timeline is lower), or is not the database of before (mailstore/database).
//
// Bodies up to 64 KiB stand in one row; larger ones in rows of 128 KiB, written while the message comes and worth nothing
// until the row that names them is committed. What such a message leaves when it is given up is swept away later. With WithObjects the
// large ones are in a bucket instead, but for their beginning; sweepObjects says why none loses a piece.
package postgres
