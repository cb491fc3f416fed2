package sign

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// Settings are what the configuration says about signing.
type Settings struct {
	// Domains are those whose mail is signed. Others' keys stay as they are.
	Domains []domains.Name
	// Ed25519: there is a second key beside the one of RSA.
	Ed25519 bool
	// Rotate is the age at which a signing key gets a successor; 0: never.
	Rotate time.Duration
	// Keep is how long the record of a retired key is needed: for as long as mail
	// signed with it may be under way. Signatures are good for as long.
	Keep time.Duration
	// Require: mail that cannot be signed is not taken.
	Require bool
	// Selectors are those that a domain's keys have in turns, where the names are led
	// here by CNAME once and for all; others get new ones.
	Selectors map[domains.Name][]string
}

// Ring holds the keys of all domains. It is safe for concurrent use.
type Ring struct {
	store   cluster.Store
	dir     string // in it
	where   string // that is, for people
	log     *slog.Logger
	watcher Watcher
	changed chan struct{}                   // something is to be looked at now
	adopts  func(ctx context.Context) error // brings along keys of before, where there is no list yet; nil: there are none

	settings atomic.Pointer[Settings]
	signers  atomic.Pointer[map[domains.Name]*dkim.Signer]

	signed, unsigned atomic.Int64 // messages

	mu      sync.Mutex      // what follows
	keys    []*Key          // in the order they were made
	version cluster.Version // of the list as it was read or written last
	broken  error           // why the list of them cannot be read; it is not written then
	unread  bool            // a private key that is to sign could not be read
	dropped []string        // keys that nobody needs once the list is written

	shown atomic.Pointer[[]Key] // the keys as others see them, who do not wait for what is being changed

	due map[string]time.Time // of Run: when the record at a name is looked at
}

// Signatures is how many messages of domains whose mail is signed were signed, and how many could not be.
func (r *Ring) Signatures() (signed, unsigned int64) { return r.signed.Load(), r.unsigned.Load() }

// listFile is the list of keys, within the ring's directory. Private keys are in
// files of their own: DOMAIN/SELECTOR.key.
const listFile = "keys.json"

// Open reads the keys below dir, which is made when the first one is. watcher may be
// nil for who only looks at them. Where they cannot be read there is a Ring beside the error, which
// signs nothing, changes nothing, says so in Problems, and tries again whenever it is asked for something.
func Open(dir string, s Settings, watcher Watcher, log *slog.Logger) (*Ring, error) {
	return opened(context.Background(), &Ring{store: cluster.NewFiles(filepath.Dir(dir)), dir: filepath.Base(dir), where: dir, log: log, watcher: watcher}, s)
}

// OpenShared is Open for keys that several servers have together: what one makes, has seen or was told to do, holds for all. dir is where
// the keys are that this server had for itself, and where nobody has any yet those become everybody's.
func OpenShared(ctx context.Context, store cluster.Store, dir string, s Settings, watcher Watcher, log *slog.Logger) (*Ring, error) {
	r := &Ring{store: store, dir: "dkim", where: "the database", log: log, watcher: watcher}
	r.adopts = func(ctx context.Context) error {
		return r.adopt(ctx, cluster.NewFiles(filepath.Dir(dir)), filepath.Base(dir))
	}
	return opened(ctx, r, s)
}

func opened(ctx context.Context, r *Ring, s Settings) (*Ring, error) {
	r.changed = make(chan struct{}, 1)
	r.settings.Store(&s)
	r.mu.Lock()
	defer r.unlock()
	return r, r.read(ctx)
}

// adopt takes over keys from where one server had them, all or none.
func (r *Ring) adopt(ctx context.Context, from cluster.Store, dir string) error {
	list, _, err := from.Get(ctx, path.Join(dir, listFile), "")
	if err != nil || list == nil {
		return err
	}
	keys, err := parseList(list)
	if err != nil {
		return fmt.Errorf("DKIM keys that this server had for itself: %w", err)
	}
	changes := []cluster.Change{{Name: r.name(listFile), Text: list}}
	for _, k := range keys {
		text, _, err := from.Get(ctx, path.Join(dir, k.Domain.String(), k.Selector+".key"), "")
		if err != nil {
			return err
		}
		if text != nil && k.Phase != Gone {
			changes = append(changes, cluster.Change{Name: r.file(k), Text: text, Anyway: true})
		}
	}
	_, err = r.store.Put(ctx, changes...)
	if errors.Is(err, cluster.ErrChanged) { // another was faster
		return nil
	}
	if err == nil {
		r.log.Info("the DKIM keys of this server are those of all servers on the database now", "keys", len(keys))
	}
	return err
}

// name is that of something in the ring's directory.
func (r *Ring) name(in string) string { return path.Join(r.dir, in) }

// unlock ends what was done under r.mu, for others to see.
func (r *Ring) unlock() {
	all := make([]Key, 0, len(r.keys))
	for _, k := range r.keys {
		all = append(all, *k)
	}
	r.shown.Store(&all)
	r.mu.Unlock()
}

// Configure takes new settings.
func (r *Ring) Configure(s Settings) {
	r.settings.Store(&s)
	r.mu.Lock()
	if r.readable() == nil {
		r.use(context.Background())
	}
	r.unlock()
	r.wake()
}

// Refresh takes up what other servers have done to the keys. While it cannot be found out, those that were known stay. Keys that could not be
// brought along are.
func (r *Ring) Refresh(ctx context.Context) error {
	r.mu.Lock()
	known, late := r.version, r.broken != nil && r.version == "" || r.unread
	r.mu.Unlock()
	_, v, err := r.store.Get(ctx, r.name(listFile), known) // without the lock: it may take long
	if err != nil || v == known && !late {
		return err
	}
	r.mu.Lock()
	defer r.unlock()
	if err := r.current(ctx); err != nil {
		return err
	}
	if r.unread {
		r.use(ctx)
	}
	if r.version != known {
		r.wake()
	}
	return nil
}

// Keys are all keys that were not lost, the oldest first. Those of a domain that is no longer here have no
// trouble: nobody looks after them.
func (r *Ring) Keys() (all []Key) {
	all = slices.Clone(*r.shown.Load())
	for i := range all {
		if !r.wants(all[i].Domain) {
			all[i].Trouble = ""
		}
	}
	return all
}

// unknown is no version of a list.
const unknown = cluster.Version("?")

// attempts is how often a change is made anew when other servers are faster.
const attempts = 10

// change does something to the keys as they stand now, and does it again where another server was faster. do reports whether it has changed any.
func (r *Ring) change(ctx context.Context, do func() (changed bool, err error)) error {
	r.mu.Lock()
	defer r.unlock()
	var err error
	for range attempts {
		if err = r.current(ctx); err != nil {
			return err
		}
		var changed bool
		if changed, err = do(); err != nil || !changed {
			return err
		}
		if err = r.write(ctx); !errors.Is(err, cluster.ErrChanged) {
			return err
		}
		r.version, r.dropped = unknown, nil // what do has changed here is not what holds, also where nobody else has changed anything
	}
	return err
}

// readable reads the list once more if it could not be read.
func (r *Ring) readable() error {
	if r.broken != nil {
		return r.read(context.Background())
	}
	return nil
}

// current sees to it that the list is what it is now.
func (r *Ring) current(ctx context.Context) error {
	if r.broken != nil {
		return r.read(ctx)
	}
	text, v, err := r.store.Get(ctx, r.name(listFile), r.version)
	if err != nil {
		return fmt.Errorf("DKIM keys: %w", err)
	}
	if v == r.version {
		return nil
	}
	keys, err := parseList(text)
	if err != nil {
		return fmt.Errorf("DKIM keys: %s: %w", filepath.Join(r.where, listFile), err)
	}
	private := make(map[string]crypto.Signer)
	for _, k := range r.keys {
		private[k.Public] = k.private
	}
	for _, k := range keys {
		if k.Phase == Signing { // it need not be read again
			k.private = private[k.Public]
		}
	}
	r.keys, r.version, r.dropped = keys, v, nil // what was to go goes by that list
	r.use(ctx)
	return nil
}

// read takes the list from where it is, and the private keys that sign.
func (r *Ring) read(ctx context.Context) error {
	text, v, err := r.store.Get(ctx, r.name(listFile), "")
	if err == nil && v == "" && r.adopts != nil {
		// Without them others would be made, which no DNS shows.
		if err = r.adopts(ctx); err == nil {
			text, v, err = r.store.Get(ctx, r.name(listFile), "")
		}
	}
	r.keys, r.dropped = nil, nil
	if err == nil {
		r.keys, err = parseList(text)
	}
	if r.broken, r.version = nil, v; err != nil {
		r.broken = fmt.Errorf("DKIM keys: %s: %w", filepath.Join(r.where, listFile), err)
	}
	r.use(ctx)
	return r.broken
}

// parseList reads a list; of none there are no keys.
func parseList(text []byte) (keys []*Key, err error) {
	if text == nil {
		return nil, nil
	}
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k == nil || k.Domain == "" || k.Selector == "" {
			return nil, errors.New("a key without a domain or a selector")
		}
	}
	return keys, nil
}

// write puts the list on stable storage, after what must be there before it; and what was dropped goes.
func (r *Ring) write(ctx context.Context, before ...cluster.Change) error {
	text, err := json.MarshalIndent(r.keys, "", "\t")
	if err != nil {
		return fmt.Errorf("DKIM keys: %w", err)
	}
	changes := append(before, cluster.Change{Name: r.name(listFile), Text: append(text, '\n'), Was: r.version})
	at := len(changes) - 1
	for _, name := range r.dropped {
		changes = append(changes, cluster.Change{Name: name, Anyway: true})
	}
	now, err := r.store.Put(ctx, changes...)
	if errors.Is(err, cluster.ErrLeft) {
		r.log.Warn("the file of a DKIM key that is gone stays", "err", err)
	} else if err != nil {
		return fmt.Errorf("DKIM keys: %w", err)
	}
	r.version, r.dropped = now[at], nil
	return nil
}

// use makes signers of the keys that sign. A key that cannot be read says so in its
// Trouble.
func (r *Ring) use(ctx context.Context) {
	r.unread = false
	s := r.settings.Load()
	signers := make(map[domains.Name]*dkim.Signer)
	for _, k := range r.keys {
		if k.Phase != Signing || !slices.Contains(s.Domains, k.Domain) {
			continue
		}
		if k.private == nil {
			var err error
			if k.private, err = r.readPrivate(ctx, k); err != nil {
				k.Trouble, k.unread, r.unread = err.Error(), err.Error(), true
				continue
			}
			if k.Trouble == k.unread {
				k.Trouble = ""
			}
		}
		signer := signers[k.Domain]
		if signer == nil {
			signer = &dkim.Signer{Domain: k.Domain.String(), Lifetime: s.Keep}
			signers[k.Domain] = signer
		}
		signer.Keys = append(signer.Keys, dkim.SigningKey{Selector: k.Selector, Key: k.private})
	}
	r.signers.Store(&signers)
}

// file is the name of a private key in the store.
func (r *Ring) file(k *Key) string { return path.Join(r.dir, k.Domain.String(), k.Selector+".key") }

// wake has Run look again.
func (r *Ring) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Problems says what keeps mail from being signed, a sentence for each domain.
func (r *Ring) Problems() (all []string) {
	s, signers := r.settings.Load(), *r.signers.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil && len(s.Domains) > 0 {
		return []string{"mail is not signed: " + r.broken.Error()}
	}
	for _, d := range s.Domains {
		if signers[d] != nil {
			continue
		}
		why := "it has no key yet"
		for _, k := range r.keys {
			if k.Domain == d && (k.Phase == Announced || k.Phase == Signing) {
				why = fmt.Sprintf("the DNS does not show the key yet (postrider dns show %s)", d)
				if k.Trouble != "" {
					why = fmt.Sprintf("%s (postrider dns show %s)", k.Trouble, d)
				}
			}
		}
		all = append(all, fmt.Sprintf("mail from %s is not signed: %s", d, why))
	}
	return all
}
