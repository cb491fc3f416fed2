package user

import (
	"net/url"
	"slices"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Way is what a mail program is told of one way to reach an account.
type Way struct {
	Protocol string // "POP3" or "SMTP"
	Host     string
	Port     uint16
	Security string // as programs call it: "SSL/TLS" or "STARTTLS"
}

// accountPage is the first page.
type accountPage struct {
	Address string
	Use
	Ways    []Way
	IMAP    bool   // one of them is IMAP
	Found   bool   // programs find them by themselves
	Profile string // where Apple's programs find theirs; empty: nowhere
	Mail    string // where the mail itself is shown; empty: nowhere
}

// Use is what a mailbox holds, and what it may: 0 is any.
type Use struct {
	Messages, Octets, MostMessages, MostOctets int64
	Full                                       int64 // in percent
}

// account shows who somebody is, and what his mail program has to be told.
func (s Server) account(r *pages.Request) (any, error) {
	page := accountPage{Address: r.Who}
	if s.Use != nil {
		var err error
		if page.Use, err = s.Use(r.Context(), r.Who); err != nil {
			return nil, err
		}
	}
	if s.Ways != nil {
		page.Ways, page.Found = s.Ways()
		page.IMAP = slices.ContainsFunc(page.Ways, func(w Way) bool { return w.Protocol == "IMAP" })
	}
	if page.Found {
		page.Profile = "/mail/profile.mobileconfig?" + url.Values{"emailaddress": {r.Who}}.Encode()
	}
	if s.Mail != nil && s.MailShown(r.Visitor) {
		page.Mail = r.Path("mail/")
	}
	return page, nil
}
