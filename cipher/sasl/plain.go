package sasl

import (
	"bytes"
	"context"
	"fmt"
)

// plainServer is PLAIN (RFC 4616): one response of authzid, user and password.
func plainServer() Mechanism {
	return Mechanism{Name: "PLAIN", Cleartext: true, Usable: offers(Password), New: func(c Credentials) Server {
		return &single{take: func(ctx context.Context, response []byte) (string, error) {
			// message = [authzid] NUL authcid NUL passwd
			part := bytes.Split(response, []byte{0})
			if len(part) != 3 {
				return "", ErrMalformed
			}
			authzid, err := prepareName(string(part[0]))
			if err != nil {
				return "", err
			}
			user, err := prepareName(string(part[1]))
			if err != nil {
				return "", err
			}
			return verify(ctx, c, authzid, user, part[2])
		}}
	}}
}

// PlainClient answers PLAIN. authzid is usually empty. None of the three can hold
// a NUL, which would make others of them: Start then returns ErrMalformed.
func PlainClient(authzid, user, password string) Client {
	c := &plainClient{name: "PLAIN", initial: []byte(authzid + "\x00" + user + "\x00" + password)}
	if bytes.Count(c.initial, []byte{0}) != 2 {
		c.initial, c.err = nil, fmt.Errorf("%w: a name or password with NUL in it", ErrMalformed)
	}
	return c
}

// plainClient is a mechanism whose client sends one response and is done.
type plainClient struct {
	name    string
	initial []byte
	err     error
}

func (c *plainClient) Start(context.Context) (string, []byte, error) { return c.name, c.initial, c.err }

func (c *plainClient) Next(context.Context, []byte) ([]byte, error) {
	return nil, fmt.Errorf("%w: %s server sent a challenge", ErrMalformed, c.name)
}

// loginServer is LOGIN, never standardised (draft-murchison-sasl-login) and
// still what some clients know only: two prompts, two answers.
func loginServer() Mechanism {
	return Mechanism{Name: "LOGIN", Cleartext: true, Usable: offers(Password), New: func(c Credentials) Server {
		return &loginExchange{c: c}
	}}
}

type loginExchange struct {
	c     Credentials
	asked int // prompts sent; past 2, the exchange has ended
	user  string
}

func (s *loginExchange) Next(ctx context.Context, response []byte) ([]byte, string, bool, error) {
	if len(response) > maxResponse {
		s.asked = 3
	}
	switch {
	case s.asked == 0 && response == nil:
		s.asked = 1
		return []byte("Username:"), "", false, nil
	case s.asked < 2: // QUIRK: the name also comes as an initial response
		user, err := prepareName(string(response))
		if err != nil {
			s.asked = 3
			return nil, "", false, err
		}
		s.user, s.asked = user, 2
		return []byte("Password:"), "", false, nil
	case s.asked == 2:
		s.asked = 3
		account, err := verify(ctx, s.c, "", s.user, response)
		if err != nil {
			return nil, "", false, err
		}
		return nil, account, true, nil
	}
	return nil, "", false, ErrMalformed
}

// LoginClient answers LOGIN's two prompts, whatever they say.
func LoginClient(user, password string) Client {
	return &loginClient{answers: [][]byte{[]byte(user), []byte(password)}}
}

type loginClient struct{ answers [][]byte }

func (c *loginClient) Start(context.Context) (string, []byte, error) { return "LOGIN", nil, nil }

func (c *loginClient) Next(context.Context, []byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, fmt.Errorf("%w: LOGIN server sent a third challenge", ErrMalformed)
	}
	answer := c.answers[0]
	c.answers = c.answers[1:]
	return answer, nil
}
