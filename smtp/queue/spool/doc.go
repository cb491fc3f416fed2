// Package spool keeps a queue in a directory.
//
//	tmp/<id>/                                    being built or taken down; emptied by Open
//	msg/<shard>/<id>/{body,envelope,state}       one entry
//	corrupt/<id>/                                what did not parse; never deleted by us
//
// An entry exists because of one rename, from tmp into its shard, and ends by
// one, back into tmp. body and envelope never change; state is replaced by
// rename. Every rename goes through internal/durable, so that Commit, Save and
// Remove return only when it is on stable storage.
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
// envelope and state are text: a line with the kind of file and its version,
// lines of "key: value", and the line "end", without which a file is not
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
// prove the body. In a state, each "to" stands for the recipient of the same
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
package spool
