package relay

import (
	"encoding/json"
	"testing"
)

// TestMergeTLSResults: what two servers have counted comes to what one would have.
func TestMergeTLSResults(t *testing.T) {
	results := []TLSResult{
		{Domain: "far.test", PolicyType: "sts", Policy: []string{"version: STSv1"}, MX: []string{"mx.far.test"}},
		{Domain: "far.test", PolicyType: "sts", Policy: []string{"version: STSv1"}, MX: []string{"mx.far.test"}, Failure: "certificate-expired", Host: "mx.far.test"},
		{Domain: "far.test", PolicyType: "sts", Policy: []string{"version: STSv1"}, MX: []string{"mx.far.test"}, Failure: "validation-failure", Host: "mx.far.test"},
		{Domain: "far.test", PolicyType: "no-policy-found"},
	}
	var one, a, b tlsDomain
	for i, r := range append(results, results...) {
		one.add(r)
		if i < 3 {
			a.add(r)
		} else {
			b.add(r)
		}
	}
	a.merge(&b)
	a.merge(&tlsDomain{Policies: []*tlsPolicy{nil, {Details: []*tlsDetail{nil}}}})
	a.Policies = a.Policies[:2]
	is, err := json.Marshal(a)
	want, err2 := json.Marshal(one)
	if err != nil || err2 != nil || string(is) != string(want) {
		t.Errorf("%s\n%s", is, want)
	}
}
