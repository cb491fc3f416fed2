package desk

import (
	"context"
	"strings"

	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/smtp"
)

// searches is how many searches through the log there are at a time: they unpack and read much.
const searches = 2

// logPages is the log as the pages search it: the newest lines in memory, and the files that they
// have gone to.
type logPages struct {
	*Desk
	places chan struct{} // of searches
}

func newLog(d *Desk) logPages { return logPages{d, make(chan struct{}, searches)} }

// Lines implements trace.Log.
func (p logPages) Lines(ctx context.Context, hint trace.Hint, do func(trace.Line) bool) error {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	case <-ctx.Done():
		return &trace.Left{Why: "others are searching", Late: true}
	}
	log := trace.Recent{Ring: p.Recent, Files: trace.Files(p.Now().Settings.Log.File)}
	if log.Files == "" {
		log.Elsewhere = "older lines are in the journal, if there is one: journalctl -u postrider | postrider trace --log -"
	}
	return log.Lines(ctx, hint, do)
}

// leads says where mail for an address would go now, in a sentence; empty if it is none.
func (d *Desk) leads(address string) string {
	path, err := smtp.ParseMailbox(strings.Trim(address, "<>"), smtp.PathUTF8)
	if err != nil {
		return ""
	}
	t := d.Post.Leads(d.Now().Rules, path)
	switch {
	case !t.Local:
		return "Mail for it leaves for another host."
	case t.None():
		return "Nobody has this address: mail for it is refused."
	}
	var to []string
	for _, m := range t.Mailboxes {
		to = append(to, "the mailbox "+m.String())
	}
	for _, p := range t.Elsewhere {
		to = append(to, p.String()+" at another host")
	}
	for _, on := range t.Onward {
		words := "on to " + on.To.String() + ", by the will of " + on.Account.String()
		if !on.Keep {
			words += ", who keeps no copy"
		}
		to = append(to, words)
	}
	return "Mail for it goes to " + strings.Join(to, ", ") + "."
}
