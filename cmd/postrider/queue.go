package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// askFlags are those of every command that asks the running server and prints its answer.
type askFlags struct {
	conf string
	json bool
}

func (f *askFlags) add(c *cobra.Command) *cobra.Command {
	confFlag(c, &f.conf)
	jsonFlag(c, &f.json)
	return c
}

// ask calls the running server and prints its answer, as JSON or by human.
func ask[T any](cmd *cobra.Command, f *askFlags, action string, r desk.QueueRequest, human func(io.Writer, T)) error {
	var out T
	if err := call(cmd, f.conf, "queue/"+action, r, &out); err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd, out)
	}
	human(plain{cmd.OutOrStdout()}, out)
	return nil
}

func queueCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "queue",
		Short: "See and steer mail on its way out",
		Long: `See and steer the mail that waits for other hosts, by asking the running server.
"postrider queue explain ID" says in words why a message is still here.`,
	}, queueListCommand(),
		queueShowCommand(),
		queueExplainCommand(),
		queueChangeCommand("hold", "held", "Keep a message from being delivered until it is released"),
		queueChangeCommand("release", "released", "Let a held message go on its way"),
		queueChangeCommand("retry", "due now", "Try a message again now"),
		queueChangeCommand("expire", "given up", "Give a message up now and tell its sender"),
		queueChangeCommand("remove", "removed", "Take a message out of the queue and tell nobody"),
		queueFlushCommand(),
		queueRouteCommand(),
		queueCountersCommand(),
	)
}

// mostListed is how many messages are listed unless more are asked for.
const mostListed = 100

func queueListCommand() *cobra.Command {
	var f askFlags
	var filter queue.Filter
	c := f.add(&cobra.Command{
		Use:     "list",
		Short:   "List the messages that wait, oldest first",
		Example: "  postrider queue list --to example.com",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, &f, "list", desk.QueueRequest{Filter: filter}, printList)
		},
	})
	c.Flags().IntVarP(&filter.Limit, "limit", "n", mostListed, "how many at the most")
	c.Flags().StringVar(&filter.From, "from", "", "only from this address or domain")
	c.Flags().StringVar(&filter.To, "to", "", "only to this address or domain")
	c.Flags().BoolVar(&filter.Held, "held", false, "only those held")
	c.Flags().StringVar(&filter.Reply, "reply", "", "only those whose last reply has this in it, as 4.4.1 or greylist")
	c.Flags().DurationVar(&filter.Older, "older", 0, "only those that have waited for so long, as 4h")
	return c
}

func printList(w io.Writer, views []queue.View) {
	if len(views) == 0 {
		fmt.Fprintln(w, "The queue is empty.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tAGE\tSIZE\tNEXT\tFROM\tTO\tLAST REPLY")
	for _, v := range views {
		var to []string
		for _, r := range v.Recipients {
			to = append(to, r.Address)
		}
		from := v.From
		if from == "" {
			from = "<>"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", v.ID, age(v.Queued), v.Size, next(v, time.Now()), from, strings.Join(to, " "), lastReply(v))
	}
	t.Flush()
}

func age(since time.Time) string { return time.Since(since).Round(time.Second).String() }

// next is when a message is due: with the year where it is another one, and the
// zone, since who reads it may be elsewhere.
func next(v queue.View, now time.Time) string {
	switch {
	case v.Held:
		return "held"
	case v.Active:
		return "now"
	case v.Next.IsZero():
		return "-"
	}
	due := v.Next.Local()
	if due.Year() != now.Year() {
		return due.Format("2006-01-02 15:04:05 MST")
	}
	return due.Format("01-02 15:04:05 MST")
}

// lastReply is what was answered last to any of the recipients, in so many
// characters as a line has room for.
func lastReply(v queue.View) string {
	const room = 100
	var last queue.RecipientView
	for _, r := range v.Recipients {
		if r.Last.After(last.Last) {
			last = r
		}
	}
	if last.Last.IsZero() {
		return "-"
	}
	var words []string
	if last.Code != 0 {
		words = append(words, strconv.Itoa(last.Code))
	}
	words = append(words, last.Enhanced, last.Text)
	text := []rune(strings.Join(strings.Fields(strings.Join(words, " ")), " "))
	if len(text) > room {
		return string(text[:room-1]) + "…"
	}
	return string(text)
}

func queueShowCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "show ID",
		Short: "Show all that is known of a message",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &f, "show", desk.QueueRequest{ID: args[0]}, func(w io.Writer, v queue.View) {
				e := json.NewEncoder(w)
				e.SetIndent("", "  ")
				e.Encode(v)
			})
		},
	})
}

func queueExplainCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "explain ID",
		Short: "Say in words why a message is still here",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, &f, "explain", desk.QueueRequest{ID: args[0]}, func(w io.Writer, e queue.Explanation) {
				fmt.Fprintf(w, "%s, from <%s>, %d octets, here for %s\n", e.ID, e.From, e.Size, age(e.Queued))
				for _, why := range e.Why {
					fmt.Fprintln(w, "  "+why)
				}
			})
		},
	})
}

// changed says what became of a message, as --json prints it.
type changed struct {
	ID   string `json:"id"`
	Done string `json:"done"`
}

// queueChangeCommand is an action on messages named by their ids; done is the word
// for what it came to.
func queueChangeCommand(action, done, short string) *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   action + " ID...",
		Short: short,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := []changed{}
			for _, id := range args {
				if err := call(cmd, f.conf, "queue/"+action, desk.QueueRequest{ID: id}, nil); err != nil {
					return fmt.Errorf("%s %s: %w", action, id, err)
				}
				if all = append(all, changed{id, done}); !f.json {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", id, done)
				}
			}
			if f.json {
				return printJSON(cmd, all)
			}
			return nil
		},
	})
}

func queueFlushCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "flush [DOMAIN]",
		Short: "Try everything again now, or everything for a domain",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r desk.QueueRequest
			if len(args) > 0 {
				r.Domain = args[0]
			}
			return ask(cmd, &f, "flush", r, printFlushed)
		},
	})
}

func queueRouteCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "route ID [ROUTE]",
		Short: "Send a message another way; without a route, the usual one",
		Long: `Send a message by one of the routes in Queue.Routes, by its "name" or as "explain"
calls it; without a route, the way it would have gone. It is tried at once.`,
		Example: `  postrider queue route -c /etc/postrider 1q0qfclfp8me0obzdbc backup-provider
  postrider queue route -c /etc/postrider 1q0qfclfp8me0obzdbc`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := desk.QueueRequest{ID: args[0]}
			if len(args) > 1 {
				r.Route = args[1]
			}
			if err := call(cmd, f.conf, "queue/route", r, nil); err != nil {
				return err
			}
			done := changed{r.ID, "goes the usual way"}
			if r.Route != "" {
				done.Done = "goes by " + r.Route
			}
			if f.json {
				return printJSON(cmd, done)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", done.ID, done.Done)
			return nil
		},
	})
}

func queueCountersCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "counters",
		Short: "What the queue holds and has done since the server started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, &f, "counters", desk.QueueRequest{}, func(w io.Writer, c queue.Counters) {
				fmt.Fprintf(w, "%s in the queue (%d octets), %d held, %d being delivered", count(c.Entries, "message"), c.Octets, c.Held, c.Active)
				if !c.Oldest.IsZero() {
					fmt.Fprintf(w, ", the oldest for %s", age(c.Oldest))
				}
				fmt.Fprintf(w, "\nsince the start: %d accepted; recipients: %d delivered, %d deferred, %d failed, %d expired\n",
					c.Accepted, c.Delivered, c.Deferred, c.Failed, c.Expired)
				for _, class := range slices.Sorted(maps.Keys(c.Classes)) {
					if k := c.Classes[class]; k.Waiting+int(k.Starved+k.GaveWay) > 0 {
						fmt.Fprintf(w, "%s mail: %d being delivered, %s waiting for a place; waited for long %d times, %d cut off for others\n",
							class, k.Running, count(k.Waiting, "destination"), k.Starved, k.GaveWay)
					}
				}
				if c.Dropped > 0 {
					fmt.Fprintf(w, "%s to senders nobody has proven dropped, as too many\n", count(int(c.Dropped), "notification"))
				}
				if c.Corrupt > 0 {
					fmt.Fprintf(w, "%s could not be read: see the folder \"corrupt\" of the queue\n", count(c.Corrupt, "message"))
				}
			})
		},
	})
}

// listQueue is mailq.
func listQueue(cmd *cobra.Command, path string) error {
	f := askFlags{conf: path}
	return ask(cmd, &f, "list", desk.QueueRequest{Filter: queue.Filter{Limit: mostListed}}, printList)
}

// flushQueue is "sendmail -q".
func flushQueue(cmd *cobra.Command, path string) error {
	f := askFlags{conf: path}
	return ask(cmd, &f, "flush", desk.QueueRequest{}, printFlushed)
}

func printFlushed(w io.Writer, n int) { fmt.Fprintf(w, "%s due now.\n", count(n, "message")) }
