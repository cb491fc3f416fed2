// Package mailstore says what a mail store is: the small interfaces through
// which mail is put into mailboxes and taken out again. It stores nothing
// itself; mailstore/maildir is the default answer, and mailstore/storetest is
// the suite every answer must pass.
//
// A mailbox is named by its full address, "local@domain". How a store turns
// that name into something on disk is the store's own business, and must be
// reversible and unable to escape the store's root.
package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// Errors a store answers with. Callers compare with errors.Is.
var (
	// ErrLocked: another session holds the maildrop (RFC 1939 §3).
	ErrLocked = errors.New("mailstore: maildrop is locked")
	// ErrNoMailbox: the mailbox does not exist and the store does not make it.
	ErrNoMailbox = errors.New("mailstore: no such mailbox")
	// ErrOverQuota: the message does not fit into the mailbox or its domain.
	ErrOverQuota = errors.New("mailstore: mailbox is full")
	// ErrNeverFits: the message is larger than all that the mailbox or its domain
	// may hold, so that trying later is of no use. It is ErrOverQuota as well.
	ErrNeverFits = fmt.Errorf("%w: the message is larger than the whole quota", ErrOverQuota)
	// ErrBadName: the name cannot be a mailbox name.
	ErrBadName = errors.New("mailstore: bad mailbox name")
	// ErrNoSpace: the disk is full or the system's quota is used up.
	ErrNoSpace = errors.New("mailstore: no space left on device")
	// ErrPoisoned: a sync failed earlier. Nothing more is accepted until the
	// store has been opened again, because what the kernel dropped is unknown.
	ErrPoisoned = errors.New("mailstore: a sync failed; the store accepts nothing more")
	// ErrGone: the message was there when the maildrop was opened and was
	// since removed by another program.
	ErrGone = errors.New("mailstore: message is gone")
	// ErrReadOnly: the file system is mounted read-only, or the store was
	// opened for reading.
	ErrReadOnly = errors.New("mailstore: store is read-only")
	// ErrUnavailable: the disk or a permission failed. Trying later may work.
	ErrUnavailable = errors.New("mailstore: store is unavailable")
	// ErrUncertain: it could not be found out whether what was asked for was done, since
	// what keeps the mail broke off in the middle. A client is told to try later, and may
	// have its message twice for it.
	ErrUncertain = errors.New("mailstore: the outcome is not known")
	// ErrLockLost: the maildrop is another's by now. Nothing was done.
	ErrLockLost = errors.New("mailstore: the lock of the maildrop was lost")
	// ErrSealed: the message is sealed, and what was asked has no key to open it.
	ErrSealed = errors.New("mailstore: message is sealed")
	// ErrDamaged: the message is there, but is not, or is not known to be, what was delivered.
	ErrDamaged = errors.New("mailstore: message is damaged")
	// ErrClosed: a store that has a Close method has been closed. What was begun
	// before cannot be finished, for another may own the store by now.
	ErrClosed = errors.New("mailstore: store is closed")
)

// Refused is the error of Create and Commit where mailboxes cannot take the
// message: they are full, or something is wrong with them alone. No mailbox has
// the message, and those that are not named could have it. errors.Is finds the
// reason of each.
type Refused struct {
	// Mailboxes is why, for every mailbox that cannot take the message, by all
	// the names that Create was given for it.
	Mailboxes map[string]error
}

// Error implements error. It names the mailboxes in order.
func (r *Refused) Error() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(r.Mailboxes)) {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "mailbox %s: %v", name, r.Mailboxes[name])
	}
	return b.String()
}

// Unwrap returns the reasons.
func (r *Refused) Unwrap() []error { return slices.Collect(maps.Values(r.Mailboxes)) }

// Meta is what is known about a message before its first octet.
type Meta struct {
	// ID is the transaction's id, for logs; it need not be unique for ever.
	ID string
	// Size is the announced size in octets, or 0 if none was announced. It is
	// a hint for quotas, never trusted.
	Size int64
	// Top is what Commit is expected to be given, as far as it is known already, and
	// anything in place of the rest: only its length and its lines count. A store
	// may keep so much room free at the beginning of a large message, and has to
	// write the message once more if the top turns out to need more.
	Top []byte
	// Received is when the message was accepted; zero means now.
	Received time.Time
	// Flags are Maildir info letters (D F P R S T) the message starts with;
	// empty for new mail.
	Flags string
	// UID asks for this unique id (for imports). Empty lets the store choose;
	// an id already taken in the mailbox is replaced by a fresh one.
	UID string
	// Exact asks that the octets be kept as they are even where the store
	// would otherwise keep lines in its own convention (BODY=BINARYMIME,
	// RFC 3030 §3).
	Exact bool
	// Seal says that what comes is not a message but one that was sealed. Only a
	// SealedStore knows it. What is written is kept as it is, and Top is exactly as long as what
	// Commit will be given, or empty.
	Seal *Seal
}

// Mark is that of Seal, empty without one.
func (m *Meta) Mark() string {
	if m.Seal == nil {
		return ""
	}
	return m.Seal.Mark
}

// Usage is what a mailbox holds.
type Usage struct {
	Messages int64
	Octets   int64 // in CRLF octets, the sum of Maildrop.Size
}

// Store keeps mailboxes. Its methods may be called concurrently.
type Store interface {
	// Create begins one message for one or more mailboxes. Nothing is visible
	// before Commit. A mailbox that is not there yet is made. Where some of the
	// mailboxes cannot take the message the error is a *Refused, and Create may
	// be called again for the others.
	Create(ctx context.Context, m Meta, users ...string) (Delivery, error)
	// Open locks the maildrop and freezes its list: mail that arrives later is
	// not in it. It is ErrLocked if another session, also of another process,
	// holds it.
	Open(ctx context.Context, user string) (Maildrop, error)
	// Room reports whether a message of size octets (0 if unknown) would fit
	// into the mailbox now: nil, or an error that is ErrOverQuota, and
	// ErrNeverFits where no room could be enough, ErrNoSpace or ErrPoisoned.
	Room(ctx context.Context, user string, size int64) error
	// Usage counts what the mailbox holds. A mailbox never delivered to is
	// empty, not an error.
	Usage(ctx context.Context, user string) (Usage, error)
	// Users yields the name of every mailbox in the store, in no order.
	Users(ctx context.Context) iter.Seq2[string, error]
}

// Delivery is one message on its way into the store: first its body, which is all
// that came, then what is to stand on top of that, which may depend on it. Lines end
// in CRLF, as on the wire. It is not safe for concurrent use.
type Delivery interface {
	// Writer takes the body.
	io.Writer
	// Commit puts the top, whole header fields or nothing, on top of the body. A
	// top that is shorter than Meta.Top may be stored with a field or with blanks
	// that fill the room (Pad); one of the same length is stored as it is.
	//
	// Commit returns nil only when every mailbox's copy, contents and directory
	// entry, is on stable storage. Otherwise no mailbox has it, unless the error is
	// ErrUncertain. Where that is
	// because some of them cannot take the message, the error is a *Refused, and
	// the delivery is still open: it can be committed without them, see Exclude,
	// and with the same top. After any other error it is over.
	Commit(ctx context.Context, top []byte) error
	// Exclude takes mailboxes out of the delivery, by the names that Create was
	// given. Names it was not given change nothing; Commit fails when none is
	// left.
	Exclude(users ...string)
	// Abort throws the message away. It is needed wherever Commit did not
	// return nil, and does nothing after it did.
	Abort() error
}

// Keeper is a Maildrop that can put messages away instead of removing them.
// Both methods return nil only when what they did will survive a crash; a
// message already gone counts as done.
type Keeper interface {
	Details
	// Flag adds Maildir info letters to the messages.
	Flag(ctx context.Context, is []int, flags string) error
	// Move takes the messages out of the maildrop into a folder of the
	// mailbox, which is made if it is not there. Its name is one that IsFolder
	// allows.
	Move(ctx context.Context, is []int, folder string) error
}

// CleanFlags keeps of letters the Maildir info letters (D F P R S T), each once and in order.
func CleanFlags(letters string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(letters, c) {
			return c
		}
		return -1
	}, "DFPRST")
}

// IsFolder reports whether every Keeper can have a folder of this name: 1 to 64 ASCII
// letters, digits, '-' and '_', which need no encoding anywhere.
func IsFolder(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters) == ""
}

// Trash is a Keeper that can bring back what was only marked as deleted, or let it
// go after a time.
type Trash interface {
	Keeper
	// Unflag takes Maildir info letters from the messages. It returns nil only
	// when that will survive a crash; a message already gone counts as done.
	Unflag(ctx context.Context, is []int, flags string) error
	// Changed is when the message's flags were last changed, or later; zero if
	// unknown.
	Changed(i int) time.Time
}

// Details is what a Maildrop may know beyond what POP3 needs; export asks for it.
type Details interface {
	// Flags are the message's Maildir info letters.
	Flags(i int) string
	// Received is when the message was accepted; zero if unknown.
	Received(i int) time.Time
}

// Maildrop is a locked mailbox with a frozen list. Messages are counted from
// 0. It is not safe for concurrent use.
type Maildrop interface {
	// Len is the number of messages when the maildrop was opened.
	Len() int
	// Size is the exact number of octets Open will give.
	Size(i int) int64
	// UID is the message's unique id: 1 to 70 characters of 0x21 to 0x7E
	// (RFC 1939 §7), unique in the maildrop, the same in every session.
	UID(i int) string
	// Open streams the message with CRLF line endings, in constant memory.
	// What it has to wait for ends with ctx, which lives until the reader is
	// closed.
	// It is ErrGone if another program removed the message meanwhile.
	Open(ctx context.Context, i int) (io.ReadCloser, error)
	// Remove deletes exactly these messages. It returns nil only when that
	// will survive a crash. A message already gone counts as removed. In a store that
	// others share it may be ErrLockLost or ErrUncertain.
	Remove(ctx context.Context, is []int) error
	// Close unlocks the maildrop. It is safe to call twice.
	Close() error
}
