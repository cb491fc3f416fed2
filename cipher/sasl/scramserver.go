package sasl

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// scramSHA256Server is SCRAM-SHA-256 (RFC 7677).
func scramSHA256Server() Mechanism {
	return scramFlavour{ScramSHA256, crypto.SHA256, false}.mechanism()
}

// scramSHA256PlusServer is SCRAM-SHA-256-PLUS, bound to the TLS connection by
// tls-exporter (RFC 9266); or tls-unique, under TLS 1.2; or tls-server-end-point
// where Peer.Certificate is set.
func scramSHA256PlusServer() Mechanism {
	return scramFlavour{ScramSHA256, crypto.SHA256, true}.mechanism()
}

// scramSHA1Server is SCRAM-SHA-1 (RFC 5802), for clients that know no better.
func scramSHA1Server() Mechanism {
	return scramFlavour{ScramSHA1, crypto.SHA1, false}.mechanism()
}

// scramSHA1PlusServer is SCRAM-SHA-1-PLUS.
func scramSHA1PlusServer() Mechanism {
	return scramFlavour{ScramSHA1, crypto.SHA1, true}.mechanism()
}

func (f scramFlavour) mechanism() Mechanism {
	m := Mechanism{Name: f.name(), Usable: offers(f.kind), New: func(c Credentials) Server {
		return &scramServer{f: f, c: c}
	}}
	if f.plus {
		m.NeedsTLS, m.Fits = true, canBind
	}
	return m
}

type scramServer struct {
	f    scramFlavour
	c    Credentials
	step func(ctx context.Context, response []byte) ([]byte, string, bool, error)

	asked   bool
	header  gs2
	user    string
	account string
	secret  Secret
	keys    *ScramKeys // of secret; in the end, those that were proven
	nonce   string
	said    string // client-first-message-bare "," server-first-message
	nonces  func() string
}

func (s *scramServer) Next(ctx context.Context, response []byte) ([]byte, string, bool, error) {
	if s.step == nil {
		if response == nil && !s.asked {
			s.asked = true
			return []byte{}, "", false, nil
		}
		s.step = s.first
	}
	step := s.step
	s.step = over
	if len(response) > maxResponse {
		return nil, "", false, ErrMalformed
	}
	return step(ctx, response)
}

func over(context.Context, []byte) ([]byte, string, bool, error) {
	return nil, "", false, ErrMalformed
}

// first answers the client-first-message,
//
//	gs2-header "n=" saslname ",r=" c-nonce
//
// with "r=" c-nonce s-nonce ",s=" salt ",i=" iterations.
func (s *scramServer) first(ctx context.Context, response []byte) ([]byte, string, bool, error) {
	header, bare, err := parseGS2(string(response))
	if err != nil {
		return nil, "", false, err
	}
	v, err := attributes(bare, "nr")
	if err != nil || !printable(v[1]) {
		return nil, "", false, ErrMalformed
	}
	if s.user, err = unescapeName(v[0]); err != nil || s.user == "" {
		return nil, "", false, ErrMalformed
	}
	if err := s.checkFlag(PeerOf(ctx), header); err != nil {
		return nil, "", false, err
	}
	secret, account, err := s.c.Secret(ctx, s.f.kind, s.user)
	if err != nil {
		return nil, "", false, err
	}
	if secret.SCRAM == nil || len(secret.SCRAM.StoredKey) != s.f.hash.Size() {
		return nil, "", false, ErrDenied
	}
	s.header, s.secret, s.keys, s.account = header, secret, secret.SCRAM, account
	s.nonce = v[1] + s.newNonce()
	challenge := fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce,
		base64.StdEncoding.EncodeToString(s.keys.Salt), s.keys.Iterations)
	s.said = bare + "," + challenge
	s.step = s.final
	return []byte(challenge), "", false, nil
}

func (s *scramServer) newNonce() string {
	if s.nonces != nil { // the RFCs' examples have theirs
		return s.nonces()
	}
	return newNonce()
}

// checkFlag applies RFC 5802 §6. A client that says "y" believes that the
// server has no -PLUS variant: if it was told of one, somebody took it out of
// the announcement on the way.
func (s *scramServer) checkFlag(p *Peer, g gs2) error {
	switch {
	case s.f.plus && g.flag != 'p', !s.f.plus && g.flag == 'p':
		return ErrMalformed
	case g.flag == 'y' && s.f.plusAnnounced(p):
		return fmt.Errorf("%w: channel binding was hidden from the client", ErrDenied)
	}
	return nil
}

// bound gives what c= must hold: the header, and under -PLUS the channel's
// binding data behind it.
func (s *scramServer) bound(p *Peer) (string, error) {
	if !s.f.plus {
		return s.header.text, nil
	}
	var data []byte
	err := certs.ErrNoBinding
	switch {
	case s.header.binding == "tls-exporter":
		data, err = certs.ExporterBinding(p.TLS)
	case s.header.binding == "tls-unique":
		data, err = certs.UniqueBinding(p.TLS)
	case s.header.binding == "tls-server-end-point" && p.TLS != nil && p.Certificate != nil:
		data, err = certs.EndPointBinding(p.Certificate)
	}
	return s.header.text + string(data), err
}

// final checks the client-final-message,
//
//	"c=" channel-binding ",r=" nonce ",p=" proof
//
// and proves in turn, with v=, that the server knows the account.
func (s *scramServer) final(ctx context.Context, response []byte) ([]byte, string, bool, error) {
	text := string(response)
	v, err := attributes(text, "cr")
	if err != nil {
		return nil, "", false, err
	}
	// The proof is the last attribute whatever stands before it.
	at := strings.LastIndex(text, ",p=")
	if at < 0 {
		return nil, "", false, ErrMalformed
	}
	binding, err1 := base64.StdEncoding.DecodeString(v[0])
	proof, err2 := base64.StdEncoding.DecodeString(text[at+len(",p="):])
	if err1 != nil || err2 != nil || len(proof) != s.f.hash.Size() {
		return nil, "", false, ErrMalformed
	}
	auth := s.said + "," + text[:at]
	account := s.account
	err = guess(ctx, s.c, s.user, func() error {
		known := s.secret.alternatives(func(one *Secret) bool { return s.proves(one.SCRAM, proof, auth) })
		want, err := s.bound(PeerOf(ctx))
		if err != nil || !hmac.Equal(binding, []byte(want)) || v[1] != s.nonce || known == nil {
			return ErrDenied
		}
		if account, err = actAs(s.header.authzid, s.user, s.account); err == nil {
			s.keys = known.SCRAM
			known.proven()
		}
		return err
	})
	if err != nil {
		return nil, "", false, err
	}
	signature := s.f.mac(s.keys.ServerKey, auth)
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), account, true, nil
}

// proves recovers the client's key from the proof and compares its hash with
// the one stored (RFC 5802 §3). Keys of another salt than the client was told prove nothing.
func (s *scramServer) proves(keys *ScramKeys, proof []byte, auth string) bool {
	if keys == nil || len(keys.StoredKey) != s.f.hash.Size() || keys.Iterations != s.keys.Iterations || !bytes.Equal(keys.Salt, s.keys.Salt) {
		return false
	}
	clientKey := xor(proof, s.f.mac(keys.StoredKey, auth))
	return hmac.Equal(s.f.sum(clientKey), keys.StoredKey)
}
