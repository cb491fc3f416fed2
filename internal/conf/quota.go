package conf

import "github.com/postrider-mail/postrider/parsers/domains"

// QuotaOf is what a mailbox in a domain may hold: its account's limit, else its
// domain's, else the store's. The account may be nil.
func (s *Settings) QuotaOf(domain domains.Name, a *Account) Quota {
	limit := Quota(s.Store.Quota)
	s.eachDomain(func(name string, d *Domain) {
		if domains.Canonical(name) == domain && d.Quota > 0 {
			limit = Quota(d.Quota)
		}
	})
	if a != nil && a.Quota != 0 {
		limit = a.Quota
	}
	return orUnlimited(limit)
}

// TotalQuotaOf is what all mailboxes of a domain may hold together.
func (s *Settings) TotalQuotaOf(domain domains.Name) Quota {
	var limit Quota
	s.eachDomain(func(name string, d *Domain) {
		if domains.Canonical(name) == domain {
			limit = Quota(d.TotalQuota)
		}
	})
	return orUnlimited(limit)
}

func orUnlimited(q Quota) Quota {
	if q == 0 {
		return Unlimited
	}
	return q
}
