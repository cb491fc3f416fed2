package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/internal/zone"
)

// dnsPush are the flags of "dns push".
type dnsPush struct {
	dnsFlags
	server, key string
	yes, json   bool
	mergeSPF    bool
}

func dnsPushCommand() *cobra.Command {
	var f dnsPush
	c := &cobra.Command{
		Use:   "push [-c DIR] --server NS --key FILE [DOMAIN]",
		Short: "Put the records that a domain needs into its zone",
		Long: `Put the records that DOMAIN, or every domain whose mail is kept here, needs into its zone,
by dynamic update (RFC 2136) at the zone's primary server, signed with the key in FILE (TSIG; as
tsig-keygen or Knot's keymgr writes it, or algorithm:name:secret). What would change is printed; --yes
changes it, all of a zone or nothing.

Only what nobody else has a use for is replaced: DKIM keys under our selectors, the version of the MTA-STS
policy, our TLSA records, the policy in a DMARC record of ours. Of anything else a set is made where there
is none; one that is there and is not as it should be, such as an SPF record written by hand, is named and
left. With --merge-spf, the terms that such an SPF record lacks are added in front of its own, unless it would
need more lookups than others make. Other texts at the same name stay. Names that lead elsewhere by CNAME are
followed.

The exit code is 0 if there is nothing to change, or all was changed, and 1 otherwise.`,
		Example: `  postrider dns push -c /etc/postrider --server ns1.example.com --key /etc/postrider/dns.key example.com
  postrider dns push -c /etc/postrider --server ns1.example.com --key /etc/postrider/dns.key --yes example.com`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(c)
	c.Flags().StringVar(&f.server, "server", "", "`NS`, the zone's primary server, with a port if it is not 53")
	c.Flags().StringVar(&f.key, "key", "", "`FILE` with the key that it lets change the zone")
	c.Flags().BoolVar(&f.yes, "yes", false, "change what is printed")
	c.Flags().BoolVar(&f.mergeSPF, "merge-spf", false, "add what is missing to SPF records written by hand")
	jsonFlag(c, &f.json)
	c.MarkFlagRequired("server")
	c.MarkFlagRequired("key")
	c.MarkFlagFilename("key")
	return c
}

func (f *dnsPush) run(cmd *cobra.Command, args []string) error {
	s, plans, err := f.load(cmd, args)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(f.key)
	if err != nil {
		return err
	}
	key, err := zone.ParseUpdateKey(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", f.key, err)
	}
	if info, err := os.Stat(f.key); err == nil && sys.Others(info.Mode()) != 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: others can read %s, and change the zone with it; run: chmod 600 %[1]s\n", f.key)
	}
	servers, err := published.Resolvers(s)
	if err != nil {
		return err
	}
	checker := &zone.Checker{Resolver: servers[0]}
	server := &zone.Server{Address: withPort(f.server, "53"), Key: key, Lead: checker.Lead}
	if f.mergeSPF {
		server.SPF = checker.Lookup()
	}
	changes, err := server.Compare(cmd.Context(), records(plans))
	if err != nil {
		return err
	}
	if f.json {
		err = printJSON(cmd, changeViews(changes))
	} else {
		printChanges(cmd, changes)
	}
	if n := pending(changes); n == 0 || err != nil {
		if !f.json && err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), "nothing to change")
		}
		return err
	}
	if !f.yes {
		return errors.New("nothing was changed; --yes does it")
	}
	if err := server.Apply(cmd.Context(), changes); err != nil {
		return err
	}
	if !f.json {
		fmt.Fprintf(cmd.OutOrStdout(), "changed at %s\n", server.Address)
	}
	return nil
}

// withPort adds a port to a host that has none.
func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(host, port)
}

// pending counts what is to be changed.
func pending(changes []*zone.Change) (n int) {
	for _, c := range changes {
		if !c.Empty() {
			n++
		}
	}
	return n
}

func printChanges(cmd *cobra.Command, changes []*zone.Change) {
	for _, c := range changes {
		for _, rr := range c.Remove {
			fmt.Fprintf(cmd.OutOrStdout(), "- %s\n", zone.Line(rr))
		}
		for _, rr := range c.Add {
			fmt.Fprintf(cmd.OutOrStdout(), "+ %s\n", zone.Line(rr))
		}
	}
	for _, c := range changes {
		if c.Left != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", c.Left)
		}
	}
}

// changeView is a change as "dns push --json" shows it.
type changeView struct {
	Zone   string   `json:"zone"`
	Add    []string `json:"add"`
	Remove []string `json:"remove"`
	Left   string   `json:"left,omitempty"` // why it is not changed
}

func changeViews(changes []*zone.Change) []changeView {
	views := []changeView{}
	for _, c := range changes {
		v := changeView{Zone: c.Zone, Left: c.Left}
		for _, rr := range c.Add {
			v.Add = append(v.Add, zone.Line(rr))
		}
		for _, rr := range c.Remove {
			v.Remove = append(v.Remove, zone.Line(rr))
		}
		views = append(views, v)
	}
	return views
}
