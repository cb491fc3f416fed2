package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func dnsCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "dns",
		Short: "Show, check and push the records that a domain needs in the DNS",
		Long: `Show the records that a domain needs in the DNS for its mail to arrive and to be
trusted, check those that are there, and put them into the zone. They follow from the settings: server_name, the addresses of
this host, the listeners, the keys, and "DNS" ("postrider conf doc DNS").`,
	}, dnsShowCommand(), dnsCheckCommand(), dnsPushCommand())
}

// dnsFlags are those of all commands about the DNS.
type dnsFlags struct{ path string }

func (f *dnsFlags) add(c *cobra.Command) {
	confFlag(c, &f.path)
	c.Args = cobra.MaximumNArgs(1)
	c.ValidArgsFunction = (&changeFlags{path: f.path}).completeDomains
}

// load reads the settings, and makes the plan of the domain named, or of every
// domain whose mail is kept here.
func (f *dnsFlags) load(cmd *cobra.Command, args []string) (*conf.Settings, []*zone.Plan, error) {
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return nil, nil, err
	}
	plans, err := plansOf(s, keysToShow(cmd, f.path, s), args)
	return s, plans, err
}

func plansOf(s *conf.Settings, keys zone.Keys, args []string) ([]*zone.Plan, error) {
	if s.ServerName == "" {
		return nil, errors.New(`the settings have no server_name; the records would lead nowhere`)
	}
	chosen := published.Planned(s)
	if len(args) > 0 {
		name := domains.Canonical(args[0])
		if !slices.Contains(s.Book().Domains(), name) {
			return nil, fmt.Errorf("the mail of %s is not kept here; \"postrider domain add %[1]s\" would change that", name)
		}
		chosen = []domains.Name{name}
	}
	var plans []*zone.Plan
	for _, domain := range chosen {
		p, err := published.Plan(s, domain.String(), keys)
		if err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// records are those of several plans, each once.
func records(plans []*zone.Plan) (all []zone.Record) {
	seen := make(map[string]bool)
	for _, p := range plans {
		for _, r := range p.Records() {
			if line := zone.Line(r.RR); !seen[line] {
				seen[line] = true
				all = append(all, r)
			}
		}
	}
	return all
}

// notes are those of several plans, each once.
func notes(plans []*zone.Plan) (all []string) {
	for _, p := range plans {
		for _, note := range p.Notes() {
			if !slices.Contains(all, note) {
				all = append(all, note)
			}
		}
	}
	return all
}
