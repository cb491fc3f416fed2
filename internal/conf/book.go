package conf

import (
	"maps"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// inDomain gives a local part its domain; a full address stays as it is.
func inDomain(address, domain string) string {
	if strings.Contains(address, "@") {
		return address
	}
	return address + "@" + domain
}

// eachAccount visits every account by full address as it is written, in the
// order of the addresses, those of Domains after those of Accounts.
func (s *Settings) eachAccount(f func(steps []any, address string, a *Account)) {
	for _, address := range slices.Sorted(maps.Keys(s.Accounts)) {
		if a := s.Accounts[address]; a != nil {
			f([]any{"Accounts", address}, address, a)
		}
	}
	s.eachDomain(func(name string, d *Domain) {
		for _, local := range slices.Sorted(maps.Keys(d.Accounts)) {
			if a := d.Accounts[local]; a != nil {
				f([]any{"Domains", name, "Accounts", local}, local+"@"+name, a)
			}
		}
	})
}

// eachAlias visits every alias by full address with full targets, catch-alls
// as "*@domain".
func (s *Settings) eachAlias(f func(steps []any, address string, targets []string)) {
	for _, address := range slices.Sorted(maps.Keys(s.Aliases)) {
		f([]any{"Aliases", address}, address, s.Aliases[address])
	}
	s.eachDomain(func(name string, d *Domain) {
		for _, local := range slices.Sorted(maps.Keys(d.Aliases)) {
			targets := slices.Clone(d.Aliases[local])
			for i, t := range targets {
				targets[i] = inDomain(t, name)
			}
			f([]any{"Domains", name, "Aliases", local}, local+"@"+name, targets)
		}
		if d.CatchAll != "" {
			f([]any{"Domains", name, "catch_all"}, "*@"+name, []string{inDomain(d.CatchAll, name)})
		}
	})
}

func (s *Settings) eachDomain(f func(name string, d *Domain)) {
	for _, name := range slices.Sorted(maps.Keys(s.Domains)) {
		if d := s.Domains[name]; d != nil {
			f(name, d)
		}
	}
}

// Book is who has which address by one set of settings. It does not change.
type Book struct {
	// Details are, by local domain, the characters that begin a detail; empty for none.
	Details map[domains.Name]string
	// Accounts are those of Accounts and of Domains together. Passwords that stand in
	// files or in the environment are filled in.
	Accounts map[domains.Address]*Account
	// Aliases are those of Aliases and of Domains together, a catch-all as
	// "*@domain". postmaster and abuse of every local domain are among them unless
	// they are accounts, or there is nobody they could lead to.
	Aliases map[domains.Address][]Target
	// Reports are the addresses that take reports: mailboxes without an account.
	Reports map[domains.Address]bool
}

// Target is an address that an alias leads to.
type Target struct {
	domains.Address
	// Local is its local part as mail for it is addressed. What case means in it is
	// known to its host alone: at another one it is as the settings have it.
	Local string
}

// String is the target as mail for it is addressed.
func (t Target) String() string { return t.Local + "@" + t.Domain().String() }

// target reads an address that an alias leads to.
func (b *Book) target(written string) Target {
	t := Target{Address: domains.CanonicalAddress(written)}
	local, domain := t.Cut()
	if t.Local = local; !b.IsLocal(domain) {
		t.Local = written[:max(strings.LastIndexByte(written, '@'), 0)]
	}
	return t
}

// Book returns the addresses of the settings.
func (s *Settings) Book() *Book {
	b := &Book{Details: make(map[domains.Name]string), Accounts: make(map[domains.Address]*Account), Aliases: make(map[domains.Address][]Target)}
	s.eachLocalDomain(func(name domains.Name) { b.Details[name] = "+" })
	s.eachDomain(func(name string, d *Domain) {
		if d.Plus != "" {
			b.Details[domains.Canonical(name)] = strings.TrimPrefix(d.Plus, "none")
		}
	})
	blocked := make(map[domains.Name]bool)
	s.eachDomain(func(name string, d *Domain) { blocked[domains.Canonical(name)] = d.Disabled })
	s.eachAccount(func(_ []any, written string, a *Account) {
		address := domains.CanonicalAddress(written)
		if blocked[address.Domain()] && !a.Disabled {
			one := *a
			one.Disabled = true
			a = &one
		}
		b.Accounts[address] = a
	})
	s.eachAlias(func(_ []any, written string, targets []string) {
		to := make([]Target, len(targets))
		for i, t := range targets {
			to[i] = b.target(t)
		}
		b.Aliases[domains.CanonicalAddress(written)] = to
	})
	b.Reports = s.reportAddresses()
	b.addRoles(s.Postmaster, s.Quarantines(b))
	return b
}

// addRoles has postmaster and abuse lead to somebody.
func (b *Book) addRoles(postmaster string, junk map[domains.Address]domains.Address) {
	// Nobody reads in time what is in a mailbox for junk, "alice+junk" before "alice" in the order of names.
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(b.Accounts)), func(a domains.Address) bool { _, is := junk[a]; return is })
	for _, domain := range b.Domains() {
		for _, role := range []string{"postmaster", "abuse"} {
			address := domains.At(role, domain)
			if _, ok := b.Aliases[address]; ok || b.Accounts[address] != nil || b.Reports[address] {
				continue
			}
			if to := postmasterOf(domain, postmaster, names); to != "" && domains.CanonicalAddress(to) != address {
				b.Aliases[address] = []Target{b.target(to)}
			}
		}
	}
}

// postmasterOf is who reads a domain's postmaster mail: who the settings name, else the
// first account of the domain, else the first of all.
func postmasterOf(domain domains.Name, postmaster string, accounts []domains.Address) string {
	if postmaster != "" {
		return postmaster
	}
	if i := slices.IndexFunc(accounts, func(a domains.Address) bool { return a.Domain() == domain }); i >= 0 {
		return accounts[i].String()
	}
	if len(accounts) > 0 {
		return accounts[0].String()
	}
	return ""
}

// eachLocalDomain visits the domains whose mail is kept here: those of Domains, of
// Accounts and of accounts elsewhere, and the server's own name. It may come to one several times.
func (s *Settings) eachLocalDomain(f func(domains.Name)) {
	if s.ServerName != "" {
		f(domains.Canonical(s.ServerName))
	}
	for name := range s.Domains {
		f(domains.Canonical(name))
	}
	s.Elsewhere.eachDomain(func(_ []any, name string) { f(domains.Canonical(name)) })
	for address := range s.Accounts {
		if i := strings.LastIndexByte(address, '@'); i >= 0 {
			f(domains.Canonical(address[i+1:]))
		}
	}
}

// keeps reports whether mail for a domain is kept here.
func (s *Settings) keeps(domain domains.Name) (found bool) {
	s.eachLocalDomain(func(name domains.Name) { found = found || name == domain })
	return found
}

// Domains returns the domains whose mail is kept here, sorted.
func (b *Book) Domains() []domains.Name { return slices.Sorted(maps.Keys(b.Details)) }

// IsLocal reports whether mail for a domain is kept here.
func (b *Book) IsLocal(domain domains.Name) bool {
	_, ok := b.Details[domain]
	return ok
}

// Base is a local address without its detail; the address itself if it has none.
func (b *Book) Base(address domains.Address) domains.Address {
	local, domain := address.Cut()
	if mark := b.Details[domain]; mark != "" {
		if base, _, ok := strings.Cut(local, mark); ok && base != "" {
			return domains.At(base, domain)
		}
	}
	return address
}

// Taker returns the account, alias or address for reports that gets mail for a local address: that
// of its name, that of its name without a detail, and, if catchAll, that of
// "*@domain". It is empty if nobody does. Where an account and an alias have the
// same name, the account counts.
func (b *Book) Taker(address domains.Address, catchAll bool) domains.Address {
	names := []domains.Address{address}
	if base := b.Base(address); base != address {
		names = append(names, base)
	}
	if catchAll {
		names = append(names, domains.At("*", address.Domain()))
	}
	for _, name := range names {
		_, alias := b.Aliases[name]
		if alias || b.Accounts[name] != nil || b.Reports[name] {
			return name
		}
	}
	return ""
}
