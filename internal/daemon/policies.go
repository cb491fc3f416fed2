package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/zone"
)

// openPolicies makes what leads MTA-STS policies to where they are enforced. It is there whatever the settings
// say: a reload may ask for it.
func (d *Daemon) openPolicies(s *conf.Settings) error {
	disk, err := d.diskOf(s.DataDir)
	if err != nil {
		return err
	}
	d.policies = &zone.Ripening{
		File: published.ModesFile(s), Write: disk.ReplaceFile,
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
	if !published.Ripens(s) {
		return nil
	}
	for _, domain := range published.Planned(s) {
		plans = append(plans, published.PolicyPlan(s, domain.String(), nil))
	}
	return plans
}

// checkPolicy looks at a policy as those do who go by it.
func (d *Daemon) checkPolicy(ctx context.Context, p *zone.Plan) (trouble string, err error) {
	asked, err := published.DNS(d.state().settings)
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
	now.site = published.Site(now.settings)
	d.now.Store(&now)
}
