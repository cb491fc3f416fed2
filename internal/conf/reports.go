package conf

import "github.com/postrider-mail/postrider/parsers/domains"

// reportAddresses are those that take reports.
func (s *Settings) reportAddresses() map[domains.Address]bool {
	all := make(map[domains.Address]bool)
	for _, written := range s.Reports.Address {
		all[domains.CanonicalAddress(written)] = true
	}
	return all
}

// reports checks what takes and sends reports.
func (c *checker) reports() {
	for i, written := range c.Reports.Address {
		steps := at("Reports", "address", i)
		if !c.text().Has(steps...) { // one address without a list
			steps = steps[:2]
		}
		if err := checkAddress(written); err != nil {
			c.fail(steps, "%w", err)
			continue
		}
		name := domains.CanonicalAddress(written)
		switch {
		case !c.book.IsLocal(name.Domain()):
			c.fail(steps, "%s is no domain of this server; add it to Domains", name.Domain())
		case c.book.Accounts[name] != nil:
			c.fail(steps, "there is an account of this name; reports need an address of their own, for the server removes what it has read")
		}
	}
	switch {
	case !c.Reports.SendDMARC:
	case len(c.Reports.Address) == 0:
		c.fail(at("Reports", "send_dmarc"), `reports need a sender, and answers to them a reader: write "address": "dmarc@example.com"`)
	case !c.Queue.Deliver:
		c.fail(at("Reports", "send_dmarc"), "no mail leaves this server: Queue.deliver is false")
	}
}
