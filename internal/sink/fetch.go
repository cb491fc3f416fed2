package sink

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"io"
	"log/slog"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// Fetching says how mail is given out over POP3.
type Fetching struct {
	Hostname string
	// Logins are who sees all messages, with their passwords. Any other login is the name
	// of an inbox: its own password opens one that was made, any password another one;
	// unless there are Logins, which then are the only ones beside made inboxes.
	Logins    map[string]string
	TLSConfig *tls.Config // nil: no STLS
	Log       *slog.Logger
}

// Everything is the login that sees all messages, where there are no Logins.
const Everything = "all"

// Fetcher is a POP3 server that gives the messages out.
func (b *Box) Fetcher(f Fetching) *pop3.Server {
	login := func(user, password, _ string) error {
		switch {
		case f.Logins[user] != "":
			return checkLogin(f.Logins, user, password)
		case f.Logins != nil && !b.isMade(user), !b.Login(user, password):
			return sasl.ErrDenied
		}
		return nil
	}
	open := func(_ context.Context, _ *pop3.Session, user string) (pop3.Drop, error) {
		if _, all := f.Logins[user]; all || f.Logins == nil && user == Everything {
			return b.drop(""), nil
		}
		return b.drop(b.Name(user)), nil
	}
	return &pop3.Server{
		Hostname: f.Hostname, Backend: pop3.BackendFunc(open), Credentials: sasl.PasswordFunc(login), CleartextAuth: true, TLSConfig: f.TLSConfig,
		Limits: pop3.Limits{Conns: mostClients, ConnsPerBlock: -1},
		Log:    f.Log,
	}
}

// checkLogin compares a login with a list; a list that is nil takes any.
func checkLogin(logins map[string]string, user, password string) error {
	if logins == nil {
		return nil
	}
	want, ok := logins[user]
	if subtle.ConstantTimeCompare([]byte(want), []byte(password)) != 1 || !ok {
		return sasl.ErrDenied
	}
	return nil
}

func (b *Box) isMade(name string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.made[b.name(name)] != nil
}

// drop is an inbox as POP3 sees it: a list that does not change, the oldest first. It
// locks nobody out: tests fetch at the same time. It has no message's octets: what is dropped or
// deleted meanwhile cannot be fetched any more.
type drop struct {
	box   *Box
	inbox string
	ms    []dropped
}

type dropped struct {
	id   string
	size int64
}

func (b *Box) drop(inbox string) *drop {
	b.mu.RLock()
	defer b.mu.RUnlock()
	d := &drop{box: b, inbox: inbox}
	for _, m := range b.list(inbox) {
		d.ms = append(d.ms, dropped{m.ID, m.Size})
	}
	return d
}

// Len implements pop3.Drop.
func (d *drop) Len() int { return len(d.ms) }

// Size implements pop3.Drop.
func (d *drop) Size(i int) int64 { return d.ms[i].size }

// UID implements pop3.Drop: it is the id that the API has.
func (d *drop) UID(i int) string { return d.ms[i].id }

// Open implements pop3.Drop.
func (d *drop) Open(_ context.Context, i int) (io.ReadCloser, error) {
	raw, err := d.box.Octets(d.inbox, d.ms[i].id)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

// Remove implements pop3.Drop.
func (d *drop) Remove(_ context.Context, is []int) error {
	ids := make([]string, len(is))
	for n, i := range is {
		ids[n] = d.ms[i].id
	}
	return d.box.Delete(d.inbox, ids...)
}

// Close implements pop3.Drop.
func (d *drop) Close() error { return nil }
