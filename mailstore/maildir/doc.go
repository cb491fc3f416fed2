// Package maildir keeps mail in plain Maildirs that other programs can use at
// the same time, and promises what they do not: what was committed survives a
// crash, and the octets that come out are the octets that went in.
//
// # Layout
//
//	<root>/<domain>/<user>/{tmp,new,cur}   one Maildir per mailbox
//	<root>/<domain>/<user>/postrider.lock  locked while a maildrop is open, as is the directory
//	<root>/.postrider.lock                 locked by the one owner of the store
//
// A user name becomes a path through one fixed encoding (path.go).
//
// # Names
//
//	<seconds>.<unique>.<host>,S=<octets on disk>,W=<octets on the wire>[:2,<flags>]
//
// S and W are as Dovecot writes them, so that a listing opens no file. Everything
// before the first comma is the message's unique id; a message imported with an
// id of its own carries it in a further field ",U=". Files of other programs,
// without these fields, are accepted; they are read once to learn their size.
//
// # Lines
//
// Files hold lines ending in LF, as other Maildir tools expect, and are given
// out with CRLF: an LF gets a CR unless it has one. A message that would not
// come back octet for octet that way (it holds a bare LF, or CR CR LF, or
// was declared binary) is kept as it came; its name has ",X=<octets>" in place
// of W, a field other tools pass over.
//
// # Sealed messages
//
// A message that came sealed (mailstore.Seal) is kept as it came, and its name has
// ",Z=<octets of the message inside>,K=<mark>" in place of W. Sizes, quotas and listings go by Z; Open
// does not give it out, OpenSealed does. Other tools see a file they cannot read, of the length that S says.
//
// # Durability
//
// A delivery is written to a file without a name, made durable, given its name in
// each mailbox's new, and that is made durable before Commit returns. A large one,
// and any where there are no such files, is written to tmp and moved and linked
// from there. Package
// mailstore/durable does it, and shares the syncs among all that wait.
package maildir
