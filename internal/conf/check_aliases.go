package conf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

func (c *checker) aliases() {
	seen := make(map[string][]any)
	c.eachAlias(func(steps []any, address string, targets []string) {
		if saidByDomains(steps, address) {
			return
		}
		if err := checkAddress(strings.Replace(address, "*@", "any@", 1)); err != nil {
			c.failKey(steps, "%w", err)
			return
		}
		name := Canonical(address)
		if other, twice := seen[name]; twice {
			c.failKey(steps, "the alias is there already, as %s", config.Path(other...))
		}
		seen[name] = steps
		switch _, domain := CutAddress(name); {
		case !c.book.IsLocal(domain):
			c.failKey(steps, "%s is no domain of this server; add it to Domains", domain)
		case slices.Contains(c.ReportMailboxes(), name):
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
func (c *checker) targets(steps []any, name string, targets []string) {
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
func (c *checker) target(address, from string) error {
	if err := checkAddress(address); err != nil {
		return err
	}
	name := Canonical(address)
	if strings.HasPrefix(name, "*@") {
		return fmt.Errorf("mail can be sent to a whole address only, not to %q", address)
	}
	if _, domain := CutAddress(name); !c.book.IsLocal(domain) {
		if c.Queue.Forward {
			return nil
		}
		return fmt.Errorf("%s is not an address of this server; to forward mail elsewhere, write \"Queue\": {\"forward\": true}", address)
	}
	// That a catch-all would take it is no excuse where it is the catch-all
	// that leads there.
	taken := c.book.Taker(name, true)
	if taken == "" || taken == from && strings.HasPrefix(from, "*@") {
		return fmt.Errorf("there is no account and no alias %s%s", address, c.didYouMean(name))
	}
	return nil
}

// didYouMean finds the address that was probably meant: one nearly so in the
// same domain, or the same in a domain that is nearly so.
func (c *checker) didYouMean(name string) string {
	local, domain := CutAddress(name)
	var locals, domains []string
	add := func(known string) {
		l, d := CutAddress(known)
		if d == domain && l != "*" {
			locals = append(locals, l)
		}
		if l == local {
			domains = append(domains, d)
		}
	}
	for known := range c.book.Accounts {
		add(known)
	}
	for known := range c.book.Aliases {
		add(known)
	}
	slices.Sort(locals)
	slices.Sort(domains)
	if best := config.Nearest(local, locals); best != "" {
		return fmt.Sprintf("; did you mean %s@%s?", best, domain)
	}
	if best := config.Nearest(domain, domains); best != "" {
		return fmt.Sprintf("; did you mean %s@%s?", local, best)
	}
	return ""
}

// findLoop returns the way from an alias back to itself, or nil. Mail that
// comes by one place twice on different ways is no loop.
func (c *checker) findLoop(start string) []string {
	done := make(map[string]bool)
	var walk func(name string, way []string) []string
	walk = func(name string, way []string) []string {
		if c.book.Accounts[name] != nil || done[name] {
			return nil
		}
		done[name] = true
		way = append(way, name)
		for _, target := range c.book.Aliases[name] {
			next := c.book.Taker(target, true)
			if next == start {
				return append(way, start)
			}
			if loop := walk(next, way); loop != nil {
				return loop
			}
		}
		return nil
	}
	return walk(start, nil)
}
