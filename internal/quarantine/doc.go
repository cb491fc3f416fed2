// Package quarantine is the place where suspicious mail waits: mailboxes like any other, which somebody may fetch from by
// POP3, and in them messages with a field of ours on top that says why they are there and for whom. What has no such
// field there is left alone.
//
// A message that is released is delivered once: the mark that this has begun is there before it, and whoever finds the mark
// looks first whether the mailbox has the message.
//
// Files:
//
//	field.go    the field
//	list.go     what is there
//	release.go  a message is given free, or too old
package quarantine
