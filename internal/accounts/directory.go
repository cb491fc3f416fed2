package accounts

import (
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/smtp"
)

// Directory knows who lives here. It is made from one set of settings and never
// changes; a reload makes another one.
//
// All its keys are in canonical form: the domain as lower-case A-labels
// (RFC 5890), the local part in lower case. RFC 5321 §2.4 leaves the reading
// of a local part to the host that owns it; this host folds case.
type Directory struct {
	book     *conf.Book
	settings map[string]*conf.Domain // by domain, those with settings of their own
	home     string                  // the domain of names without one
	only     string                  // the one domain that has accounts, if there is one alone
	hosts    []string                // other names of this host
	system   map[string]bool         // users that programs of this host run as
	programs map[string][]string     // by such a user's address, what else it may send as
}

// NewDirectory makes the directory of the settings.
func NewDirectory(s *conf.Settings) *Directory {
	d := &Directory{
		book: s.Book(), settings: make(map[string]*conf.Domain), home: conf.CanonicalDomain(s.ServerName),
		hosts: hostNames(), system: systemUsers("/etc/passwd"), programs: make(map[string][]string),
	}
	for address := range d.book.Accounts {
		if _, domain := conf.CutAddress(address); d.only == "" || d.only == domain {
			d.only = domain
		} else {
			d.only = ""
			break
		}
	}
	for name, addresses := range s.Admin.SubmitAs {
		d.programs[conf.Canonical(name+"@"+d.home)] = addresses
	}
	for name, domain := range s.Domains {
		if domain != nil {
			d.settings[conf.CanonicalDomain(name)] = domain
		}
	}
	return d
}

// Home is the domain of names without one: the server's own.
func (d *Directory) Home() string { return d.home }

// Account returns the account of an address; nil if there is none.
func (d *Directory) Account(address string) *conf.Account { return d.book.Accounts[address] }

// Accounts returns all accounts by address; it must not be changed.
func (d *Directory) Accounts() map[string]*conf.Account { return d.book.Accounts }

// Domain returns a domain's own settings; nil if it has none.
func (d *Directory) Domain(name string) *conf.Domain { return d.settings[name] }

// Address returns the canonical form of a path; <postmaster> without a domain
// (RFC 5321 §4.1.1.3) belongs to the server's own.
func (d *Directory) Address(p smtp.Path) string {
	domain := p.DomainName().String()
	if p.Domain == "" {
		domain = d.home
	}
	return strings.ToLower(p.Local) + "@" + domain
}

// Qualify gives a path without a domain, or at another name of this host, the
// server's own: so programs of this host write the addresses of its users. Any
// other path stays as it is.
func (d *Directory) Qualify(p smtp.Path) smtp.Path {
	if p.Domain == "" || !d.IsLocal(p) && isHostName(conf.CanonicalDomain(p.Domain), d.hosts) {
		p.Domain = d.home
	}
	return p
}

// IsLocal reports whether mail for the path's domain is kept here.
func (d *Directory) IsLocal(p smtp.Path) bool {
	if p.Domain == "" {
		return true
	}
	return d.book.IsLocal(p.DomainName().String())
}

// Resolve finds where mail for a path goes: here, or to the host of its domain.
func (d *Directory) Resolve(p smtp.Path) Targets {
	if d.IsLocal(p) {
		return d.Lookup(d.Address(p))
	}
	p.Domain = p.DomainName().String()
	return Targets{Elsewhere: []smtp.Path{p}}
}

// Targets is where mail for one address goes.
type Targets struct {
	Mailboxes []string    // accounts, by address
	Elsewhere []smtp.Path // of other hosts, their domains canonical
	Forwarded bool        // the address was one of this host
}

// None reports whether there is nobody to take the mail.
func (t Targets) None() bool { return len(t.Mailboxes)+len(t.Elsewhere) == 0 }

// Expands reports whether the address stands for several others.
func (t Targets) Expands() bool { return len(t.Mailboxes)+len(t.Elsewhere) > 1 }

// Lookup follows an address to its targets: an account, else an alias, then
// the same without its detail, then the domain's catch-all; at the server's own
// domain, the users that programs run as lead to the postmaster, so that what
// cron has to say to root is read. There are none for an address that nobody has.
func (d *Directory) Lookup(address string) Targets {
	var t Targets
	d.follow(address, &t, make(map[string]bool), true)
	return t
}

// follow is Lookup with the addresses seen so far, so that a loop that the
// check of the settings let through still ends.
func (d *Directory) follow(address string, t *Targets, seen map[string]bool, catchAll bool) {
	if seen[address] {
		return
	}
	seen[address] = true
	local, domain := conf.CutAddress(address)
	if !d.book.IsLocal(domain) {
		t.Elsewhere = append(t.Elsewhere, smtp.Path{Local: local, Domain: domain})
		return
	}
	taker := d.book.Taker(address, catchAll)
	if taker == "" && domain == d.home && d.system[local] {
		d.follow("postmaster@"+domain, t, seen, catchAll)
		return
	}
	if d.book.Accounts[taker] == nil {
		for _, next := range d.book.Aliases[taker] {
			d.follow(next, t, seen, catchAll)
		}
		return
	}
	if taker == address || !seen[taker] {
		seen[taker] = true
		t.Mailboxes = append(t.Mailboxes, taker)
	}
}

// MaySend reports whether an account may use the path as envelope sender: its own
// address with any detail, an alias that leads to it, or an address that its
// settings name. The null path is allowed: receipts and vacation notices need
// it (RFC 3834 §3.3, RFC 8098 §3).
func (d *Directory) MaySend(account string, from smtp.Path) bool {
	if from.IsNull() {
		return true
	}
	address := d.Address(from)
	_, domain := conf.CutAddress(address)
	more := d.programs[account]
	if a := d.book.Accounts[account]; a != nil {
		more = slices.Concat(a.Addresses, more)
	} else if more == nil {
		return false
	}
	for _, allowed := range more {
		if allowed = conf.Canonical(allowed); allowed == address || allowed == "*@"+domain {
			return true
		}
	}
	// Without the catch-all: being where strays go does not make one their
	// sender.
	var t Targets
	d.follow(address, &t, make(map[string]bool), false)
	return slices.Contains(t.Mailboxes, account)
}

// longestLogin is how much of a name given at login counts: more than any
// account's. Guesses are remembered by name, and strangers choose the name.
const longestLogin = 512

// Login returns the account that a name given at login means: the address
// itself, or a local part of the server's own domain, or of the only domain that has
// accounts.
func (d *Directory) Login(user string) (string, *conf.Account) {
	if len(user) > longestLogin {
		user = user[:longestLogin]
	}
	name := conf.Canonical(user)
	if !strings.Contains(name, "@") {
		bare := name
		if name += "@" + d.home; d.book.Accounts[name] == nil && d.only != "" {
			name = bare + "@" + d.only
		}
	}
	return name, d.book.Accounts[name]
}
