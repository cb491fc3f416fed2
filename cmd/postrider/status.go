package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/daemon"
)

func statusCommand() *cobra.Command {
	var path string
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "status [-c DIR] [--all]",
		Short: "Say how the running server is",
		Long: `Say which version of the server runs and since when, how many sessions it has, what it
listens to and where, what waits in its queue, how long its certificates are good for,
who is locked out after too many failed logins, who has sent as much as users may, and
who guesses recipients. The exit code is 1 if it does not run, or
runs but cannot keep mail, also for want of octets or inodes on a disk.

With --all: which servers share its database, when each was last heard of, and in which
sections of the settings it differs from the one that is asked. The exit code is 1 if one
is not heard of any more, or differs.`,
		Example: "  postrider status -c /etc/postrider\n  postrider status -c /etc/postrider --json\n  postrider status -c /etc/postrider --all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all {
				return statusOfAll(cmd, path, asJSON)
			}
			var s daemon.Status
			if err := call(cmd, path, "status", nil, &s); err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd, s); err != nil {
					return err
				}
			} else {
				printStatus(cmd.OutOrStdout(), &s)
			}
			if !s.Healthy {
				return fmt.Errorf("not healthy: %s", s.Problem)
			}
			return nil
		},
	}
	confFlag(c, &path)
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&all, "all", false, "all servers on one database, a line each")
	return c
}

// statusOfAll shows the servers that share a database.
func statusOfAll(cmd *cobra.Command, path string, asJSON bool) error {
	var all []daemon.Node
	if err := call(cmd, path, "nodes", nil, &all); err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(cmd, all); err != nil {
			return err
		}
	}
	troubled := 0
	for _, n := range all {
		if n.Silent || len(n.Differs) > 0 {
			troubled++
		}
		if !asJSON {
			fmt.Fprintln(cmd.OutOrStdout(), describeNode(n))
		}
	}
	if troubled > 0 {
		return fmt.Errorf("%s of %d need a look", count(troubled, "server"), len(all))
	}
	return nil
}

// describeNode says in a line how a server is that shares the database.
func describeNode(n daemon.Node) string {
	text := fmt.Sprintf("%s, %s (%s), since %s", printable(n.Host), printable(n.Name), printable(n.DataDir), minuteOf(n.Since))
	if n.Version != "" {
		text += ", " + printable(n.Version)
	}
	if n.This {
		text += ", this one"
	}
	if n.Silent {
		text += ", NOT HEARD OF since " + minuteOf(n.Seen)
	}
	if len(n.Differs) > 0 {
		text += ", OTHER SETTINGS in " + printable(strings.Join(n.Differs, ", "))
	}
	return text
}

func printStatus(out io.Writer, s *daemon.Status) {
	fmt.Fprintf(out, "%s, since %s, %s of at most %d\n", s.Name, s.Since.Format("2006-01-02 15:04:05"), count(s.Sessions, "session"), s.Most)
	if s.Version != "" {
		fmt.Fprintf(out, "  %s\n", s.Version)
	}
	for _, p := range s.Ports {
		name := p.Address
		if p.Bound != p.Address {
			name += " (" + p.Bound + ")"
		}
		fmt.Fprintf(out, "  listening on %s: %s", name, p.Protocol)
		if p.TLS != "off" {
			fmt.Fprintf(out, ", TLS %s", p.TLS)
		}
		fmt.Fprintln(out)
	}
	if q := s.Queue; q != nil {
		fmt.Fprintf(out, "  queue: %s, %d held, %d being delivered", count(q.Entries, "message"), q.Held, q.Active)
		if !q.Oldest.IsZero() {
			fmt.Fprintf(out, ", the oldest for %s", age(q.Oldest))
		}
		if q.Corrupt > 0 {
			fmt.Fprintf(out, ", %d that cannot be read", q.Corrupt)
		}
		fmt.Fprintln(out)
	}
	if s.Leaves != "" {
		fmt.Fprintf(out, "  %s\n", s.Leaves)
	}
	for _, c := range s.Certificates {
		fmt.Fprintf(out, "  %s\n", describeCertificate(c))
	}
	if len(s.Starving) > 0 {
		fmt.Fprintf(out, "  mail waits for a place in the queue: %s (postrider queue counters)\n", strings.Join(s.Starving, ", "))
	}
	for _, e := range s.Errors {
		fmt.Fprintf(out, "  ERROR: %s\n", printable(e))
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(out, "  %s\n", printable(w))
	}
	for i := range s.Limits {
		l := &s.Limits[i]
		if !l.Lifted.IsZero() {
			fmt.Fprintf(out, "  %s may send without limits until %s\n", printable(l.Label()), minuteOf(l.Lifted))
			continue
		}
		if l.Limit != "" {
			fmt.Fprintf(out, "  %s has met a limit, %s: %s to %s since %s, more is taken at %s\n", printable(l.Label()), l.Limit,
				count(l.Sent.Messages, "message"), count(l.Sent.Recipients, "recipient"), minuteOf(l.Since), minuteOf(l.Until))
		}
		if l.Held {
			fmt.Fprintf(out, "  mail of %s is held in the queue (postrider user show %[1]s)\n", printable(l.Label()))
		}
	}
	for i := range s.Posing {
		fmt.Fprintf(out, "  %s\n    if it is one of yours, it passes if %s\n", printable(s.Posing[i].String()), printable(s.Posing[i].PassesIf))
	}
	if s.MorePosing > 0 {
		fmt.Fprintf(out, "  and %s more (postrider reports refused)\n", count(s.MorePosing, "such source"))
	}
	for _, g := range s.Guessing {
		fmt.Fprintf(out, "  %s has asked for %s that do not exist since %s\n", g.Network, count(g.Unknown, "recipient"), g.Since.Local().Format("15:04"))
	}
	for _, l := range s.Lockouts {
		fmt.Fprintf(out, "  %s\n", describeLockout(l))
	}
}

// minuteOf is a time for people.
func minuteOf(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// describeLockout says in a line who is locked out.
func describeLockout(l accounts.Lockout) string {
	who := printable(l.Account.String())
	switch {
	case who == "":
		who = "logins from " + l.Address
	case l.Address != "":
		who = "logins to " + who + " from " + l.Address
	default:
		who = "logins to " + who + " from new places"
	}
	return who + " are not checked until " + l.Until.Local().Format("2006-01-02 15:04:05") + ": too many failed"
}

// describeCertificate says in a line what one needs to know of a certificate.
func describeCertificate(c daemon.Certificate) string {
	const minute = "2006-01-02 15:04"
	text := "certificate for " + strings.Join(c.Names, ", ")
	if c.NotAfter.IsZero() {
		text += ", not there yet"
	} else {
		text += " until " + c.NotAfter.Local().Format(minute)
	}
	if c.Soon {
		text += ", EXPIRES SOON"
	}
	text += ", from " + c.From
	if !c.Retry.IsZero() {
		text += ", asked for again at " + c.Retry.Local().Format(minute)
	}
	if c.Problem != "" {
		text += ": " + strconv.QuoteToASCII(c.Problem)
	}
	return text
}
