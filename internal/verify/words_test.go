package verify

import (
	"net/netip"
	"testing"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// TestLiteral: what is an address in HELO, with its brackets or without.
func TestLiteral(t *testing.T) {
	for helo, want := range map[string]struct {
		addr      string
		isLiteral bool
	}{
		"[192.0.2.1]": {"192.0.2.1", true}, "192.0.2.1": {"192.0.2.1", true}, "[IPv6:2001:db8::1]": {"2001:db8::1", true}, "[ipv6:2001:db8::1]": {"2001:db8::1", true},
		"[IPv6:::ffff:192.0.2.1]": {"192.0.2.1", true}, "[IPv6:]": {"", true}, "[x]": {"", true}, "mail.test": {"", false}, "": {"", false}, "[2001:db8::1]": {"2001:db8::1", true},
	} {
		a, is := literal(helo)
		w, _ := netip.ParseAddr(want.addr)
		if a != w || is != want.isLiteral {
			t.Errorf("%q: %v, %v", helo, a, is)
		}
	}
}

// TestBelow: the actions in their order; none is below itself.
func TestBelow(t *testing.T) {
	order := []Action{Note, Mark, Quarantine, Refuse}
	for i, a := range order {
		for j, b := range order {
			if a.below(b) != (i < j) {
				t.Errorf("%s below %s: %v", a, b, a.below(b))
			}
		}
	}
}

// TestResultsSay: what stands in Authentication-Results of what is known, and nothing of what is not.
func TestResultsSay(t *testing.T) {
	d := &Verdict{Override: "local_policy"}
	d.DMARC.Result, d.DMARC.Domain, d.DMARC.Policy, d.DMARC.Record = dmarc.Fail, "a.test", "reject", &dmarc.Record{}
	if r := d.dmarcResult(); r.Comment != "p=reject but local policy" || len(r.Props) != 1 || r.Props[0].Value != "a.test" {
		t.Errorf("%+v", r)
	}
	d.DMARC.Domain, d.DMARC.Record = "", nil
	if r := d.dmarcResult(); r.Comment != "" || r.Props != nil {
		t.Errorf("%+v", r)
	}
	r := dkimResult(&dkim.Result{Status: dkim.Pass, Domain: "a.test", Algorithm: "rsa-sha256"})
	want := []rfc2822.AuthProp{{Type: "header", Property: "d", Value: "a.test"}, {Type: "header", Property: "a", Value: "rsa-sha256"}}
	if len(r.Props) != len(want) || r.Props[0] != want[0] || r.Props[1] != want[1] {
		t.Errorf("%+v", r.Props)
	}
}
