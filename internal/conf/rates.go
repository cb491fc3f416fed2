package conf

import "cmp"

// Rates bounds how much leaves and comes, beside what one user may send, which
// stands in SMTP, in his domain and in his account. What is above is refused for now,
// before the message is sent, with the limit, the number and the time of the next.
type Rates struct {
	// What users may send from one IPv4 address or one IPv6 /64, and clients of
	// relay_from. Loopback and private addresses have no bound: behind them are
	// gateways and web mail, with many people.
	Network Rate `json:"Network"`

	// What all users of one domain may send together. A domain may have its own
	// ("Together").
	Domain Rate `json:"Domain"`

	// What all users may send together.
	All Rate `json:"All"`

	// What this server itself sends to other hosts: bounces and notices. What is
	// above waits. It counts for no user.
	Own Rate `json:"Own"`

	// What may come in the name of one domain from one network (IPv4 /24, IPv6 /48),
	// from others than users and relay_from.
	SenderDomain Rate `json:"SenderDomain"`

	// What may come for one mailbox, from others than users and relay_from.
	Mailbox Rate `json:"Mailbox"`
}

// Rate is how much is allowed. Zero is any number.
type Rate struct {
	// Messages in an hour. The hour begins with the first message behind the one before.
	MessagesPerHour int `json:"messages_per_hour" min:"0" max:"2147483647"`

	// Recipients of all messages in an hour.
	RecipientsPerHour int `json:"recipients_per_hour" min:"0" max:"2147483647"`

	// Messages in a day, which begins as the hour does.
	MessagesPerDay int `json:"messages_per_day" min:"0" max:"2147483647"`

	// Recipients of all messages in a day.
	RecipientsPerDay int `json:"recipients_per_day" min:"0" max:"2147483647"`

	// How many messages, and how many recipients, may go beyond those of the hours in
	// the course of a day: a letter to all members, once in a while.
	Burst int `json:"burst" min:"0" max:"2147483647"`
}

// or fills in from others what a rate leaves open. What a day holds is never less
// than one of its hours, unless that is said where the hour is.
func (r Rate) or(others Rate) Rate {
	return Rate{
		MessagesPerHour:   cmp.Or(r.MessagesPerHour, others.MessagesPerHour),
		RecipientsPerHour: cmp.Or(r.RecipientsPerHour, others.RecipientsPerHour),
		MessagesPerDay:    cmp.Or(r.MessagesPerDay, holding(others.MessagesPerDay, r.MessagesPerHour)),
		RecipientsPerDay:  cmp.Or(r.RecipientsPerDay, holding(others.RecipientsPerDay, r.RecipientsPerHour)),
		Burst:             cmp.Or(r.Burst, others.Burst),
	}
}

// holding is a day's number that an hour's fits into.
func holding(day, hour int) int {
	if day == 0 {
		return 0
	}
	return max(day, hour)
}

// UserRate is what an account of a domain may send: what the account says, else the
// domain, else SMTP. Either may be nil.
func (s *Settings) UserRate(a *Account, d *Domain) Rate {
	rate := Rate{s.SMTP.MessagesPerHour, s.SMTP.RecipientsPerHour, s.SMTP.MessagesPerDay, s.SMTP.RecipientsPerDay, s.SMTP.Burst}
	if d != nil {
		rate = Rate{d.MessagesPerHour, d.RecipientsPerHour, d.MessagesPerDay, d.RecipientsPerDay, d.Burst}.or(rate)
	}
	if a != nil {
		rate = Rate{a.MessagesPerHour, a.RecipientsPerHour, a.MessagesPerDay, a.RecipientsPerDay, a.Burst}.or(rate)
	}
	return rate
}

// DomainRate is what the users of a domain, which may be nil, may send together.
func (s *Settings) DomainRate(d *Domain) Rate {
	if d == nil || d.Together == nil {
		return s.Rates.Domain
	}
	return d.Together.or(s.Rates.Domain)
}

// ratesGiveWay has the default of a day hold the hour that was written.
func (s *Settings) ratesGiveWay(written func(steps ...any) bool) {
	day := func(value *int, hour int, key, hourKey string, section ...any) {
		if !written(append(section, hourKey)...) || written(append(section, key)...) {
			return
		}
		if *value < hour || hour == 0 { // zero is any number
			*value = hour
		}
	}
	m, r, mh, rh := "messages_per_day", "recipients_per_day", "messages_per_hour", "recipients_per_hour"
	day(&s.SMTP.MessagesPerDay, s.SMTP.MessagesPerHour, m, mh, "SMTP")
	day(&s.SMTP.RecipientsPerDay, s.SMTP.RecipientsPerHour, r, rh, "SMTP")
	for key, rate := range map[string]*Rate{"Network": &s.Rates.Network, "Domain": &s.Rates.Domain, "All": &s.Rates.All, "Own": &s.Rates.Own,
		"SenderDomain": &s.Rates.SenderDomain, "Mailbox": &s.Rates.Mailbox} {
		day(&rate.MessagesPerDay, rate.MessagesPerHour, m, mh, "Rates", key)
		day(&rate.RecipientsPerDay, rate.RecipientsPerHour, r, rh, "Rates", key)
	}
}
