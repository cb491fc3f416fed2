package preferences

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Servers that have documents together have a document for each account. The files stay what is looked at: they are copies, which Follow
// brings up to date about once a second, so that no login and no message asks a database. A change is made to the document first, from the version that it
// was made of, and to the copy then. Where nothing is decided any more the document says so, instead of being taken away: else a server
// that was off meanwhile would bring back what it has.

// ErrAway: what users decide can be neither asked for nor changed now.
var ErrAway = errors.New("what users decide cannot be changed now, as the servers' database does not answer")

// errRetired: there is nothing any more, as it was put aside.
var errRetired = fmt.Errorf("it was put aside: %w", fs.ErrNotExist)

// ErrElsewhere: another server has changed it at the same time.
var ErrElsewhere = errors.New("it was changed at another server at this moment: look at what is there now, and try again")

// shared is what a store has together with those of other servers. Store.changing guards it.
type shared struct {
	docs   cluster.Documents
	heard  func(account domains.Address)
	known  map[domains.Address]cluster.Version // of which the files are copies
	untold map[domains.Address]bool            // of which heard is still to be told
	mark   cluster.Mark
	joined bool      // the files of before are with the others
	away   time.Time // until when nobody is asked because of a login
	since  time.Time // when asked was none
	asked  int       // because of logins
}

const (
	documents = "preferences/"
	// patience is how long a database is waited for, and awayFor how long no login asks it after that was in vain.
	patience = 3 * time.Second
	awayFor  = 10 * time.Second
	// askedAtMost is how often a second logins ask: whoever tries one wrong password again and again is not slowed down otherwise, and has others
	// wait a second at most, until Follow knows.
	askedAtMost = 100
)

// Share has the store have what it keeps together with other servers. heard is called with each account that another server has changed
// something for, from Follow. Call it before anything else, and Follow now and then.
func (s *Store) Share(docs cluster.Documents, heard func(account domains.Address)) {
	s.shared = &shared{docs: docs, heard: heard, known: make(map[domains.Address]cluster.Version), untold: make(map[domains.Address]bool)}
}

// document is what is kept of an account that was put aside, beside what Preferences are.
type document struct {
	Preferences
	Retired bool `json:"retired,omitempty"`
}

// pull brings the file of an account up to date, and returns the document where it is not of a version that is known. s.changing is held.
func (s *Store) pull(ctx context.Context, account domains.Address, known cluster.Version) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, v, err := s.shared.docs.Get(within, documents+account.String(), known)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	case v == "":
		return s.adopt(ctx, account)
	case text == nil:
		return nil, nil
	}
	if err := s.copy(ctx, account, text); err != nil {
		return nil, err
	}
	if s.shared.known[account] != v {
		s.shared.untold[account] = true
	}
	s.shared.known[account] = v
	return text, nil
}

// adopt makes what this server has had for itself that of all, where nobody has anything.
func (s *Store) adopt(ctx context.Context, account domains.Address) ([]byte, error) {
	delete(s.shared.known, account)
	p, err := read(s.file(account), account)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return nil, err
	}
	return text, s.push(ctx, account, text)
}

// current is what the user of an account has decided as it is now, of all servers; the file may be written by another process at this
// moment. It is fs.ErrNotExist where there is nothing. s.changing is held.
func (s *Store) current(ctx context.Context, account domains.Address) (*Preferences, error) {
	if s.shared == nil {
		return read(s.file(account), account)
	}
	text, err := s.pull(ctx, account, "")
	if err != nil {
		return nil, err
	}
	var d document
	if text != nil {
		err = json.Unmarshal(text, &d)
	}
	switch {
	case err == nil && d.Retired:
		err = errRetired
	case err == nil && d.empty():
		err = fs.ErrNotExist
	}
	return &d.Preferences, err
}

// copy makes the file what a document is, or what would be one of a server that is alone.
func (s *Store) copy(ctx context.Context, account domains.Address, text []byte) error {
	var d document
	err := json.Unmarshal(text, &d)
	if err == nil && d.Account != account {
		err = fmt.Errorf("it is of %q", d.Account)
	}
	switch {
	case err != nil:
		return fmt.Errorf("preferences of %s: %w", account, err)
	case d.Retired:
		return s.putAside(ctx, account)
	case d.empty() && d.Key == nil: // it was forgotten (end), and so is what was put aside before
		return s.remove(ctx, s.file(account), s.answers(account), s.base(account)+retired)
	case d.empty():
		return s.remove(ctx, s.file(account))
	}
	if is, err := os.ReadFile(s.file(account)); err == nil && bytes.Equal(is, text) && s.disk.Err() == nil { // else it may not be there for good
		return nil
	}
	if err := s.disk.ReplaceFile(ctx, s.file(account), text); err != nil {
		return fmt.Errorf("keep preferences of %s: %w", account, err)
	}
	return nil
}

// putAside puts an account's file aside, if there is one.
func (s *Store) putAside(ctx context.Context, account domains.Address) error {
	if _, err := os.Lstat(s.file(account)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.remove(ctx, s.base(account)+retired); err != nil {
		return err
	}
	return s.disk.Commit(ctx, &durable.Tx{Steps: []durable.Step{durable.Rename(s.file(account), s.base(account)+retired)}})
}

// push makes text the document of an account, if that is still the one that was pulled, and then has the file follow.
func (s *Store) push(ctx context.Context, account domains.Address, text []byte) error {
	if s.shared == nil {
		return s.copy(ctx, account, text)
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now, err := s.shared.docs.Put(within, cluster.Change{Name: documents + account.String(), Text: text, Was: s.shared.known[account]})
	switch {
	case errors.Is(err, cluster.ErrChanged):
		return ErrElsewhere
	case err != nil:
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if err := s.copy(ctx, account, text); err != nil { // the next pull does it
		return err
	}
	s.shared.known[account] = now[0]
	return nil
}

// end has an account have nothing: it was forgotten, or put aside.
func (s *Store) end(ctx context.Context, account domains.Address, retired bool) error {
	text, err := json.Marshal(document{Preferences{Account: account}, retired})
	if err != nil {
		return err
	}
	if s.shared == nil {
		return s.copy(ctx, account, text)
	}
	switch _, err := s.current(ctx, account); {
	case errors.Is(err, ErrAway), errors.Is(err, ErrElsewhere):
		return err
	case errors.Is(err, errRetired) && !retired: // other servers have it put aside
	case err != nil: // there is nothing, or nothing that can be read
		return s.copy(ctx, account, text)
	}
	return s.push(ctx, account, text)
}

// Anew asks whether another server has changed something for an account, for a login that is to be refused otherwise, and takes it up.
func (s *Store) Anew(ctx context.Context, account domains.Address) (changed bool) {
	if name := account.String(); s.shared == nil || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return false // no database takes such a name, which is nobody's: its refusal says nothing of whether it is away
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	now := time.Now()
	if now.Before(s.shared.away) {
		return false
	}
	if d := now.Sub(s.shared.since); d < 0 || d >= time.Second {
		s.shared.since, s.shared.asked = now, 0
	}
	if s.shared.asked++; s.shared.asked > askedAtMost {
		return false
	}
	before := s.shared.known[account]
	if _, err := s.pull(ctx, account, before); err != nil {
		if ctx.Err() == nil {
			s.shared.away = time.Now().Add(awayFor)
		}
		return false
	}
	if s.shared.known[account] == before {
		return false
	}
	s.changed()
	return true
}

// Follow takes up what other servers have changed, and brings along what this one has had for itself where they have nothing. It is for one
// caller at a time.
func (s *Store) Follow(ctx context.Context) error {
	if s.shared == nil {
		return nil
	}
	defer s.tell()
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, mark, err := s.shared.docs.Changed(within, documents, s.shared.mark)
	if err != nil {
		return err
	}
	for name := range maps.Keys(all) {
		err = errors.Join(err, s.hear(ctx, domains.Address(strings.TrimPrefix(name, documents)), all[name]))
	}
	if err != nil {
		return err
	}
	s.shared.mark = mark
	if s.shared.joined {
		return nil
	}
	own, err := s.Accounts()
	for _, account := range own {
		if _, theirs := all[documents+account.String()]; !theirs {
			err = errors.Join(err, s.hear(ctx, account, "?"))
		}
	}
	s.shared.joined = err == nil
	return err
}

// hear pulls what has another version than the one that is known.
func (s *Store) hear(ctx context.Context, account domains.Address, v cluster.Version) error {
	s.changing.Lock()
	before := s.shared.known[account]
	if before == v {
		s.changing.Unlock()
		return nil
	}
	_, err := s.pull(ctx, account, before)
	s.changed()
	s.changing.Unlock()
	s.tell()
	return err
}

// tell has heard of what was taken up from other servers, also by a login or a change that came before Follow: else whoever is in by a password
// that opens nothing any more stayed in.
func (s *Store) tell() {
	s.changing.Lock()
	all := s.shared.untold
	s.shared.untold = make(map[domains.Address]bool)
	s.changing.Unlock()
	for account := range all {
		if s.shared.heard != nil {
			s.shared.heard(account)
		}
	}
}
