// Package fetch takes over mail from other servers by POP3: every message of a list
// of maildrops comes into mailboxes here once, with the octets and the unique id it
// has there.
//
// # Once
//
// What has come is written down in a file for each maildrop, as soon as the
// message is on stable storage; a run that was interrupted or killed at any moment is
// started again and goes on. A message that was stored in the moment of a kill, before it was
// written down, is found in the mailbox by its id and its beginning.
//
// A message is known by its unique id (UIDL, RFC 1939 §7). Where the server has none, gives one to two
// messages, or makes new ones in every session, messages are told apart by their size and
// beginning, which means to read them again; how often each has come counts, so two
// messages that are the same to the last octet both come, and no third.
//
// # The other side
//
// Nothing changes there, unless Fetcher.Delete asks for it. Then DELE is said for what
// is on stable storage and written down, and it counts as gone only when QUIT was answered +OK.
package fetch
