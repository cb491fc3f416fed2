package sign

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
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

// mostLooks is how many records are asked for at a time, and longestLook for how long each: a zone
// whose servers are gone holds up nobody else's keys.
const (
	mostLooks   = 8
	longestLook = time.Minute
)

// step does what is due, and returns when to look again.
func (r *Ring) step(ctx context.Context) time.Duration {
	if err := r.Prepare(ctx); err != nil && ctx.Err() == nil {
		r.log.Error("DKIM keys cannot be kept", "err", err) // those that are there are looked at all the same
	}
	r.lookAt(ctx, r.dueNow())
	next := lookLatest
	for name, at := range r.due {
		if at.IsZero() {
			delete(r.due, name)
		} else {
			next = min(next, max(time.Until(at), 0))
		}
	}
	return next
}

// dueNow are the keys to look at now.
func (r *Ring) dueNow() (all []Key) {
	due := make(map[string]time.Time, len(r.due))
	for _, k := range r.Keys() {
		if !k.watched() || !r.wants(k.Domain) {
			continue
		}
		at := r.due[k.Name()]
		if due[k.Name()] = at; time.Until(at) <= 0 {
			all = append(all, k)
		}
	}
	r.due = due
	return all
}

// lookAt looks at the records of keys, draws the conclusions, and notes when each is due again.
func (r *Ring) lookAt(ctx context.Context, keys []Key) {
	var looks sync.WaitGroup
	places := make(chan struct{}, mostLooks)
	for i := range keys {
		places <- struct{}{}
		looks.Go(func() {
			defer func() { <-places }()
			asking, stop := context.WithTimeout(ctx, longestLook)
			defer stop()
			seen := look(asking, r.watcher, &keys[i])
			if ctx.Err() != nil {
				return
			}
			taken, err := r.saw(ctx, keys[i], seen)
			if d, typ := keys[i].Domain, keys[i].Type; taken && err == nil {
				err = r.generate(ctx, d, typ, func() bool { return r.of(d, typ, Announced) == nil })
				r.wake()
			}
			if err != nil && ctx.Err() == nil { // an end in between is no trouble: it is looked at again
				r.log.Error("what was seen of DKIM keys cannot be written down", "err", err)
			}
		})
	}
	looks.Wait()
	looked := make(map[string]bool, len(keys))
	for _, k := range keys {
		looked[k.Name()] = true
		r.due[k.Name()] = time.Time{} // unless it is still there
	}
	now := time.Now()
	for _, k := range r.Keys() {
		switch {
		case !looked[k.Name()] || !k.watched():
		case k.Phase == Announced:
			r.due[k.Name()] = now.Add(patience(now.Sub(k.Since)))
		default:
			r.due[k.Name()] = now.Add(lookLatest)
		}
	}
}

// watched reports whether anything depends on what the DNS shows of the key.
func (k *Key) watched() bool {
	return k.Phase == Announced || k.Phase == Signing || k.Phase == Retired
}

// patience is how long to wait before looking again for a record of this age.
func patience(age time.Duration) time.Duration {
	return min(max(age/10, lookSoonest), lookLatest)
}

func (r *Ring) wants(d domains.Name) bool { return slices.Contains(r.settings.Load().Domains, d) }

// Prepare makes the keys that are missing: the first of a domain, and the successor of
// one that has signed for long. Records that nobody needs any more go.
func (r *Ring) Prepare(ctx context.Context) error {
	if err := r.bury(ctx); err != nil {
		return err
	}
	s := r.settings.Load()
	for _, d := range s.Domains {
		for _, typ := range s.types() {
			if err := r.generate(ctx, d, typ, func() bool { return r.lacks(d, typ, s) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// bury takes away what nobody needs any more.
func (r *Ring) bury(ctx context.Context) error {
	s := r.settings.Load()
	return r.change(ctx, func() (changed bool, err error) {
		for _, k := range r.keys {
			// One of the names that stand for good is needed again, and shows another key then.
			over := k.Phase == Retired || k.Phase == Revoked && len(s.Selectors[k.Domain]) > 0
			if over && time.Since(k.Since) >= s.Keep {
				r.drop(k)
				r.log.Info("DKIM key is gone: its record may be taken away", "domain", k.Domain.String(), "selector", k.Selector)
				changed = true
			}
		}
		return changed, nil
	})
}

// drop ends a key's life.
func (r *Ring) drop(k *Key) {
	k.enter(Gone, time.Now())
	r.dropped = append(r.dropped, r.file(k))
}

// generate makes a key if one is needed, which takes long and keeps nobody waiting.
func (r *Ring) generate(ctx context.Context, d domains.Name, typ string, needed func() bool) error {
	ask := func() bool {
		r.mu.Lock()
		defer r.unlock()
		return needed() && r.newSelector(d, typ, time.Now()) != "" // where each is still needed: later
	}
	if ctx.Err() != nil || !ask() {
		return ctx.Err()
	}
	key, err := dkim.GenerateKey(typ)
	if err != nil {
		return err
	}
	_, err = r.announce(ctx, key, func() *Key {
		selector := r.newSelector(d, typ, time.Now())
		if selector == "" || !needed() { // an operator was faster, or another server
			return nil
		}
		return &Key{Domain: d, Selector: selector, Type: typ}
	})
	return err
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

// announce puts a new key on stable storage, if it is one still when all that is known is what holds now: as may say otherwise.
func (r *Ring) announce(ctx context.Context, key crypto.Signer, as func() *Key) (done bool, err error) {
	public, err := dkim.Record(key.Public())
	if err != nil {
		return false, err
	}
	text, err := dkim.FormatKey(key)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.unlock()
	for range attempts {
		if err := r.current(ctx); err != nil {
			return false, err
		}
		k := as()
		if k == nil {
			return false, nil
		}
		k.Phase, k.Since, k.Public = Announced, time.Now(), public
		r.keys = append(r.keys, k)
		err = r.write(ctx, cluster.Change{Name: r.file(k), Text: text, Anyway: true})
		if err == nil {
			r.log.Info("DKIM key announced", "domain", k.Domain.String(), "selector", k.Selector)
			return true, nil
		}
		r.keys = r.keys[:len(r.keys)-1]
		if !errors.Is(err, cluster.ErrChanged) {
			return false, err
		}
	}
	return false, err
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

// saw draws the conclusions of what was seen of a key's record. It reports whether the selector is taken, so
// that there must be another key.
func (r *Ring) saw(ctx context.Context, seenOf Key, s sight) (taken bool, err error) {
	err = r.change(ctx, func() (bool, error) {
		taken = false
		i := slices.IndexFunc(r.keys, func(k *Key) bool {
			return k.Domain == seenOf.Domain && k.Selector == seenOf.Selector && k.Public == seenOf.Public
		})
		if i < 0 || r.keys[i].Phase != seenOf.Phase {
			return false, nil // an operator was faster, or another server
		}
		var changed bool
		changed, taken = r.conclude(ctx, r.keys[i], s)
		return changed, nil
	})
	return taken, err
}

// conclude draws the conclusions for a key.
func (r *Ring) conclude(ctx context.Context, k *Key, s sight) (changed, taken bool) {
	now := time.Now()
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
		r.drop(k)
		taken = true
	case k.Phase == Announced && s.shown && now.Sub(k.Shown) >= r.settled(k, s):
		var err error
		if k.private, err = r.readPrivate(ctx, k); err != nil {
			k.Trouble = err.Error() // whatever signs now goes on
			break
		}
		r.promote(k, now)
	case k.Phase == Signing && s.hidden:
		r.fallBack(k, now)
	case k.Shown.Equal(shown) && k.Trouble == trouble:
		return false, false
	}
	r.use(ctx)
	return true, taken
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
