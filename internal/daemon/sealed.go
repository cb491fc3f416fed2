package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/sealed"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/pop3"
)

// keyTurns is how many mail keys are made of passwords at a time, 64 MiB each: only logins that were proven already ask for any.
const keyTurns = 4

// purgingStore is the store of sealed and other mailboxes, which can delete one as well.
type purgingStore struct {
	*sealed.Store
	purger
}

type purger interface {
	Purge(ctx context.Context, user string) error
}

// sealing puts around a store what seals.
func (d *Daemon) sealing(inner interface {
	mailstore.SealedStore
	purger
}) purgingStore {
	return purgingStore{sealed.New(inner, d.recipient, d.log), inner}
}

// recipient is the public key that mail of a mailbox is sealed to.
func (d *Daemon) recipient(user string) (string, error) {
	return d.mailKeys.Recipient(user, d.sealedTo(user))
}

// sealedTo is what the settings say of it.
func (d *Daemon) sealedTo(user string) string {
	if st := d.state(); st != nil {
		if a := st.dir.Account(domains.Address(user)); a != nil {
			return a.Sealed
		}
	}
	return ""
}

// keyProblems are the sealed mailboxes that take no mail, or cannot be opened.
func (d *Daemon) keyProblems() (all []string) {
	for _, err := range d.illKeys() {
		all = append(all, "mail is kept from a sealed mailbox: "+err.Error())
	}
	slices.Sort(all)
	return all
}

// illKeys are why sealed mailboxes take no mail.
func (d *Daemon) illKeys() map[domains.Address]error {
	ill := make(map[domains.Address]error)
	for name, a := range d.state().dir.Accounts() {
		// Also of those that the settings do not call sealed: the line may have been taken out by hand.
		if err := d.mailKeys.Problem(name.String(), a.Sealed); err != nil {
			ill[name] = err
		}
	}
	return ill
}

// keyNotices are when the postmaster was told of sealed mailboxes that take no mail. One goroutine uses it.
type keyNotices map[domains.Address]time.Time

const (
	// tellEvery is how often it is looked whether there is something to tell, keysToldEvery how often it is told of one mailbox.
	tellEvery     = time.Hour
	keysToldEvery = 24 * time.Hour
)

// tellOfKeys tells the postmaster each day of mailboxes whose keys cannot be used: their mail waits with its senders, who give up after some days. Their
// users hear of it when they log in; a mailbox that could be told would have to be written to in clear. There is nothing of the mail in it.
func (d *Daemon) tellOfKeys(ctx context.Context, told keyNotices, now time.Time) {
	ill := d.illKeys()
	maps.DeleteFunc(told, func(name domains.Address, _ time.Time) bool { return ill[name] == nil })
	for _, name := range slices.Sorted(maps.Keys(ill)) {
		if last, ok := told[name]; ok && now.Sub(last) < keysToldEvery {
			continue
		}
		told[name] = now
		d.log.Error("mail is kept from a sealed mailbox", "mailbox", name.String(), "err", ill[name])
		err := d.post.TellPostmaster(ctx, "Mail waits: the keys of a sealed mailbox cannot be used: "+name.String(),
			"Mail for "+name.String()+" is not taken, and waits with its senders until this is mended:", "",
			"    "+ill[name].Error(), "",
			"They try for some days, and then their mail comes back to them. This says more:", "",
			"    postrider user keys "+name.String(), "")
		if err != nil {
			d.log.Warn("a notice of a sealed mailbox cannot be sent", "mailbox", name.String(), "err", err)
		}
	}
}

// fetching are the credentials of POP3: a password that is right opens the mail of a sealed mailbox, too.
type fetching struct {
	accounts.Live
	d *Daemon
}

// Offers implements sasl.Credentials. A client takes the strongest mechanism that it is offered, and must not find that it cannot read its mail by
// that: while one mailbox is sealed, only those are offered that bring a password along. APOP is chosen by hand.
func (f fetching) Offers(kind sasl.Kind) bool {
	return f.Live.Offers(kind) && (kind == sasl.Password || kind == sasl.APOP || !f.d.state().anySealed)
}

// Verify implements sasl.Credentials.
func (f fetching) Verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	account, err := f.Live.Verify(ctx, authzid, user, password)
	if err == nil {
		sasl.PeerOf(ctx).Opened = f.d.openKey(ctx, account, password)
	}
	return account, err
}

// mailKey is what a login has opened of a sealed mailbox, or why not.
type mailKey struct {
	of   string // the account
	keys *sealedmail.Unlocked
	err  error
}

// openKey opens the keys of a mailbox by a password that was proven; nil: it has none.
func (d *Daemon) openKey(ctx context.Context, account string, password []byte) any {
	box, err := d.mailKeys.Of(account)
	if err != nil || box == nil {
		return nil // openMaildrop says so
	}
	k := &mailKey{of: account}
	p, err := d.preferences.Of(domains.Address(account))
	if app := p.Find(password, time.Now()); err == nil && app != nil {
		k.keys, k.err = box.Keyring.UnlockApp(app.ID, password)
	} else {
		k.keys, k.err = d.keyTurns.Unlock(ctx, box.Keyring, password)
	}
	return k
}

// The answers to who is who he says, and cannot be given his mail.
var (
	errSealed = &pop3.Error{Code: pop3.CodeAuth,
		Text: "this mailbox is sealed: log in with its password by USER and PASS, PLAIN or LOGIN, as no other way opens the mail"}
	errOtherPassword = &pop3.Error{Code: pop3.CodeAuth,
		Text: "the password is right, but the mail of this sealed mailbox was not sealed with it: it opens with the password before, or the recovery key"}
	errNoKeys = &pop3.Error{Code: pop3.CodeSysPerm, Text: "the keys of this sealed mailbox cannot be used, ask the administrator"}
)

// unlock has a session read its sealed mail, or says why it cannot: never is it shown a mailbox that looks empty.
func (d *Daemon) unlock(ctx context.Context, account string, box mailstore.Maildrop) error {
	keys, err := d.mailKeys.Of(account)
	if err == nil {
		err = d.mailKeys.Problem(account, d.sealedTo(account))
	}
	if err != nil {
		return withCause(errNoKeys, err)
	}
	if keys == nil || d.sealedTo(account) == "" && !holdsSealed(box) {
		return nil // a mailbox that was unsealed has keys, which nothing needs
	}
	opened, _ := sasl.PeerOf(ctx).Opened.(*mailKey)
	switch {
	case opened == nil || opened.of != account: // of another login of this session, which came to nothing
		return errSealed
	case errors.Is(opened.err, sealedmail.ErrPassword):
		return errOtherPassword
	case errors.Is(opened.err, sealedmail.ErrKeyring):
		return withCause(errNoKeys, opened.err)
	case opened.err != nil:
		return opened.err
	}
	if u, ok := box.(sealed.Unlocker); ok {
		u.Unlock(opened.keys)
	}
	return nil
}

// holdsSealed reports whether a message is sealed.
func holdsSealed(box mailstore.Maildrop) bool {
	u, ok := box.(sealed.Unlocker)
	if !ok {
		return false
	}
	for i := range u.Len() {
		if _, is := u.Sealed(i); is {
			return true
		}
	}
	return false
}

func withCause(e *pop3.Error, err error) error {
	return &pop3.Error{Code: e.Code, Text: e.Text, Err: err}
}

// openMessage opens a message, with words for one that cannot be.
func openMessage(ctx context.Context, box mailstore.Maildrop, i int) (io.ReadCloser, error) {
	r, err := box.Open(ctx, i)
	if w, ok := r.(pop3.Whole); ok && err == nil {
		return whole{r, w}, nil
	}
	return r, inWords(err)
}

// whole is a message that is known to be readable before it is sent.
type whole struct {
	io.ReadCloser
	is pop3.Whole
}

// Check implements pop3.Whole.
func (w whole) Check(ctx context.Context) error { return inWords(w.is.Check(ctx)) }

// inWords is why a message cannot be read, for its user.
func inWords(err error) error {
	switch {
	case errors.Is(err, mailstore.ErrDamaged): // the log has its name
		return &pop3.Error{Code: pop3.CodeSysPerm, Text: "this message is damaged, or is sealed to a key that is lost; ask the administrator"}
	case errors.Is(err, mailstore.ErrSealed):
		return &pop3.Error{Code: pop3.CodeSysPerm, Text: "this message is sealed, and this mailbox has no keys; ask the administrator", Err: err}
	}
	return err
}

// sealer seals what was in mailboxes before they were sealed, beside everything else.
type sealer struct {
	mu   sync.Mutex
	done map[string]looked // by mailbox
}

// forget has all mailboxes looked at again: after a reload one may have been unsealed and sealed anew.
func (s *sealer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.done)
}

// looked is when a mailbox was found to be sealed as a whole.
type looked struct {
	recipient string
	again     time.Time // when it is looked again: what was on its way at that moment, and what others put there, may be in clear
}

const (
	// sealEvery is how often it is looked whether there is something to seal.
	sealEvery = 5 * time.Second
	// sealSoon and sealLater are when a mailbox is looked at again after something was sealed there, and after nothing was.
	sealSoon, sealLater = time.Minute, time.Hour
	// sealFor is for how long a mailbox is locked at a time: who logs in waits that long.
	sealFor = 200 * time.Millisecond
)

// sealOld seals what is left to be sealed.
func (d *Daemon) sealOld(ctx context.Context) {
	for name, a := range d.state().dir.Accounts() {
		if a.Sealed != "" && ctx.Err() == nil {
			d.sealMailbox(ctx, name.String(), a.Sealed)
		}
	}
}

// sealMailbox seals what is in a mailbox and its folders. A mailbox that somebody has open is for later.
func (d *Daemon) sealMailbox(ctx context.Context, user, recipient string) {
	s := &d.sealer
	s.mu.Lock()
	last := s.done[user]
	s.mu.Unlock()
	if last.recipient == recipient && time.Now().Before(last.again) {
		return
	}
	if to, err := d.mailKeys.Recipient(user, recipient); err != nil || to != recipient {
		return // status has it
	}
	if box, err := d.mailKeys.Of(user); err != nil || box == nil || box.State == mailkeys.Leaving {
		return // it is being unsealed, and the settings do not know of it yet
	}
	if err := d.settleState(ctx, user); err != nil {
		d.log.Error("the keys of a sealed mailbox cannot be written", "mailbox", user, "err", err)
	}
	n, err := d.sealWhile(ctx, d.boxes, user, recipient)
	if n > 0 {
		d.log.Info("mail from before was sealed", "mailbox", user, "messages", n)
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, mailstore.ErrLocked), errors.Is(err, errLeft):
		return
	case err != nil:
		d.log.Error("mail from before cannot be sealed", "mailbox", user, "err", err)
		if !stays(err) {
			return // a full disk, say: again next time
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(map[string]looked)
	}
	next := sealLater
	if n > 0 || last.recipient != recipient || errors.Is(err, mailstore.ErrUnavailable) {
		next = sealSoon
	}
	s.done[user] = looked{recipient, time.Now().Add(next)}
}

// errLeft: a mailbox is not to be sealed any more.
var errLeft = errors.New("the mailbox is being unsealed")

// sealWhile seals what is in a mailbox and its folders, a little at a time, so that its user can log in between. Each time it asks anew whether it is to: who unseals
// it says so first, and would else be followed by who seals what he has opened, without end.
func (d *Daemon) sealWhile(ctx context.Context, boxes Boxes, user, recipient string) (int, error) {
	return convertMailbox(ctx, boxes, user, nil, func(m mailstore.SealedDrop, until time.Time) (int, bool, error) {
		box, err := d.mailKeys.Of(user)
		if err == nil && (box == nil || box.State == mailkeys.Leaving || d.sealedTo(user) != recipient) {
			err = errLeft
		}
		if err != nil {
			return 0, true, err
		}
		return sealed.SealDrop(ctx, m, recipient, until)
	})
}

// settleState writes down that a mailbox is sealed, where the command that was to do so was broken off.
func (d *Daemon) settleState(ctx context.Context, user string) error {
	box, err := d.mailKeys.Of(user)
	if err != nil || box == nil || box.State != mailkeys.Made {
		return err
	}
	return d.mailKeys.Change(ctx, user, func(b *mailkeys.Box) error {
		if b.State == mailkeys.Made {
			b.State = mailkeys.Sealed
		}
		return nil
	})
}

// UnsealMailbox opens what is in a mailbox and its folders, a little at a time, so that its user can log in between. It can be broken off
// at any moment, and begun again. progress (nil: nobody) hears how many messages were opened so far.
func UnsealMailbox(ctx context.Context, boxes Boxes, user string, keys *sealedmail.Unlocked, progress func(int)) (n int, err error) {
	return convertMailbox(ctx, boxes, user, progress, func(m mailstore.SealedDrop, until time.Time) (int, bool, error) {
		return sealed.UnsealDrop(ctx, m, keys, until)
	})
}

// converter gives messages of a maildrop their other form, until a moment.
type converter func(m mailstore.SealedDrop, until time.Time) (did int, done bool, err error)

func convertMailbox(ctx context.Context, boxes Boxes, user string, progress func(int), convert converter) (n int, first error) {
	folders, err := boxes.Folders(ctx, user)
	if err != nil {
		return 0, err
	}
	for _, folder := range append([]string{""}, folders...) {
		did, err := convertFolder(ctx, boxes, user, folder, func(did int) {
			if progress != nil {
				progress(n + did)
			}
		}, convert)
		if n += did; err != nil && folder != "" {
			err = fmt.Errorf("folder %s: %w", folder, err)
		}
		switch {
		case err == nil:
		case !stays(err) || errors.Is(err, errStuck):
			return n, err
		case first == nil:
			first = err
		}
	}
	return n, first
}

// errStuck: nothing goes on, by what would else be of single messages.
var errStuck = errors.New("no message can be converted")

func convertFolder(ctx context.Context, boxes Boxes, user, folder string, progress func(int), convert converter) (n int, first error) {
	for {
		did, done, err := convertSome(ctx, boxes, user, folder, convert)
		n += did
		progress(n)
		switch {
		case err == nil:
		case !stays(err):
			return n, err
		case did == 0 && !done:
			return n, errors.Join(errStuck, err)
		case first == nil:
			first = err
		}
		if done {
			return n, first
		}
		select { // its user's turn
		case <-time.After(sealFor / 4):
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// stays reports whether an error is of single messages, which stay as they are; the others do not wait for them.
func stays(err error) bool {
	return errors.Is(err, mailstore.ErrDamaged) || errors.Is(err, mailstore.ErrUnavailable)
}

func convertSome(ctx context.Context, boxes Boxes, user, folder string, convert converter) (did int, done bool, err error) {
	box, err := boxes.Drop(ctx, user, folder)
	if err != nil || box == nil {
		return 0, true, err
	}
	defer box.Close()
	return convert(box, time.Now().Add(sealFor))
}

// anySealed reports whether a mailbox of the accounts is sealed.
func anySealed(dir *accounts.Directory) bool {
	for a := range maps.Values(dir.Accounts()) {
		if a.Sealed != "" {
			return true
		}
	}
	return false
}
