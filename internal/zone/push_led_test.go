package zone

import (
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// TestPushLedTogether: where several names lead to one, and different records are wanted
// there, none takes the place of another's: it is said, and left.
func TestPushLedTogether(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: `s1._domainkey CNAME key.example.test.
s2._domainkey CNAME key.example.test.
key TXT "v=DKIM1; k=rsa; p=b2xk"
`})
	p, s := example(), serverAt(a)
	p.Keys[1].Value = "v=DKIM1; k=rsa; p=b3RoZXI="
	at := []Record{{RR: txt("key.example.test", "")}}
	before := everything(t, a, at)
	for range 3 {
		did, left, err := push(t, s, p.Records())
		if err != nil || strings.Contains(strings.Join(did, "\n"), " key.example.test") {
			t.Errorf("%v, did\n%s", err, strings.Join(did, "\n"))
		}
		if said := strings.Join(left, "\n"); !strings.Contains(said, "s1._domainkey.example.test and s2._domainkey.example.test both lead to key.example.test") || len(left) != 1 {
			t.Errorf("left %q", left)
		}
		if after := everything(t, a, at); after != before {
			t.Errorf("before\n%s\nafter\n%s", before, after)
		}
	}
	// Those that want the same may share it.
	p.Keys[1].Value = p.Keys[0].Value
	for i := range 2 {
		if did, left, err := push(t, s, p.Records()); err != nil || len(left) != 0 || len(did) != 2-2*i {
			t.Errorf("%v, left %q, did\n%s", err, left, strings.Join(did, "\n"))
		}
	}
}

// TestPushLedTLSA: a name that others can go by as well, since it is not one of port 25, keeps the
// digests that are there.
func TestPushLedTLSA(t *testing.T) {
	a := peertest.ServeZones(t, "", &updater, peertest.Zone{Name: "example.test", Records: `_25._tcp.mail CNAME pins.example.test.
pins TLSA 3 1 1 00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa00aa
`})
	p, s := example(), serverAt(a)
	did, left, err := push(t, s, p.Records())
	if err != nil || strings.Contains(strings.Join(did, "\n"), " pins.example.test") {
		t.Errorf("%v, did\n%s", err, strings.Join(did, "\n"))
	}
	if len(left) != 1 || !strings.HasPrefix(left[0], "pins.example.test TLSA was not made here") {
		t.Errorf("left %q", left)
	}
}
