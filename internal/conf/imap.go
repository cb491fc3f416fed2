package conf

import (
	"net"
	"strconv"
	"strings"
)

// IMAP is about an IMAP server beside this one that reads the same mailboxes. Postrider
// speaks none itself: docs/imap.md has how Debian's Dovecot is set up.
type IMAP struct {
	// Where users reach it, as ":993", at server_name, or "imap.example.com:993". Mail
	// programs that ask for their settings are told of it in place of POP3 (Web.autoconfig),
	// and "postrider dns show" has its records. Empty: there is none.
	Address string `json:"address"`

	// "implicit": TLS from the first octet on. "starttls": TLS behind STARTTLS. Empty means
	// "starttls" at port 143, and "implicit" at all others.
	TLS string `json:"tls" one:",implicit,starttls"`
}

// Where is the host, in the spelling of the settings, or server, and the port; 0 where there is none.
func (i *IMAP) Where(server string) (host string, port uint16) {
	host, text, err := net.SplitHostPort(i.Address)
	n, perr := strconv.ParseUint(text, 10, 16)
	if err != nil || perr != nil {
		return "", 0
	}
	if host == "" {
		host = server
	}
	return host, uint16(n)
}

// Secure reports whether TLS comes first.
func (i *IMAP) Secure() bool {
	return i.TLS == "implicit" || i.TLS == "" && !strings.HasSuffix(i.Address, ":143")
}

func (c *checker) imap() {
	if c.IMAP.Address == "" {
		return
	}
	host, port := c.IMAP.Where(c.ServerName)
	if port == 0 {
		c.fail(at("IMAP", "address"), `%q is not a host with a port, as ":993" or "imap.example.com:993"`, c.IMAP.Address)
		return
	}
	if err := checkDomain(host); err != nil && c.ServerName != "" {
		c.fail(at("IMAP", "address"), "%w: mail programs check the certificate by the name", err)
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; host == c.ServerName && l.Address != "" && checkListen(l.Address) == "" && clash(l.Address, ":"+strconv.Itoa(int(port))) {
			c.fail(at("IMAP", "address"), "port %d is that of Listeners[%d], %q", port, i, l.Address)
		}
	}
}
