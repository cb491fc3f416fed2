package sasl

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"fmt"
)

// cramMD5Server is CRAM-MD5 (RFC 2195). It needs no password but the two MD5
// states that MakeCRAM gives.
func cramMD5Server() Mechanism {
	return Mechanism{Name: "CRAM-MD5", Usable: offers(CRAMMD5), New: func(c Credentials) Server {
		return &cramServer{c: c}
	}}
}

type cramServer struct {
	c         Credentials
	challenge []byte
	ended     bool
}

func (s *cramServer) Next(ctx context.Context, response []byte) ([]byte, string, bool, error) {
	switch {
	case s.ended:
		return nil, "", false, ErrMalformed
	case s.challenge == nil:
		if response != nil { // the server speaks first: no initial response (RFC 4954 §4)
			s.ended = true
			return nil, "", false, ErrMalformed
		}
		// RFC 2195 §2: it has the form of a message id and is never repeated.
		s.challenge = []byte(APOPTimestamp(PeerOf(ctx).Hostname))
		return s.challenge, "", false, nil
	}
	s.ended = true
	account, err := s.check(ctx, response)
	if err != nil {
		return nil, "", false, err
	}
	return nil, account, true, nil
}

func (s *cramServer) check(ctx context.Context, response []byte) (string, error) {
	// The digest has no space in it, so a name may have some.
	space := bytes.LastIndexByte(response, ' ')
	if len(response) > maxResponse || space < 0 {
		return "", ErrMalformed
	}
	user, err := prepareName(string(response[:space]))
	if err != nil {
		return "", err
	}
	digest, err := hex.DecodeString(string(response[space+1:]))
	if err != nil || len(digest) != md5.Size {
		return "", ErrMalformed
	}
	secret, account, err := s.c.Secret(ctx, CRAMMD5, user)
	if err != nil {
		return "", err
	}
	err = guess(ctx, s.c, user, func() error {
		known := secret.alternatives(func(one *Secret) bool {
			want, err := cramDigest(one.CRAM, s.challenge)
			return err == nil && hmac.Equal(want, digest)
		})
		if known == nil {
			return ErrDenied
		}
		known.proven()
		return nil
	})
	if err != nil {
		return "", err
	}
	return account, nil
}

// CRAMMD5Client answers CRAM-MD5.
func CRAMMD5Client(user, password string) Client {
	return &cramClient{user: user, keys: MakeCRAM([]byte(password))}
}

type cramClient struct {
	user string
	keys []byte
}

func (c *cramClient) Start(context.Context) (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c *cramClient) Next(_ context.Context, challenge []byte) ([]byte, error) {
	if c.keys == nil || len(challenge) == 0 {
		return nil, fmt.Errorf("%w: CRAM-MD5 server sent an empty or a second challenge", ErrMalformed)
	}
	digest, err := cramDigest(c.keys, challenge)
	c.keys = nil
	return fmt.Appendf(nil, "%s %x", c.user, digest), err
}
