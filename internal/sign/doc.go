// Package sign keeps the keys by which mail from the domains of this host is signed
// (DKIM, RFC 6376), and signs what leaves: messages of users while they pass
// (Ring is a post.Inspector), and messages of the server's own (Ring.Message).
//
// A key has a life of its own (Phase). It is announced: the DNS is to show it. When
// the servers of its zone do, it signs, and the one before is retired: its
// record must stay for as long as mail signed with it may be under way. Then it is gone. Nothing is
// ever signed with a key that the DNS is known not to show. Ring.Run goes on from phase to phase
// by itself, as far as it sees the DNS follow.
//
// Files:
//
//	key.go     a key and its phases
//	ring.go    the keys of all domains and their files
//	life.go    how a key goes from phase to phase
//	watch.go   what the servers of a zone show
//	steer.go   what operators do to keys
//	message.go messages on their way
package sign
