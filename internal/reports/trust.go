package reports

import (
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// ByResults is a Reader.Trust that goes by what this host has written into the
// Authentication-Results field (RFC 8601) when the message came, under the name that host
// returns. Only what stands above the topmost Received is read: all below may be a
// stranger's, and is passed over.
func ByResults(host func() string) func(top *rfc2822.Section, sender string) Trust {
	return func(top *rfc2822.Section, sender string) Trust {
		trust := Unchecked
		_, from, _ := strings.Cut(sender, "@")
		for f := range top.All() {
			if f.Is("Received") {
				return trust
			}
			if !f.Is("Authentication-Results") {
				continue
			}
			results, ok := rfc2822.ParseAuthResults(f.Value())
			if !ok || domains.Canonical(results.AuthServID).String() != host() {
				continue
			}
			for _, r := range results.Results {
				if r.Method != "dmarc" {
					continue
				}
				if trust == Unchecked && r.Result == "pass" && judged(r) == domains.Canonical(from).String() && from != "" {
					trust = Trusted
				} else {
					trust = Untrusted
				}
			}
		}
		return Unchecked // without Received it is no message that came in
	}
}

// judged is the domain of From that a result of DMARC is about.
func judged(r rfc2822.AuthResult) string {
	for _, p := range r.Props {
		if strings.EqualFold(p.Type, "header") && strings.EqualFold(p.Property, "from") {
			return domains.Canonical(p.Value[strings.LastIndexByte(p.Value, '@')+1:]).String()
		}
	}
	return ""
}
