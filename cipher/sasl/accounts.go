package sasl

import (
	"context"
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
)

// Stored is what is kept of one account for logins; what is empty is not kept.
type Stored struct {
	Account     string     // its name; empty means as it was asked for
	Password    string     // a hash, which Accounts.Check reads
	ScramSHA1   *ScramKeys // as MakeScram or ParseScram gives them
	ScramSHA256 *ScramKeys
	CRAM        []byte // as MakeCRAM gives it
	APOP        []byte // the shared secret itself
}

// has reports whether the account can be checked by this kind of secret.
func (s *Stored) has(kind Kind) bool {
	switch kind {
	case Password:
		return s.Password != "" || s.ScramSHA256 != nil
	case ScramSHA1:
		return s.ScramSHA1 != nil
	case ScramSHA256:
		return s.ScramSHA256 != nil
	case CRAMMD5:
		return len(s.CRAM) > 0
	case APOP:
		return len(s.APOP) > 0
	}
	return false
}

// secret is the Secret of the kind, empty if none is kept.
func (s *Stored) secret(kind Kind) Secret {
	switch kind {
	case ScramSHA1:
		return Secret{SCRAM: s.ScramSHA1}
	case ScramSHA256:
		return Secret{SCRAM: s.ScramSHA256}
	case CRAMMD5:
		return Secret{CRAM: s.CRAM}
	case APOP:
		return Secret{APOP: s.APOP}
	}
	return Secret{}
}

// Accounts are Credentials over what is stored: the part that must not tell who
// has an account is done here. They let nobody act as somebody else, and count
// no guesses. The fields must not change once they are used; they may be used
// concurrently, and must not be copied.
type Accounts struct {
	// Lookup finds what is stored for a name given at login; nil if there is no
	// such account. An error is a temporary failure.
	Lookup func(ctx context.Context, user string) (*Stored, error)
	// Kinds are the kinds of secret that every account keeps, and so the
	// mechanisms that can be offered. Nil means Password and ScramSHA256.
	Kinds []Kind
	// Check checks a password that was presented in clear against
	// Stored.Password: nil, ErrDenied, or what went wrong. For an account that
	// does not exist stored is empty, and Check must take as long and return
	// ErrDenied. passwd.Verifier's Login does all that. If Check is nil,
	// passwords are checked against ScramSHA256.
	Check func(ctx context.Context, account, stored string, password []byte) error
	// Decoy answers for accounts that do not exist; nil means a random one, whose
	// answers change when the server starts again. Its Iterations should be
	// those that accounts have.
	Decoy *Decoy

	once  sync.Once
	decoy *Decoy
}

// MapAccounts are Accounts of a map that does not change, by name in any case.
// They offer the kinds of secret that all of them keep; of APOP, that one does.
func MapAccounts(stored map[string]*Stored) *Accounts {
	byName := make(map[string]*Stored, len(stored))
	a := &Accounts{Kinds: []Kind{}, Decoy: &Decoy{}}
	for name, s := range stored {
		own := *s
		if own.Account == "" {
			own.Account = name
		}
		byName[strings.ToLower(name)] = &own
		if s.ScramSHA256 != nil {
			a.Decoy.Iterations = s.ScramSHA256.Iterations
		}
	}
	for kind := Password; kind <= APOP; kind++ {
		keep := 0
		for _, s := range byName {
			if s.has(kind) {
				keep++
			}
		}
		if keep > 0 && (keep == len(byName) || kind == APOP) {
			a.Kinds = append(a.Kinds, kind)
		}
	}
	a.Lookup = func(_ context.Context, user string) (*Stored, error) { return byName[strings.ToLower(user)], nil }
	return a
}

// find is Lookup; what there is of nobody is a decoy's.
func (a *Accounts) find(ctx context.Context, user string) (s *Stored, account string, err error) {
	a.once.Do(func() {
		if a.decoy = a.Decoy; a.decoy == nil {
			a.decoy = &Decoy{}
		}
	})
	s, err = a.Lookup(ctx, user)
	switch {
	case err != nil:
		return nil, "", err
	case s == nil:
		return nil, user, nil
	case s.Account != "":
		return s, s.Account, nil
	}
	return s, user, nil
}

// Verify implements Credentials.
func (a *Accounts) Verify(ctx context.Context, authzid, user string, password []byte) (string, error) {
	s, account, err := a.find(ctx, user)
	if err != nil {
		return "", err
	}
	if a.Check != nil {
		stored := ""
		if s != nil {
			stored = s.Password
		}
		err = a.Check(ctx, account, stored, password)
		if err == nil && s == nil {
			err = ErrDenied // whatever Check makes of nothing
		}
	} else {
		err = a.derive(s, user, password)
	}
	switch {
	case err != nil:
		return "", err
	case authzid != "" && !sameName(authzid, user) && !isWho(account, authzid):
		return "", ErrDenied
	}
	return account, nil
}

// derive checks a password against SCRAM's keys, or a decoy's.
func (a *Accounts) derive(s *Stored, user string, password []byte) error {
	keys := a.decoy.Secret(ScramSHA256, user).SCRAM
	if s != nil && s.ScramSHA256 != nil {
		keys = s.ScramSHA256
	}
	got, err := DeriveScram(ScramSHA256, password, keys.Salt, keys.Iterations)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got.StoredKey, keys.StoredKey) != 1 {
		return ErrDenied
	}
	return nil
}

// Secret implements Credentials.
func (a *Accounts) Secret(ctx context.Context, kind Kind, user string) (Secret, string, error) {
	s, account, err := a.find(ctx, user)
	if err != nil {
		return Secret{}, "", err
	}
	decoy := a.decoy.Secret(kind, user)
	if s == nil || kind == Password || !s.has(kind) {
		return decoy, account, nil
	}
	return s.secret(kind), account, nil
}

// Offers implements Credentials.
func (a *Accounts) Offers(kind Kind) bool {
	kinds := a.Kinds
	if kinds == nil {
		kinds = []Kind{Password, ScramSHA256}
	}
	return slices.Contains(kinds, kind)
}
