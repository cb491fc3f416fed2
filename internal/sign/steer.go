package sign

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// Rotate announces a successor of the keys that sign for a domain.
func (r *Ring) Rotate(ctx context.Context, d domains.Name) error {
	if !r.wants(d) {
		return fmt.Errorf("%s is no domain whose mail is signed here", d)
	}
	defer r.wake()
	for _, typ := range r.settings.Load().types() {
		if err := r.mayAnnounce(d, typ); err != nil {
			return err
		}
		if err := r.generate(ctx, d, typ, func() bool { return r.of(d, typ, Announced) == nil }); err != nil {
			return err
		}
	}
	return nil
}

// mayAnnounce says why a domain gets no further key now.
func (r *Ring) mayAnnounce(d domains.Name, typ string) error {
	r.mu.Lock()
	defer r.unlock()
	if err := r.current(context.Background()); err != nil {
		return err
	}
	if k := r.of(d, typ, Announced); k != nil {
		return fmt.Errorf("%s of %s is announced already; it signs when the DNS shows it", k.Selector, d)
	}
	if r.newSelector(d, typ, time.Now()) == "" {
		return fmt.Errorf("each selector of %s is still needed; there must be a further one in dkim_selectors, or time must pass", d)
	}
	return nil
}

// selectorName is what a selector may look like: labels of letters, digits and hyphens.
var selectorName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// Import takes over a key that another server has signed with, under the selector that
// the DNS shows it at. It signs as soon as that is seen.
func (r *Ring) Import(ctx context.Context, d domains.Name, selector string, key crypto.Signer) error {
	if !r.wants(d) {
		return fmt.Errorf("%s is no domain whose mail is signed here", d)
	}
	if !selectorName.MatchString(selector) || len(selector) > 100 {
		return fmt.Errorf("%q cannot be a selector", selector)
	}
	public, err := dkim.Record(key.Public())
	if err != nil {
		return err
	}
	parsed, err := dkim.ParseKey(public)
	if err != nil {
		return err
	}
	defer r.wake()
	var had error
	done, err := r.announce(ctx, key, func() *Key {
		for _, k := range r.keys {
			if k.Domain == d && k.Selector == selector {
				had = fmt.Errorf("%s has had a key with the selector %s (%s)", d, selector, k.Phase)
				return nil
			}
		}
		return &Key{Domain: d, Selector: selector, Type: parsed.Type, Imported: true}
	})
	if err != nil || !done {
		return errors.Join(err, had)
	}
	// What was announced of this type before and never signed is not needed beside it.
	return r.change(ctx, func() (bool, error) {
		for _, before := range slices.Backward(r.keys) {
			if before.Domain == d && before.Type == parsed.Type && before.Phase == Announced && before.Selector != selector {
				if !before.Shown.IsZero() {
					return false, nil
				}
				r.drop(before)
				return true, nil
			}
		}
		return false, nil
	})
}

// ErrNoKey: there is no such key.
var ErrNoKey = errors.New("there is no such key")

// Revoke takes a key out of use at once, because others may have it: its record is to
// say so (RFC 6376 §3.6.1), and a new one is announced if it signed.
func (r *Ring) Revoke(ctx context.Context, d domains.Name, selector string) error {
	defer r.wake()
	return r.change(ctx, func() (bool, error) {
		for _, k := range slices.Backward(r.keys) { // a name that stands for good has had others before
			if k.Domain != d || k.Selector != selector {
				continue
			}
			if k.Phase == Gone {
				return false, fmt.Errorf("%s of %s: %w any more", selector, d, ErrNoKey)
			}
			k.enter(Revoked, time.Now())
			r.use(ctx)
			r.log.Warn("DKIM key revoked by command", "domain", d.String(), "selector", selector)
			return true, nil
		}
		return false, fmt.Errorf("%s of %s: %w", selector, d, ErrNoKey)
	})
}
