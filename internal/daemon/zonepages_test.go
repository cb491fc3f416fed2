package daemon

import (
	"fmt"
	"html"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/pages/admin"
)

// silent is a name server that hears and does not answer.
func silent(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// TestZonePages: what the DNS should have is shown at once, and what it has once somebody wants to know.
func TestZonePages(t *testing.T) {
	w := start(t, withAdmin(t, `"Queue": {"dns_servers": ["127.0.0.1:1"]}, "Domains": {"town.test": {}},`))
	v := w.admin()
	if code, page := v.see("/admin/dns"); code != 200 || !strings.Contains(page, "/admin/dns/town.test") || !strings.Contains(page, "not checked") {
		t.Fatal(code, page)
	}
	code, page := v.see("/admin/dns/town.test")
	for _, want := range []string{"MX", "v=spf1", "_dmarc.town.test", "; mail records of town.test", "There are no keys", "not since the start"} {
		if code != 200 || !strings.Contains(page, want) {
			t.Errorf("%d: no %s in\n%s", code, want, page)
		}
	}
	if code, page := v.post("/admin/dns/town.test", "do", "check"); code != 200 || !strings.Contains(html.UnescapeString(page), "unknown") || !strings.Contains(page, " s ago") {
		t.Error("checked:", code, page)
	}
	if code, page := v.see("/admin/dns"); code != 200 || !strings.Contains(page, " faults<") {
		t.Error(code, page)
	}
	if code, _ := v.see("/admin/dns/else.test"); code != 404 {
		t.Error("a domain of others:", code)
	}
	if code, _ := v.post("/admin/dns/else.test", "do", "check"); code != 404 {
		t.Error("a check of others' domain:", code)
	}
	if code, page := v.see("/admin/certificates"); code != 200 || !strings.Contains(page, "self-signed.crt") || !strings.Contains(page, "by this server itself") {
		t.Error("certificates:", code, page)
	}
}

// TestZoneChecksBounded: one check of a domain, few at a time, and none when the server stops.
func TestZoneChecksBounded(t *testing.T) {
	w := start(t, fmt.Sprintf(`"Queue": {"dns_servers": [%q]}, "Domains": {"a.test": {}, "b.test": {}, "c.test": {}},`, silent(t)))
	z := w.desk.Zones()
	first, err := z.Begin("a.test")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := z.Begin("a.test"); err != nil || again != first {
		t.Error("a second check of one domain:", err)
	}
	if _, err := z.Begin("b.test"); err != nil {
		t.Error(err)
	}
	if _, err := z.Begin("c.test"); err == nil {
		t.Error("there is no bound")
	}
	standing := func(name string) admin.Zone {
		zones, _ := z.Zones(admin.Slice{Limit: 100})
		return zones[slices.IndexFunc(zones, func(z admin.Zone) bool { return z.Domain == name })]
	}
	if !standing("a.test").Checking || standing("c.test").Checking {
		t.Error("what is under way is not shown")
	}
	ended := make(chan struct{})
	go func() { w.desk.Close(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(forEver):
		t.Fatal("it does not end")
	}
	if s := standing("a.test"); s.Checking || !s.At.IsZero() {
		t.Errorf("a check that was cut short counts: %+v", s)
	}
	if _, err := z.Begin("a.test"); err == nil {
		t.Error("one begins after the end")
	}
}
