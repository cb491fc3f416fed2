package daemon

import (
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/smtp"
)

// directory knows who lives here. It is made from one set of settings and
// never changes; a reload makes another one.
//
// All its keys are in canonical form: the domain as lower-case A-labels
// (RFC 5890), the local part in lower case. RFC 5321 §2.4 leaves the reading
// of a local part to the host that owns it; this host folds case.
type directory struct {
	domains  map[string]string        // domain → the character before a detail, or ""
	settings map[string]*conf.Domain  // by domain, those with settings of their own
	accounts map[string]*conf.Account // by address
	aliases  map[string][]string      // by address, "*@domain" for the rest of a domain
	home     string                   // the domain of names without one
}

func newDirectory(s *conf.Settings) *directory {
	d := &directory{
		domains:  make(map[string]string),
		settings: make(map[string]*conf.Domain),
		accounts: make(map[string]*conf.Account),
		aliases:  make(map[string][]string),
		home:     conf.CanonicalDomain(s.ServerName),
	}
	for _, name := range s.LocalDomains() {
		d.domains[conf.CanonicalDomain(name)] = "+"
	}
	for name, domain := range s.Domains {
		if domain == nil {
			continue
		}
		name = conf.CanonicalDomain(name)
		d.settings[name] = domain
		switch domain.Plus {
		case "":
		case "none":
			d.domains[name] = ""
		default:
			d.domains[name] = domain.Plus
		}
	}
	for address, account := range s.AllAccounts() {
		d.accounts[conf.Canonical(address)] = account
	}
	for address, targets := range s.AllAliases() {
		d.aliases[conf.Canonical(address)] = targets
	}
	return d
}

// address returns the canonical form of a path; <postmaster> without a domain
// (RFC 5321 §4.1.1.3) belongs to the server's own.
func (d *directory) address(p smtp.Path) string {
	domain := conf.CanonicalDomain(p.Domain)
	if p.Domain == "" {
		domain = d.home
	}
	return strings.ToLower(p.Local) + "@" + domain
}

// isLocal says whether mail for the path's domain is kept here.
func (d *directory) isLocal(p smtp.Path) bool {
	if p.Domain == "" {
		return true
	}
	_, ok := d.domains[conf.CanonicalDomain(p.Domain)]
	return ok
}

// resolve finds where mail for a path goes: here, or to the host of its domain.
func (d *directory) resolve(p smtp.Path) targets {
	if d.isLocal(p) {
		return d.lookup(d.address(p))
	}
	p.Domain = conf.CanonicalDomain(p.Domain)
	return targets{elsewhere: []string{p.String()}}
}

// targets is where mail for one address goes.
type targets struct {
	mailboxes []string // accounts, by address
	elsewhere []string // addresses of other hosts
	forwarded bool     // the address was one of this host
}

func (t targets) none() bool { return len(t.mailboxes)+len(t.elsewhere) == 0 }

// lookup follows an address to its targets: an account, else an alias, then
// the same without its detail, then the domain's catch-all. There are none for
// an address that nobody has.
func (d *directory) lookup(address string) targets {
	var t targets
	d.follow(address, &t, make(map[string]bool), true)
	return t
}

// follow is lookup with the addresses seen so far, so that a loop that the
// check of the settings let through still ends.
func (d *directory) follow(address string, t *targets, seen map[string]bool, catchAll bool) {
	if seen[address] {
		return
	}
	seen[address] = true
	local, domain := split(address)
	mark, ours := d.domains[domain]
	if !ours {
		t.elsewhere = append(t.elsewhere, address)
		return
	}
	bare := address
	if base, _, ok := strings.Cut(local, mark); mark != "" && ok && base != "" {
		bare = base + "@" + domain
	}
	names := []string{address, bare, "*@" + domain}
	if !catchAll {
		names = names[:2]
	}
	for _, name := range names {
		if _, ok := d.accounts[name]; ok {
			if name == address || !seen[name] {
				seen[name] = true
				t.mailboxes = append(t.mailboxes, name)
			}
			return
		}
		if next, ok := d.aliases[name]; ok {
			for _, n := range next {
				d.follow(n, t, seen, catchAll)
			}
			return
		}
	}
}

func split(address string) (local, domain string) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address, ""
	}
	return address[:i], address[i+1:]
}

// maySend says whether an account may use the path as envelope sender: its own
// address with any detail, an alias that leads to it, or an address that its
// settings name. The null path is allowed: receipts and vacation notices need
// it (RFC 3834 §3.3, RFC 8098 §3).
func (d *directory) maySend(account string, from smtp.Path) bool {
	if from.IsNull() {
		return true
	}
	a, ok := d.accounts[account]
	if !ok {
		return false
	}
	address := d.address(from)
	_, domain := split(address)
	for _, allowed := range a.Addresses {
		if allowed = conf.Canonical(allowed); allowed == address || allowed == "*@"+domain {
			return true
		}
	}
	// Without the catch-all: being where strays go does not make one their
	// sender.
	var t targets
	d.follow(address, &t, make(map[string]bool), false)
	return slices.Contains(t.mailboxes, account)
}

// longestLogin is how much of a name given at login counts: more than any
// account's. Guesses are remembered by name, and strangers choose the name.
const longestLogin = 512

// login returns the account that a name given at login means: the address
// itself, or a local part of the server's own domain.
func (d *directory) login(user string) (string, *conf.Account) {
	if len(user) > longestLogin {
		user = user[:longestLogin]
	}
	name := conf.Canonical(user)
	if !strings.Contains(name, "@") {
		name += "@" + d.home
	}
	return name, d.accounts[name]
}
