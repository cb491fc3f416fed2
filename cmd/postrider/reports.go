package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// reportsFlags are those of "reports".
type reportsFlags struct {
	conf, domain, since string
	json, all           bool
}

func reportsCommand() *cobra.Command {
	var f reportsFlags
	c := &cobra.Command{
		Use:   "reports [-c DIR]",
		Short: "Show what other hosts report of mail in your name, what is wrong first",
		Long: `Show what is wrong with mail in the name of your domains, by the DMARC and TLS reports
that have come to Reports.address: first who sends as you and fails, and is not one of
your addresses (those of this machine, Queue.own_addresses and the source_address of
domains); then which of your own addresses fail, what passes, how TLS to your hosts
failed, and what could not be read. Reports that are not proven to be from whom they
say stand apart.

Nothing is printed if nothing is wrong (--all shows what passes). The exit code is 0
then, and 1 if something is wrong, so that cron can mail it.`,
		Example: `  postrider reports -c /etc/postrider
  postrider reports --domain example.com --since 2026-11-01 --all
  postrider reports --since 24h    # daily, by cron`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	confFlag(c, &f.conf)
	c.Flags().StringVar(&f.domain, "domain", "", "only what is about this domain and those below it")
	c.Flags().StringVar(&f.since, "since", "", `only what came since this time: 12:00, 2026-11-29, "2026-11-29 12:00", 24h (default a week ago)`)
	c.Flags().BoolVar(&f.all, "all", false, "all of each list, and also if nothing is wrong")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.AddCommand(refusedCommand())
	return c
}

func (f *reportsFlags) run(cmd *cobra.Command) error {
	now := time.Now()
	since, err := orWeek(f.since, now)
	if err != nil {
		return err
	}
	s, err := conf.Load(confPath(f.conf))
	if err != nil {
		return err
	}
	all, err := reports.ReadAll(reports.Dir(s.DataDir), since)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // no server has run yet
	}
	if err != nil && len(all) == 0 {
		return err
	}
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "postrider: left out: %v\n", err)
	}
	switch {
	case len(all) == 0 && len(s.Reports.Address) == 0:
		return errors.New(`no address takes reports; write "Reports": {"address": "dmarc@example.com"}`)
	case len(all) == 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "no report has come since %s\n", minute(since))
	}
	query := reports.Query{Own: s.SendsFrom()}
	if f.domain != "" {
		query.Domain = domains.Canonical(f.domain).String()
	}
	summary := reports.Summarize(all, query)
	if f.json {
		err = printJSON(cmd, *summary)
	} else if summary.Wrong() || f.all {
		(&reportsPage{plain{cmd.OutOrStdout()}, f.all}).write(summary, since)
	}
	if err == nil && summary.Wrong() {
		return errSaid
	}
	return err
}

// orWeek is a moment, or a week ago where none is given.
func orWeek(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now.AddDate(0, 0, -7), nil
	}
	return trace.Moment(text, now)
}

func minute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// reportsPage writes a summary for people.
type reportsPage struct {
	io.Writer
	all bool // every line of each list
}

// shortList is how many lines of a list there are where not all is asked for.
const shortList = 10

func (p *reportsPage) write(s *reports.Summary, since time.Time) {
	p.sources("Sends as you and fails, and is not one of your addresses", s.Strangers)
	p.sources("One of your addresses, and fails", s.Ours)
	p.sources("Passes", s.Passing)
	p.failures("TLS to your hosts failed", s.TLS)
	p.unreadable("Cannot be read", s.Unreadable)
	if f := s.Further; f.Rows > 0 {
		fmt.Fprintf(p, "Beyond what one report may list: %s, %d of them failed\n\n", count(f.Count, "message"), f.Failed)
	}
	p.sources("Not proven to be from whom they say", s.Untrusted)
	p.failures("Not proven to be from whom they say, of TLS", s.UntrustedTLS)
	p.unreadable("Cannot be read, and not proven to be from whom it says", s.UntrustedUnreadable)
	fmt.Fprintf(p, "%s since %s: %s, %d passed; %s", count(s.Reports, "report"), minute(since), count(s.Messages, "message"), s.Passed, count(s.Sessions, "TLS session"))
	if s.Unchecked > 0 {
		fmt.Fprintf(p, "; of %s nobody has checked the sender", count(s.Unchecked, "report"))
	}
	fmt.Fprintln(p)
}

// list writes a heading and what is below it, if there is anything.
func (p *reportsPage) list(heading string, n int, line func(i int)) {
	if n == 0 {
		return
	}
	fmt.Fprintf(p, "%s:\n", heading)
	for i := range n {
		if i == shortList && n > shortList+1 && !p.all {
			fmt.Fprintf(p, "  and %d more (--all)\n", n-i)
			break
		}
		line(i)
	}
	fmt.Fprintln(p)
}

func (p *reportsPage) sources(heading string, list []reports.Source) {
	p.list(heading, len(list), func(i int) {
		s := list[i]
		from := "an address that cannot be read"
		if s.Address.IsValid() {
			from = s.Address.String()
		}
		fmt.Fprintf(p, "  %-20s as %s: %s", from, s.Domain, count(s.Messages, "message"))
		if s.Passes && heading != "Passes" {
			fmt.Fprint(p, " that passed")
		}
		if s.Refused > 0 {
			fmt.Fprintf(p, ", %d refused or put aside", s.Refused)
		}
		fmt.Fprintf(p, "; until %s, by %s\n", s.Last.Local().Format(time.DateOnly), strings.Join(s.By, ", "))
		if !s.Passes {
			for _, detail := range slices.Concat(s.Auth, s.Reasons) {
				fmt.Fprintf(p, "  %-20s %s\n", "", detail)
			}
		}
	})
}

func (p *reportsPage) failures(heading string, list []reports.Failure) {
	p.list(heading, len(list), func(i int) {
		f := list[i]
		fmt.Fprintf(p, "  %-26s %s: %s; until %s, by %s\n", f.Kind, cmp.Or(f.Host, f.Domain), count(f.Sessions, "session"), f.Last.Local().Format(time.DateOnly), strings.Join(f.By, ", "))
		if f.Detail != "" {
			fmt.Fprintf(p, "  %-26s %s\n", "", f.Detail)
		}
	})
}

func (p *reportsPage) unreadable(heading string, list []*reports.Report) {
	p.list(heading, len(list), func(i int) {
		r := list[i]
		fmt.Fprintf(p, "  %s  %s: %s\n", minute(r.Received), cmp.Or(r.Sender, "no sender"), r.Reason)
		fmt.Fprintf(p, "  %-16s  the mail: %s\n", "", r.Mail)
	})
}
