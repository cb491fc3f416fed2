package daemon

import (
	"log/slog"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/filter"
	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/internal/scan"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/rules"
)

// openTrust makes what judges mail of strangers and what signs that of users. Both are
// there whatever the settings say: a reload may switch them on. Keys that cannot be
// read do not keep mail from flowing.
func (d *Daemon) openTrust(s *conf.Settings) {
	var err error
	if d.keys, err = d.openKeys(s); err != nil {
		d.log.Error("mail is not signed", "err", err)
	}
	d.verifier = &verify.Verifier{
		Resolver: d.dns,
		Memory:   d.dns.Memory(),
		Rules:    func() *verify.Rules { return d.state().verify },
		Observe:  d.observe,
		Answered: d.metrics.Answered,
		Greylist: d.openGreylist(s),
		Log:      d.log,
	}
	d.scanner = &scan.Scanner{Settings: func() *scan.Settings { return d.state().scan }, Scanned: d.metrics.Scanned, Marked: d.marked, Log: d.log}
	d.milters = &scan.Milters{Settings: func() []scan.Milter { return d.state().milters }, Scanned: d.metrics.AskedMilter, Marked: d.marked, Log: d.log}
	d.filter = &filter.Filter{Rules: func() *rules.Set { return d.state().mail }, Verifier: d.verifier, Decided: d.metrics.Decided, Greylist: func() greylist.Times { return comeAgain(d.state().settings) }}
}

// verification is what one set of settings says about mail of strangers; nil: nothing
// is looked at. old is what held before, whose lists go on as they are where they are the same.
func verification(s *conf.Settings, old *verify.Rules, log *slog.Logger) *verify.Rules {
	if !s.Verify.Check {
		return nil
	}
	local := make(map[domains.Name]bool)
	for _, d := range s.Book().Domains() {
		local[d] = true
	}
	r := &verify.Rules{
		Name:       canonical(s.ServerName),
		DMARC:      verify.Action(s.Verify.DMARC),
		OwnDomains: verify.Action(s.Verify.OwnDomains),
		NoAuthor:   verify.Action(s.Verify.NoAuthor),
		SPF:        verify.Action(s.Verify.SPF),
		Softest:    make(map[domains.Name]verify.Action),
		OtherMX:    s.DNS.OtherMX,
		IsOwn:      func(d domains.Name) bool { return local[d] },
	}
	defend(r, s, old, log)
	for name, d := range s.Domains {
		if d != nil && d.Verify != "" {
			r.Softest[domains.Canonical(name)] = verify.Action(d.Verify)
		}
	}
	for _, f := range s.Verify.Forwarders {
		if p, ok := conf.ForwarderNetwork(f); ok {
			r.Forwarders = append(r.Forwarders, p)
		} else {
			r.ForwardingHosts.Set(f, true)
		}
	}
	return r
}

// trustProblems says what keeps mail from being signed or strangers from being judged, and mail of others from coming
// over TLS.
func (d *Daemon) trustProblems() (all []string) {
	all = d.keys.Problems()
	if p := d.scanner.Problem(); p != "" {
		all = append(all, p)
	}
	all = append(all, d.milters.Problems()...)
	all = append(append(all, d.policies.Problems()...), d.listProblems()...)
	return append(append(all, d.doubted.problems()...), d.own.problems()...)
}

// canonical is the text of a domain's canonical form.
func canonical(domain string) string { return domains.Canonical(domain).String() }
