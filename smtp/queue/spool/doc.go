// Package spool keeps a queue in a directory.
//
//	.lock                      held by the one process that has it open
//	tmp/<id>                   being written; emptied by Open
//	msg/<shard>/<id>           one entry: message, envelope, first state
//	msg/<shard>/<id>.state     its state now, once something has been learnt
//	corrupt/<id>[.state|.why]  what did not parse, and why; never deleted by us
//
// An entry exists because of one rename, from tmp into its shard, and ends when
// its file is removed. That file never changes; the state beside it is replaced
// by rename, and outlives it for a moment: a state without an entry is removed
// by Scan. Everything goes through mailstore/durable, so that Commit, Save and
// Remove return only when it is on stable storage.
//
// Most entries are delivered at their first attempt: one file written, renamed,
// read once and removed is all they cost.
//
// # Proof
//
// Contents and name of a new entry are made durable by the same sync: to wait
// between the two would double the time a session waits for its 250. A crash
// may therefore leave a name whose file is not whole, but only of an entry that
// was not acknowledged. So the file proves itself: its last line holds the
// lengths and the checksum of envelope and state, and the envelope those of the
// message. Scan and Load look at the former; the message is compared while it
// is read, and ends with an error where it differs, so that the end of a
// damaged message is never sent. What fails is put aside, with a word on whether
// it had been acknowledged (corrupt.go).
//
// Where a state has been saved, the entry was acknowledged long before, and Scan
// reads the state only.
//
// # Shards
//
// There are 256 shards, by a hash of the id. One directory could hold a million
// entries too, but every rename into or out of a directory takes its lock in
// the kernel, a directory never gives back the blocks it once grew to, so that
// after a bad day every scan would walk them for ever, and the tools of an
// operator, ls and find and rsync, are slow in a directory of a million names.
// 4,000 names in each of 256 directories are no trouble to anybody.
//
// # Files
//
// An entry's file is the message, octet for octet, and behind it envelope,
// state, and one line of constant length: the octets of the two and the CRC-32C
// of both, in hexadecimal digits.
//
//	postrider-entry 1 000000f3 00000078 9b2c4d1e
//
// Envelope and state are text: a line with the kind of document and its
// version, lines of "key: value", and the line "end", without which it is not
// whole. Values run to the end of the line. Times are RFC 3339 in UTC. A key
// stands only where its value is not the zero one.
//
//	postrider-envelope 1
//	id: 01k3v8m2x7q4
//	queued: 2026-03-01T08:15:00.25Z
//	from: ann@example.org
//	envid: QQ314159
//	ret: HDRS
//	body: 8BITMIME
//	smtputf8: yes
//	requiretls: yes
//	notbefore: 2026-03-01T09:00:00Z
//	session: 7f3a01
//	user: ann@example.org
//	size: 2048
//	crc32c: 0a1b2c3d
//	to: bob@example.net
//	notify: SUCCESS,FAILURE
//	orcpt: rfc822;bob@example.net
//	to: carol@example.com
//	end
//
// notify and orcpt belong to the "to" above them. size and crc32c (Castagnoli)
// prove the message; where "skip: N" stands before the checksum, the file begins with
// so many octets that are no part of it, of a place kept for its top. Beside "notbefore"
// there may be "by: TIME;MODE" and "priority: N", and below a "to" "rrvs: TIME;ACTION": what
// the sender asks by the parameters of these names. In a state, each "to" stands for the recipient of the same
// number in the envelope, and its value is the recipient's status:
//
//	postrider-state 1
//	queued: 2026-03-01T08:15:00.25Z
//	size: 2048
//	held: yes
//	route: smarthost
//	to: pending
//	attempts: 3
//	next: 2026-03-01T08:35:00Z
//	warned: yes
//	last: 2026-03-01T08:25:00Z
//	result: pending
//	code: 451
//	enhanced: 4.7.1
//	text: Greylisted, come back later
//	host: mx.example.net [192.0.2.7]:25
//	tls: TLS1.3
//	to: delivered
//	attempts: 1
//	reported: yes
//	end
//
// A version that has something to say which those before could not obey says it by a new key or a higher number in the first line, by which they
// know (ErrNewer) that the entry is not damaged: where servers of several versions share a spool, they leave it to the newer ones.
package spool
