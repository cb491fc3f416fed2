package web

import (
	"net/http"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// clients finds what tells mail programs the settings for accounts of a domain. At the server's own
// name (chosen) the domain is that of the address that is asked about, if it says one.
// Nothing here knows which accounts there are, or reads what a program sends along to log in with.
func (site *Site) clients(r *http.Request, d domains.Name, chosen bool) http.HandlerFunc {
	if site.Mail == nil {
		return nil
	}
	c := &settings{site: site, domain: d, chosen: chosen}
	switch r.URL.Path {
	case "/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml":
		return c.reading(c.thunderbird)
	case "/mail/profile.mobileconfig":
		return c.reading(c.apple)
	}
	// Outlook writes it in several ways.
	path := strings.TrimSuffix(strings.ToLower(r.URL.Path), "/")
	switch {
	case path == "/autodiscover/autodiscover.xml":
		return c.outlook
	case path == "/autodiscover/autodiscover.json", strings.HasPrefix(path, "/autodiscover/autodiscover.json/"), strings.HasPrefix(path, "/autodiscover.json/"):
		return c.reading(c.outlookJSON)
	}
	return nil
}

// settings are those for accounts of one domain.
type settings struct {
	site   *Site
	domain domains.Name
	chosen bool // the address decides on the domain
}

// reading has the address from the query, and passes it on to what answers.
func (c *settings) reading(handle func(w http.ResponseWriter, r *http.Request, address string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !reading(w, r) {
			return
		}
		address := r.URL.Query().Get("emailaddress")
		if !c.choose(address) {
			http.Error(w, "there is nothing here about that domain", http.StatusNotFound)
			return
		}
		handle(w, r, address)
	}
}

// choose takes the domain of an address where that decides, and reports whether it is
// one whose mail is kept here.
func (c *settings) choose(address string) bool {
	if i := strings.LastIndexByte(address, '@'); c.chosen && i >= 0 {
		c.domain = domains.Canonical(strings.TrimSpace(address[i+1:]))
	}
	_, ours := c.site.Domains[c.domain]
	return ours
}

// longestAddress is that of RFC 5321 §4.5.3.1, in octets.
const longestAddress = 64 + 1 + 255

// plainAddress reports whether an address can be written into an answer. What is asked about by
// a client decides about nothing but that client's own login, and still is no way to write
// into files of others.
func (c *settings) plainAddress(address string) bool {
	i := strings.LastIndexByte(address, '@')
	return i > 0 && len(address) <= longestAddress && domains.Canonical(address[i+1:]) == c.domain &&
		!strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd })
}
