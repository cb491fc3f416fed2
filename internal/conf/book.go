package conf

import (
	"maps"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Canonical returns the form in which addresses are compared: the local part
// in lower case, the domain as lower-case A-labels (RFC 5890) without a dot at
// the end. RFC 5321 §2.4 leaves the reading of local parts to the host that owns
// them; this one folds case.
func Canonical(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return strings.ToLower(address)
	}
	return strings.ToLower(address[:i]) + "@" + CanonicalDomain(address[i+1:])
}

// CanonicalDomain returns the form in which domains are compared, as a string.
func CanonicalDomain(domain string) string { return domains.Canonical(domain).String() }

// CutAddress parts an address at its last "@"; without one all of it is the domain.
func CutAddress(address string) (local, domain string) {
	i := strings.LastIndexByte(address, '@')
	return address[:max(i, 0)], address[i+1:]
}

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

// AllAccounts returns every account by its canonical full address, those of
// Accounts and those of Domains together. Passwords that stand in files or in
// the environment are filled in.
func (s *Settings) AllAccounts() map[string]*Account {
	all := make(map[string]*Account)
	s.eachAccount(func(_ []any, address string, a *Account) {
		all[Canonical(address)] = a
	})
	return all
}

// AllAliases returns every alias by its canonical full address, with canonical
// full addresses as targets (the local parts of those elsewhere are as they
// stand), those of Aliases and those of Domains together. A catch-all stands as "*@domain". postmaster and abuse of every local domain
// are there unless they are accounts, or there is nobody they could lead to.
func (s *Settings) AllAliases() map[string][]string {
	all := make(map[string][]string)
	ours := s.LocalDomains()
	s.eachAlias(func(_ []any, address string, targets []string) {
		to := make([]string, len(targets))
		for i, t := range targets {
			to[i] = Canonical(t)
			// What case means elsewhere is known there alone.
			local, _ := CutAddress(t)
			_, domain := CutAddress(to[i])
			if _, found := slices.BinarySearch(ours, domain); !found {
				to[i] = local + "@" + domain
			}
		}
		all[Canonical(address)] = to
	})
	accounts := s.AllAccounts()
	for _, domain := range s.LocalDomains() {
		for _, role := range []string{"postmaster", "abuse"} {
			address := role + "@" + domain
			if _, ok := all[address]; ok || accounts[address] != nil {
				continue
			}
			if to := s.postmasterOf(domain, accounts); to != "" && to != address {
				all[address] = []string{to}
			}
		}
	}
	return all
}

// postmasterOf is who reads a domain's postmaster mail, or nobody.
func (s *Settings) postmasterOf(domain string, accounts map[string]*Account) string {
	if s.Postmaster != "" {
		return Canonical(s.Postmaster)
	}
	names := slices.Sorted(maps.Keys(accounts))
	for _, name := range names {
		if strings.HasSuffix(name, "@"+domain) {
			return name
		}
	}
	if len(names) > 0 {
		return names[0]
	}
	return ""
}

// LocalDomains returns the domains whose mail is kept here, canonical and
// sorted: those of Domains and of Accounts, and the server's own name.
func (s *Settings) LocalDomains() []string {
	set := make(map[string]bool)
	if s.ServerName != "" {
		set[CanonicalDomain(s.ServerName)] = true
	}
	for name := range s.Domains {
		set[CanonicalDomain(name)] = true
	}
	for address := range s.Accounts {
		if i := strings.LastIndexByte(address, '@'); i >= 0 {
			set[CanonicalDomain(address[i+1:])] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Book is who has which address by one set of settings. All addresses are
// canonical. It does not change.
type Book struct {
	Details  map[string]string   // by local domain, the character that begins a detail; empty for none
	Accounts map[string]*Account // as AllAccounts has them
	Aliases  map[string][]string // as AllAliases has them
}

// Book returns the addresses of the settings.
func (s *Settings) Book() *Book {
	b := &Book{Details: make(map[string]string), Accounts: s.AllAccounts(), Aliases: s.AllAliases()}
	for _, domain := range s.LocalDomains() {
		b.Details[domain] = "+"
	}
	for _, address := range s.ReportMailboxes() {
		if b.Accounts[address] == nil {
			b.Accounts[address] = reportAccount()
		}
	}
	s.eachDomain(func(name string, d *Domain) {
		if d.Plus != "" {
			b.Details[CanonicalDomain(name)] = strings.TrimPrefix(d.Plus, "none")
		}
	})
	return b
}

// IsLocal reports whether mail for a domain is kept here.
func (b *Book) IsLocal(domain string) bool {
	_, ok := b.Details[domain]
	return ok
}

// Taker returns the account or alias that gets mail for a local address: that
// of its name, that of its name without a detail, and, if catchAll, that of
// "*@domain". It is empty if nobody does. Where an account and an alias have the
// same name, the account counts.
func (b *Book) Taker(address string, catchAll bool) string {
	local, domain := CutAddress(address)
	names := []string{address}
	if mark := b.Details[domain]; mark != "" {
		if base, _, ok := strings.Cut(local, mark); ok && base != "" {
			names = append(names, base+"@"+domain)
		}
	}
	if catchAll {
		names = append(names, "*@"+domain)
	}
	for _, name := range names {
		_, alias := b.Aliases[name]
		if alias || b.Accounts[name] != nil {
			return name
		}
	}
	return ""
}
