package conf

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postrider-mail/postrider/internal/accounts/ldap"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Elsewhere is about accounts that are kept by others, and logins that others answer for.
// An account that stands in these settings counts before one of the same address
// elsewhere; of several places that know an address, the first counts, those of
// PasswdFiles before those of LDAP.
//
// Where PasswdFiles or LDAP name anything, PLAIN and LOGIN are the only mechanisms with a
// password, unless scram says otherwise: others need keys that these do not have.
type Elsewhere struct {
	// Passwd-files of Dovecot. What changes in them counts at once.
	//
	//	"PasswdFiles": [{"file": "/etc/dovecot/users", "domains": ["example.com"]}]
	PasswdFiles []PasswdFile `json:"PasswdFiles"`

	// Directories. A user's entry is searched by the service account, and the password tried
	// by a login with it as that entry.
	//
	//	"LDAP": [{
	//	    "url": "ldap://ldap.example.com", "start_tls": true, "domains": ["example.com"],
	//	    "service_dn": "cn=mail,dc=example,dc=com", "service_password_file": "ldap.secret",
	//	    "base": "ou=people,dc=example,dc=com",
	//	    "filter": "(&(objectClass=inetOrgPerson)(|(uid=%n)(mail=%u)))",
	//	}]
	LDAP []LDAP `json:"LDAP"`

	// An OpenID provider, whose tokens log in by OAUTHBEARER (RFC 7628) and XOAUTH2. They are
	// for accounts that stand in the settings or in one of the places above; a password is
	// none of its business.
	//
	//	"OpenID": {"issuer": "https://login.example.com/realms/staff", "audiences": ["mail"]}
	OpenID OpenID `json:"OpenID"`

	// Certificates of clients, which log in by EXTERNAL under TLS.
	//
	//	"Certificates": {"ca_file": "staff-ca.pem"}
	Certificates ClientCertificates `json:"Certificates"`

	// Whether SCRAM-SHA-256 is offered for the accounts of the settings although there are
	// passwd-files or directories, whose accounts have no keys for it. A program takes the
	// strongest mechanism that it is offered, before anybody knows whose account it is, and few
	// try another one: users of those accounts whose program knows SCRAM cannot log in by
	// it then. Thunderbird, Outlook and Apple's programs do not know it; mutt, msmtp,
	// fetchmail and whatever stands on GSASL or libcurl may.
	Scram bool `json:"scram"`

	// How long it is remembered what a directory has said: that an address is there, that a
	// password is right, what a provider's introspection knows of a token. So long may
	// somebody go on whose account was closed there. A new password counts at once.
	CacheTime time.Duration `json:"cache_time" max:"10m" why:"whose account is closed is to be out soon"`

	// What is decided here about accounts that others keep, by their addresses. The page of an
	// account, and "postrider user block", write it.
	//
	//	"Accounts": {"bob@example.com": {"disabled": true}}
	Accounts map[string]*AccountElsewhere `json:"Accounts"`
}

// AccountElsewhere is what is decided here about an account that others keep.
type AccountElsewhere struct {
	// Nobody logs in to it, by whatever means, whoever keeps it says. Its mail comes, and stays.
	Disabled bool `json:"disabled"`
}

// PasswdFile is a file of accounts in Dovecot's form, "user:password:…", the password with
// its scheme ("{SHA512-CRYPT}$6$…"). Of the extra fields nologin, allow_nets and quotas
// are heeded. With fields that would let somebody in who is not who he says, such as
// nopassword, and with a scheme that is too weak, nobody can log in; "postrider check"
// names these.
type PasswdFile struct {
	// The file.
	File string `json:"file" conf:"path"`

	// The domains of its accounts; those of users that are written without one is the first.
	// Accounts of other domains in it do not count.
	Domains []string `json:"domains"`

	// The scheme of passwords that say none. Empty means "CRYPT", as for Dovecot.
	Scheme string `json:"scheme"`

	// Where its users change their password: the address of a page ("https://…"), to which
	// those at /account/ lead. No password is changed there: this server writes to no
	// passwd-file.
	PasswordPage string `json:"password_page"`
}

// LDAP is a directory (RFC 4511).
type LDAP struct {
	// Where it is: "ldap://ldap.example.com", "ldaps://…" (TLS from the first octet on), or a
	// socket of this host, "ldapi:///run/slapd/ldapi".
	URL string `json:"url"`

	// Whether TLS is begun at ldap:// before anything is said. Where the directory refuses,
	// nothing is.
	StartTLS bool `json:"start_tls"`

	// A file with certificates (PEM) of the authorities that may have signed the directory's.
	// Empty means those of the system.
	CAFile string `json:"ca_file" conf:"path"`

	// Whether passwords may cross the network without TLS. Do not.
	Cleartext bool `json:"cleartext"`

	// The domains whose addresses it may have. Entries with another are nobody's.
	Domains []string `json:"domains"`

	// The DN of the account that searches. Empty means that nobody logs in for it (anonymous),
	// which many directories refuse, or answer as if nobody were there.
	ServiceDN string `json:"service_dn"`

	// Its password. "env:NAME" takes it from the environment.
	ServicePassword Secret `json:"service_password"`

	// A file whose first line is its password.
	ServicePasswordFile string `json:"service_password_file" conf:"path"`

	// The DN of a user's entry, where it follows from the name:
	// "uid=%n,ou=people,dc=example,dc=com". %u is the address, %n what stands before the @, %d
	// the domain, each in lower case; nothing in them means anything in the DN. It stands in
	// place of base and filter.
	UserDN string `json:"user_dn"`

	// Where a search begins.
	Base string `json:"base"`

	// The filter that finds the entry of a login or of a recipient, with the same marks:
	// "(&(objectClass=inetOrgPerson)(|(uid=%n)(mail=%u)))". Whatever it finds an entry by is
	// an address of that entry: an attribute with aliases belongs in here. More than one entry
	// is an error, nobody then.
	Filter string `json:"filter"`

	// The attribute with the address of the entry's mailbox, whatever name it was found by. It
	// must have one value; an entry without any has no mailbox.
	AddressAttribute string `json:"address_attribute"`

	// The attribute with what the mailbox may hold: octets, a size as "2GB", or "none". Empty
	// means that the directory says nothing of it.
	QuotaAttribute string `json:"quota_attribute"`

	// Where its users change their password: the address of a page ("https://…"), to which
	// those at /account/ lead. No password is changed there: this server writes to no
	// directory.
	PasswordPage string `json:"password_page"`

	// How long a question may take, with connecting. Zero means 4 seconds.
	Timeout time.Duration `json:"timeout" conf:"zero" min:"100ms" max:"30s" why:"clients do not wait for long"`

	// Connections at a time. Zero means 8.
	MaxConnections int `json:"max_connections" conf:"zero" min:"1" max:"1000"`
}

// OpenID is a provider of OpenID Connect.
type OpenID struct {
	// The provider, as its tokens name it in "iss": "https://login.example.com/realms/staff".
	// Where it keeps its keys is found below it ("/.well-known/openid-configuration"). Empty:
	// there is none.
	Issuer string `json:"issuer"`

	// What the provider calls this server, or the programs whose tokens are taken: at least
	// one has to be in a token. A token for anything else of the same provider is refused.
	Audiences []string `json:"audiences"`

	// The claims an audience may stand in: "aud", "azp" (the client that it was issued to;
	// Keycloak), "client_id", "appid" (Entra).
	AudienceClaims []string `json:"audience_claims"`

	// The claim with the address of the account.
	UserClaim string `json:"user_claim"`

	// Whether the address counts only where the provider says that it has verified it
	// ("email_verified"), if user_claim is "email". Otherwise whoever writes another's address
	// into his profile there has that one's mail here.
	EmailVerified bool `json:"email_verified"`

	// The algorithms that tokens may be signed by. There is none without a signature, nor one
	// with a shared key.
	Algorithms []string `json:"algorithms"`

	// A file with certificates (PEM) of the authorities that may have signed the provider's.
	// Empty means those of the system.
	CAFile string `json:"ca_file" conf:"path"`

	// Whether the provider is asked about each token (RFC 7662), which it need not be able to
	// sign then. It wants client_id and client_secret for it.
	Introspect bool `json:"introspect"`

	// The name this server has at the provider.
	ClientID string `json:"client_id"`

	// The secret that goes with it. "env:NAME" takes it from the environment.
	ClientSecret Secret `json:"client_secret"`

	// A file whose first line is that secret.
	ClientSecretFile string `json:"client_secret_file" conf:"path"`

	// How long a question may take.
	Timeout time.Duration `json:"timeout" min:"100ms" max:"30s" why:"a program waits for its login"`
}

// ClientCertificates is about certificates that clients show in TLS.
type ClientCertificates struct {
	// The certificates (PEM) of the authority that signs them, yours alone. Empty: none are
	// asked for.
	CAFile string `json:"ca_file" conf:"path"`

	// Which name in it is the account: "email" (rfc822Name among the alternative names, RFC
	// 5280) or "cn" (the common name, an address or a local part).
	Name string `json:"name" one:"email,cn"`

	// A file with the authority's list of revoked certificates (PEM or DER; of several
	// authorities one after the other, PEM). It is read whenever it has changed; one that is
	// out of date lets nobody in. Empty means that none is looked at.
	CRLFile string `json:"crl_file" conf:"path"`
}

// Algorithms of tokens: asymmetric ones alone. With a shared key, the provider's public
// one could be taken for it.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// complete fills in what follows.
func (e *Elsewhere) complete() {
	for i := range e.PasswdFiles {
		if f := &e.PasswdFiles[i]; f.Scheme == "" {
			f.Scheme = "CRYPT"
		}
	}
	for i := range e.LDAP {
		l := &e.LDAP[i]
		if l.Timeout == 0 {
			l.Timeout = 4 * time.Second
		}
		if l.MaxConnections == 0 {
			l.MaxConnections = 8
		}
		if l.AddressAttribute == "" {
			l.AddressAttribute = "mail"
		}
	}
}

// eachDomain visits the domains of accounts elsewhere.
func (e *Elsewhere) eachDomain(f func(steps []any, name string)) {
	for i := range e.PasswdFiles {
		for j, name := range e.PasswdFiles[i].Domains {
			f(at("Elsewhere", "PasswdFiles", i, "domains", j), name)
		}
	}
	for i := range e.LDAP {
		for j, name := range e.LDAP[i].Domains {
			f(at("Elsewhere", "LDAP", i, "domains", j), name)
		}
	}
}

// Knows reports whether accounts of a domain may stand elsewhere.
func (e *Elsewhere) Knows(domain domains.Name) (found bool) {
	e.eachDomain(func(_ []any, name string) { found = found || domains.Canonical(name) == domain })
	return found
}

// Blocked are the accounts that nobody logs in to, by what is decided here.
func (e *Elsewhere) Blocked() map[domains.Address]bool {
	all := make(map[domains.Address]bool)
	for name, a := range e.Accounts {
		if a != nil && a.Disabled {
			all[domains.CanonicalAddress(name)] = true
		}
	}
	return all
}

// HasAccounts reports whether any do.
func (e *Elsewhere) HasAccounts() bool { return len(e.PasswdFiles)+len(e.LDAP) > 0 }

func (c *checker) elsewhere() {
	e := &c.Elsewhere
	e.eachDomain(func(steps []any, name string) {
		if err := checkDomain(name); err != nil {
			c.fail(steps, "%w", err)
		}
	})
	for _, name := range slices.Sorted(maps.Keys(e.Accounts)) {
		steps := at("Elsewhere", "Accounts", name)
		if address, err := AccountAddress(name); err != nil {
			c.failKey(steps, "%w", err)
		} else if c.book.Accounts[address] != nil {
			c.failKey(steps, "%s is an account of the settings; write it there", name)
		} else if !e.Knows(address.Domain()) {
			c.failKey(steps, "nobody elsewhere keeps accounts of %s", address.Domain())
		}
	}
	for i := range e.PasswdFiles {
		c.passwdFile(at("Elsewhere", "PasswdFiles", i), &e.PasswdFiles[i])
	}
	for i := range e.LDAP {
		c.ldap(at("Elsewhere", "LDAP", i), &e.LDAP[i])
	}
	c.openID(at("Elsewhere", "OpenID"), &e.OpenID)
	certs := &e.Certificates
	c.caFile(at("Elsewhere", "Certificates", "ca_file"), certs.CAFile)
	if certs.CRLFile != "" {
		if certs.CAFile == "" {
			c.fail(at("Elsewhere", "Certificates", "crl_file"), "no certificates are asked for; write ca_file")
		}
		if _, err := os.Stat(certs.CRLFile); err != nil {
			c.fail(at("Elsewhere", "Certificates", "crl_file"), "%w", err)
		}
	}
}

// passwordPage checks the address of a page for passwords.
func (c *checker) passwordPage(steps []any, page string) {
	if page == "" {
		return
	}
	if u, err := url.Parse(page); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsFunc(page, unicode.IsSpace) {
		c.fail(below(steps, "password_page"), "%q is no address of a page, as \"https://password.example.com/\" is", page)
	}
}

func below(steps []any, key string) []any { return append(steps[:len(steps):len(steps)], key) }

func (c *checker) passwdFile(steps []any, f *PasswdFile) {
	if len(f.Domains) == 0 {
		c.failMissing(below(steps, "domains"), `missing; write the domains of its accounts: "domains": ["example.com"]`)
	}
	if strings.ContainsAny(f.Scheme, "{}") {
		c.fail(below(steps, "scheme"), "%q has braces; write its name alone", f.Scheme)
	}
	c.passwordPage(steps, f.PasswordPage)
	info, err := os.Stat(f.File)
	switch {
	case f.File == "":
		c.failMissing(below(steps, "file"), "missing; write the path of the passwd-file")
	case err != nil:
		c.fail(below(steps, "file"), "%w", err)
	case !info.Mode().IsRegular():
		c.fail(below(steps, "file"), "%s is no file", f.File)
	case sys.Others(info.Mode())&0o007 != 0:
		// A group may read it: that of Dovecot, which this server belongs to.
		c.fail(below(steps, "file"), "%s %w (mode %04o); run: chmod o= %s", f.File, errOpen, info.Mode().Perm(), f.File)
	}
}

func (c *checker) ldap(steps []any, l *LDAP) {
	if len(l.Domains) == 0 {
		c.failMissing(below(steps, "domains"), `missing; write the domains whose addresses it has: "domains": ["example.com"]`)
	}
	secure, local, err := ldap.CheckURL(l.URL)
	switch {
	case l.URL == "":
		c.failMissing(below(steps, "url"), `missing; write where it is: "url": "ldaps://ldap.example.com"`)
	case err != nil:
		c.fail(below(steps, "url"), "%w", err)
	case secure && l.StartTLS:
		c.fail(below(steps, "start_tls"), "at ldaps:// there is TLS from the first octet on; leave it out")
	case !secure && !l.StartTLS && !local && !l.Cleartext:
		c.fail(below(steps, "url"), `passwords would cross the network in the clear; write "start_tls": true, or ldaps://`)
	}
	c.caFile(below(steps, "ca_file"), l.CAFile)
	c.passwordPage(steps, l.PasswordPage)
	if l.ServiceDN == "" && l.ServicePassword != "" {
		c.failMissing(below(steps, "service_dn"), "missing; there is a password, and nobody whose it is")
	}
	if l.ServiceDN != "" {
		if err := ldap.CheckDN(l.ServiceDN); err != nil {
			c.fail(below(steps, "service_dn"), "%w", err)
		}
		if l.ServicePassword == "" && l.ServicePasswordFile == "" {
			c.failMissing(below(steps, "service_password"), "missing: without a password a directory takes the login as nobody's")
		}
	}
	switch {
	case l.UserDN != "" && (l.Filter != "" || l.Base != ""):
		c.fail(below(steps, "user_dn"), "there is a filter as well; keep one of the two")
	case l.UserDN != "":
		if err := ldap.CheckTemplate(l.UserDN, true); err != nil {
			c.fail(below(steps, "user_dn"), "%w", err)
		}
	case l.Filter == "":
		c.failMissing(below(steps, "filter"), `missing; write how an entry is found: "filter": "(mail=%%u)", or user_dn`)
	default:
		if err := ldap.CheckTemplate(l.Filter, false); err != nil {
			c.fail(below(steps, "filter"), "%w", err)
		}
		if err := ldap.CheckDN(l.Base); err != nil || l.Base == "" {
			c.fail(below(steps, "base"), "%q is no DN; write where the search begins", l.Base)
		}
	}
}

func (c *checker) openID(steps []any, o *OpenID) {
	if o.Issuer == "" {
		if len(o.Audiences) > 0 || o.Introspect || o.ClientID != "" {
			c.failMissing(below(steps, "issuer"), `missing; write the provider as its tokens name it: "issuer": "https://login.example.com"`)
		}
		return
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		c.fail(below(steps, "issuer"), "%q is no URL like \"https://login.example.com\"", o.Issuer)
	case u.Scheme != "https" && !(u.Scheme == "http" && isLocal(net.JoinHostPort(u.Hostname(), "80"))):
		c.fail(below(steps, "issuer"), "%q is not https://", o.Issuer)
	}
	if len(o.Audiences) == 0 || slices.Contains(o.Audiences, "") {
		c.failMissing(below(steps, "audiences"), "missing: without it a token for anything else of the provider would open mailboxes here; write what it calls this server")
	}
	if len(o.AudienceClaims) == 0 || slices.Contains(o.AudienceClaims, "") {
		c.fail(below(steps, "audience_claims"), `there is none; leave it out for "aud"`)
	}
	if o.UserClaim == "" {
		c.fail(below(steps, "user_claim"), `it is empty; leave it out for "email"`)
	}
	if len(o.Algorithms) == 0 && !o.Introspect {
		c.fail(below(steps, "algorithms"), "there is none; leave it out for those that are common")
	}
	for i, a := range o.Algorithms {
		if !slices.Contains(algorithms, a) {
			c.fail(append(below(steps, "algorithms"), i), "%q is not one of %s", a, strings.Join(algorithms, ", "))
		}
	}
	c.caFile(below(steps, "ca_file"), o.CAFile)
	if o.Introspect && (o.ClientID == "" || o.ClientSecret == "") {
		c.failMissing(below(steps, "client_id"), "missing: to ask about tokens, the provider wants client_id and client_secret")
	}
}

// AccountAddress reads an address that somebody else says is that of an account: empty if
// it can be none.
func AccountAddress(text string) (domains.Address, error) {
	if err := checkAccountAddress(text); err != nil {
		return "", fmt.Errorf("no address for an account: %w", err)
	}
	return domains.CanonicalAddress(text), nil
}
