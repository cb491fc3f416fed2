package sasl_test

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// book is a Credentials of one password per account, which computes secrets
// when asked for them.
type book struct {
	mu        sync.Mutex
	passwords map[string]string
	decoy     *sasl.Decoy
	broken    error             // what every method returns, if not nil
	delegates map[string]string // who may act as whom
	outcomes  []string
}

func newBook() *book {
	return &book{
		passwords: map[string]string{"alice": "secret", "tim": "tanstaaftanstaaf", "user": "pencil", "bob@example.com": "p w d"},
		decoy:     sasl.NewDecoy([]byte("0123456789abcdef")),
	}
}

func (b *book) Offers(sasl.Kind) bool { return true }

func (b *book) Verify(_ context.Context, authzid, user string, password []byte) (string, error) {
	if b.broken != nil {
		return "", b.broken
	}
	if p, ok := b.passwords[user]; ok && bytes.Equal([]byte(p), password) {
		if as := b.delegates[user]; as != "" && as == authzid {
			return as, nil
		}
		return user, nil
	}
	return "", sasl.ErrDenied
}

func (b *book) Secret(_ context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	if b.broken != nil {
		return sasl.Secret{}, "", b.broken
	}
	password, ok := b.passwords[user]
	if !ok {
		return b.decoy.Secret(kind, user), "", nil
	}
	switch kind {
	case sasl.CRAMMD5:
		return sasl.Secret{CRAM: sasl.MakeCRAM([]byte(password))}, user, nil
	case sasl.APOP:
		return sasl.Secret{APOP: []byte(password)}, user, nil
	}
	keys, err := sasl.MakeScram(kind, []byte(password), 4096)
	return sasl.Secret{SCRAM: keys}, user, err
}

func (b *book) Book(_ context.Context, user string) (func(error), error) {
	return func(err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		what := user + " ok"
		if err != nil {
			what = user + " " + err.Error()
		}
		b.outcomes = append(b.outcomes, what)
	}, nil
}

// full answers tokens and certificates as well.
type full struct{ *book }

func (f full) Token(_ context.Context, authzid, user, token string) (string, error) {
	if f.broken != nil {
		return "", f.broken
	}
	if token != "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" {
		return "", sasl.ErrDenied
	}
	if user == "" {
		user = authzid
	}
	return user, nil
}

func (f full) Certificate(ctx context.Context, authzid string) (string, error) {
	name := sasl.PeerOf(ctx).TLS.PeerCertificates[0].Subject.CommonName
	if authzid != "" && authzid != name {
		return "", sasl.ErrDenied
	}
	return name, nil
}

// converse plays client against server as a protocol does: an initial response
// where the client has one and direct allows it, additional data of success as
// one more challenge.
func converse(ctx context.Context, c sasl.Client, s sasl.Server, direct bool) (account string, err error) {
	_, initial, err := c.Start(ctx)
	if err != nil {
		return "", err
	}
	response := initial
	if !direct {
		response = nil
	}
	for range 10 {
		challenge, account, done, err := s.Next(ctx, response)
		if err != nil {
			return "", err
		}
		if done && challenge == nil {
			return account, sasl.Finish(c)
		}
		if !direct && initial != nil && response == nil {
			response = initial
			continue
		}
		if response, err = c.Next(ctx, challenge); err != nil {
			return "", err
		}
		if done {
			if len(response) != 0 {
				return "", errors.New("client answered additional data of success")
			}
			return account, sasl.Finish(c)
		}
	}
	return "", errors.New("no end of challenges")
}
