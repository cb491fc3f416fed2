package conf

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func (c *checker) aliases() {
	seen := make(map[domains.Address][]any)
	c.eachAlias(func(steps []any, address string, targets []string) {
		if saidByDomains(steps, address) {
			return
		}
		if err := checkAddress(strings.Replace(address, "*@", "any@", 1)); err != nil {
			c.failKey(steps, "%w", err)
			return
		}
		name := domains.CanonicalAddress(address)
		if other, twice := seen[name]; twice {
			c.failKey(steps, "the alias is there already, as %s", config.Path(other...))
		}
		seen[name] = steps
		switch domain := name.Domain(); {
		case !c.book.IsLocal(domain):
			c.failKey(steps, "%s is no domain of this server; add it to Domains", domain)
		case c.book.Reports[name]:
			c.failKey(steps, "Reports.address has this name, and gets the mail; the alias would never be used")
			return
		case c.book.Accounts[name] != nil:
			c.failKey(steps, "there is an account of this name, which gets the mail; the alias would never be used")
			return
		case len(targets) == 0:
			c.fail(steps, "it leads nowhere; write at least one address")
		}
		c.targets(steps, name, targets)
	})
	if c.Postmaster != "" && checkAddress(c.Postmaster) == nil {
		if err := c.target(c.Postmaster, ""); err != nil {
			c.fail(at("postmaster"), "%w", err)
		}
	}
}

// targets checks where an alias leads.
func (c *checker) targets(steps []any, name domains.Address, targets []string) {
	good := true
	for i, t := range targets {
		to := append(steps[:len(steps):len(steps)], i)
		if !c.text().Has(to...) { // one target without a list
			to = steps
		}
		if err := c.target(t, name); err != nil {
			c.fail(to, "%w", err)
			good = false
		}
	}
	if loop := c.findLoop(name); loop != nil && good {
		c.failKey(steps, "it leads in a circle: %s", strings.Join(loop, " -> "))
	}
}

// target says why the alias called from cannot lead to an address.
func (c *checker) target(address string, from domains.Address) error {
	if err := checkAddress(address); err != nil {
		return err
	}
	name := domains.CanonicalAddress(address)
	if isCatchAll(name) {
		return fmt.Errorf("mail can be sent to a whole address only, not to %q", address)
	}
	if !c.book.IsLocal(name.Domain()) {
		if c.Queue.Forward {
			return nil
		}
		return fmt.Errorf("%s is not an address of this server; to forward mail elsewhere, write \"Queue\": {\"forward\": true}", address)
	}
	// That a catch-all would take it is no excuse where it is the catch-all
	// that leads there.
	taken := c.book.Taker(name, true)
	if taken == "" && c.Elsewhere.Knows(name.Domain()) {
		return nil // whom they know changes without these settings
	}
	if taken == "" || taken == from && isCatchAll(from) {
		return fmt.Errorf("there is no account and no alias %s%s", address, c.didYouMean(name))
	}
	return nil
}

// isCatchAll reports whether an address stands for whatever nobody takes.
func isCatchAll(a domains.Address) bool { return strings.HasPrefix(a.String(), "*@") }

// didYouMean says which address was probably meant.
func (c *checker) didYouMean(name domains.Address) string {
	known := slices.Concat(slices.Collect(maps.Keys(c.book.Accounts)), slices.Collect(maps.Keys(c.book.Aliases)))
	if near := Nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}

// Nearest is the address that was probably meant: one nearly so in the same domain,
// or the same in a domain that is nearly so. A domain in common is no likeness. It is
// empty if there is none.
func Nearest(address domains.Address, known []domains.Address) domains.Address {
	local, domain := address.Cut()
	var locals, names []string
	for _, a := range known {
		l, d := a.Cut()
		if d == domain && l != "*" {
			locals = append(locals, l)
		}
		if l == local {
			names = append(names, d.String())
		}
	}
	slices.Sort(locals)
	slices.Sort(names)
	if near := config.Nearest(local, locals); near != "" {
		return domains.At(near, domain)
	}
	if near := config.Nearest(domain.String(), names); near != "" {
		return domains.At(local, domains.Name(near))
	}
	return ""
}

// findLoop returns the way from an alias back to itself, or nil. Mail that
// comes by one place twice on different ways is no loop.
func (c *checker) findLoop(start domains.Address) []string {
	done := make(map[domains.Address]bool)
	var walk func(name domains.Address, way []string) []string
	walk = func(name domains.Address, way []string) []string {
		if c.book.Accounts[name] != nil || done[name] {
			return nil
		}
		done[name] = true
		way = append(way, name.String())
		for _, target := range c.book.Aliases[name] {
			next := c.book.Taker(target.Address, true)
			if next == start {
				return append(way, start.String())
			}
			if loop := walk(next, way); loop != nil {
				return loop
			}
		}
		return nil
	}
	return walk(start, nil)
}
