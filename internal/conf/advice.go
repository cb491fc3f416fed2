package conf

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// soon is how long before the end of a certificate one should know of it.
const soon = 14 * 24 * time.Hour

// Advice returns what is not wrong, but may not be what was meant: a
// certificate about to expire or for another name, mechanisms that one account
// keeps from all, passwords in the clear. It expects settings that Check found
// nothing wrong with.
func (s *Settings) Advice() []error {
	c := newChecker(s, Probes{})
	c.errs = nil
	if s.TLS.CertificateFile != "" {
		c.adviseCertificate(at("TLS", "certificate_file"), s.TLS.CertificateFile)
	}
	for i, p := range s.TLS.Certificates {
		c.adviseCertificate(at("TLS", "certificates", i, "cert_file"), p.CertFile)
	}
	c.adviseName()
	c.adviseKeys()
	c.adviseSecrets()
	c.adviseMeaning()
	c.adviseRules()
	c.adviseDefence()
	c.eachTrust(func(steps []any, nets []netip.Prefix, _ string) { c.adviseTrusted(steps, nets) })
	for section, cleartext := range map[string]bool{"SMTP": s.SMTP.CleartextAuth, "POP3": s.POP3.CleartextAuth} {
		if cleartext {
			c.fail(at(section, "cleartext_auth"), "anybody on the way can read the passwords of your users")
		}
	}
	return sorted(c.errs)
}

// leafOf reads the first certificate of a file, which Check has found whole.
func leafOf(file string) *x509.Certificate {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return leaf
}

func (c *checker) adviseCertificate(steps []any, file string) {
	leaf := leafOf(file)
	if leaf == nil {
		return
	}
	if left := time.Until(leaf.NotAfter); left > 0 && left < soon {
		c.fail(steps, "the certificate expires on %s, in %d days", leaf.NotAfter.UTC().Format(time.DateOnly), int(left.Hours()/24))
	}
}

// adviseName looks for a certificate that fits the server's name.
func (c *checker) adviseName() {
	files := []string{c.TLS.CertificateFile}
	for _, p := range c.TLS.Certificates {
		files = append(files, p.CertFile)
	}
	found := false
	for _, file := range files {
		if file == "" {
			continue
		}
		found = true
		if leaf := leafOf(file); leaf == nil || leaf.VerifyHostname(domains.Canonical(c.ServerName).String()) == nil {
			return
		}
	}
	if found {
		c.fail(at("server_name"), "no certificate is for this name; clients that check will refuse it")
	}
}

// Keyless returns a note for each mechanism that accounts without keys for it
// keep from all others.
func (s *Settings) Keyless() []error {
	c := newChecker(s, Probes{})
	c.errs = nil
	c.adviseKeys()
	return sorted(c.errs)
}

// adviseKeys names the accounts that keep a mechanism from being offered: a
// client takes the best that it is offered, so one without keys for it could
// not log in.
func (c *checker) adviseKeys() {
	for _, m := range []struct {
		name string
		has  func(*Account) bool
	}{
		{"SCRAM-SHA-256", func(a *Account) bool { return a.ScramKeys() != "" }},
		{"CRAM-MD5", func(a *Account) bool { return a.CRAMKey() != "" }},
	} {
		if !slices.Contains(c.Auth.Mechanisms, m.name) {
			continue
		}
		with, without := 0, []string(nil)
		for _, name := range slices.Sorted(maps.Keys(c.book.Accounts)) {
			switch a := c.book.Accounts[name]; {
			case a.Disabled || a.Password == "":
			case m.has(a):
				with++
			default:
				without = append(without, name.String())
			}
		}
		if with > 0 && len(without) > 0 {
			c.fail(c.place(domains.Address(without[0])), "without keys for %s, which is therefore offered to nobody; run: postrider user passwd %s%s%s",
				m.name, without[0], andMore(without[1:]), c.orLogIn(m.name))
		}
	}
}

// place is the way to an account.
func (c *checker) place(address domains.Address) (found []any) {
	c.eachAccount(func(steps []any, written string, _ *Account) {
		if domains.CanonicalAddress(written) == address {
			found = steps
		}
	})
	return found
}

// orLogIn is the other way to keys.
func (c *checker) orLogIn(mechanism string) string {
	if mechanism == "SCRAM-SHA-256" && c.Auth.DeriveKeys {
		return ", or have it log in once with the password"
	}
	return ""
}

func andMore(names []string) string {
	const most = 3
	switch {
	case len(names) == 0:
		return ""
	case len(names) > most:
		return " (and others)"
	}
	return " (and " + strings.Join(names, ", ") + ")"
}
