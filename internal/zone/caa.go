package zone

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// value is what the record says (RFC 8659 §4.2, RFC 8657).
func (c CAA) value() string {
	value := c.Issuer
	if c.Account != "" {
		value += "; accounturi=" + c.Account
	}
	if c.Method != "" {
		value += "; validationmethods=" + c.Method
	}
	return value
}

// allows reports whether by a record a certificate may be issued as it is wanted, as far as that is known.
func allows(record *dns.CAA, want CAA) bool {
	issuer, rest, _ := strings.Cut(record.Value, ";")
	if !strings.EqualFold(strings.TrimSpace(issuer), want.Issuer) {
		return false
	}
	for parameter := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "accounturi":
			if want.Account != "" && value != want.Account {
				return false
			}
		case "validationmethods":
			if want.Method != "" && !slices.Contains(strings.Split(value, ","), want.Method) {
				return false
			}
		}
	}
	return true
}

// decideCAA adds to a record of ours whose account it is, which is known only when there is a certificate.
func decideCAA(want []dns.RR, have *set) *Change {
	if len(want) == 1 && len(have.records) == 1 {
		w, h := want[0].(*dns.CAA), have.records[0].(*dns.CAA)
		if w.Tag == h.Tag && w.Flag == h.Flag && w.Value != h.Value && withoutAccount(w.Value) == h.Value {
			return &Change{Add: want, Remove: have.records}
		}
	}
	return decideWhole(want, have)
}

func withoutAccount(value string) string {
	parts := strings.Split(value, ";")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, " accounturi=") }), ";")
}
