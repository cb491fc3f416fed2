package conf

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Web is what is served over HTTP: how the server is, for those who watch over it, and what
// other hosts and mail programs look up about the domains.
type Web struct {
	// Where to listen, as "127.0.0.1:8080", or ":443" for the world. Empty means that
	// nothing is served over HTTP.
	Listen string `json:"listen"`

	// "implicit": HTTPS, with the certificates of TLS. "off": HTTP, for a web server in
	// front of this one. Empty means "off" for addresses of this host alone, and
	// "implicit" for all others.
	TLS string `json:"tls" one:",implicit,off"`

	// The hosts that may read /metrics, and why /readyz says no. Whom a web server in front
	// of this one has let in is who it says that came, and not that web server.
	StatusFrom []netip.Prefix `json:"status_from"`

	// More names that this host is asked for /metrics, /healthz and /readyz by, beside
	// server_name, names of one label and IP addresses: a web page can lead a name of its
	// own to this host, and have the browser of somebody who may read them ask.
	Names []string `json:"names"`

	// The web servers in front of this one: what they say in X-Forwarded-For and
	// X-Forwarded-Host is believed, and without it nobody knows who asks. Where none is
	// named, those of this host are believed that say it.
	ProxyFrom []netip.Prefix `json:"proxy_from"`

	// Whether mail programs are told the settings for accounts here (Thunderbird, Outlook,
	// Apple). "postrider dns show" then has the names that they look for: autoconfig. and
	// autodiscover. below each domain.
	Autoconfig bool `json:"autoconfig"`

	// The administrators, by the name they log in with at /admin/: they are no accounts for
	// mail. "postrider admin add" writes them.
	//
	//	"admins": {"ann": "$argon2id$v=19$..."}
	Admins map[string]*WebAdmin `json:"admins"`

	// The hosts that may see /admin/. Behind a web server in front of this one that is the
	// client it names.
	AdminFrom []netip.Prefix `json:"admin_from"`

	// The hosts that may see /account/, where users log in with their own accounts. For all
	// of them:
	//
	//	"account_from": ["0.0.0.0/0", "::/0"]
	AccountFrom []netip.Prefix `json:"account_from"`

	// What users may decide about their own accounts at /account/: "password" their own
	// password, "app_passwords" one for each device, "forward" where their mail goes on to,
	// "absence" what senders hear while they are away, "junk" what of the mail that was put
	// aside for them comes into their mailbox after all. What is left out is not offered, and
	// does not count for whoever has it, but for passwords that were changed: those stay.
	//
	//	"user_may": ["password", "app_passwords", "absence"]
	UserMay []string `json:"user_may"`

	// Whether users see the mail in their mailboxes at /account/mail/: to try this server out, and for
	// developers. Only programs of this host are served, and nothing in a mailbox is changed. Sealed
	// mailboxes and mail in a database are not shown.
	Viewer bool `json:"viewer"`

	// Connections at a time.
	MaxConnections int `json:"max_connections" min:"1" max:"65536"`

	// Connections at a time from one IPv4 address or one IPv6 /64. A mail program opens
	// up to eight, and an office may have one address.
	MaxConnectionsPerAddress int `json:"max_connections_per_address" min:"1" max:"65536"`
}

// What UserMay can name.
const (
	MayPassword     = "password"
	MayAppPasswords = "app_passwords"
	MayForward      = "forward"
	MayAbsence      = "absence"
	MayJunk         = "junk"
)

// May reports whether users may decide something themselves.
func (w *Web) May(what string) bool { return slices.Contains(w.UserMay, what) }

// WebAdmin is somebody who may see and steer the server by its pages. A string instead of
// the object is the password.
type WebAdmin struct {
	// The hash of the password, as "postrider admin add" writes it. Empty: nobody can log
	// in by this name.
	Password Secret `json:"password"`

	// The secret of the second factor (TOTP, RFC 6238), sealed with the server's key, as
	// "postrider admin totp" writes it. Empty: there is none.
	TOTP Secret `json:"totp"`
}

// UnmarshalText takes a string in place of an administrator for the password.
func (a *WebAdmin) UnmarshalText(text []byte) error {
	*a = WebAdmin{Password: Secret(text)}
	return nil
}

// TOTPSubject is whose second factor a sealed secret is: it opens for no other name.
func TOTPSubject(admin string) string { return "totp:" + admin }

// Secure reports whether HTTPS is spoken.
func (w *Web) Secure() bool { return w.TLS == "implicit" }

// complete says how an address is served that nothing is said about.
func (w *Web) complete() {
	if w.Listen == "" || w.TLS != "" {
		return
	}
	w.TLS = "implicit"
	if isLocal(w.Listen) {
		w.TLS = "off"
	}
}

func (c *checker) web() {
	w := &c.Web
	here := func(key string) []any { return at("Web", key) }
	for i, name := range w.Names {
		if ip := net.ParseIP(strings.Trim(name, "[]")); ip == nil && checkDomain(name) != nil {
			c.fail(at("Web", "names", i), "%w", checkDomain(name))
		}
	}
	for i, what := range w.UserMay {
		c.choice(at("Web", "user_may", i), what, MayPassword, MayAppPasswords, MayForward, MayAbsence, MayJunk)
	}
	c.admins()
	if w.MaxConnectionsPerAddress > w.MaxConnections && w.MaxConnections > 0 {
		c.fail(here("max_connections_per_address"), "%d is more than max_connections, %d", w.MaxConnectionsPerAddress, w.MaxConnections)
	}
	if w.Listen == "" {
		if w.Autoconfig {
			c.fail(here("autoconfig"), `nothing is served over HTTP; write where, as "listen": ":443"`)
		}
		if w.Viewer {
			c.fail(here("viewer"), `nothing is served over HTTP; write where, as "listen": "127.0.0.1:8080"`)
		}
		return
	}
	if err := checkListen(w.Listen); err != "" {
		c.fail(here("listen"), "%s", err)
		return
	}
	if w.Viewer && !isLocal(w.Listen) {
		c.fail(here("viewer"), "mail is shown to programs of this host alone, and %q is for others too", w.Listen)
	}
	if c.probes.Listen != nil {
		if err := c.probes.Listen(Listener{Address: w.Listen}, c.Admin.Socket); err != nil {
			c.fail(here("listen"), "%w", err)
		}
	}
	for i := range c.Listeners {
		if a := c.Listeners[i].Address; a != "" && checkListen(a) == "" && clash(a, w.Listen) {
			c.fail(here("listen"), "%q is in use already by Listeners[%d], %q", w.Listen, i, a)
		}
	}
	if a := &c.TLS.ACME; a.AcceptTerms && checkListen(a.Listen) == "" && clash(a.Listen, w.Listen) && !c.SharesALPN() {
		c.fail(here("listen"), "%q is in use already by TLS.ACME.listen, %q", w.Listen, a.Listen)
	}
	if w.Secure() && !c.TLS.SelfSigned && c.TLS.CertificateFile == "" && len(c.TLS.Certificates) == 0 && !c.TLS.ACME.AcceptTerms {
		c.fail(here("tls"), "there is no certificate; write certificate_file and certificate_key_file in TLS, or ACME")
	}
}

// SharesALPN reports whether the authority's connections (tls-alpn-01) come to the listener
// for HTTPS: both are on one port.
func (s *Settings) SharesALPN() bool {
	a := &s.TLS.ACME
	return a.AcceptTerms && a.Challenge == ChallengeALPN && s.Web.Secure() && a.Listen == s.Web.Listen
}

// WebNames are the names by which this host is asked how it is, in canonical form.
func (s *Settings) WebNames() (all []string) {
	for _, name := range append([]string{s.ServerName}, s.Web.Names...) {
		all = append(all, domains.Canonical(name).String())
	}
	return all
}
