package sign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
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
	dir     string
	log     *slog.Logger
	watcher Watcher
	changed chan struct{} // something is to be looked at now

	settings atomic.Pointer[Settings]
	signers  atomic.Pointer[map[domains.Name]*dkim.Signer]

	signed, unsigned atomic.Int64 // messages

	mu     sync.Mutex // what follows, and the files
	keys   []*Key     // in the order they were made
	broken error      // why the list of them cannot be read; it is not written then

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
	r := &Ring{dir: dir, log: log, watcher: watcher, changed: make(chan struct{}, 1)}
	r.settings.Store(&s)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r, r.read()
}

// Configure takes new settings.
func (r *Ring) Configure(s Settings) {
	r.settings.Store(&s)
	r.mu.Lock()
	if r.readable() == nil {
		r.use()
	}
	r.mu.Unlock()
	r.wake()
}

// Keys are all keys that were not lost, the oldest first. Those of a domain that is no longer here have no
// trouble: nobody looks after them.
func (r *Ring) Keys() (all []Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		all = append(all, *k)
		if !r.wants(k.Domain) {
			all[len(all)-1].Trouble = ""
		}
	}
	return all
}

// readable reads the list once more if it could not be read.
func (r *Ring) readable() error {
	if r.broken != nil {
		return r.read()
	}
	return nil
}

// read takes the list from its file, and the private keys that sign.
func (r *Ring) read() error {
	r.keys, r.broken = readList(filepath.Join(r.dir, listFile))
	r.use()
	return r.broken
}

func readList(name string) (keys []*Key, err error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err != nil {
		return nil, fmt.Errorf("DKIM keys: %s: %w", name, err)
	}
	for _, k := range keys {
		if k == nil || k.Domain == "" || k.Selector == "" {
			return nil, fmt.Errorf("DKIM keys: %s: a key without a domain or a selector", name)
		}
	}
	return keys, nil
}

// write puts the list on stable storage.
func (r *Ring) write(ctx context.Context) error {
	text, err := json.MarshalIndent(r.keys, "", "\t")
	if err == nil {
		err = r.put(ctx, filepath.Join(r.dir, listFile), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("DKIM keys: %w", err)
	}
	return nil
}

// put writes a file that only its owner can read, and owns what it makes to whoever owns the
// directory above: an operator may call as root before the first start.
func (r *Ring) put(ctx context.Context, name string, text []byte) error {
	parent := filepath.Dir(r.dir)
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	disk, err := durable.Open(parent)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := disk.ReplaceFile(ctx, name, text); err != nil {
		return err
	}
	return giveTo(parent, r.dir, dir, name)
}

// use makes signers of the keys that sign. A key that cannot be read says so in its
// Trouble.
func (r *Ring) use() {
	s := r.settings.Load()
	signers := make(map[domains.Name]*dkim.Signer)
	for _, k := range r.keys {
		if k.Phase != Signing || !slices.Contains(s.Domains, k.Domain) {
			continue
		}
		if k.private == nil {
			var err error
			if k.private, err = readPrivate(r.file(k), k.Public); err != nil {
				k.Trouble = err.Error()
				continue
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

func (r *Ring) file(k *Key) string {
	return filepath.Join(r.dir, k.Domain.String(), k.Selector+".key")
}

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
