package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/zone"
)

// stsAuto is the setting by which MTA-STS policies ripen.
const stsAuto = "auto"

func stsFile(s *conf.Settings) string { return filepath.Join(s.DataDir, "mta-sts.json") }

// stsModes are those that policies have ripened to, by domain.
func stsModes(s *conf.Settings) map[string]zone.STSMode {
	if s.DNS.MTASTS != stsAuto {
		return nil
	}
	modes, _ := zone.ReadModes(stsFile(s)) // who writes the file tells of an error
	return modes
}

// policyPlan is as much of a plan as its MTA-STS policy is made of: what is served over HTTPS is
// what the DNS has the id of.
func policyPlan(s *conf.Settings, domain string, modes map[string]zone.STSMode) *zone.Plan {
	p := &zone.Plan{Domain: canonical(domain), Host: canonical(s.ServerName), OtherMX: s.DNS.OtherMX}
	switch s.DNS.MTASTS {
	case "off":
	case stsAuto:
		p.STS = cmp.Or(modes[p.Domain], zone.STSTesting)
	default:
		p.STS = zone.STSMode(s.DNS.MTASTS)
	}
	return p
}

// openPolicies makes what leads MTA-STS policies to where they are enforced. It is there whatever the settings
// say: a reload may ask for it.
func (d *Daemon) openPolicies(s *conf.Settings) error {
	disk, err := d.diskOf(s.DataDir)
	if err != nil {
		return err
	}
	d.policies = &zone.Ripening{
		File: stsFile(s), Write: disk.ReplaceFile,
		Plans: d.ripening, Check: d.checkPolicy, Changed: d.policiesChanged, Log: d.log,
		Failures: func(since time.Time) (map[string]zone.Told, error) {
			all, err := reports.ReadAll(reports.Dir(s.DataDir), since)
			if err != nil { // of single files
				d.log.Warn("some reports of others cannot be read", "err", err)
			}
			return toldFailures(all), nil
		},
	}
	return nil
}

// ripening are the plans of the policies that ripen.
func (d *Daemon) ripening() (plans []*zone.Plan) {
	s := d.state().settings
	if s.DNS.MTASTS != stsAuto {
		return nil
	}
	for _, domain := range Planned(s) {
		plans = append(plans, policyPlan(s, domain.String(), nil))
	}
	return plans
}

// checkPolicy looks at a policy as those do who go by it.
func (d *Daemon) checkPolicy(ctx context.Context, p *zone.Plan) (trouble string, err error) {
	asked, err := dnsConfig(d.state().settings)
	if err != nil {
		return "", err
	}
	for _, f := range (&zone.Checker{Resolver: asked.Servers[0]}).CheckPolicy(ctx, p).Faults() {
		text := fmt.Sprintf("%s %s: %s", f.Name, f.Type, f.Text)
		if f.State != zone.Unknown {
			return text, nil
		}
		err = errors.New(text)
	}
	return "", err
}

// toldFailures are the last by domain of those that would keep mail from who goes by an MTA-STS policy.
func toldFailures(all []*reports.Report) map[string]zone.Told {
	told := make(map[string]zone.Told)
	for _, r := range all {
		if r.Trust == reports.Untrusted {
			continue
		}
		for _, s := range r.Sessions {
			if s.Failure != "" && s.Policy != "tlsa" && r.Received.After(told[s.Domain].At) {
				told[s.Domain] = zone.Told{At: r.Received, Text: fmt.Sprintf("%s tells of %d sessions that failed: %s", r.By(), s.Count, s.Failure)}
			}
		}
	}
	return told
}

// policiesChanged has the policies served as they are now.
func (d *Daemon) policiesChanged() {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	now := *d.state()
	now.site = newSite(now.settings)
	d.now.Store(&now)
}
