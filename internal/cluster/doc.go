// Package cluster keeps what belongs to all servers of a mail system rather than to one of them: keys that mail is signed with, the
// secret of rewritten senders, how often a password was guessed at. A server alone keeps it in its own files; several servers on one database
// keep it in there. There are two kinds of it:
//
//	Store    documents that are replaced whole, by whoever has seen the one before: files, or package postgres
//	Tally    numbers that every server counts in its own memory, and tells the others of; a server alone has none
//
// Nothing here is asked for each message: documents are read when they change, and numbers are at hand.
//
// Files:
//
//	store.go  what a store of documents is
//	files.go  one in a directory
//	tally.go  numbers
package cluster
