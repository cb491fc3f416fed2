package daemon

import (
	"context"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/trace"
)

// recentOctets is how much of the log is kept in memory: nothing where no pages can show it.
func recentOctets(s *conf.Settings) int {
	if s.Web.Listen == "" {
		return 0
	}
	return int(s.Log.Recent)
}

// searches is how many searches through the log there are at a time: they unpack and read much.
const searches = 2

// logPages is the log as the pages search it: the newest lines in memory, and the files that they
// have gone to.
type logPages struct {
	d      *Daemon
	places chan struct{} // of searches
}

func newLogPages(d *Daemon) logPages { return logPages{d, make(chan struct{}, searches)} }

// Lines implements trace.Log.
func (p logPages) Lines(ctx context.Context, hint trace.Hint, do func(trace.Line) bool) error {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	case <-ctx.Done():
		return &trace.Left{Why: "others are searching", Late: true}
	}
	log := trace.Recent{Ring: p.d.recent, Files: trace.Files(p.d.state().settings.Log.File)}
	if log.Files == "" {
		log.Elsewhere = "older lines are in the journal, if there is one: journalctl -u postrider | postrider trace --log -"
	}
	return log.Lines(ctx, hint, do)
}
