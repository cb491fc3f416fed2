package mailstore

import (
	"context"
	"io"
)

// A message may come to a store sealed: as octets that only somebody with a key can
// turn back into the message. Package mailstore/sealed does that around a store; the
// store keeps beside each such message what has to be known of it without the key.

// Seal is what a store keeps of a sealed message beside its octets.
type Seal struct {
	// Mark names the key and the message, see ValidMark. It goes with the message wherever
	// that goes, and is given back by SealedDrop.Mark.
	Mark string
	// Size is how long the message inside is, in octets: what Size, Usage and quotas go by. It
	// is read at Commit.
	Size int64
}

// ValidMark reports whether a store must take a mark: 1 to 40 of the letters a to z, digits and dots.
func ValidMark(mark string) bool {
	for _, c := range []byte(mark) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return len(mark) >= 1 && len(mark) <= 40
}

// SealedStore is a Store that can keep sealed messages beside others. Its maildrops are
// SealedDrops, and its deliveries SealedDeliveries.
type SealedStore interface {
	Store
	// CommitAll commits several deliveries of the store as one, as Delivery.Commit does with one: it
	// returns nil only when every mailbox of each has its message, and otherwise none has. The error is a *Refused
	// where mailboxes cannot take theirs; then all of them are still open, can have mailboxes excluded, and can
	// be committed again with the same tops. Those whose mailboxes are all excluded are passed over. After any other error
	// all are over.
	CommitAll(ctx context.Context, parts ...Part) error
}

// Part is a delivery with its top, see Delivery.Commit.
type Part struct {
	Delivery Delivery
	Top      []byte
}

// SealedDelivery is a Delivery that can give back what was written so far, without
// the place for the top. Nothing more may be written to it then, but it can be aborted.
type SealedDelivery interface {
	Delivery
	Reread() (io.ReadCloser, error)
}

// SealedDrop is a Maildrop of a SealedStore. Open is ErrSealed for sealed messages.
type SealedDrop interface {
	Maildrop
	// Mark is that of the message's Seal; empty for one that is not sealed.
	Mark(i int) string
	// File is what a log calls the message.
	File(i int) string
	// OpenSealed streams a message as it was sealed, and tells how many octets that are. It is ErrDamaged where they are
	// not as many as were written.
	OpenSealed(ctx context.Context, i int) (r io.ReadCloser, size int64, err error)
	// Replace puts another form of the same message in its place: sealed as seal says, or, with nil, as a
	// message again. write writes it, with CRLF line ends, and may set seal.Size. Size, UID, flags and times stay. A crash at any
	// moment leaves the message in one form or the other. Afterwards the maildrop has the message as it was when it was opened: ErrGone.
	Replace(ctx context.Context, i int, seal *Seal, write func(io.Writer) error) error
}
