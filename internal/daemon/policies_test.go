package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/zone"
)

// TestToldFailures: of what others report, the last of those failures counts that an MTA-STS policy would make matter;
// what may be forged does not.
func TestToldFailures(t *testing.T) {
	at := func(hours int) time.Time { return time.Unix(0, 0).Add(time.Duration(hours) * time.Hour) }
	told := toldFailures([]*reports.Report{
		{Kind: reports.TLS, Received: at(3), Org: "three", Sessions: []reports.Session{{Domain: "a.test", Policy: "sts", Failure: "certificate-expired", Count: 7}, {Domain: "b.test", Count: 9}}},
		{Kind: reports.TLS, Received: at(1), Org: "one", Trust: reports.Trusted, Sessions: []reports.Session{{Domain: "a.test", Policy: "no-policy-found", Failure: "starttls-not-supported", Count: 1}}},
		{Kind: reports.TLS, Received: at(4), Org: "four", Trust: reports.Untrusted, Sessions: []reports.Session{{Domain: "a.test", Policy: "sts", Failure: "certificate-expired", Count: 1}}},
		{Kind: reports.TLS, Received: at(5), Org: "five", Sessions: []reports.Session{{Domain: "a.test", Policy: "tlsa", Failure: "tlsa-invalid", Count: 1}}},
		{Kind: reports.DMARC, Received: at(6)},
	})
	if len(told) != 1 || !told["a.test"].At.Equal(at(3)) || told["a.test"].Text != "three tells of 7 sessions that failed: certificate-expired" {
		t.Errorf("%+v", told)
	}
}

// TestPolicyWaits: a policy that nobody can find stays what it is, for as long as that lasts, and the status says what is wrong.
func TestPolicyWaits(t *testing.T) {
	w := start(t, `"Domains": {"second.test": {}}, "DNS": {"mta_sts": "auto"}, "Queue": {"dns_servers": ["127.0.0.1:1"]},`)
	p := w.ripening()
	if len(p) != 1 || p[0].Domain != "second.test" || p[0].Host != "mail.test" {
		t.Fatalf("%+v", p)
	}
	p[0].STS = zone.STSTesting
	if trouble, err := w.checkPolicy(t.Context(), p[0]); trouble != "" || err == nil || !strings.Contains(err.Error(), "127.0.0.1:1 does not answer") {
		t.Errorf("without a resolver: %q, %v", trouble, err)
	}
}
