package conf

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// LetsEncrypt is the directory of the authority that is asked by default.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// The ways to prove to an authority whose a name is.
const (
	ChallengeHTTP = "http-01"
	ChallengeALPN = "tls-alpn-01"
)

// ACME is about certificates that an authority such as Let's Encrypt issues and
// renews by itself (RFC 8555).
type ACME struct {
	// Whether to obtain certificates, which means that you agree to the
	// authority's terms of service.
	AcceptTerms bool `json:"accept_terms"`

	// The host names, each of which gets a certificate; the first is for
	// clients that ask for none. Empty means server_name. The DNS must lead
	// each to this host. Names that Web serves below the domains, mta-sts.DOMAIN and those of
	// autoconfig, need not stand here: they get theirs once the DNS leads them here.
	Names []string `json:"names"`

	// Where the authority may write to about trouble. May be empty.
	Email string `json:"email"`

	// The authority: the URL of its ACME directory.
	Directory string `json:"directory"`

	// A file with certificates (PEM) that the authority's own is checked with:
	// for an authority within your house. Empty means those of the system.
	DirectoryCAFile string `json:"directory_ca_file" conf:"path"`

	// How the names are proved: "http-01", for which the authority connects to
	// port 80 of each name, or "tls-alpn-01", for which it connects to port
	// 443. It uses no other ports, those for mail neither.
	Challenge string `json:"challenge"`

	// Where to listen for the authority. Empty means ":80" or ":443", as the
	// challenge needs it; write another one where that port is forwarded to it.
	Listen string `json:"listen"`

	// Where account key and certificates are kept. Empty means "acme" below
	// data_dir. It must survive restarts: authorities limit how often one may
	// ask. With Store.postgres they are in the database, for all servers, and
	// copies of the certificates here.
	Folder string `json:"folder" conf:"path"`
}

// complete fills in what follows from other settings.
func (a *ACME) complete(serverName string) {
	if !a.AcceptTerms {
		return
	}
	if len(a.Names) == 0 && serverName != "" {
		a.Names = []string{serverName}
	}
	if a.Listen == "" {
		a.Listen = ":80"
		if a.Challenge == ChallengeALPN {
			a.Listen = ":443"
		}
	}
}

func (c *checker) acme() {
	a := &c.TLS.ACME
	at := func(steps ...any) []any { return append([]any{"TLS", "ACME"}, steps...) }
	if !a.AcceptTerms {
		if len(a.Names) > 0 || a.Email != "" || a.Directory != LetsEncrypt || a.Listen != "" || a.DirectoryCAFile != "" {
			c.fail(at("accept_terms"), "nothing is obtained unless you agree to the authority's terms of service; write true, or leave ACME out")
		}
		return
	}
	for i, name := range a.Names {
		if why := uncheckable(name); why != "" {
			steps := at("names", i)
			if !c.text().Has("TLS", "ACME", "names") {
				steps = []any{"server_name"}
			}
			c.fail(steps, "%s", why)
		}
	}
	if a.Email != "" {
		if err := checkAddress(a.Email); err != nil {
			c.fail(at("email"), "%w", err)
		}
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		c.fail(at("directory"), "%q is no https:// URL", a.Directory)
	}
	c.caFile(at("directory_ca_file"), a.DirectoryCAFile)
	if !slices.Contains([]string{ChallengeHTTP, ChallengeALPN}, a.Challenge) {
		c.fail(at("challenge"), "%q is neither %q nor %q", a.Challenge, ChallengeHTTP, ChallengeALPN)
	}
	c.acmeListener(at("listen"), a.Listen)
}

func (c *checker) acmeListener(steps []any, listen string) {
	if strings.HasPrefix(listen, "unix:") {
		c.fail(steps, "the authority comes by TCP; write an address like \":80\"")
		return
	}
	if why := checkListen(listen); why != "" {
		c.fail(steps, "%s", why)
		return
	}
	for i, l := range c.Listeners {
		if clash(l.Address, listen) {
			c.fail(steps, "%q is in use already by Listeners[%d], %q", listen, i, l.Address)
		}
	}
}

// uncheckable says why an authority would not issue a certificate for a name.
func uncheckable(name string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case strings.Contains(name, "*"):
		return strconv.Quote(name) + " is a wildcard, which needs a challenge in the DNS; name each host"
	case checkDomain(name) != nil:
		return checkDomain(name).Error()
	case !strings.Contains(name, "."), slices.Contains([]string{"localhost", "local", "internal", "lan", "home", "arpa"}, strings.ToLower(last)):
		return strconv.Quote(name) + " is no name on the internet; no authority issues certificates for it"
	}
	return ""
}
