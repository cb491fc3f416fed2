package ldap

import (
	"fmt"
	"strings"
	"unicode/utf8"

	ldap3 "github.com/go-ldap/ldap/v3"
)

// Name is the name of a user, for the marks of a filter or DN: %u is all of it, %n what stands before the @, %d its domain, %% a %.
type Name struct {
	Full, Local, Domain string
}

// inFilter puts the name into a filter. Nothing in it is syntax there (RFC 4515 §3).
func (n Name) inFilter(template string) string { return n.in(template, ldap3.EscapeFilter) }

// inDN puts the name into a DN (RFC 4514 §2.4).
func (n Name) inDN(template string) string { return n.in(template, escapeDN) }

func (n Name) in(template string, escape func(string) string) string {
	return strings.NewReplacer("%u", escape(n.Full), "%n", escape(n.Local), "%d", escape(n.Domain), "%%", "%").Replace(template)
}

// escapeDN escapes all that is neither letter, digit nor harmless, in hexadecimal, as RFC 4514 §2.4 allows for any octet.
// So it does not matter where in the value it stands: blanks and "#" mean something at some places only.
func escapeDN(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c >= utf8.RuneSelf || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-_.@", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\%02x`, c)
	}
	return b.String()
}

// CheckTemplate says what is wrong with a filter or, if dn, a DN with marks.
func CheckTemplate(template string, dn bool) error {
	for i := 0; i < len(template); i++ {
		if template[i] != '%' {
			continue
		}
		if i+1 == len(template) || strings.IndexByte("und%", template[i+1]) < 0 {
			return fmt.Errorf("%q: %% stands before u, n or d, for the user's name, what is before the @, and the domain; write %%%% for %% itself", template)
		}
		i++
	}
	if !strings.Contains(template, "%u") && !strings.Contains(template, "%n") {
		return fmt.Errorf("%q is the same for all users; write %%u where the name stands, or %%n for what is before the @", template)
	}
	n := Name{Full: "a@b.example", Local: "a", Domain: "b.example"}
	if dn {
		if _, err := ldap3.ParseDN(n.inDN(template)); err != nil {
			return fmt.Errorf("%q is no DN: %w", template, err)
		}
		return nil
	}
	if strings.Count(template, "(") != strings.Count(template, ")") { // the library takes some for a part of a value
		return fmt.Errorf("%q is no filter: its parentheses are not pairs", template)
	}
	if _, err := ldap3.CompileFilter(n.inFilter(template)); err != nil {
		return fmt.Errorf("%q is no filter: %w", template, err)
	}
	return nil
}

// CheckDN says what is wrong with a DN.
func CheckDN(dn string) error {
	if _, err := ldap3.ParseDN(dn); err != nil {
		return fmt.Errorf("%q is no DN: %w", dn, err)
	}
	return nil
}
