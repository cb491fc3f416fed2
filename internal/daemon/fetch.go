package daemon

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/pop3"
)

func (d *Daemon) newPOP3(l conf.Listener) *pop3.Server {
	st := d.state()
	c := st.settings.POP3
	own := l.Limits
	if own == nil {
		own = &conf.ListenerLimits{}
	}
	open := st.credentials.Sessions()
	return &pop3.Server{
		Hostname:      st.settings.ServerName,
		Greeting:      cmp.Or(l.Greeting, c.Greeting),
		Backend:       pop3.BackendFunc(d.openMaildrop),
		Credentials:   fetching{d.live(), d},
		Mechanisms:    d.knowing(st.mechanisms),
		CleartextAuth: c.CleartextAuth,
		APOP:          c.APOP,
		UTF8:          c.UTF8,
		XClient:       c.XclientFrom,
		TLSConfig:     d.tlsConfig(l),
		TLSMode:       tlsMode(l.TLS),
		Limits: pop3.Limits{
			Errors:        c.MaxErrors,
			AuthErrors:    c.MaxAuthFailures,
			Command:       c.IdleTimeout,
			Session:       c.SessionTimeout,
			Conns:         cmp.Or(own.MaxConnections, c.MaxConnections),
			ConnsPerBlock: cmp.Or(own.MaxConnectionsPerAddress, c.MaxConnectionsPerAddress),

			ConnsPerMinute: cmp.Or(c.MaxConnectionsPerMinute, -1),
			Login:          st.settings.Auth.LoginTimeout,
		},
		Policy: policy(st.dir, c),
		CheckConn: func(_ context.Context, s *pop3.Session) error {
			open.Begin(s.ID, s.End)
			return nil
		},
		Done: func(s *pop3.Session, sum *pop3.Summary) {
			open.Done(s.ID)
			d.metrics.POP3Done(s, sum)
		},
		Pool: d.pool,
		Log:  d.log.With("service", string(l.Protocol)),
	}
}

// openMaildrop locks an account's mailbox for a POP3 session.
func (d *Daemon) openMaildrop(ctx context.Context, _ *pop3.Session, account string) (pop3.Drop, error) {
	c := d.state().settings.POP3
	box, err := d.store.Open(ctx, account)
	switch {
	case errors.Is(err, mailstore.ErrLocked):
		return nil, pop3.ErrInUse
	case errors.Is(err, mailstore.ErrPoisoned), errors.Is(err, mailstore.ErrBadName):
		return nil, &pop3.Error{Code: pop3.CodeSysPerm, Text: "maildrop cannot be used, ask the administrator", Err: err}
	case err != nil:
		return nil, err
	}
	if err := d.unlock(ctx, account, box); err != nil {
		box.Close()
		return nil, err
	}
	sasl.PeerOf(ctx).Opened = nil // the maildrop has it, until it is closed
	// Only now: a login that finds the maildrop locked is none.
	if !d.logins.allow(account, c.LoginDelay) {
		box.Close()
		return nil, pop3.ErrLoginDelay
	}
	return withPolicy(ctx, box, retention(d.state().dir, domains.Address(account), c))
}

// loginTimes remembers when accounts logged in last, for as long as a login
// delay makes that matter (RFC 2449 §6.5); at other servers, too, where they tell each other.
type loginTimes struct {
	tally *cluster.Tally // nil: no other server

	mu   sync.Mutex
	last map[string]time.Time
}

// loggedIn is the kind of number by which servers tell each other; what counts of it is its age.
const loggedIn = "pop3 login"

// countWith has logins at other servers counted, too.
func (l *loginTimes) countWith(tally *cluster.Tally) {
	l.tally = tally
	tally.On(loggedIn, func(h cluster.Heard) {
		at := time.Now().Add(-h.Age)
		l.mu.Lock()
		defer l.mu.Unlock()
		if at.After(l.last[h.Key]) {
			l.note(h.Key, at)
		}
	})
}

func (l *loginTimes) note(account string, at time.Time) {
	if l.last == nil {
		l.last = make(map[string]time.Time)
	}
	l.last[account] = at
}

// allow reports whether the account may log in, and if so notes it.
func (l *loginTimes) allow(account string, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[account]; ok && now.Sub(last) < delay {
		return false
	}
	l.note(account, now)
	l.tally.Tell(cluster.Told{Kind: loggedIn, Key: account, Level: 1, Replace: true, Lives: delay})
	return true
}
