package conf

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// checkDomain says what is wrong with a domain name (RFC 5321 §4.1.2, RFC 5890).
func checkDomain(domain string) error {
	bad := fmt.Errorf("%q is not a domain name; write one like \"example.com\"", domain)
	ascii, err := domains.HostName(domain)
	if err != nil || ascii == "" || len(ascii) > 253 {
		return bad
	}
	labels := strings.Split(ascii, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') }) {
			return bad
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return bad // an IPv4 address
	}
	return nil
}

// checkAddress says what is wrong with an address as users have it: a
// dot-atom, which may be of UTF-8 (RFC 6531), at a domain.
func checkAddress(address string) error {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return fmt.Errorf("%q is not a full address; write one like \"alice@example.com\"", address)
	}
	if err := checkLocal(address[:i]); err != nil {
		return err
	}
	return checkDomain(address[i+1:])
}

func checkLocal(local string) error {
	bad := fmt.Errorf("%q cannot stand before the @ of an address", local)
	if local == "" || len(local) > 64 || !utf8.ValidString(local) || strings.Contains("."+local+".", "..") {
		return bad
	}
	for _, r := range local {
		if r < 0x80 && !isAtom(byte(r)) && r != '.' || unicode.IsControl(r) || unicode.IsSpace(r) {
			return bad
		}
	}
	return nil
}

// isAtom reports whether c is of the atext of RFC 5322 §3.2.3.
func isAtom(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// plusMarks are the characters that may begin a detail: those an address can
// hold that are neither letters nor digits nor a dot.
const plusMarks = "+-_=#~!%&*^|$/"

func (c *checker) domains() {
	seen := make(map[domains.Name]string)
	c.eachDomain(func(name string, d *Domain) {
		is := domains.Canonical(name)
		if err := checkDomain(name); err != nil {
			c.failKey(at("Domains", name), "%w", err)
		}
		if other, twice := seen[is]; twice {
			c.failKey(at("Domains", name), "the domain is there already, as %q", other)
		}
		seen[is] = name
		if p := d.Plus; p != "" && p != "none" && (len(p) != 1 || !strings.Contains(plusMarks, p)) {
			c.fail(at("Domains", name, "plus"), "%q is not one character like \"+\" or \"-\", nor \"none\"", p)
		}
		for _, locals := range [][]string{slices.Sorted(maps.Keys(d.Accounts)), slices.Sorted(maps.Keys(d.Aliases))} {
			for _, local := range locals {
				if i := strings.LastIndexByte(local, '@'); i >= 0 && checkDomain(local[i+1:]) == nil {
					where := "Accounts"
					if d.Accounts[local] == nil {
						where = "Aliases"
					}
					c.failKey(at("Domains", name, where, local), "write only %q here; the domain is said already", local[:i])
				}
			}
		}
	})
}

// checkAccountAddress says what is wrong with an address for an account.
func checkAccountAddress(address string) error {
	if err := checkAddress(address); err != nil {
		return err
	}
	if strings.HasPrefix(address, "*@") {
		return fmt.Errorf("\"*\" is for aliases; write catch_all in the domain, or an alias %q", address)
	}
	return nil
}

func (c *checker) accounts() {
	seen := make(map[domains.Address][]any)
	c.eachAccount(func(steps []any, address string, a *Account) {
		if saidByDomains(steps, address) {
			return
		}
		if err := checkAccountAddress(address); err != nil {
			c.failKey(steps, "%w", err)
		}
		is := domains.CanonicalAddress(address)
		if other, twice := seen[is]; twice {
			c.failKey(steps, "the account is there already, as %s", config.Path(other...))
		}
		seen[is] = steps
		below := func(key string) []any { return append(steps[:len(steps):len(steps)], key) }
		c.password(below("password"), address, a)
		if a.ScramSHA256 != "" && !strings.HasPrefix(string(a.ScramSHA256), "SCRAM-SHA-256$") {
			c.failSecret(below("scram_sha_256"), "not derived keys; run: postrider user passwd %s", address)
		}
		if a.CRAMMD5 != "" && !isCRAM(string(a.CRAMMD5)) {
			c.failSecret(below("cram_md5"), "not a derived key; run: postrider user passwd %s", address)
		}
		c.apop(below("apop"), address, string(a.APOP))
		if a.Sealed != "" && !isRecipient(a.Sealed) {
			c.fail(below("sealed"), "not a public key as \"postrider user seal\" writes it")
		}
		c.expire(below("expire"), a.Expire)
		for i, other := range a.Addresses {
			if err := checkAddress(strings.Replace(other, "*@", "any@", 1)); err != nil {
				c.fail(append(below("addresses"), i), "%w", err)
			}
		}
	})
}

// isRecipient reports whether this looks like a public key of age ("age1" and 58 letters and digits). Whether it is one
// turns out where the keys are.
func isRecipient(key string) bool {
	rest, ok := strings.CutPrefix(key, "age1")
	return ok && len(rest) == 58 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// apop checks a sealed secret, and that the key to it is there.
func (c *checker) apop(steps []any, address, sealed string) {
	if sealed == "" {
		return
	}
	if !strings.HasPrefix(sealed, "sealed:") {
		c.failSecret(steps, "not sealed; run: postrider user passwd --apop %s", address)
		return
	}
	if _, err := os.Stat(c.SecretKeyFile); err != nil {
		c.fail(steps, "the key it is sealed with cannot be found: %w", err)
	}
}

// saidByDomains: a full address where a local part should stand.
func saidByDomains(steps []any, address string) bool {
	return steps[0] == "Domains" && strings.Count(address, "@") > 1
}

// isCRAM knows the two MD5 states that CRAM-MD5 needs, as Dovecot writes them.
func isCRAM(text string) bool {
	states, err := hex.DecodeString(strings.TrimPrefix(text, "{CRAM-MD5}"))
	return err == nil && len(states) == 32
}

// password checks the form of a stored password. One in clear is the mistake
// that everybody makes first.
func (c *checker) password(steps []any, address string, a *Account) {
	stored := string(a.Password)
	if stored == "" {
		return
	}
	if note := c.notes[config.Path(steps...)]; note != "" {
		address += " (" + note + ")"
	}
	switch err := passwd.CheckForm(stored); {
	case errors.Is(err, passwd.ErrClear):
		c.failSecret(steps, "this is not the hash of a password; passwords are not kept in clear; run: postrider user passwd %s", address)
	case err != nil:
		c.failSecret(steps, "%w", err)
	}
}
