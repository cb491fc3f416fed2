package daemon

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/pop3"
)

// retention is how POP3 treats an account's messages: as the settings of POP3
// say, unless the account has its own.
func retention(d *accounts.Directory, account domains.Address, c conf.POP3) conf.POP3 {
	if a := d.Account(account); a != nil {
		c.Deletion = cmp.Or(a.Deletion, c.Deletion)
		c.Expire = cmp.Or(a.Expire, c.Expire)
	}
	return c
}

// policy is what POP3 tells before it knows the account: where accounts have
// their own retention, the least of all (RFC 2449 §6.7).
func policy(d *accounts.Directory, c conf.POP3) pop3.Policy {
	p := pop3.Policy{LoginDelay: c.LoginDelay, Expire: c.Expire}
	for _, a := range d.Accounts() {
		if a.Expire == 0 || a.Expire == c.Expire {
			continue
		}
		p.PerUser = true
		if p.Expire == 0 || a.Expire < p.Expire {
			p.Expire = a.Expire
		}
	}
	return p
}

// withSettings is a maildrop without a policy of its own, which the settings give it.
type withSettings struct {
	mailstore.Maildrop
	settings conf.POP3
}

// Open implements pop3.Drop.
func (t withSettings) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	return openMessage(ctx, t.Maildrop, i)
}

// Policy implements pop3.Expiring.
func (t withSettings) Policy() pop3.Policy {
	return pop3.Policy{Expire: t.settings.Expire, LoginDelay: t.settings.LoginDelay}
}

// UTF8 implements pop3.Internationalized.
func (t withSettings) UTF8(ctx context.Context, i int) bool {
	return t.settings.UTF8 && utf8Header(ctx, t.Maildrop, i)
}

// withPolicy gives a maildrop the deletion and retention that the settings
// ask for. Without any, maildrop and pop3.Drop are the same promises.
func withPolicy(ctx context.Context, box mailstore.Maildrop, c conf.POP3) (pop3.Drop, error) {
	if c.Deletion == conf.DeleteRemove && c.Expire == 0 {
		return withSettings{box, c}, nil
	}
	keeper, ok := box.(mailstore.Keeper)
	if !ok {
		box.Close()
		return nil, errors.New("this store can only remove messages: POP3.deletion and POP3.expire cannot be had")
	}
	d := &keptDrop{box: box, keeper: keeper, settings: c}
	if err := d.expire(ctx); err != nil {
		box.Close()
		return nil, err
	}
	return d, nil
}

// keptDrop is a maildrop some of whose messages POP3 does not see, or whose
// messages are not removed by DELE.
type keptDrop struct {
	box      mailstore.Maildrop
	keeper   mailstore.Keeper
	settings conf.POP3
	visible  []int // the session's messages, by their number in box
}

// expire removes what was retrieved (it has the flag S) and is old enough, and what
// has been in the trash for long enough, and lists what the session sees.
func (d *keptDrop) expire(ctx context.Context) error {
	var old []int
	for i := range d.box.Len() {
		flags := d.keeper.Flags(i)
		switch {
		case d.settings.Expire > 0 && strings.Contains(flags, "S") && time.Since(d.keeper.Received(i)) > d.settings.Expire:
			old = append(old, i)
		case d.settings.Deletion == conf.DeleteTrash && strings.Contains(flags, "T"):
			if d.overdue(i) {
				old = append(old, i)
			}
		default:
			d.visible = append(d.visible, i)
		}
	}
	if len(old) == 0 {
		return nil
	}
	return d.box.Remove(ctx, old)
}

// overdue reports whether a message in the trash has been there for long enough. One
// of a store that does not know since when stays.
func (d *keptDrop) overdue(i int) bool {
	trash, ok := d.keeper.(mailstore.Trash)
	if !ok || d.settings.TrashKeep == 0 {
		return false
	}
	since := trash.Changed(i)
	return !since.IsZero() && time.Since(since) > d.settings.TrashKeep
}

// Len implements pop3.Drop.
func (d *keptDrop) Len() int { return len(d.visible) }

// Size implements pop3.Drop.
func (d *keptDrop) Size(i int) int64 { return d.box.Size(d.visible[i]) }

// UID implements pop3.Drop.
func (d *keptDrop) UID(i int) string { return d.box.UID(d.visible[i]) }

// Open implements pop3.Drop.
func (d *keptDrop) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	return openMessage(ctx, d.box, d.visible[i])
}

// UTF8 implements pop3.Internationalized.
func (d *keptDrop) UTF8(ctx context.Context, i int) bool {
	return d.settings.UTF8 && utf8Header(ctx, d.box, d.visible[i])
}

// Policy implements pop3.Expiring.
func (d *keptDrop) Policy() pop3.Policy {
	return pop3.Policy{Expire: d.settings.Expire, LoginDelay: d.settings.LoginDelay}
}

// Close implements pop3.Drop.
func (d *keptDrop) Close() error { return d.box.Close() }

// Retrieved implements pop3.Retriever: retention counts only what the user has
// got.
func (d *keptDrop) Retrieved(ctx context.Context, is []int) error {
	if d.settings.Expire == 0 {
		return nil
	}
	return d.keeper.Flag(ctx, d.in(is), "S")
}

// Remove implements pop3.Drop.
func (d *keptDrop) Remove(ctx context.Context, is []int) error {
	switch d.settings.Deletion {
	case conf.DeleteTrash:
		return d.keeper.Flag(ctx, d.in(is), "T")
	case conf.DeleteMove:
		return d.keeper.Move(ctx, d.in(is), d.settings.DeletionFolder)
	}
	return d.box.Remove(ctx, d.in(is))
}

// in gives the numbers in box.
func (d *keptDrop) in(is []int) []int {
	out := make([]int, len(is))
	for k, i := range is {
		out[k] = d.visible[i]
	}
	return out
}
