package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// askLimits asks the running server about what an account sends. Users of this host, who are no
// accounts, have limits as well.
func (f *userFlags) askLimits(cmd *cobra.Command, action, name string, r desk.LimitRequest, out any) (domains.Address, error) {
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return "", err
	}
	at := address(s, name)
	r.Account = at.String()
	// A user of this host is no account, and of one that was removed mail may be held.
	if _, _, err := account(s, name); err != nil && strings.Contains(name, "@") {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %v\n", err)
	}
	return at, call(cmd, f.path, "limits/"+action, r, out)
}

func (f *userFlags) limitCommand(c *cobra.Command) *cobra.Command {
	c.Args, c.ValidArgsFunction = cobra.ExactArgs(1), f.complete
	confFlag(c, &f.path)
	jsonFlag(c, &f.json)
	return c
}

func userShowCommand() *cobra.Command {
	var f userFlags
	return f.limitCommand(&cobra.Command{
		Use:   "show ADDRESS",
		Short: "Say what an account has sent, what it may, and what is held",
		Long: `Say how much an account has sent in this hour and this day and how much it may send,
whether it has met a limit, and how many messages are held in the queue for that.`,
		Example: "  postrider user show -c /etc/postrider alice@example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			var u post.Use
			if _, err := f.askLimits(cmd, "show", args[0], desk.LimitRequest{}, &u); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd, u)
			}
			printUse(plain{cmd.OutOrStdout()}, &u)
			return nil
		},
	})
}

func printUse(w io.Writer, u *post.Use) {
	of := func(n, most int, what string) string {
		if most == 0 {
			return count(n, what)
		}
		return fmt.Sprintf("%d of %s", n, count(most, what))
	}
	in := func(what string, p post.Period, most post.Amount) {
		since := ""
		if p.Amount != (post.Amount{}) {
			since = ", since " + minuteOf(p.Since)
		}
		fmt.Fprintf(w, "  this %s%s: %s to %s\n", what, since, of(p.Messages, most.Messages, "message"), of(p.Recipients, most.Recipients, "recipient"))
	}
	fmt.Fprintln(w, u.Account)
	in("hour", u.Hour, u.Rate.Hour)
	in("day", u.Day, u.Rate.Day)
	if u.Rate.Burst > 0 {
		fmt.Fprintf(w, "  beyond the hours of this day: %s, %s\n", of(u.Beyond.Messages, u.Rate.Burst, "message"), of(u.Beyond.Recipients, u.Rate.Burst, "recipient"))
	}
	if u.Full != "" {
		fmt.Fprintf(w, "  it has met a limit, %s: more is taken at %s\n", u.Full, minuteOf(u.Until))
	}
	if !u.Lifted.IsZero() {
		fmt.Fprintf(w, "  there is no limit until %s\n", minuteOf(u.Lifted))
	}
	if u.Held > 0 {
		fmt.Fprintf(w, "  held in the queue: %s; \"postrider user lift\" releases them, \"postrider user discard\" throws them away\n", count(u.Held, "message"))
	}
}

func userLiftCommand() *cobra.Command {
	var f userFlags
	var until string
	var end bool
	c := f.limitCommand(&cobra.Command{
		Use:   "lift ADDRESS",
		Short: "Lift the limits on what an account sends, and release what is held",
		Long: `Lift the limits on what an account sends for a time, and release its mail that was held
in the queue when it had met one, in the order in which it came. When the time is over, or with
--end, the limits hold again, and nothing is counted yet.

--until is a time ("2026-12-01", "2026-12-01 18:00") or how long from now ("2h", "3d").`,
		Example: `  postrider user lift -c /etc/postrider alice@example.com
  postrider user lift -c /etc/postrider --until 3d alice@example.com
  postrider user lift -c /etc/postrider --end alice@example.com`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var out desk.LimitAnswer
			action, r, said := "lift", desk.LimitRequest{}, "its limits hold again"
			if end {
				action = "restore"
			} else {
				var err error
				if r.Until, err = timeFrom(until, time.Now()); err != nil {
					return usage(cmd, err)
				}
			}
			at, err := f.askLimits(cmd, action, args[0], r, &out)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd, out)
			}
			if !end {
				said = fmt.Sprintf("no limits until %s; %s released", minuteOf(r.Until), count(out.Messages, "message"))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", at, said)
			return nil
		},
	})
	c.Flags().StringVar(&until, "until", "24h", "when the limits hold again")
	c.Flags().BoolVar(&end, "end", false, "now")
	c.MarkFlagsMutuallyExclusive("until", "end")
	return c
}

// timeFrom reads a time of this host's clock, or how long it is from now.
func timeFrom(text string, now time.Time) (time.Time, error) {
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	d, err := config.ParseDuration(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time as \"2026-12-01 18:00\" nor how long as \"2h\" or \"3d\"", text)
	}
	return now.Add(d), nil
}

func userDiscardCommand() *cobra.Command {
	var f userFlags
	return f.limitCommand(&cobra.Command{
		Use:   "discard ADDRESS",
		Short: "Throw away mail that is held because its account has sent too much",
		Long: `Throw away what was held in the queue when an account had met a limit, and tell nobody:
mail of somebody who knew its password. Its limits stay.`,
		Example: "  postrider user discard -c /etc/postrider alice@example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out desk.LimitAnswer
			at, err := f.askLimits(cmd, "discard", args[0], desk.LimitRequest{}, &out)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd, out)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s thrown away\n", at, count(out.Messages, "message"))
			return nil
		},
	})
}
