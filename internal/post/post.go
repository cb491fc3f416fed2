package post

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// Post takes mail in, for mailboxes here and for other hosts. Its exported fields
// must be set before the first method is called.
type Post struct {
	// Rules returns what the settings of the moment say. A transaction keeps to
	// what it got at MAIL.
	Rules func() *Rules
	// Mailboxes is where mail for this host goes.
	Mailboxes Mailboxes
	// Users have decided what else becomes of their mail; nil: nothing.
	Users Users
	// Outbound is where mail for other hosts goes; nil: none leaves.
	Outbound *Outbound
	// Inspectors look at each message, and what they find stands on top of it in
	// this order (see top).
	Inspectors []Inspector
	// Accepted, if not nil, is told of each message that is on stable storage, before its sender is. It
	// must not block.
	Accepted func(*Accepted)
	// Limited, if not nil, is told of each refusal because of a limit. It must not block.
	Limited func(*Limited)
	// Keep, if not nil, writes down what Counts returns, as an account was stopped or its
	// limits were lifted. It is to be done every minute or so besides.
	Keep func()
	// Log is where each message is a line.
	Log *slog.Logger

	long      longHeaders
	refused   refusals
	late      lateRefusals
	guesses   guesses
	rates     rates // of users
	incoming  rates // of strangers
	stops     stops
	answers   answers
	submitted atomic.Uint64 // messages of programs on this host
}

// Rules are what one set of settings says about mail on its way in. They do not
// change; a reload makes others.
type Rules struct {
	ServerName     string
	RelayFrom      []netip.Prefix // clients that may send to other hosts
	MaxHops        int            // Received fields beyond which a message goes round in a loop; 0: any number
	MaxMessageSize int64          // in octets, for programs of this host
	Directory      Directory
	Lookups        bool     // who is trusted may ask who is here
	Limits         *Limits  // how much may be sent; nil: any number
	OwnFields      []string // fields of users' mail that must name addresses they may send from
	Forward        bool     // users may have their mail forwarded
	Absence        bool     // and answered while they are away
	// Aside is the mailbox where mail for another one is put aside ("": none), and whether that of others is put there
	// as well; nil: nothing is put aside.
	Aside       func(domains.Address) (place domains.Address, shared bool)
	StripFields []string // names of fields that are taken out of strangers' mail
}

// Users knows what users have decided about their accounts, and who was answered for them. A *preferences.Store is one.
type Users interface {
	Lately(account domains.Address) (*preferences.Preferences, error)
	Note(ctx context.Context, account, sender domains.Address, now time.Time) (preferences.Answer, error)
	Unnote(ctx context.Context, account, sender domains.Address) error
}

// Mailboxes is what mail is put into. A mailstore.Store is one.
type Mailboxes interface {
	Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error)
	Room(ctx context.Context, user string, size int64) error
}

// Directory knows who has which address, as an accounts.Directory does.
type Directory interface {
	// Home is the domain of names without one.
	Home() domains.Name
	// Address is the canonical form of a path.
	Address(p smtp.Path) domains.Address
	// Qualify gives a path as programs of this host write it its domain.
	Qualify(p smtp.Path) smtp.Path
	// IsLocal reports whether mail for the path's domain is kept here.
	IsLocal(p smtp.Path) bool
	// Resolve finds where mail for a path goes: here, or to the host of its
	// domain. There are none for an address that nobody has.
	Resolve(p smtp.Path) accounts.Targets
	// MaySend reports whether an account may use the path as envelope sender.
	MaySend(account domains.Address, from smtp.Path) bool
}

// rulesKey is where a session keeps the rules of its transaction.
type rulesKey struct{}

// begin gives a transaction the rules of the moment.
func (p *Post) begin(s *smtp.Session) *Rules {
	rules := p.Rules()
	s.Set(rulesKey{}, rules)
	return rules
}

// rules are those of the session's transaction.
func (p *Post) rules(s *smtp.Session) *Rules {
	if rules, ok := s.Values[rulesKey{}].(*Rules); ok {
		return rules
	}
	return p.begin(s)
}

// copyBuffer is how much of a message is in memory at a time, in octets.
const copyBuffer = 32 << 10

// buffers holds *[copyBuffer]byte.
var buffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}
