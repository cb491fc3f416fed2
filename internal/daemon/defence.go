package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/greylist"
	"github.com/postrider-mail/postrider/internal/scan"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dnslist"
)

// defend adds to what is done with mail of strangers what the settings say of who brings it.
func defend(r *verify.Rules, s *conf.Settings, old *verify.Rules, log *slog.Logger) {
	v := &s.Verify
	r.OwnHello, r.Hello, r.ReverseName = verify.Action(v.OwnHello), verify.Action(v.Hello), verify.Action(v.ReverseName)
	r.Names = append(r.Names, domains.Canonical(s.ServerName))
	for _, name := range s.Queue.OwnNames {
		r.Names = append(r.Names, domains.Canonical(name))
	}
	r.Addresses = s.Queue.OwnAddresses
	if v.Greylist.On {
		times := comeAgain(s)
		r.Greylist = &times
	}
	r.Aside = len(s.Quarantines(s.Book())) > 0
	if len(v.Lists) == 0 {
		return
	}
	var lists []*dnslist.List
	means := make(map[*dnslist.List][]verify.Meaning)
	for i := range v.Lists {
		l := &v.Lists[i]
		list := &dnslist.List{Name: l.PublicName(), Zone: l.AskedZone(), Domains: l.Knows == "domains"}
		lists = append(lists, list)
		for _, code := range l.Codes {
			codes, err := dnslist.ParseCodes(code.Codes)
			if err == nil { // the check of the settings has seen to that
				means[list] = append(means[list], verify.Meaning{Codes: codes, Action: verify.Action(code.Action), Text: code.Text})
			}
		}
	}
	r.Lists = &verify.Lists{Group: dnslist.NewGroup(listNews(log), lists...), Means: means}
	if old != nil && old.Lists != nil && old.Lists.Same(r.Lists) {
		r.Lists = old.Lists // whose health is known
	}
}

// comeAgain is how long it takes to come again.
func comeAgain(s *conf.Settings) greylist.Times {
	g := &s.Verify.Greylist
	return greylist.Times{Wait: g.Wait, Window: g.Window, Keep: g.Keep}
}

// listNews writes down that a list can be asked no more, and that it can be again.
func listNews(log *slog.Logger) func(*dnslist.List, *dnslist.Error) {
	return func(l *dnslist.List, err *dnslist.Error) {
		if err != nil {
			log.Warn("a DNS list is out of use", "list", l.String(), "err", err, "advice", err.Cure())
		} else {
			log.Info("a DNS list is in use again", "list", l.String())
		}
	}
}

// tendLists tests the lists of the moment now and then, until ctx ends.
func (d *Daemon) tendLists(ctx context.Context) {
	for ctx.Err() == nil {
		if r := d.state().verify; r != nil && r.Lists != nil {
			r.Lists.Group.Tend(ctx, d.dns)
		}
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
		}
	}
}

// listProblems says which lists are out of use, and what to do about it.
func (d *Daemon) listProblems() (all []string) {
	if r := d.state().verify; r != nil && r.Lists != nil {
		for _, e := range r.Lists.Group.Problems() {
			all = append(all, fmt.Sprintf("%v, and lists nobody until it does: %s", e, e.Cure()))
		}
	}
	return all
}

// greylisted is the greylist, which is opened when somebody asks for it: a reload may switch it on.
type greylisted struct {
	mu    sync.Mutex
	tried bool
	table *greylist.Table
}

// openGreylist returns what opens it, and does so where it is on. Without it mail goes on.
func (d *Daemon) openGreylist(s *conf.Settings) func() *greylist.Table {
	disk, err := d.diskOf(s.DataDir)
	if err != nil {
		d.log.Error("nobody is told to come again", "err", err)
		return func() *greylist.Table { return nil }
	}
	g := new(greylisted)
	d.closers = append(d.closers, g)
	open := func() *greylist.Table {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.tried {
			g.tried = true
			if g.table, err = greylist.Open(disk, filepath.Join(s.DataDir, "greylist"), d.log); err != nil {
				d.log.Error("nobody is told to come again", "err", err)
			} else {
				g.table.Together(d.together.tally, func() greylist.Times { return comeAgain(d.state().settings) })
			}
		}
		return g.table
	}
	if s.Verify.Greylist.On {
		open()
	}
	return open
}

// Close implements io.Closer.
func (g *greylisted) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tried = true
	if g.table == nil {
		return nil
	}
	return g.table.Close()
}

// scanning is what one set of settings says about the scanner; nil: there is none.
func scanning(s *conf.Settings) *scan.Settings {
	c := &s.Verify.Scanner
	if c.URL == "" {
		return nil
	}
	return &scan.Settings{URL: c.URL, Password: string(c.Password), Wait: c.Wait, MaxSize: int64(c.MaxSize), Later: c.Down == "later", Greylist: c.Greylist}
}

// milters are those that one set of settings names.
func milters(s *conf.Settings) (all []scan.Milter) {
	for _, m := range s.Verify.Milters {
		network, address := m.Dial()
		all = append(all, scan.Milter{Name: m.Name, Network: network, Address: address, Wait: cmp.Or(m.Wait, conf.MilterWait),
			MaxSize: int64(cmp.Or(m.MaxSize, conf.MilterSize)), Later: m.Down == "later"})
	}
	return all
}

// marked reports whether a session's message is marked for what SPF, DMARC or a list says.
func (d *Daemon) marked(s *smtp.Session) bool {
	v := d.verifier.VerdictOf(s)
	return v != nil && v.Marked()
}
