package preferences

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Store keeps the preferences of all accounts in a directory. Its methods may be called concurrently, and
// beside those of another process that removes or copies.
type Store struct {
	dir  string
	disk *durable.Disk

	changing sync.Mutex // while a file of preferences is written
	noting   sync.Mutex // while one of answers is

	mu     sync.Mutex
	held   map[domains.Address]held
	lately map[domains.Address]answer // of Lately
	turn   int                        // grows with each change, after which what was begun before is not remembered

	shared *shared // nil: this server is alone
}

// answer is what Of said, and when.
type answer struct {
	p   *Preferences
	err error
	at  time.Time
}

// held is what was read of a file, and which file it was.
type held struct {
	info fs.FileInfo
	p    *Preferences
	err  error
}

// Dir is where preferences are kept below the directory that holds all state.
func Dir(data string) string { return filepath.Join(data, "preferences") }

// Open opens the preferences in dir, which is made if it is not there.
func Open(ctx context.Context, dir string, disk *durable.Disk) (*Store, error) {
	if err := disk.MkdirAll(ctx, filepath.Dir(dir), dir); err != nil {
		return nil, fmt.Errorf("open preferences: %w", err)
	}
	return &Store{dir: dir, disk: disk, held: make(map[domains.Address]held)}, nil
}

// base is the path of an account's files without their ends. Addresses may hold a slash and be longer than names of files
// may; the file says whose it is.
func (s *Store) base(account domains.Address) string {
	sum := sha256.Sum256([]byte(account))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16]))
}

func (s *Store) file(account domains.Address) string { return s.base(account) + ".json" }

// Of returns what the user of an account has decided; nil: nothing. The account should be one that there is: what was read is
// remembered. An error says that it cannot be known now.
func (s *Store) Of(account domains.Address) (*Preferences, error) {
	name := s.file(account)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.held, account)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("preferences of %s: %w", account, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Each time one is written it is another file, under the same name.
	h, ok := s.held[account]
	if !ok || !os.SameFile(h.info, info) || h.info.Size() != info.Size() || !h.info.ModTime().Equal(info.ModTime()) {
		h = held{info: info}
		h.p, h.err = read(name, account)
		if errors.Is(h.err, fs.ErrNotExist) { // removed just now
			return nil, nil
		}
		s.held[account] = h
	}
	return h.p, h.err
}

// soonEnough is for how long mail may go by what was so.
const soonEnough = 100 * time.Millisecond

// Lately is Of for each message that comes: what was looked at less than a tenth of a second ago is not looked at again. So that
// long mail may go on by what another process has changed meanwhile; what was changed through s counts at once.
func (s *Store) Lately(account domains.Address) (*Preferences, error) {
	now := time.Now()
	s.mu.Lock()
	a, ok := s.lately[account]
	turn := s.turn
	s.mu.Unlock()
	if since := now.Sub(a.at); ok && since >= 0 && since < soonEnough {
		return a.p, a.err
	}
	a = answer{at: now}
	a.p, a.err = s.Of(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lately == nil {
		s.lately = make(map[domains.Address]answer)
	}
	if s.turn == turn {
		s.lately[account] = a
	}
	return a.p, a.err
}

// changed forgets what Lately remembers.
func (s *Store) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lately, s.turn = nil, s.turn+1
}

// Problems are the files that could not be read when they were asked for last, a sentence each.
func (s *Store) Problems() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for account, h := range s.held {
		if _, err := os.Stat(s.file(account)); h.err != nil && err == nil {
			all = append(all, h.err.Error()+": its user cannot log in, and nothing is forwarded for him")
		}
	}
	slices.Sort(all)
	return all
}

// read reads a file.
func read(name string, account domains.Address) (*Preferences, error) {
	var p Preferences
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err == nil && p.Account != account {
		err = fmt.Errorf("it is of %q", p.Account)
	}
	if err != nil {
		return nil, fmt.Errorf("preferences of %s: %s: %w", account, name, err)
	}
	return &p, nil
}

// Change changes what the user of an account has decided, as far as change returns nil. When it returns nil, that is on stable
// storage. What cannot be read is not overwritten.
func (s *Store) Change(ctx context.Context, account domains.Address, change func(*Preferences) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	defer s.changed()
	p, err := s.current(ctx, account)
	if errors.Is(err, fs.ErrNotExist) {
		p, err = &Preferences{Account: account, Key: make([]byte, 32)}, nil
		rand.Read(p.Key)
	}
	if err != nil {
		return err
	}
	if err := change(p); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	return s.write(ctx, p)
}

// write keeps preferences, for all servers before it does in this one's file. s.changing is held, and what was known was pulled.
func (s *Store) write(ctx context.Context, p *Preferences) error {
	data, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	if len(data) > fileOctets {
		return fmt.Errorf("that would be %d octets in all, and %d is the most", len(data), fileOctets)
	}
	return s.push(ctx, p.Account, data)
}

// Remove forgets all of an account.
func (s *Store) Remove(ctx context.Context, account domains.Address) error {
	if s.shared != nil {
		if err := s.forgetShared(ctx, account); err != nil {
			return fmt.Errorf("%w: %w", ErrAway, err)
		}
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	s.noting.Lock()
	defer s.noting.Unlock()
	defer s.changed()
	return s.end(ctx, account, false)
}

// retired is the end of a file that was put aside.
const retired = ".gone"

// Retire puts aside what is kept of accounts that are not among these, and returns how many they were: who gets an account of that name
// later is somebody else, whose mail is not to go where his predecessor had it go, and whom a telephone that was sold must not open. Of those
// others (nil: none) are asked as well whether they are theirs; a file that does not say whose it is may be.
func (s *Store) Retire(ctx context.Context, accounts iter.Seq[domains.Address], others func(domains.Address) bool) (n int, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	defer s.changed()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil || len(files) == 0 {
		return 0, err
	}
	gone := make(map[string]bool)
	for _, f := range files {
		gone[f] = true
	}
	for account := range accounts {
		delete(gone, s.file(account))
	}
	var steps []durable.Step
	for f := range gone {
		if others != nil {
			if account, err := whose(f); err != nil || others(account) {
				continue
			}
		}
		base := strings.TrimSuffix(f, ".json")
		if s.shared != nil {
			account, err := whose(f)
			if err != nil || s.file(account) != f {
				continue
			}
			if err := s.end(ctx, account, true); err != nil {
				return n, err
			}
			n++
			continue
		}
		if err := s.remove(ctx, base+retired); err != nil {
			return 0, err
		}
		steps = append(steps, durable.Rename(f, base+retired))
	}
	if len(steps) == 0 {
		return n, nil
	}
	if err := s.disk.Commit(ctx, &durable.Tx{Steps: steps}); err != nil {
		return 0, fmt.Errorf("put aside preferences: %w", err)
	}
	return len(steps), nil
}

// whose is the account that a file is of.
func whose(name string) (domains.Address, error) {
	var p struct {
		Account domains.Address `json:"account"`
	}
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	return p.Account, err
}

// Accounts are those whose users have decided something, as far as their files can be read.
func (s *Store) Accounts() (all []domains.Address, err error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	for _, f := range files {
		if account, err := whose(f); err == nil && account != "" && s.file(account) == f {
			all = append(all, account)
		}
	}
	return all, err
}

// remove removes files that are there.
func (s *Store) remove(ctx context.Context, names ...string) error {
	var steps []durable.Step
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			steps = append(steps, durable.Remove(name))
		}
	}
	if len(steps) == 0 {
		return nil
	}
	if err := s.disk.Commit(ctx, &durable.Tx{Steps: steps}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove preferences: %w", err)
	}
	return nil
}

// Copy gives one account's preferences to another, which is to take its place, instead of what that had; who was answered is not among them.
func (s *Store) Copy(ctx context.Context, from, to domains.Address) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	defer s.changed()
	p, err := s.current(ctx, from)
	if errors.Is(err, errRetired) || s.shared == nil && errors.Is(err, fs.ErrNotExist) { // it may have been retired meanwhile
		p, err = read(s.base(from)+retired, from)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := s.current(ctx, to); errors.Is(err, ErrAway) {
		return err
	}
	p.Account = to
	return s.write(ctx, p)
}

// Look gives what is kept in dir to whoever only asks Of it, beside a running server say.
func Look(dir string) *Store { return &Store{dir: dir, held: make(map[domains.Address]held)} }
