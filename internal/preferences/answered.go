package preferences

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/postrider-mail/postrider/internal/cluster"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Once is how long somebody who was answered is not answered again (RFC 3834 §2).
const Once = 7 * 24 * time.Hour

// Bounds of the answers of one account: so many in a day, and so many senders remembered.
const (
	answersADay   = 100
	sendersAtMost = 2000
)

// Answer is whether somebody is to be answered.
type Answer int

const (
	First    Answer = iota // he is
	Again                  // he was, not long ago
	TooMany                // too many others were
	answered               // how many there are
)

// String says so in a word for the log.
func (a Answer) String() string {
	return [answered]string{"first", "answered already", "too many answers"}[a]
}

// answers is the file of who was answered.
func (s *Store) answers(account domains.Address) string { return s.base(account) + ".answered" }

// answersFile is what stands in it. Senders are named by a hash: whoever may read the file learns nothing of who writes to the user.
type answersFile struct {
	Account domains.Address      `json:"account"`
	Senders map[string]time.Time `json:"senders"`
}

func senderKey(account, sender domains.Address) string {
	sum := sha256.Sum256([]byte(account.String() + "\n" + sender.String()))
	return hex.EncodeToString(sum[:12])
}

// Note decides whether a sender is to be answered for an account, and if so writes down that he was: that is on stable storage before
// the answer leaves, so that a crash makes one answer too few and never one too many.
func (s *Store) Note(ctx context.Context, account, sender domains.Address, now time.Time) (is Answer, err error) {
	err = s.changeAnswers(ctx, account, func(a *answersFile) bool {
		is = a.note(senderKey(account, sender), now)
		return is == First
	})
	if err != nil {
		return TooMany, err
	}
	return is, nil
}

// note decides about one sender.
func (a *answersFile) note(key string, now time.Time) Answer {
	today := 0
	for key, at := range a.Senders {
		switch {
		case now.Sub(at) >= Once, at.After(now.Add(time.Hour)): // the clock was set
			delete(a.Senders, key)
		case now.Sub(at) < 24*time.Hour:
			today++
		}
	}
	if _, was := a.Senders[key]; was {
		return Again
	}
	if today >= answersADay || len(a.Senders) >= sendersAtMost {
		return TooMany
	}
	a.Senders[key] = now.UTC().Truncate(time.Second)
	return First
}

// Unnote takes back that somebody was answered: the answer could not be sent.
func (s *Store) Unnote(ctx context.Context, account, sender domains.Address) error {
	return s.changeAnswers(ctx, account, func(a *answersFile) bool {
		delete(a.Senders, senderKey(account, sender))
		return true
	})
}

// Forget forgets who was answered for an account: what they are told now is something else.
func (s *Store) Forget(ctx context.Context, account domains.Address) error {
	if s.shared != nil {
		return s.forgetShared(ctx, account)
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	return s.remove(ctx, s.answers(account))
}

// changeAnswers changes who was answered, where change reports that there is something to keep. It may be called again, where another server was faster.
func (s *Store) changeAnswers(ctx context.Context, account domains.Address, change func(*answersFile) bool) error {
	s.noting.Lock()
	defer s.noting.Unlock()
	if s.shared != nil {
		return s.changeShared(ctx, account, change)
	}
	a, err := s.readAnswers(account)
	if err != nil || !change(a) {
		return err
	}
	return s.writeAnswers(ctx, account, a)
}

// Servers that have documents together have one of who was answered for each account as well. There is no copy of it: while it cannot be had
// nobody is answered. What a server has had for itself counts where there is none.
const answeredDocuments = "answered/"

func (s *Store) changeShared(ctx context.Context, account domains.Address, change func(*answersFile) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := cluster.Update(ctx, s.shared.docs, answeredDocuments+account.String(), func(text []byte) ([]byte, error) {
		a, err := &answersFile{Account: account, Senders: make(map[string]time.Time)}, error(nil)
		if text == nil {
			a, err = s.readAnswers(account)
		} else {
			err = json.Unmarshal(text, a)
		}
		if err != nil || !change(a) {
			return nil, err
		}
		return json.Marshal(a)
	})
	if err != nil {
		return fmt.Errorf("note who was answered for %s: %w", account, err)
	}
	return nil
}

// forgetShared leaves a document that says so: files of before are not asked again.
func (s *Store) forgetShared(ctx context.Context, account domains.Address) error {
	return s.changeAnswers(ctx, account, func(a *answersFile) bool {
		some := len(a.Senders) > 0
		clear(a.Senders)
		return some
	})
}

func (s *Store) readAnswers(account domains.Address) (*answersFile, error) {
	a := &answersFile{Account: account}
	data, err := os.ReadFile(s.answers(account))
	if err == nil {
		err = json.Unmarshal(data, a)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && a.Account != account {
		err = fmt.Errorf("it is of %q", a.Account)
	}
	if err != nil {
		return nil, fmt.Errorf("who was answered for %s: %w", account, err)
	}
	if a.Senders == nil {
		a.Senders = make(map[string]time.Time)
	}
	return a, nil
}

func (s *Store) writeAnswers(ctx context.Context, account domains.Address, a *answersFile) error {
	data, err := json.Marshal(a)
	if err == nil {
		err = s.disk.ReplaceFile(ctx, s.answers(account), data)
	}
	if err != nil {
		return fmt.Errorf("note who was answered for %s: %w", account, err)
	}
	return nil
}
