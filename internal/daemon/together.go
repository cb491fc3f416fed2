package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/cluster"
	clusterpg "github.com/postrider-mail/postrider/internal/cluster/postgres"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/mailstore/database"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// together is what this server has in common with others on its database. Of one that is alone it is empty.
type together struct {
	documents cluster.Store // nil: they are files of this server's own
	counts    *clusterpg.Store
	tally     *cluster.Tally
	problem   string // why its keys are its own although there is a database
	srs       []byte // the secret that documents have, once it is known
	asked     bool   // for it
}

// openTogether opens what is in the database, if there is one. A server that cannot read what the others have sealed goes on with its own
// files, and says so. It may make the server's key, so missKey is asked before.
func (d *Daemon) openTogether(s *conf.Settings) error {
	if d.database == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, err := openCluster(ctx, s, d.database.Database(), true)
	if err != nil {
		return err
	}
	if err := d.othersSeal(s, store.Wrong()); err != nil {
		return err
	}
	d.together = together{documents: store, counts: store, tally: cluster.NewTally(store, d.log)}
	if err := store.Wrong(); err != nil {
		d.together.documents, d.together.problem = nil, "this server signs mail and rewrites senders with keys of its own: "+err.Error()
		d.log.Error("this server's keys are not those of the others", "err", err)
	}
	return nil
}

// openCluster opens it. The key is the server's; a server may make it for a database in which nothing is sealed yet.
func openCluster(ctx context.Context, s *conf.Settings, db *database.Database, serves bool) (*clusterpg.Store, error) {
	made := false
	store, err := clusterpg.Open(ctx, db, func(first bool) (key seal.Key, err error) {
		if first && serves {
			key, made, err = seal.EnsureKey(s.SecretKeyFile)
			return key, err
		}
		return seal.LoadKey(s.SecretKeyFile)
	})
	if err == nil && made && errors.Is(store.Wrong(), clusterpg.ErrOtherKey) {
		err = os.Remove(s.SecretKeyFile) // another server began at the same moment, and was quicker: nothing is sealed with this one
	}
	return store, err
}

// runTogether tells others and hears of them until ctx ends.
func (d *Daemon) runTogether(ctx context.Context) {
	if d.together.counts == nil {
		return
	}
	d.serving.Go(func() { d.together.tally.Run(ctx) })
	d.serving.Go(func() { every(ctx, sweepEvery, func() { d.sweepTogether(ctx) }) })
	if d.together.documents != nil {
		d.serving.Go(func() { every(ctx, refreshEvery, func() { d.refreshKeys(ctx) }) })
		d.serving.Go(func() { every(ctx, followEvery, func() { d.followPreferences(ctx) }) })
	}
}

const (
	// sweepEvery is how often what nobody needs any more is taken away.
	sweepEvery = 2 * time.Minute
	// refreshEvery is how old what is known of keys may be.
	refreshEvery = 10 * time.Second
)

func (d *Daemon) sweepTogether(ctx context.Context) {
	if err := d.together.counts.Sweep(ctx); err != nil && ctx.Err() == nil {
		d.log.Debug("what servers have counted together is not tidied up", "err", err)
	}
}

func (d *Daemon) refreshKeys(ctx context.Context) {
	if err := d.keys.Refresh(ctx); err != nil && ctx.Err() == nil {
		d.log.Debug("what other servers have done to DKIM keys is not known", "err", err)
	}
}

// togetherProblems says what is wrong with it.
func (d *Daemon) togetherProblems() []string {
	if d.together.problem == "" {
		return nil
	}
	return []string{d.together.problem}
}

// openKeys opens the keys that mail is signed with: those of all servers on a database, else this server's own.
func (d *Daemon) openKeys(s *conf.Settings) (*sign.Ring, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return published.OpenKeys(ctx, s, d.together.documents, sign.DNS{Resolver: d.dns}, d.log)
}

// OpenKeys opens the keys that mail is signed with, of a server that does not run. Call done when done.
func OpenKeys(ctx context.Context, s *conf.Settings) (ring *sign.Ring, done func(), err error) {
	var documents cluster.Store // nil: they are files
	done = func() {}
	if s.Store.Postgres != "" {
		if documents, done, err = OpenDocuments(ctx, s); err != nil {
			return nil, nil, err
		}
	}
	if ring, err = published.OpenKeys(ctx, s, documents, nil, slog.New(slog.DiscardHandler)); err != nil {
		done()
		return nil, nil, err
	}
	return ring, done, nil
}

// OpenDocuments opens what servers on a database have together, beside them. Call done when done.
func OpenDocuments(ctx context.Context, s *conf.Settings) (documents cluster.Documents, done func(), err error) {
	if _, err := os.Stat(s.SecretKeyFile); err != nil {
		return nil, nil, fmt.Errorf("keys in the database are sealed with secret_key_file, which a server makes when it starts first: %w", err)
	}
	store, err := OpenDatabase(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	together, err := openCluster(ctx, s, store.Database(), false)
	if err == nil {
		err = together.Wrong()
	}
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	return together, func() { store.Close() }, nil
}

// srsDocument has the secret that rewritten senders are made with.
const srsDocument = "srs"

// newSRS makes the rewriting of one set of settings. Its secret is made when aliases may first lead elsewhere; bounces
// are still taken when they may no more. Servers on one database have one secret: that of the first of them, and what any of them has made
// before is known to itself.
func (d *Daemon) newSRS(s *conf.Settings) (*queue.SRS, error) {
	srs := &queue.SRS{Domain: domains.Canonical(cmp.Or(s.Queue.SRSDomain, s.ServerName))}
	own, err := ownSRS(s, s.Queue.Forward && d.together.documents == nil)
	if err != nil {
		return nil, fmt.Errorf("key of rewritten senders: %w", err)
	}
	srs.Key = own
	if d.together.documents == nil {
		return srs, nil
	}
	if d.together.srs == nil { // it never changes: a reload needs no database
		secret, err := d.commonSRS(own, s.Queue.Forward)
		if err != nil && (s.Queue.Forward || !d.together.asked) { // else there was none, and none is needed
			return nil, fmt.Errorf("key of rewritten senders: %w", err)
		}
		if err == nil {
			d.together.srs, d.together.asked = secret, true
		}
	}
	if secret := d.together.srs; secret != nil {
		srs.Key = secret
		if own != nil && !bytes.Equal(own, secret) {
			srs.OldKeys = [][]byte{own}
		}
	}
	return srs, nil
}

// ownSRS is the secret in this server's own file below the data directory; nil if there is none and none is to be made.
func ownSRS(s *conf.Settings, ensure bool) ([]byte, error) {
	name := filepath.Join(s.DataDir, "srs.key")
	key, err := seal.LoadKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		if !ensure {
			return nil, nil
		}
		key, _, err = seal.EnsureKey(name)
	}
	if err != nil {
		return nil, err
	}
	return key.Derive("srs")
}

// commonSRS is the secret of all servers, which begins as this one's; nil if there is none and none is to be made.
func (d *Daemon) commonSRS(own []byte, ensure bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return cluster.Update(ctx, d.together.documents, srsDocument, func(text []byte) ([]byte, error) {
		switch {
		case text != nil || own == nil && !ensure:
			return nil, nil
		case own != nil:
			return own, nil
		}
		return seal.GenerateKey().Derive("srs")
	})
}

// learnt is what servers know together of other hosts; nil where this one is alone.
func (t *together) learnt() relay.Cache {
	if t.documents == nil {
		return nil
	}
	return &learnt{known: under{t.documents, "learnt"}}
}

// learnt is a relay.Cache in documents.
type learnt struct {
	known under
	away  atomic.Int64 // until when nobody is asked, in Unix nanoseconds
}

const (
	// longestLearnt is how long mail on its way out waits to hear what others know, or to tell them.
	longestLearnt = 3 * time.Second
	// learntAgain is how long nobody is asked after that has failed.
	learntAgain = 10 * time.Second
)

var errAway = errors.New("what servers know together cannot be had now")

// soon does something that must not take long.
func (l *learnt) soon(ctx context.Context, do func(ctx context.Context) error) error {
	if time.Now().UnixNano() < l.away.Load() {
		return errAway
	}
	within, cancel := context.WithTimeout(ctx, longestLearnt)
	defer cancel()
	err := do(within)
	if err != nil && ctx.Err() == nil {
		l.away.Store(time.Now().Add(learntAgain).UnixNano())
	}
	return err
}

// Get implements relay.Cache.
func (l *learnt) Get(kind, domain string) (text []byte, ok bool) {
	err := l.soon(context.Background(), func(ctx context.Context) (err error) {
		text, err = l.known.Get(ctx, kind+"/"+domain)
		return err
	})
	return text, err == nil && text != nil
}

// Put implements relay.Cache.
func (l *learnt) Put(ctx context.Context, kind, domain string, data []byte) error {
	return l.soon(ctx, func(ctx context.Context) error { return l.known.put(ctx, kind+"/"+domain, data) })
}

// Delete implements relay.Cache.
func (l *learnt) Delete(ctx context.Context, kind, domain string) error {
	return l.soon(ctx, func(ctx context.Context) error { return l.known.Delete(ctx, kind+"/"+domain) })
}

// under are documents whose names begin with one word. It is the acme.Store of servers that have one.
type under struct {
	documents cluster.Store
	kind      string
}

func (u under) name(name string) string { return u.kind + "/" + name }

// Get implements acme.Store.
func (u under) Get(ctx context.Context, name string) ([]byte, error) {
	text, _, err := u.documents.Get(ctx, u.name(name), "")
	return text, err
}

// Update implements acme.Store.
func (u under) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	return cluster.Update(ctx, u.documents, u.name(name), change)
}

// Delete implements acme.Store.
func (u under) Delete(ctx context.Context, name string) error { return u.put(ctx, name, nil) }

// put replaces a document whatever it is, by none where text is nil.
func (u under) put(ctx context.Context, name string, text []byte) error {
	_, err := u.documents.Put(ctx, cluster.Change{Name: u.name(name), Text: text, Anyway: true})
	return err
}

// certificates is where servers have the account with an authority, and its certificates; nil where this one is alone.
func (t *together) certificates() acme.Store {
	if t.documents == nil {
		return nil
	}
	return under{t.documents, "acme"}
}

// gathering is where servers bring together what they have counted for reports to others.
type gathering struct {
	counts under
	server string
}

// gathers is where this server does; nil where it is alone.
func (d *Daemon) gathers() relay.Common {
	if d.together.documents == nil {
		return nil
	}
	return gathering{under{d.together.documents, "counts"}, d.self().ID}
}

// Server implements relay.Common and daily.Common.
func (g gathering) Server() string { return g.server }

// Update implements relay.Common and daily.Common.
func (g gathering) Update(ctx context.Context, kind, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	return g.counts.Update(ctx, kind+"/"+name, change)
}

// Delete implements relay.Common and daily.Common.
func (g gathering) Delete(ctx context.Context, kind, name string) error {
	return g.counts.Delete(ctx, kind+"/"+name)
}
