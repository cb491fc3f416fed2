package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/zone"
)

// dnsCheck are the flags of "dns check".
type dnsCheck struct {
	dnsFlags
	json bool
	dial string
}

// farHost is dialled by --dial where no other host is named: one that answers
// anybody.
const farHost = "gmail-smtp-in.l.google.com:25"

// checkTime is how long the check of one domain may take.
const checkTime = 2 * time.Minute

func dnsCheckCommand() *cobra.Command {
	var f dnsCheck
	c := &cobra.Command{
		Use:   "check [-c DIR] [DOMAIN]",
		Short: "Say what is wrong with the records that a domain has",
		Long: `Ask the servers of the zone, and the resolver that the settings name, for the records that
DOMAIN, or every domain whose mail is kept here, needs, and say what is missing, different, doubled, too
long or dangerous. It tells also what the SPF record costs, whether mail from each of our addresses passes,
whether the keys and certificates are those that the server has, what a stranger gets who fetches the
MTA-STS policy, and whether DNSSEC holds.

--dial tries as well whether port 25 of a host elsewhere can be reached. Nothing is changed anywhere.
The exit code is 0 if nothing is wrong, 1 if something is. Notes are not counted.`,
		Example: "  postrider dns check -c /etc/postrider example.com\n  postrider dns check -c /etc/postrider --json --dial",
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.Flags().StringVar(&f.dial, "dial", "", "try to reach this `HOST` at port 25 (default "+farHost+")")
	c.Flags().Lookup("dial").NoOptDefVal = farHost
	return c
}

func (f *dnsCheck) run(cmd *cobra.Command, args []string) error {
	s, plans, err := f.load(cmd, args)
	if err != nil {
		return err
	}
	servers, err := published.Resolvers(s)
	if err != nil {
		return err
	}
	checker := &zone.Checker{Resolver: servers[0], Trusted: s.Queue.DNSSECTrusted}
	if f.dial != "" {
		checker.Dialled = withPort(f.dial, "25")
	}
	reports := []*zone.Report{}
	faults := 0
	for _, p := range plans {
		ctx, cancel := context.WithTimeout(cmd.Context(), checkTime)
		r := checker.Check(ctx, p)
		cancel()
		checker.Dialled = "" // once is enough
		reports = append(reports, r)
		faults += len(r.Faults())
		if !f.json {
			if err := printReport(cmd.OutOrStdout(), r); err != nil {
				return err
			}
		}
	}
	if f.json {
		if err := printJSON(cmd, reports); err != nil {
			return err
		}
	} else {
		for _, note := range notes(plans) {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", note)
		}
	}
	if faults > 0 {
		if !f.json {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s; \"postrider dns show\" prints what should be there\n", count(faults, "fault"))
		}
		return errSaid
	}
	return nil
}

func printReport(out io.Writer, r *zone.Report) error {
	fmt.Fprintf(out, "%s: %s\n", r.Domain, count(len(r.Faults()), "fault"))
	for _, f := range r.Findings {
		fmt.Fprintf(out, "  %-9s  %s %s: %s\n", f.State, f.Name, f.Type, printable(f.Text))
	}
	if len(r.Bill) > 0 {
		fmt.Fprintln(out, "  what the SPF record costs:")
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, c := range r.Bill {
			fmt.Fprintf(w, "    %s%s\t%s\t%s\n", strings.Repeat("  ", c.Depth), printable(c.Term), count(c.Lookups, "lookup"), count(c.Voids, "void"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for _, s := range r.Sending {
		fmt.Fprintf(out, "  mail from %s as %s: SPF %s (%s)\n", s.Address, s.From, s.SPF, printable(s.By))
	}
	return nil
}
