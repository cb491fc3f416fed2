package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider-mail/postrider/smtp/queue"
)

// TLSResult is the outcome of one attempt to have a TLS session, as TLS-RPT
// counts them (RFC 8460 §4.3).
type TLSResult struct {
	Domain     string     // of the recipients
	PolicyType string     // "tlsa", "sts" or "no-policy-found"
	Policy     []string   // the policy, line by line
	MX         []string   // the patterns of an MTA-STS policy
	Host       string     // the receiving host
	Addr       netip.Addr // its address
	Local      netip.Addr // ours
	// Failure is a result type of RFC 8460 §4.3, or empty for success.
	Failure string
	Detail  string // the cause, in one line
}

// counts reports whether the outcome of sessions is told. It is not for what we send of
// ourselves: two hosts that tell each other how their reports arrived would never be done
// with it (RFC 8460 §3).
func (a *transfer) counts() bool { return a.r.Report != nil && a.d.Entry.Class != queue.Notice }

// report tells Report of a session with t. kind is a result type, "" for
// success.
func (a *transfer) report(t target, d demand, local netip.Addr, kind string, cause error) {
	if !a.counts() || a.route != nil || t.literal {
		return
	}
	res := TLSResult{Domain: a.domain.String(), PolicyType: "no-policy-found", Host: t.host, Addr: t.addr.Addr(), Local: local, Failure: kind}
	if cause != nil {
		res.Detail = cause.Error()
	}
	switch {
	case d.level == DANE || d.by == "dane":
		res.PolicyType = "tlsa"
		for _, rec := range d.tlsa {
			res.Policy = append(res.Policy, fmt.Sprintf("%d %d %d %x", rec.Usage, rec.Selector, rec.Matching, rec.Data))
		}
	case d.policy != nil:
		res.PolicyType = "sts"
		res.Policy = strings.Split(strings.TrimSuffix(d.policy.String(), "\n"), "\n")
		res.MX = d.policy.MX
	}
	a.r.Report(res)
}

// reportPolicy tells Report of an MTA-STS policy that could not be had.
func (a *transfer) reportPolicy() {
	var failed *fetchError
	if !a.counts() || !errors.As(a.policy.stsErr, &failed) {
		return
	}
	var cert *tls.CertificateVerificationError
	var invalid *invalidPolicy
	kind := "sts-policy-fetch-error"
	switch {
	case errors.As(failed, &cert):
		kind = "sts-webpki-invalid"
	case errors.As(failed, &invalid):
		kind = "sts-policy-invalid"
	}
	a.r.Report(TLSResult{Domain: a.domain.String(), PolicyType: "sts", Failure: kind, Detail: failed.Error()})
}

// failureType names a certificate problem as RFC 8460 §4.3.2 does.
func failureType(err error) string {
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &host):
		return "certificate-host-mismatch"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate-expired"
	case errors.As(err, &unknown):
		return "certificate-not-trusted"
	}
	return "validation-failure"
}
