package accounts

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
)

// Directory knows who lives here. It is made from one set of settings and never
// changes; a reload makes another one.
type Directory struct {
	book     *conf.Book
	settings map[domains.Name]*conf.Domain // those with settings of their own
	home     domains.Name                  // the domain of names without one
	only     domains.Name                  // the one domain that has accounts, if there is one alone
	hosts    []string                      // other names of this host
	system   map[string]bool               // users that programs of this host run as
	// senders are the addresses that accounts, and users that programs run as, may
	// send as beside their own.
	senders map[domains.Address][]domains.Address
	// elsewhere knows accounts that others keep; nil: there are none.
	elsewhere *Elsewhere
	blocked   map[domains.Address]bool // of those, by the settings
}

// NewDirectory makes the directory of the settings.
func NewDirectory(s *conf.Settings) *Directory {
	d := &Directory{
		book: s.Book(), settings: make(map[domains.Name]*conf.Domain), home: domains.Canonical(s.ServerName),
		hosts: hostNames(), system: systemUsers("/etc/passwd"), senders: make(map[domains.Address][]domains.Address),
		blocked: s.Elsewhere.Blocked(),
	}
	for address, a := range d.book.Accounts {
		d.senders[address] = canonical(a.Addresses)
	}
	for name, addresses := range s.Admin.SubmitAs {
		program := domains.At(name, d.home)
		d.senders[program] = append(d.senders[program], canonical(addresses)...)
	}
	for name, domain := range s.Domains {
		if domain != nil {
			d.settings[domains.Canonical(name)] = domain
		}
	}
	for address := range d.book.Accounts {
		if domain := address.Domain(); d.only == "" || d.only == domain {
			d.only = domain
		} else {
			d.only = ""
			break
		}
	}
	return d
}

// Beside adds accounts that others keep. It is to be called before the directory is used, once.
func (d *Directory) Beside(e *Elsewhere) *Directory {
	d.elsewhere = e
	all := e.domains()
	for address := range d.book.Accounts {
		all[address.Domain()] = true
	}
	d.only = ""
	if len(all) == 1 {
		for domain := range all {
			d.only = domain
		}
	}
	return d
}

// Elsewhere are the accounts that others keep; nil: there are none.
func (d *Directory) Elsewhere() *Elsewhere { return d.elsewhere }

// findPatience is how long it may take in all to find out who has an address; a place has bounds of its own, and there may be several.
const findPatience = 20 * time.Second

// Find returns the account of an address that others keep; nil if there is none. Accounts of the settings come first, also where
// somebody else says that an address is theirs. What the settings have closed is closed. An error says that it cannot be found out now.
func (d *Directory) Find(ctx context.Context, address domains.Address) (*Known, error) {
	k, err := d.elsewhere.Find(ctx, address)
	if err != nil || k == nil {
		return nil, err
	}
	return d.judged(k, address), nil
}

// Seen is Find without a question to a directory: what one said last, however long ago. asked is false where it was not asked about that address.
func (d *Directory) Seen(address domains.Address) (k *Known, asked bool) {
	if k, asked = d.elsewhere.seen(address); k != nil {
		k = d.judged(k, address)
	}
	return k, asked
}

// judged is an account that others keep, who was found by a name, by the settings; nil if it is none by them. Who is blocked by a name
// that is not the address of the mailbox comes in by that no more: it is what an operator may know him by.
func (d *Directory) judged(k *Known, name domains.Address) *Known {
	if _, alias := d.book.Aliases[k.Address]; alias || d.book.Accounts[k.Address] != nil || d.book.Reports[k.Address] {
		return nil
	}
	if d.closed(k.Address) || d.blocked[name] {
		closed := *k
		closed.Disabled, closed.Closed = true, true
		k = &closed
	}
	return k
}

// closed reports whether nobody logs in to an account that others keep, by the settings: it is blocked, or its domain is.
func (d *Directory) closed(account domains.Address) bool {
	domain := d.settings[account.Domain()]
	return d.blocked[account] || domain != nil && domain.Disabled
}

// Blocked reports whether an account that others keep is blocked by the settings.
func (d *Directory) Blocked(account domains.Address) bool { return d.blocked[account] }

// BlockedElsewhere are all of these; it must not be changed.
func (d *Directory) BlockedElsewhere() map[domains.Address]bool { return d.blocked }

func canonical(written []string) []domains.Address {
	all := make([]domains.Address, len(written))
	for i, w := range written {
		all[i] = domains.CanonicalAddress(w)
	}
	return all
}

// Home is the domain of names without one: the server's own.
func (d *Directory) Home() domains.Name { return d.home }

// Account returns the account of an address; nil if there is none.
func (d *Directory) Account(address domains.Address) *conf.Account { return d.book.Accounts[address] }

// Reports are the addresses that take reports, which are mailboxes without an account.
func (d *Directory) Reports() map[domains.Address]bool { return d.book.Reports }

// Accounts returns all accounts by address; it must not be changed.
func (d *Directory) Accounts() map[domains.Address]*conf.Account { return d.book.Accounts }

// Aliases returns all aliases by address, those that hold by default as well; it must not be changed.
func (d *Directory) Aliases() map[domains.Address][]conf.Target { return d.book.Aliases }

// Domains returns the domains whose mail is kept here, sorted.
func (d *Directory) Domains() []domains.Name { return d.book.Domains() }

// Domain returns a domain's own settings; nil if it has none.
func (d *Directory) Domain(name domains.Name) *conf.Domain { return d.settings[name] }

// Address returns the canonical form of a path; <postmaster> without a domain
// (RFC 5321 §4.1.1.3) belongs to the server's own.
func (d *Directory) Address(p smtp.Path) domains.Address {
	if p.Domain == "" {
		return domains.At(p.Local, d.home)
	}
	return p.Address()
}

// Qualify gives a path without a domain, or at another name of this host, the
// server's own: so programs of this host write the addresses of its users. Any
// other path stays as it is.
func (d *Directory) Qualify(p smtp.Path) smtp.Path {
	if name := p.DomainName(); p.Domain == "" || !d.book.IsLocal(name) && isHostName(name.String(), d.hosts) {
		p.Domain = d.home.String()
	}
	return p
}

// IsLocal reports whether mail for the path's domain is kept here.
func (d *Directory) IsLocal(p smtp.Path) bool {
	return p.Domain == "" || d.book.IsLocal(p.DomainName())
}

// Resolve finds where mail for a path goes: here, or to the host of its domain.
func (d *Directory) Resolve(p smtp.Path) Targets {
	address := d.Address(p)
	domain := address.Domain()
	if d.book.IsLocal(domain) {
		return d.Lookup(address)
	}
	p.Domain = domain.String()
	return Targets{Elsewhere: []smtp.Path{p}}
}

// Targets is where mail for one address goes.
type Targets struct {
	Mailboxes []domains.Address // of accounts
	Elsewhere []smtp.Path       // of other hosts, their domains canonical
	Local     bool              // the address is one of this host, which may forward
	// Away is why it cannot be found out who else would get the mail: who keeps accounts is away. The mail is to come again then, or to
	// be tried again, whoever else is here.
	Away error
	// Onward is where users have their mail forwarded to. A Directory knows nothing of it: it is for whoever asks them.
	Onward []Onward
}

// Onward is that mail for one of the mailboxes goes on.
type Onward struct {
	Account domains.Address
	To      smtp.Path // at another host
	Keep    bool      // the mailbox keeps a copy
}

// None reports whether there is nobody to take the mail.
func (t Targets) None() bool { return len(t.Mailboxes)+len(t.Elsewhere) == 0 }

// Expands reports whether the address stands for several others.
func (t Targets) Expands() bool { return len(t.Mailboxes)+len(t.Elsewhere) > 1 }

// Lookup follows an address of this host to its targets: an account, else an alias,
// then the same without its detail, then the domain's catch-all; at the server's own
// domain, the users that programs run as lead to the postmaster, so that what
// cron has to say to root is read. There are none for an address that nobody has.
func (d *Directory) Lookup(address domains.Address) Targets {
	t := Targets{Local: true}
	d.follow(address, &t, make(map[domains.Address]bool), true)
	return t
}

// follow is Lookup with the addresses seen so far, so that a loop that the
// check of the settings let through still ends.
func (d *Directory) follow(address domains.Address, t *Targets, seen map[domains.Address]bool, catchAll bool) {
	if seen[address] {
		return
	}
	seen[address] = true
	taker := d.book.Taker(address, catchAll)
	if d.elsewhere.Knows(address.Domain()) && taker != address && d.followElsewhere(address, taker, t, seen) {
		return
	}
	if local, domain := address.Cut(); taker == "" && domain == d.home && d.system[local] {
		d.follow(domains.At("postmaster", domain), t, seen, catchAll)
		return
	}
	if d.book.Accounts[taker] != nil || d.book.Reports[taker] {
		if taker == address || !seen[taker] {
			seen[taker] = true
			t.Mailboxes = append(t.Mailboxes, taker)
		}
		return
	}
	for _, next := range d.book.Aliases[taker] {
		if domain := next.Domain(); d.book.IsLocal(domain) {
			d.follow(next.Address, t, seen, catchAll)
		} else if !seen[next.Address] {
			seen[next.Address] = true
			t.Elsewhere = append(t.Elsewhere, smtp.Path{Local: next.Local, Domain: domain.String()})
		}
	}
}

// followElsewhere is follow where others keep accounts of the domain: they come before what an address means without its detail or by the catch-all
// (taker). It reports whether there is nothing more to follow.
func (d *Directory) followElsewhere(address, taker domains.Address, t *Targets, seen map[domains.Address]bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), findPatience)
	defer cancel()
	names := []domains.Address{address}
	if base := d.book.Base(address); base != address {
		names = append(names, base)
	}
	for _, name := range names {
		if name == taker { // the settings know it
			return false
		}
		k, err := d.Find(ctx, name)
		switch {
		case err != nil:
			t.Away = err
			return true
		case k != nil:
			if k.Address == address || !seen[k.Address] {
				seen[k.Address] = true
				t.Mailboxes = append(t.Mailboxes, k.Address)
			}
			return true
		}
	}
	return false
}

// MaySend reports whether an account may use the path as envelope sender: its own
// address with any detail, an alias that leads to it, or an address that its
// settings name. The null path is allowed: receipts and vacation notices need
// it (RFC 3834 §3.3, RFC 8098 §3).
func (d *Directory) MaySend(account domains.Address, from smtp.Path) bool {
	if from.IsNull() {
		return true
	}
	more, known := d.senders[account]
	address := d.Address(from)
	switch {
	case known:
	case !d.elsewhere.Knows(account.Domain()):
		return false
	case address == account: // who has logged in as it has proved that he is it
		return true
	}
	if slices.Contains(more, address) || slices.Contains(more, domains.At("*", address.Domain())) {
		return true
	}
	// Without the catch-all: being where strays go does not make one their
	// sender.
	var t Targets
	d.follow(address, &t, make(map[domains.Address]bool), false)
	return slices.Contains(t.Mailboxes, account)
}

// longestLogin is how much of a name given at login counts: more than any
// account's. Guesses are remembered by name, and strangers choose the name.
const longestLogin = 512

// Login returns the account that a name given at login means: the address
// itself, or a local part of the server's own domain, or of the only domain that has
// accounts. The account is nil where others keep it.
func (d *Directory) Login(user string) (domains.Address, *conf.Account) {
	if len(user) > longestLogin {
		user = user[:longestLogin]
	}
	var name domains.Address
	if strings.Contains(user, "@") {
		name = domains.CanonicalAddress(user)
	} else if name = domains.At(user, d.home); d.book.Accounts[name] == nil && !d.elsewhere.Knows(d.home) && d.only != "" {
		name = domains.At(user, d.only)
	}
	return name, d.book.Accounts[name]
}
