package sign

import (
	"context"
	"crypto"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// How often the DNS is asked. A new record is waited for with more patience the
// longer it takes; one in use is looked at from time to time.
const (
	lookSoonest = time.Minute
	lookLatest  = time.Hour
)

// How long a record must have been seen before its key signs. A zone's servers do not
// all learn of it at once, and one behind a name that stands for several machines may show it in turns.
const (
	// settledFirst: where nothing is signed, there is nothing to lose.
	settledFirst = 0
	settledNext  = 10 * time.Minute
	// settledPartly: not all servers of the zone can be asked.
	settledPartly = time.Hour
)

// Run leads the keys through their phases until ctx ends.
func (r *Ring) Run(ctx context.Context) {
	for {
		next := r.step(ctx)
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// step does what is due, and returns when to look again.
func (r *Ring) step(ctx context.Context) time.Duration {
	if err := r.Prepare(ctx); err != nil {
		r.log.Error("no DKIM key can be made", "err", err)
		return lookLatest
	}
	next := lookLatest
	for _, k := range r.Keys() {
		if k.Phase != Announced && k.Phase != Signing && k.Phase != Retired || !r.wants(k.Domain) {
			continue
		}
		seen := look(ctx, r.watcher, &k)
		if ctx.Err() != nil {
			return lookLatest
		}
		if err := r.saw(ctx, k, seen); err != nil {
			r.log.Error("what was seen of DKIM keys cannot be written down", "err", err)
		}
		if k.Phase == Announced {
			next = min(next, patience(time.Since(k.Since)))
		}
	}
	return next
}

// patience is how long to wait before looking again for a record of this age.
func patience(age time.Duration) time.Duration {
	return min(max(age/10, lookSoonest), lookLatest)
}

func (r *Ring) wants(d domains.Name) bool { return slices.Contains(r.settings.Load().Domains, d) }

// Prepare makes the keys that are missing: the first of a domain, and the successor of
// one that has signed for long. Records that nobody needs any more go.
func (r *Ring) Prepare(ctx context.Context) error {
	s := r.settings.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := false
	for _, d := range s.Domains {
		for _, typ := range s.types() {
			if !r.lacks(d, typ, s) {
				continue
			}
			if err := r.announce(ctx, d, typ, "", nil); err != nil {
				return err
			}
		}
	}
	for _, k := range r.keys {
		if k.Phase == Retired && time.Since(k.Since) >= s.Keep {
			k.enter(Gone, time.Now())
			if err := os.Remove(r.file(k)); err != nil && !os.IsNotExist(err) {
				return err
			}
			r.log.Info("DKIM key is gone: its record may be taken away", "domain", k.Domain.String(), "selector", k.Selector)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return r.write(ctx)
}

func (s *Settings) types() []string {
	if s.Ed25519 {
		return []string{"rsa", "ed25519"}
	}
	return []string{"rsa"}
}

// lacks reports whether a domain needs a new key of a type.
func (r *Ring) lacks(d domains.Name, typ string, s *Settings) bool {
	if r.of(d, typ, Announced) != nil {
		return false
	}
	k := r.of(d, typ, Signing)
	return k == nil || s.Rotate > 0 && time.Since(k.Since) >= s.Rotate
}

// of is the newest key of a domain and a type that is in a phase.
func (r *Ring) of(d domains.Name, typ string, p Phase) *Key {
	for _, k := range slices.Backward(r.keys) {
		if k.Domain == d && k.Type == typ && k.Phase == p {
			return k
		}
	}
	return nil
}

// announce makes a key and puts it on stable storage, or takes one that was there
// before with its selector.
func (r *Ring) announce(ctx context.Context, d domains.Name, typ, selector string, key crypto.Signer) (err error) {
	now, imported := time.Now(), key != nil
	if key == nil {
		if key, err = dkim.GenerateKey(typ); err != nil {
			return err
		}
	}
	if selector == "" {
		if selector = r.newSelector(d, typ, now); selector == "" {
			return nil // each is still needed; later
		}
	}
	public, err := dkim.Record(key.Public())
	if err != nil {
		return err
	}
	text, err := dkim.FormatKey(key)
	if err != nil {
		return err
	}
	k := &Key{Domain: d, Selector: selector, Type: typ, Imported: imported, Phase: Announced, Since: now, Public: public}
	if err := r.put(ctx, r.file(k), text); err != nil {
		return fmt.Errorf("DKIM key: %w", err)
	}
	r.keys = append(r.keys, k)
	if err := r.write(ctx); err != nil {
		r.keys = r.keys[:len(r.keys)-1]
		return err
	}
	r.log.Info("DKIM key announced", "domain", d.String(), "selector", selector)
	return nil
}

// newSelector is a name that the domain has not had: the month, the type where it is
// not the usual one, and a number where one month has several. Of names that stand
// for good it is one that is not in use, or empty.
func (r *Ring) newSelector(d domains.Name, typ string, now time.Time) string {
	if fixed := r.settings.Load().Selectors[d]; len(fixed) > 0 {
		for _, selector := range fixed {
			if !slices.ContainsFunc(r.keys, func(k *Key) bool { return k.Domain == d && k.Selector == selector && k.Phase != Gone }) {
				return selector
			}
		}
		return ""
	}
	name := "pr" + now.UTC().Format("200601")
	if typ != "rsa" {
		name += "e"
	}
	used := func(s string) bool {
		return slices.ContainsFunc(r.keys, func(k *Key) bool { return k.Domain == d && k.Selector == s })
	}
	selector := name
	for n := 2; used(selector); n++ {
		selector = fmt.Sprintf("%s-%d", name, n)
	}
	return selector
}

// saw draws the conclusions of what was seen of a key's record.
func (r *Ring) saw(ctx context.Context, seenOf Key, s sight) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.keys, func(k *Key) bool { return k.Domain == seenOf.Domain && k.Public == seenOf.Public })
	if i < 0 || r.keys[i].Phase != seenOf.Phase {
		return nil // an operator was faster
	}
	k, now := r.keys[i], time.Now()
	shown, trouble := k.Shown, k.Trouble
	switch {
	case s.hidden:
		k.Shown = time.Time{}
	case s.shown && k.Shown.IsZero():
		k.Shown = now
	}
	k.Trouble = s.why
	switch {
	case k.Phase == Announced && s.taken && !k.Imported && r.settings.Load().Selectors[k.Domain] == nil && shown.IsZero() && trouble == "":
		// At the first look nobody can have put it there for this key: the selector is of one
		// that this host does not remember.
		k.enter(Gone, now)
		defer r.wake()
		return r.announce(ctx, k.Domain, k.Type, "", nil)
	case k.Phase == Announced && s.shown && now.Sub(k.Shown) >= r.settled(k, s):
		r.promote(k, now)
	case k.Phase == Signing && s.hidden:
		r.fallBack(k, now)
	case k.Shown.Equal(shown) && k.Trouble == trouble:
		return nil
	}
	r.use()
	return r.write(ctx)
}

// settled is how long a new key's record must have been seen.
func (r *Ring) settled(k *Key, s sight) time.Duration {
	switch {
	case r.of(k.Domain, k.Type, Signing) == nil:
		return settledFirst
	case !s.whole:
		return settledPartly
	}
	return settledNext
}

// promote has a key sign, and retires the one that did.
func (r *Ring) promote(k *Key, now time.Time) {
	if old := r.of(k.Domain, k.Type, Signing); old != nil {
		old.enter(Retired, now)
	}
	k.enter(Signing, now)
	r.log.Info("DKIM key signs from now on", "domain", k.Domain.String(), "selector", k.Selector)
}

// fallBack takes a key whose record has vanished out of use. The one before signs again
// if the DNS still shows it.
func (r *Ring) fallBack(k *Key, now time.Time) {
	why := k.Trouble
	k.enter(Announced, now)
	k.Trouble = why
	old := r.of(k.Domain, k.Type, Retired)
	if old != nil && !old.Shown.IsZero() {
		old.enter(Signing, now)
		r.log.Warn("the DNS does not show a DKIM key any more; the one before signs again", "domain", k.Domain.String(), "selector", k.Selector, "old", old.Selector, "err", why)
		return
	}
	r.log.Warn("the DNS does not show a DKIM key any more; mail is not signed", "domain", k.Domain.String(), "selector", k.Selector, "err", why)
}
