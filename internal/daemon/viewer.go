package daemon

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/sink"
	sinkweb "github.com/postrider-mail/postrider/internal/sink/web"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// viewers show users the mail in their mailboxes, below /account/mail/, where Web.viewer says so: for who tries this out, and for
// developers. Mailboxes are read beside whoever fetches from them, and nothing in them is changed.
type viewers struct {
	d  *Daemon
	mu sync.Mutex
	by map[string]*viewing
}

// viewing is one user's.
type viewing struct {
	mirror  *sink.Mirror
	handler http.Handler
	used    time.Time
}

// viewedFor is how long a viewer is kept that nobody looks at.
const viewedFor = 10 * time.Minute

// serve answers somebody who has logged in.
func (v *viewers) serve(w http.ResponseWriter, r *pages.Request) error {
	if !v.shown(r.Visitor) {
		return pages.ErrNotFound
	}
	if err := v.closed(r.Who); err != nil {
		return err
	}
	one := v.of(r.Who, r.Path("mail/"))
	if err := one.mirror.Refresh(r.Context()); err != nil {
		return err
	}
	one.handler.ServeHTTP(w, r.Request)
	return nil
}

// shown reports whether somebody who asks from there sees mail: from this host, whatever stands in front.
func (v *viewers) shown(from pages.Visitor) bool {
	return v.d.state().settings.Web.Viewer && from.Client.IsLoopback() && pages.IsLoopback(from.Host)
}

// closedMail says why somebody's mail cannot be shown; an empty page would say that there is none.
type closedMail string

// Error implements error.
func (c closedMail) Error() string { return string(c) }

// Is implements errors.Is.
func (c closedMail) Is(err error) bool { return err == pages.ErrForbidden }

// closed is why a mailbox cannot be read here; nil: it can.
func (v *viewers) closed(who string) error {
	switch {
	case v.d.state().settings.Store.Postgres != "":
		return closedMail("the mail of this server is in a database, and shown to mail programs alone")
	case v.d.sealedTo(who) != "":
		return closedMail("your mailbox is sealed: your password opens it to mail programs, and to nobody else")
	}
	return nil
}

// of is a user's viewer; those that nobody has looked at for a while are forgotten.
func (v *viewers) of(who, root string) *viewing {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	for name, one := range v.by {
		if now.Sub(one.used) > viewedFor {
			delete(v.by, name)
		}
	}
	one := v.by[who]
	if one == nil {
		one = &viewing{mirror: sink.NewMirror(who, func(ctx context.Context) (mailstore.Maildrop, error) { return v.open(ctx, who) })}
		server := sinkweb.Server{Box: one.mirror.Box, Root: root, Label: who, Judge: &sink.Judge{DNS: v.d.dns}, Log: v.d.log.With("service", "web")}
		one.handler = server.Viewer()
		if v.by == nil {
			v.by = make(map[string]*viewing)
		}
		v.by[who] = one
	}
	one.used = now
	return one
}

// open reads a mailbox without locking anybody out of it.
func (v *viewers) open(ctx context.Context, who string) (mailstore.Maildrop, error) {
	store, err := maildir.Open(v.d.state().settings.MailDir, maildir.WithMode(maildir.ReadOnly), maildir.WithLogger(v.d.log))
	if err != nil {
		return nil, err
	}
	drop, err := store.Open(ctx, who)
	if err != nil {
		store.Close()
		return nil, err
	}
	return &viewed{drop, store}, nil
}

// viewed is a maildrop whose store goes with it.
type viewed struct {
	mailstore.Maildrop
	store *maildir.Store
}

// Close implements mailstore.Maildrop.
func (v *viewed) Close() error {
	err := v.Maildrop.Close()
	v.store.Close()
	return err
}

// Flags implements mailstore.Details.
func (v *viewed) Flags(i int) string { return v.Maildrop.(mailstore.Details).Flags(i) }

// Received implements mailstore.Details.
func (v *viewed) Received(i int) time.Time { return v.Maildrop.(mailstore.Details).Received(i) }
