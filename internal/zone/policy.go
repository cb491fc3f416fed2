package zone

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Policy is the domain's MTA-STS policy as https://mta-sts.DOMAIN/.well-known/mta-sts.txt
// should have it, in text/plain with lines ended by CRLF (RFC 8461 §3.2). It is
// empty where the plan has none.
func (p *Plan) Policy() string {
	if p.STS == STSOff {
		return ""
	}
	age := testingAge
	if p.STS == STSEnforce {
		age = enforceAge
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", p.STS)
	for _, host := range p.exchangers() {
		fmt.Fprintf(&b, "mx: %s\r\n", host)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", age/time.Second)
	return b.String()
}

// policyID is the id that the DNS has of the policy. It follows from the text, so
// that it cannot be forgotten when the text changes.
func (p *Plan) policyID() string {
	sum := sha256.Sum256([]byte(p.Policy()))
	return hex.EncodeToString(sum[:10])
}

// exchangers are the hosts that take mail for the domain, best first.
func (p *Plan) exchangers() []string { return append([]string{p.Host}, p.OtherMX...) }
