package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/trace"
)

// refusedFlags are those of "reports refused".
type refusedFlags struct {
	logFlags
	since string
	json  bool
}

func refusedCommand() *cobra.Command {
	var f refusedFlags
	c := &cobra.Command{
		Use:   "refused [-c DIR]",
		Short: "Show what was refused here because nothing proved its author, and what would let it pass",
		Long: `Show whose mail was refused here because neither SPF nor DKIM spoke for the domain in
From: how often, who brought it, for whom, what did speak for it, and what would have
to change for it to pass. It reads the log, rotated files next to it as well.

What is of use to your users belongs to a host that you can name in Verify.forwarders,
or to a domain whose postmaster can be told; the rest are forgeries. A message that was
tried twice counts twice.

Where the log goes to the journal, give it on standard input: --log -`,
		Example: `  postrider reports refused -c /etc/postrider
  journalctl -u postrider --since -7d | postrider reports refused --log -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.logFlags.add(c)
	c.Flags().StringVar(&f.since, "since", "", `only since this time: 12:00, 2026-11-29, "2026-11-29 12:00", 24h (default a week ago)`)
	jsonFlag(c, &f.json)
	return c
}

func (f *refusedFlags) run(cmd *cobra.Command) error {
	since, err := orWeek(f.since, time.Now())
	if err != nil {
		return err
	}
	log, done, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer done()
	all, left, err := trace.FindUnproven(cmd.Context(), log, since)
	if err != nil {
		return err
	}
	sayLeft(cmd, left)
	if f.json {
		return printJSON(cmd, append([]*trace.Unproven{}, all...))
	}
	if len(all) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "nothing was refused for want of proof since %s\n", minute(since))
	}
	out := plain{cmd.OutOrStdout()}
	for _, u := range all {
		fmt.Fprintf(out, "%s: %s refused, the last %s\n", u.Author, count(u.Count, "message"), minute(u.Last))
		for _, line := range [][2]string{
			{"brought by", sources(u)}, {"for", strings.Join(u.To, ", ")},
			{"speaks for it", u.Found}, {"passes if", u.Missing},
		} {
			fmt.Fprintf(out, "  %-14s %s\n", line[0], line[1])
		}
	}
	return nil
}

// sources are the clients that brought most of something, and how much each of them.
func sources(u *trace.Unproven) string {
	var all []string
	for i, client := range u.Clients {
		all = append(all, fmt.Sprintf("%s (%d)", client, u.Counts[i]))
	}
	if more := u.Sources - len(u.Clients); more > 0 {
		all = append(all, fmt.Sprintf("%d others", more))
	}
	return strings.Join(all, ", ")
}
