package sasl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// oauthBearerServer is OAUTHBEARER (RFC 7628).
func oauthBearerServer() Mechanism {
	return Mechanism{Name: "OAUTHBEARER", Cleartext: true, Usable: takesTokens, New: func(c Credentials) Server {
		return &tokenServer{c: c, parse: parseOAuthBearer, status: "invalid_token"}
	}}
}

// xoauth2Server is Google's XOAUTH2, OAUTHBEARER's predecessor.
func xoauth2Server() Mechanism {
	return Mechanism{Name: "XOAUTH2", Cleartext: true, Usable: takesTokens, New: func(c Credentials) Server {
		return &tokenServer{c: c, parse: parseXOAuth2, status: "401"}
	}}
}

func takesTokens(c Credentials) bool {
	_, ok := c.(Tokens)
	return ok
}

// tokenServer takes one response with a token. A refusal is sent as a JSON
// challenge first, which the client answers with anything (RFC 7628 §3.2.3).
type tokenServer struct {
	c       Credentials
	parse   func(response string) (authzid, user, token string, err error)
	status  string // of a token that is not taken
	asked   bool
	refused bool
	ended   bool
}

func (s *tokenServer) Next(ctx context.Context, response []byte) ([]byte, string, bool, error) {
	switch {
	case s.refused:
		s.refused, s.ended = false, true
		return nil, "", false, ErrDenied
	case s.ended || len(response) > maxResponse:
		s.ended = true
		return nil, "", false, ErrMalformed
	case response == nil && !s.asked:
		s.asked = true
		return []byte{}, "", false, nil
	}
	s.ended = true
	authzid, user, token, err := s.parse(string(response))
	if err != nil {
		return nil, "", false, err
	}
	tokens, ok := s.c.(Tokens)
	if !ok {
		return nil, "", false, ErrDenied
	}
	account, err := tokens.Token(ctx, authzid, user, token)
	var why *TokenError
	switch {
	case errors.As(err, &why):
		s.refused = true
		return why.json(s.status), "", false, nil
	case errors.Is(err, ErrDenied):
		s.refused = true
		return (&TokenError{}).json(s.status), "", false, nil
	case err != nil:
		return nil, "", false, err
	}
	return nil, account, true, nil
}

// TokenError is an error of Tokens, which is ErrDenied, that says more: what the client is told (RFC 7628 §3.2.2), so that it can get another
// token. What is empty is left out.
type TokenError struct {
	Scope         string // that a token needs
	Configuration string // the URL of the provider's configuration, where clients find what to do
	Description   string // for people, as RFC 6750 §3 has it: ASCII without quotes
}

func (e *TokenError) Error() string { return ErrDenied.Error() + ": " + e.Description }

// Is says that it is ErrDenied.
func (e *TokenError) Is(target error) bool { return target == ErrDenied }

func (e *TokenError) json(status string) []byte {
	text, err := json.Marshal(struct {
		Status        string `json:"status"`
		Schemes       string `json:"schemes"` // not in RFC 7628; Google's XOAUTH2 has it
		Scope         string `json:"scope,omitempty"`
		Configuration string `json:"openid-configuration,omitempty"`
		Description   string `json:"error_description,omitempty"`
	}{status, "bearer", e.Scope, e.Configuration, e.Description})
	if err != nil {
		panic("sasl: " + err.Error()) // strings can be written
	}
	return text
}

// parseOAuthBearer reads
//
//	client-resp = gs2-header kvsep *(key "=" value kvsep) kvsep
//
// (RFC 7628 §3.1). Of the pairs only auth matters here.
func parseOAuthBearer(response string) (authzid, user, token string, err error) {
	header, pairs, ok := strings.Cut(response, "\x01")
	if !ok {
		return "", "", "", ErrMalformed
	}
	g, rest, err := parseGS2(header)
	if err != nil || rest != "" || g.flag == 'p' {
		return "", "", "", ErrMalformed
	}
	token, err = bearer(pairs)
	return g.authzid, "", token, err
}

// parseXOAuth2 reads "user=" name ^A "auth=Bearer " token ^A ^A.
func parseXOAuth2(response string) (authzid, user, token string, err error) {
	first, pairs, ok := strings.Cut(response, "\x01")
	user, isUser := strings.CutPrefix(first, "user=")
	if !ok || !isUser {
		return "", "", "", ErrMalformed
	}
	if user, err = prepareName(user); err != nil {
		return "", "", "", err
	}
	token, err = bearer(pairs)
	return "", user, token, err
}

// bearer finds the token among key=value pairs, each ended by ^A, and all by
// one more (RFC 6750 §2.1 for the token).
func bearer(pairs string) (token string, err error) {
	body, ok := strings.CutSuffix(pairs, "\x01\x01")
	if !ok {
		return "", ErrMalformed
	}
	for pair := range strings.SplitSeq(body, "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return "", ErrMalformed
		}
		if key != "auth" {
			continue
		}
		scheme, t, ok := strings.Cut(value, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") || token != "" {
			return "", ErrMalformed
		}
		token = strings.TrimLeft(t, " ")
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return "", ErrMalformed
		}
	}
	if token == "" {
		return "", ErrMalformed
	}
	return token, nil
}

// OAuthBearerClient answers OAUTHBEARER. authzid may be empty; host and port
// are the server's as the user gave them, left out if empty and 0. Start returns
// ErrMalformed if one of them holds the character that separates them.
func OAuthBearerClient(authzid, token, host string, port int) Client {
	msg := "n," + authzidField(authzid) + ",\x01"
	if host != "" {
		msg += "host=" + host + "\x01"
	}
	if port != 0 {
		msg += "port=" + strconv.Itoa(port) + "\x01"
	}
	msg += "auth=Bearer " + token + "\x01\x01"
	return &tokenClient{name: "OAUTHBEARER", initial: msg, acknowledge: "\x01", err: separated(authzid, token, host)}
}

// XOAuth2Client answers XOAUTH2. Start returns ErrMalformed as OAuthBearerClient's
// does.
func XOAuth2Client(user, token string) Client {
	return &tokenClient{name: "XOAUTH2", initial: "user=" + user + "\x01auth=Bearer " + token + "\x01\x01", err: separated(user, token)}
}

// separated refuses values with ^A in them, which would begin further pairs.
func separated(values ...string) error {
	for _, v := range values {
		if strings.Contains(v, "\x01") {
			return fmt.Errorf("%w: a name, host or token with ^A in it", ErrMalformed)
		}
	}
	return nil
}

type tokenClient struct {
	name, initial, acknowledge string
	failed                     bool
	err                        error
}

func (c *tokenClient) Start(context.Context) (string, []byte, error) {
	if c.err != nil {
		return "", nil, c.err
	}
	return c.name, []byte(c.initial), nil
}

// Next acknowledges the challenge that tells of a failure; the server then ends
// the exchange.
func (c *tokenClient) Next(context.Context, []byte) ([]byte, error) {
	if c.failed {
		return nil, fmt.Errorf("%w: %s server sent a second challenge", ErrMalformed, c.name)
	}
	c.failed = true
	return []byte(c.acknowledge), nil
}
