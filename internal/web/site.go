package web

import (
	"net/netip"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Site is what one set of settings says about what is served. It does not change; a reload
// makes another.
type Site struct {
	// Host is the server's own name, in canonical form: what its certificate is for, and
	// what mail programs are to connect to.
	Host string
	// Names are those that the host is asked for its status by, Host among them.
	Names []string
	// StatusFrom may read the metrics, and ProxyFrom are believed when they say whom they speak for. Of these, Proxies
	// are known to be web servers in front of this one: they never ask for themselves.
	StatusFrom, ProxyFrom, Proxies []netip.Prefix
	// AdminFrom and AccountFrom may see the pages of administrators and those of users.
	AdminFrom, AccountFrom []netip.Prefix
	// Domains are those whose mail is kept here, by their names in canonical form.
	Domains map[domains.Name]Domain
	// Mail is how mail programs reach an account; nil: nobody is told.
	Mail *Mail
}

// Domain is what is served about one domain.
type Domain struct {
	Policy string // its MTA-STS policy, as it is sent; empty: none
}

// Mail is where accounts fetch and send, each the best way there is.
type Mail struct {
	IMAP, POP3, SMTP Port // IMAP is another server's; a Number of 0 where there is none
}

// Incoming is the one way to fetch that programs are told: some take the first of several, some the last,
// and some refuse them. Where somebody has set up IMAP, it is that.
func (m *Mail) Incoming() (protocol string, p Port) {
	if m.IMAP.Number > 0 {
		return "IMAP", m.IMAP
	}
	return "POP3", m.POP3
}

// Port is a port of Site.Host, or of another host.
type Port struct {
	Host     string // "" for Site.Host
	Number   uint16
	Implicit bool // TLS from the first octet on; otherwise STLS or STARTTLS
}

// SSL is how the formats call the ways of TLS.
func (p Port) SSL() string {
	if p.Implicit {
		return "SSL"
	}
	return "STARTTLS"
}
