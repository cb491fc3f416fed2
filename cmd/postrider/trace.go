package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// traceFlags are those of "trace".
type traceFlags struct {
	logFlags
	json         bool
	since, until string
	query        trace.Query
}

func traceCommand() *cobra.Command {
	var f traceFlags
	c := &cobra.Command{
		Use:   "trace [ID|ADDRESS|MESSAGE-ID]",
		Short: "Tell what became of a message",
		Long: `Tell the way of messages in words: who sent them from where, which mailboxes or
queue entries they went into, what other hosts said, and what was refused. It reads
the log from its end, rotated files next to it as well, until there is enough, and asks
the running server for what is still in the queue.

A message is named by what a client was told ("Queued as ..."), by its session or its
queue entry, by an address or its Message-ID; or by --from, --to and the time.

Where the log goes to the journal, give it on standard input: --log -`,
		Example: `  postrider trace --from ann@example.com --to bob@example.org --since 12:00
  postrider trace rqw8dxwbk2war-1
  journalctl -u postrider --since today | postrider trace --log - bob@example.org`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				f.query.Term = args[0]
			}
			return f.run(cmd)
		},
	}
	f.logFlags.add(c)
	jsonFlag(c, &f.json)
	c.Flags().StringVar(&f.query.From, "from", "", `only from this address or domain, "<>" for reports`)
	c.Flags().StringVar(&f.query.To, "to", "", "only to this address, domain or mailbox")
	c.Flags().StringVar(&f.since, "since", "", "only since this time: 12:00, 2026-11-29, \"2026-11-29 12:00\", 2h")
	c.Flags().StringVar(&f.until, "until", "", "only until this time")
	c.Flags().IntVarP(&f.query.Limit, "limit", "n", 100, "how many messages at the most, the latest")
	return c
}

// foundWay is a message's way with what the queue says of it now.
type foundWay struct {
	*trace.Way
	Waiting []queue.Explanation `json:"waiting,omitempty"`
}

func (f *traceFlags) run(cmd *cobra.Command) error {
	now := time.Now()
	var err error
	if f.query.Since, err = trace.Moment(f.since, now); err != nil {
		return err
	}
	if f.query.Until, err = trace.Moment(f.until, now); err != nil {
		return err
	}
	if f.query.Empty() && f.since == "" {
		return errors.New("name a message, --from, --to or --since")
	}
	log, done, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer done()
	found, err := trace.Find(cmd.Context(), log, f.query)
	if err != nil {
		return err
	}
	sayLeft(cmd, found.Left)
	all := make([]foundWay, 0, len(found.Ways))
	for _, w := range found.Ways {
		all = append(all, foundWay{w, f.waiting(cmd, w.Queue)})
	}
	if len(all) == 0 && f.query.Term != "" { // the log may be younger than the queue
		if x := f.waiting(cmd, []string{f.query.Term}); len(x) > 0 {
			all = append(all, foundWay{&trace.Way{ID: x[0].Session, Queue: []string{x[0].ID}}, x})
		}
	}
	if f.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	if len(all) == 0 {
		return errors.New("nothing in the log fits")
	}
	out := plain{cmd.OutOrStdout()}
	for _, t := range all {
		t.write(out)
	}
	return nil
}

func (t *foundWay) write(out io.Writer) {
	t.Write(out)
	for _, x := range t.Waiting {
		for _, why := range x.Why {
			fmt.Fprintf(out, "  in the queue now     %s: %s\n", x.ID, why)
		}
	}
}

// waiting asks the server about entries of its queue. None: they have left, or no
// server runs, or there is no configuration to find it by.
func (f *traceFlags) waiting(cmd *cobra.Command, ids []string) (all []queue.Explanation) {
	for _, id := range ids {
		var x queue.Explanation
		if call(cmd, f.conf, "queue/explain", desk.QueueRequest{ID: id}, &x) == nil {
			all = append(all, x)
		}
	}
	return all
}
