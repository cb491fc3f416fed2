// Package sealed keeps messages of some mailboxes so that only their owners can
// read them. It is a store around a store: each message for a mailbox with a
// public key is written as an age file to that key (cipher/sealedmail), and
// comes out of a maildrop again while that has been unlocked with the private
// key. Delivery, quotas, listing, retention and removal need no key.
//
//	store := sealed.New(inner, func(user string) (string, error) { ... }) // public keys
//	drop, err := store.Open(ctx, user)
//	drop.(sealed.Unlocker).Unlock(keys)
//
// # What a sealed message is
//
// An age file with one X25519 recipient, and in it one field on top of the message:
//
//	X-Sealed: 1 <key>.<id>
//
// The store keeps "<key>.<id>" beside the file, as its mark (mailstore.Seal): <key> are the 8 characters
// behind "age1" in the public key, <id> are 80 random bits. So it is known without the private one to which key a
// message is sealed, and a file that was put in another's place, or the file of another mailbox, is found when it is opened. The field is not given
// out, and not counted: sizes are those of the message.
//
// What this does not find is a file that was removed, one that was put back under its whole old name, and one that
// somebody made anew: a public key seals for everybody, as anybody may send mail.
//
// A message for several mailboxes is written once for all that are not sealed, and once for each that
// is; all of these are committed as one.
package sealed
