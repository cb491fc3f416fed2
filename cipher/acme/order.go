package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	xacme "golang.org/x/crypto/acme"
)

const (
	// accountKey is the document with the account's key.
	accountKey = "acme_account+key"
	// orderTime bounds all that is asked of the authority for one certificate.
	orderTime = 5 * time.Minute
)

// certificate is one that is served.
type certificate struct {
	*tls.Certificate
	text    []byte // as it is kept
	unsaved bool   // the others do not have it yet
}

// read makes a certificate of its document: a key, and the chain. It is for that name, and good now.
func read(name string, text []byte) (*certificate, error) {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, err
	}
	leaf := pair.Leaf
	if err := leaf.VerifyHostname(name); err != nil {
		return nil, err
	}
	if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("acme: the certificate is good from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	return &certificate{Certificate: &pair, text: text}, nil
}

// sum tells a document from others.
func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:16])
}

// renewAt is when the next certificate is asked for: a third of its time is left, 30 days at most.
func (c *certificate) renewAt() time.Time {
	all := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
	return c.Leaf.NotAfter.Add(-min(all/3, 30*24*time.Hour))
}

// write makes a document of a key and a chain.
func write(key crypto.PrivateKey, chain [][]byte) ([]byte, error) {
	of, ok := key.(*ecdsa.PrivateKey)
	var text bytes.Buffer
	if ok {
		der, err := x509.MarshalECPrivateKey(of)
		if err != nil {
			return nil, err
		}
		pem.Encode(&text, &pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	} else {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	for _, der := range chain {
		pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return text.Bytes(), nil
}

// readKey is the first key of a document; nil if there is none.
func readKey(text []byte) crypto.Signer {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			signer, _ := key.(crypto.Signer)
			return signer
		}
	}
	return nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// order gets a certificate from the authority (RFC 8555 §7.4). Its key is that of the one before, if there was one: TLSA records of the DNS
// stay true.
func (m *Manager) order(ctx context.Context, name string, before []byte) ([]byte, error) {
	key := readKey(before)
	if key == nil {
		var err error
		if key, err = newKey(); err != nil {
			return nil, err
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		return nil, err
	}
	client, err := m.account(ctx)
	if err != nil {
		return nil, err
	}
	o, err := client.AuthorizeOrder(ctx, xacme.DomainIDs(name))
	if err != nil {
		return nil, err
	}
	for _, uri := range o.AuthzURLs {
		if err := m.prove(ctx, client, name, uri); err != nil {
			return nil, err
		}
	}
	if o, err = client.WaitOrder(ctx, o.URI); err != nil {
		return nil, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, o, csr, true)
	if err != nil {
		return nil, err
	}
	return write(key, chain)
}

// account is a client with the account, which is made where there is none (RFC 8555 §7.3).
func (m *Manager) account(ctx context.Context) (*xacme.Client, error) {
	text, err := m.keepAccountKey(ctx, newKey)
	if err != nil {
		return nil, err
	}
	client := &xacme.Client{Key: readKey(text), DirectoryURL: m.o.Directory, HTTPClient: m.line.client(m.o.HTTPClient), UserAgent: "postrider", RetryBackoff: tryAgain}
	a := new(xacme.Account)
	if m.o.Email != "" {
		a.Contact = []string{"mailto:" + m.o.Email}
	}
	if _, err = client.Register(ctx, a, xacme.AcceptTOS); err != nil && !errors.Is(err, xacme.ErrAccountAlreadyExists) {
		return nil, err
	}
	if uri := string(client.KID); isURI(uri) {
		m.mu.Lock()
		known := m.book.Directory == m.o.Directory && m.book.Account == uri
		m.mu.Unlock()
		if !known {
			err = m.amend(ctx, func(b *book) error {
				b.Directory, b.Account = m.o.Directory, uri
				return nil
			})
			return client, err
		}
	}
	return client, nil
}

// tryAgain is how soon the client asks the same again that went wrong; 0: not within this order, as the authority says that it is asked
// too much, or when it wants to be asked (RFC 8555 §6.6). To wait for that here would keep other names waiting.
func tryAgain(n int, _ *http.Request, r *http.Response) time.Duration {
	if r.StatusCode == http.StatusTooManyRequests || r.Header.Get("Retry-After") != "" {
		return 0
	}
	return min(time.Second<<min(n-1, 10), 10*time.Second)
}

// asAsked is how long the authority does not want to be asked, if it says so; a day at most.
func asAsked(err error) time.Duration {
	wait, _ := xacme.RateLimit(err)
	return min(wait, 24*time.Hour)
}

// keepAccountKey is the document with the account's key: that of the store, else that of this server, which is all servers' from then on, else a new one.
func (m *Manager) keepAccountKey(ctx context.Context, anew func() (*ecdsa.PrivateKey, error)) ([]byte, error) {
	return m.store.Update(ctx, accountKey, func(text []byte) ([]byte, error) {
		if readKey(text) != nil {
			return nil, nil
		}
		if own, err := m.own.Get(ctx, accountKey); err == nil && readKey(own) != nil {
			return own, nil
		}
		key, err := anew()
		if err != nil || key == nil {
			return nil, err
		}
		return write(key, nil)
	})
}

// bringAccount brings the account of this server to the others once, where they have none.
func (m *Manager) bringAccount(ctx context.Context) error {
	m.mu.Lock()
	brought := m.brought
	m.mu.Unlock()
	if m.o.Store == nil || brought {
		return nil
	}
	_, err := m.keepAccountKey(ctx, func() (*ecdsa.PrivateKey, error) { return nil, nil })
	m.mu.Lock()
	m.brought = err == nil
	m.mu.Unlock()
	return err
}

// prove answers the challenge of the kind that was chosen (RFC 8555 §7.5), and no other: each failure counts against the authority's limits.
func (m *Manager) prove(ctx context.Context, client *xacme.Client, name, uri string) error {
	z, err := client.GetAuthorization(ctx, uri)
	if err != nil || z.Status == xacme.StatusValid {
		return err
	}
	i := slices.IndexFunc(z.Challenges, func(c *xacme.Challenge) bool { return c.Type == string(m.o.Challenge) })
	if i < 0 {
		return fmt.Errorf("acme: the authority offers no challenge %s", m.o.Challenge)
	}
	challenge := z.Challenges[i]
	p := &proof{Name: name, Token: challenge.Token, Until: time.Now().Add(2 * orderTime)}
	if m.o.Challenge == HTTP01 {
		p.Answer, err = client.HTTP01ChallengeResponse(challenge.Token)
	} else {
		var pair tls.Certificate
		if pair, err = client.TLSALPN01ChallengeCert(challenge.Token, name); err == nil {
			p.Certificate, err = write(pair.PrivateKey, pair.Certificate)
		}
	}
	if err == nil {
		err = m.show(ctx, p)
	}
	if err != nil {
		return err
	}
	defer m.hide(ctx)
	if _, err := client.Accept(ctx, challenge); err != nil {
		return err
	}
	_, err = client.WaitAuthorization(ctx, uri)
	return err
}
