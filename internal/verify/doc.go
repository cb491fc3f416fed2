// Package verify finds out whether mail of strangers is from whom it says: the client's reverse
// name, SPF, DKIM and DMARC, and what follows from it for the message. A Verifier is
// a post.Inspector. It begins to ask the DNS when the sender is known, hashes the body while it
// passes, and decides behind it, waiting 19 seconds at most for answers that are
// late. No message is refused for want of an answer that might have spoken for it; what the DNS of
// others than its author's does not answer is no excuse.
//
// Who has logged in, is a program of this host, or comes from a network that may relay is not
// looked at.
//
// Files:
//
//	verify.go   the Verifier and its rules
//	sender.go   what is asked from MAIL on
//	message.go  a message while it passes
//	authors.go  whom its readers may see as the author
//	policy.go   what is done with it
//	lists.go    what DNS lists know of who brings it
//	hello.go    what it calls itself
//	suspect.go  what is done for that
//	later.go    who is to come again
//	results.go  what is written on top of it
//	bounds.go   what strangers can have the DNS asked
//	nat.go      clients that all seem to be one
package verify
