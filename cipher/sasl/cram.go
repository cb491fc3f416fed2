package sasl

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/cipher"
)

// CRAMMD5Server is CRAM-MD5 (RFC 2195). It needs no password but the two MD5
// states that MakeCRAM gives.
func CRAMMD5Server() Mechanism {
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
		want, err := cramDigest(secret.CRAM, s.challenge)
		if err != nil || !hmac.Equal(want, digest) {
			return ErrDenied
		}
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

// MakeCRAM gives what to store for CRAM-MD5 instead of the password, 32 bytes;
// see cipher.CRAMKeys.
func MakeCRAM(password []byte) []byte { return cipher.CRAMKeys(password) }

const cramPrefix = "{CRAM-MD5}"

// FormatCRAM gives Dovecot's text form: "{CRAM-MD5}" and 64 hex digits.
func FormatCRAM(cram []byte) string { return cramPrefix + hex.EncodeToString(cram) }

// ParseCRAM reads FormatCRAM's text, with or without the prefix.
func ParseCRAM(text string) ([]byte, error) {
	cram, err := hex.DecodeString(strings.TrimPrefix(text, cramPrefix))
	if err != nil || len(cram) != cipher.CRAMSize {
		return nil, fmt.Errorf("%w: a CRAM-MD5 secret has 64 hex digits", cipher.ErrForm)
	}
	return cram, nil
}

// cramDigest finishes HMAC-MD5 (RFC 2104) of text from the two states.
func cramDigest(keys, text []byte) ([]byte, error) {
	if len(keys) != cipher.CRAMSize {
		return nil, cipher.ErrForm
	}
	inner, err := resumeMD5(keys[md5.Size:], text)
	if err != nil {
		return nil, err
	}
	return resumeMD5(keys[:md5.Size], inner)
}

// resumeMD5 digests text after a first block that led to state. crypto/md5
// takes a state in its marshalled form only: "md5" and 1, the state's words
// big-endian, a buffer (empty), and the length so far.
func resumeMD5(state, text []byte) ([]byte, error) {
	marshalled := append(make([]byte, 0, 92), "md5\x01"...)
	for i := 0; i < md5.Size; i += 4 {
		marshalled = binary.BigEndian.AppendUint32(marshalled, binary.LittleEndian.Uint32(state[i:]))
	}
	marshalled = append(marshalled, make([]byte, md5.BlockSize)...)
	marshalled = binary.BigEndian.AppendUint64(marshalled, md5.BlockSize)
	h := md5.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(marshalled); err != nil {
		return nil, fmt.Errorf("sasl: resume MD5: %w", err)
	}
	h.Write(text)
	return h.Sum(nil), nil
}
