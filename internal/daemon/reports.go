package daemon

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// reportQuota is what may wait in a mailbox for reports, in octets. They are read within
// a minute.
const reportQuota = 200 << 20

// reportMailboxes are the mailboxes that take reports by the settings of the moment.
func (d *Daemon) reportMailboxes() (names []string) {
	for address := range d.state().dir.Reports() {
		names = append(names, address.String())
	}
	return names
}

// openReports makes what reads the reports of other hosts. It is there without an
// address for them too: a reload may bring one.
func (d *Daemon) openReports(s *conf.Settings) error {
	disk, err := d.diskOf(s.DataDir)
	if err != nil {
		return err
	}
	kept, err := reports.OpenStore(context.Background(), reports.Dir(s.DataDir), disk)
	if err != nil {
		return err
	}
	d.reports = &reports.Reader{
		Mailboxes: d.store, Store: kept, Kept: d.metrics.Reported, Log: d.log,
		Names: d.reportMailboxes,
		Trust: reports.ByResults(func() string { return domains.Canonical(d.state().settings.ServerName).String() }),
		Age:   func() time.Duration { return d.state().settings.Reports.Keep },
	}
	return d.openReporting(s)
}

// openReporting makes what tells others how mail in their name fared here, where the
// settings want it.
func (d *Daemon) openReporting(s *conf.Settings) error {
	out := d.post.Outbound
	if !s.Reports.SendDMARC || out == nil {
		return nil
	}
	reporter := func() string { // there is one as long as send_dmarc is set
		return domains.CanonicalAddress(d.state().settings.Reports.Address[0]).String()
	}
	d.reporting = &reports.Sender{
		Address:   reporter,
		Generator: "Postrider",
		Permitted: d.wantReports,
		Hostname:  func() string { return domains.Canonical(d.state().settings.ServerName).String() },
		Send: func(ctx context.Context, to string, message []byte) error {
			err := out.SendReport(ctx, reporter(), to, smtp.NotifyFailure, message)
			if err == nil {
				d.metrics.SentReport(reports.DMARC)
			}
			return err
		},
		Own:   func(address string) bool { return d.state().dir.Reports()[domains.Address(address)] },
		Cache: out.Cache(),
		Log:   d.log,
	}
	if g := d.gathers(); g != nil {
		d.reporting.Common = g
	}
	d.reports.Bounced = d.reporting.Bounced
	return d.reporting.Begin(context.Background())
}

// wantReports asks the DNS where reports about a domain may be sent.
func (d *Daemon) wantReports(ctx context.Context, domain string, wanted []reports.Destination) ([]reports.Destination, error) {
	var asked []dmarc.URI
	for _, w := range wanted {
		asked = append(asked, dmarc.URI{Text: "mailto:" + w.Address, Address: w.Address, MaxSize: w.MaxSize})
	}
	agreed, err := (&dmarc.Checker{Resolver: d.dns}).Recipients(ctx, domain, asked)
	var to []reports.Destination
	for _, u := range agreed {
		to = append(to, reports.Destination{Address: u.Address, MaxSize: u.MaxSize})
	}
	return to, mayPass(err)
}

// mayPass is an error without what will be the same tomorrow: a host that has not agreed.
func mayPass(err error) error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var left []error
		for _, one := range all.Unwrap() {
			left = append(left, mayPass(one))
		}
		return errors.Join(left...)
	}
	if errors.Is(err, dmarc.ErrNotPermitted) || errors.Is(err, dmarc.ErrNotMailto) {
		return nil
	}
	return err
}

// runReports reads what others report, and reports to others, until ctx ends.
func (d *Daemon) runReports(ctx context.Context) {
	d.serving.Go(func() { d.reports.Run(ctx) })
	if d.reporting != nil {
		d.serving.Go(func() {
			if err := d.reporting.Run(ctx); err != nil {
				d.log.Error("no more reports about DMARC", "err", err)
			}
		})
	}
}

// reportable is what a report about DMARC says of a message.
func reportable(v *verify.Verdict) reports.Result {
	o := &v.DMARC
	r := reports.Result{
		Domain: o.RecordDomain, Disposition: disposition(v), DKIM: o.DKIM.Aligned, SPF: o.SPF.Aligned,
		From: o.Domain, SPFDomain: v.SPF.Domain, SPFResult: v.SPF.Result.String(),
	}
	for _, to := range v.To {
		r.Recipients = append(r.Recipients, to.Path.Address().String())
	}
	r.Source, _ = netip.ParseAddr(v.Client.Addr)
	if i := strings.LastIndexByte(v.From, '@'); i >= 0 {
		r.Envelope = canonical(v.From[i+1:])
	}
	if reason := override(v, r.Disposition); reason != "" {
		r.Overrides = []reports.Override{{Type: reason}}
	}
	for i := range v.DKIM {
		s := &v.DKIM[i]
		r.Signatures = append(r.Signatures, reports.Signature{Domain: s.Domain, Selector: s.Selector, Result: string(s.Status)})
	}
	if p := o.Record; p != nil {
		r.Policy = reports.Policy{P: string(p.P), SP: string(p.SP), NP: string(p.NP), FO: p.FO, ADKIM: mode(p.StrictDKIM), ASPF: mode(p.StrictSPF), Testing: p.Testing}
		for _, u := range p.RUA {
			if u.Address != "" {
				r.Wanted = append(r.Wanted, reports.Destination{Address: u.Address, MaxSize: u.MaxSize})
			}
		}
	}
	return r
}

// disposition is what was done with a message, in the words of RFC 9990: "pass" is for what
// passes where a policy would have had it stopped.
func disposition(v *verify.Verdict) string {
	enforced := v.DMARC.Policy == dmarc.Quarantine || v.DMARC.Policy == dmarc.Reject
	switch {
	case v.DMARC.Result == dmarc.Pass && enforced:
		return "pass"
	case v.DMARC.Result == dmarc.Pass:
		return "none"
	case v.Action == verify.Refuse:
		return "reject"
	case v.Marked():
		return "quarantine"
	}
	return "none"
}

// override is why a message that does not pass was not treated as the domain's record says
// (RFC 9990 §3.1.6); "" if it was.
func override(v *verify.Verdict, disposition string) string {
	switch {
	case v.Override != "" || v.DMARC.Result == dmarc.Pass:
		return v.Override
	case disposition != string(v.DMARC.Policy):
		return "local_policy"
	case v.DMARC.Tested:
		return "policy_test_mode"
	}
	return ""
}

func mode(strict bool) string {
	if strict {
		return "s"
	}
	return "r"
}
