package selfservice

import (
	"context"
	"errors"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// What users decide at their pages about a sealed mailbox: each password is wrapped anew before it counts, and goes when it does no more.

// keysOf opens the keys of a mailbox by a password that was proven; nil: it has none.
func (o *Service) keysOf(ctx context.Context, who, password string) (*sealedmail.Unlocked, error) {
	box, err := o.MailKeys.Of(who)
	if err != nil || box == nil {
		return nil, err
	}
	keys, err := o.Turns.Unlock(ctx, box.Keyring, []byte(password))
	if errors.Is(err, sealedmail.ErrPassword) {
		err = &user.Refused{Why: "the password is right, but the mail of this sealed mailbox was not sealed with it: the administrator can set another with the recovery key"}
	}
	return keys, err
}

// rewrap has a new password open the keys of a sealed mailbox, beside the old one until settle.
func (o *Service) rewrap(ctx context.Context, who, old, new string) (settle func(context.Context) error, err error) {
	keys, err := o.keysOf(ctx, who, old)
	if err != nil {
		return nil, err
	}
	if keys == nil {
		return func(context.Context) error { return nil }, nil
	}
	defer keys.Forget()
	// Before it opens anything: one that is refused must not open the mail, and nobody is to collect them.
	if err := errors.Join(accounts.Usable([]byte(new)), accounts.Strong([]byte(new), domains.Address(who))); err != nil {
		return nil, refusedAs("new", err)
	}
	id, err := o.MailKeys.Begin(ctx, who, keys, []byte(new))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		o.dropApps(ctx, who)
		return o.MailKeys.Settle(ctx, who, id)
	}, nil
}

// wrapApp has an app password open the keys of a sealed mailbox.
func (o *Service) wrapApp(ctx context.Context, who, password, id, app string) error {
	keys, err := o.keysOf(ctx, who, password)
	if err != nil || keys == nil {
		return err
	}
	defer keys.Forget()
	return o.MailKeys.Change(ctx, who, func(b *mailkeys.Box) error {
		if b.Keyring == nil {
			return mailkeys.ErrNone
		}
		return b.Keyring.AddApp(keys, id, []byte(app))
	})
}

// dropApps takes those app passwords away from the keys of a sealed mailbox that are none any more. They open nothing without a login, so
// that it may wait for the next time.
func (o *Service) dropApps(ctx context.Context, who string) {
	box, err := o.MailKeys.Of(who)
	if err != nil || box == nil {
		return
	}
	p, err := o.Preferences.Of(domains.Address(who))
	if err == nil {
		err = o.MailKeys.Change(ctx, who, func(b *mailkeys.Box) error {
			if b.Keyring == nil {
				return mailkeys.ErrNone
			}
			return b.Keyring.RemoveApps(func(id string) bool { return !p.Has(id, time.Now()) })
		})
	}
	if err != nil {
		o.Log.Warn("an app password that was revoked is still among the keys of a sealed mailbox", "user", who, "err", err)
	}
}
