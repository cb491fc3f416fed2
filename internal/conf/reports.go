package conf

import "slices"

// reportQuota is what may wait in a mailbox for reports. The server empties it.
const reportQuota Quota = 200 << 20

// reportAccount is who has an address that takes reports: nobody can log in.
func reportAccount() *Account { return &Account{Disabled: true, Quota: reportQuota} }

// ReportMailboxes are the canonical addresses that take reports. They are mailboxes
// without an account.
func (s *Settings) ReportMailboxes() []string {
	var all []string
	for _, address := range s.Reports.Address {
		if name := Canonical(address); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// reports checks what takes and sends reports.
func (c *checker) reports() {
	accounts := c.AllAccounts()
	for i, address := range c.Reports.Address {
		steps := at("Reports", "address", i)
		if !c.text().Has(steps...) { // one address without a list
			steps = steps[:2]
		}
		if err := checkAddress(address); err != nil {
			c.fail(steps, "%w", err)
			continue
		}
		name := Canonical(address)
		switch _, domain := CutAddress(name); {
		case !c.book.IsLocal(domain):
			c.fail(steps, "%s is no domain of this server; add it to Domains", domain)
		case accounts[name] != nil:
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
