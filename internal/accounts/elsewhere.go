package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Elsewhere are the places that know accounts which do not stand in the settings. It may be used concurrently, and nil is one
// that knows nobody.
type Elsewhere struct {
	places []*place
	rights *rights
	tokens *tokens       // nil: none are taken
	certs  *certificates // nil: none are asked for
}

// Known is an account that somebody else keeps.
type Known struct {
	Address  domains.Address
	Place    string         // who keeps it, as the log has it
	Quota    conf.Quota     // 0: nothing is said
	Answer   string         // what was said of it, for people
	Nets     []netip.Prefix // where it may be logged in to from; nil: anywhere
	Disabled bool           // nobody can log in
	Closed   bool           // nobody can with a password
	Problem  error          // why nobody can, though somebody should

	stored string // the hash of its password; empty: its place checks passwords
	dn     string
	at     *place
}

// keeper is what a place can be asked.
type keeper interface {
	// find returns the account of an address, which may be called otherwise than it was asked for; nil if there is none. An error
	// says that it cannot be found out.
	find(ctx context.Context, address domains.Address) (*Known, error)
	// check finds out whether a password is an account's that has no hash: nil, sasl.ErrDenied, or what kept it from finding out.
	check(ctx context.Context, k *Known, password []byte) error
	// pretend takes as long for a name that nobody has. like is the hash whose cost is to be imitated; if it is not
	// empty, nothing else is to be done.
	pretend(ctx context.Context, password []byte) (like string, err error)
	// question is what is asked about an address, for people.
	question(address domains.Address) string
	// try finds out whether it is there, and says what there is.
	try(ctx context.Context) (string, error)
	// away reports whether an error is that of a place which is away.
	away(err error) bool
	close()
}

// OpenElsewhere makes the places that settings name. Those of old (nil: there is none) whose settings are the same go on, with what they
// remember and their connections.
func OpenElsewhere(s *conf.Settings, old *Elsewhere, log *slog.Logger) (*Elsewhere, error) {
	e := &Elsewhere{rights: &rights{}}
	if old != nil {
		e.rights = old.rights
	}
	e.rights.keepFor(s.Elsewhere.CacheTime)
	for i := range s.Elsewhere.PasswdFiles {
		c := s.Elsewhere.PasswdFiles[i]
		e.add(old, "passwd-file "+c.File, c, c.Domains, c.PasswordPage, 0, log, func() (keeper, error) { return newFileKeeper(c), nil })
	}
	var problems []error
	for i := range s.Elsewhere.LDAP {
		c := s.Elsewhere.LDAP[i]
		err := e.add(old, "LDAP "+c.URL, c, c.Domains, c.PasswordPage, s.Elsewhere.CacheTime, log, func() (keeper, error) { return newLDAPKeeper(c) })
		problems = append(problems, err)
	}
	var err error
	if e.tokens, err = openTokens(s, old, log); err != nil {
		problems = append(problems, err)
	}
	if e.certs, err = openCertificates(s); err != nil {
		problems = append(problems, err)
	}
	return e, errors.Join(problems...)
}

// add adds a place, which is one of old's where that has the same settings.
func (e *Elsewhere) add(old *Elsewhere, name string, settings any, at []string, page string, lasts time.Duration, log *slog.Logger, open func() (keeper, error)) error {
	if old != nil {
		for _, p := range old.places {
			if reflect.DeepEqual(p.settings, settings) && p.lasts == lasts {
				e.places = append(e.places, p)
				return nil
			}
		}
	}
	k, err := open()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, fast := k.(*fileKeeper)
	p := &place{fast: fast, name: name, page: page, settings: settings, keeper: k, lasts: lasts, domains: make(map[domains.Name]bool), log: log, known: make(map[domains.Address]said), complained: make(map[domains.Address]time.Time)}
	for _, d := range at {
		p.domains[domains.Canonical(d)] = true
	}
	e.places = append(e.places, p)
	return nil
}

// CloseBut ends what another one, its successor, has not taken over; nil: all of it.
func (e *Elsewhere) CloseBut(next *Elsewhere) {
	if e == nil {
		return
	}
	for _, p := range e.places {
		if next == nil || !slices.Contains(next.places, p) {
			p.keeper.close()
		}
	}
}

// Knows reports whether accounts of a domain may stand elsewhere.
func (e *Elsewhere) Knows(domain domains.Name) bool {
	return e != nil && slices.ContainsFunc(e.places, func(p *place) bool { return p.domains[domain] })
}

// domains are those that accounts may be of.
func (e *Elsewhere) domains() map[domains.Name]bool {
	all := make(map[domains.Name]bool)
	if e != nil {
		for _, p := range e.places {
			maps.Copy(all, p.domains)
		}
	}
	return all
}

// Find returns the account of an address, from the first place that has one; nil if nobody does. An error says that it cannot be found out now: a
// place that comes before is away.
func (e *Elsewhere) Find(ctx context.Context, address domains.Address) (*Known, error) {
	if e == nil {
		return nil, nil
	}
	for _, p := range e.places {
		if !p.domains[address.Domain()] {
			continue
		}
		k, err := p.find(ctx, address)
		if k != nil || err != nil {
			return k, err
		}
	}
	return nil, nil
}

// Lately is what was known of an address lately, without a question; nil: nothing.
func (e *Elsewhere) Lately(address domains.Address) *Known {
	if e == nil {
		return nil
	}
	for _, p := range e.places {
		if k, _ := p.lately(address); k != nil {
			return k
		}
	}
	return nil
}

// List are the accounts that places list, in no order: those of passwd-files. Directories are asked about one at a time.
func (e *Elsewhere) List() (all []*Known, err error) {
	if e == nil {
		return nil, nil
	}
	seen := make(map[domains.Address]bool)
	var problems []error
	for _, p := range e.places {
		files, ok := p.keeper.(*fileKeeper)
		if !ok {
			continue
		}
		entries, err := files.file.All()
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", p.name, err))
		}
		for i := range entries {
			if k := knownOf(&entries[i]); p.domains[k.Address.Domain()] && !seen[k.Address] {
				seen[k.Address] = true
				k.Place, k.at = p.name, p
				all = append(all, k)
			}
		}
	}
	return all, errors.Join(problems...)
}

// PasswordOf reports whether an account that is not of the settings has its password elsewhere, and at which page it is changed ("": nobody
// knows).
func (e *Elsewhere) PasswordOf(account domains.Address) (page string, is bool) {
	if e != nil {
		if k := e.Lately(account); k != nil {
			return k.at.page, true
		}
	}
	return "", e.Knows(account.Domain())
}

// Directory is the first directory that may know an address; empty if none does.
func (e *Elsewhere) Directory(domain domains.Name) string {
	if e != nil {
		for _, p := range e.places {
			if !p.fast && p.domains[domain] {
				return p.name
			}
		}
	}
	return ""
}

// Stored is the hash of its password, where whoever keeps it has told it; empty: he checks passwords himself.
func (k *Known) Stored() string { return k.stored }

// Scheme names how the password of an account is stored, for a list: "" where whoever keeps it does not say.
func (k *Known) Scheme() string {
	switch {
	case k.Disabled:
		return "disabled"
	case k.stored != "":
		return passwd.Kind(k.stored)
	case k.Closed:
		return "none"
	}
	return ""
}

// seen is what is known of a name without a question to a directory, from the first place that knows somebody. asked is false where a directory that comes
// before has not been asked about it: it may be there.
func (e *Elsewhere) seen(name domains.Address) (k *Known, asked bool) {
	if e == nil {
		return nil, true
	}
	for _, p := range e.places {
		if !p.domains[name.Domain()] {
			continue
		}
		if k, asked = p.lately(name); p.fast {
			var err error
			if k, err = p.find(context.Background(), name); err != nil {
				return nil, false
			}
		} else if !asked {
			return nil, false
		}
		if k != nil {
			return k, true
		}
	}
	return nil, true
}

// mayBe reports whether an account, which was found by a name, is not known to be gone, closed or somebody else's, without a question to a directory.
func (e *Elsewhere) mayBe(account, name domains.Address) bool {
	if !e.Knows(name.Domain()) {
		return false
	}
	k, asked := e.seen(name)
	return !asked || k != nil && !k.Disabled && k.Address == account
}

// mayHave reports whether the account of a name is not known to have another password than that of a stamp; "" is one that only a directory
// knows.
func (e *Elsewhere) mayHave(name domains.Address, password string) bool {
	if password == "" {
		return true
	}
	for _, p := range e.places {
		if !p.fast || !p.domains[name.Domain()] {
			continue
		}
		if k, err := p.find(context.Background(), name); k != nil || err != nil {
			return err != nil || stamp(k.stored) == password
		}
	}
	return false
}

// Asked is what a place said to a question, for people.
type Asked struct {
	Place    string `json:"place"`
	Question string `json:"question"`
	Answer   string `json:"answer"`
	Known    *Known `json:"-"`
	Problem  error  `json:"-"`
}

// Ask asks every place that may know an address, one after the other, and has each say what it knows.
func (e *Elsewhere) Ask(ctx context.Context, address domains.Address) (all []Asked) {
	if e == nil {
		return nil
	}
	for _, p := range e.places {
		if !p.domains[address.Domain()] {
			continue
		}
		a := Asked{Place: p.name, Question: p.keeper.question(address)}
		a.Known, a.Problem = p.find(ctx, address)
		switch {
		case a.Problem != nil:
			a.Answer = a.Problem.Error()
		case a.Known == nil:
			a.Answer = "nobody"
		default:
			a.Answer = a.Known.Answer
		}
		all = append(all, a)
	}
	return all
}

// Standing is how a place is.
type Standing struct {
	Place   string    `json:"place"`
	Away    bool      `json:"away"`
	Since   time.Time `json:"since,omitzero"`    // that it is away
	Problem string    `json:"problem,omitempty"` // what went wrong last
	Asked   int64     `json:"asked"`             // questions
	Failed  int64     `json:"failed"`            // those that it did not answer
}

// Standing is how all of them are, in the order of the settings.
func (e *Elsewhere) Standing() []Standing {
	all := []Standing{}
	if e == nil {
		return all
	}
	for _, p := range e.places {
		all = append(all, p.health.standing(p.name))
	}
	if e.tokens != nil {
		all = append(all, e.tokens.health.standing(e.tokens.name))
	}
	return all
}

// Try asks every place whether it is there. It returns what there is, and what is not as it should be.
func (e *Elsewhere) Try(ctx context.Context) (found []string, problems []error) {
	for _, p := range e.places {
		what, err := p.keeper.try(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", p.name, err))
		}
		if what != "" {
			found = append(found, p.name+": "+what)
		}
	}
	if e.tokens != nil {
		what, err := e.tokens.provider.Try(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", e.tokens.name, err))
		} else {
			found = append(found, e.tokens.name+": "+what)
		}
	}
	return found, problems
}
