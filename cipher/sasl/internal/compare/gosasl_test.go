// Package compare plays package sasl against emersion/go-sasl, in a module of
// its own so that nobody else has to take that along.
package compare

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	gosasl "github.com/emersion/go-sasl"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

// accounts is alice, whose password and token are "secret".
type accounts struct{}

func (accounts) Offers(kind sasl.Kind) bool { return kind == sasl.Password }

func (accounts) Verify(_ context.Context, _, user string, password []byte) (string, error) {
	if user == "alice" && bytes.Equal(password, []byte("secret")) {
		return user, nil
	}
	return "", sasl.ErrDenied
}

func (accounts) Secret(context.Context, sasl.Kind, string) (sasl.Secret, string, error) {
	return sasl.Secret{}, "", sasl.ErrDenied
}

func (accounts) Token(_ context.Context, authzid, _, token string) (string, error) {
	if authzid == "alice" && token == "secret" {
		return authzid, nil
	}
	return "", sasl.ErrDenied
}

func (accounts) Certificate(_ context.Context, authzid string) (string, error) {
	if authzid == "alice" {
		return authzid, nil
	}
	return "", sasl.ErrDenied
}

// serve plays a go-sasl client against a server of ours.
func serve(mechanism string, client gosasl.Client) (account string, err error) {
	m, err := sasl.Find(sasl.Mechanisms(), mechanism)
	if err != nil {
		return "", err
	}
	ctx := sasl.WithPeer(context.Background(), &sasl.Peer{Service: "smtp",
		TLS: &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{{}}}})
	name, response, err := client.Start()
	if err != nil {
		return "", err
	}
	if name != m.Name {
		return "", errors.New("go-sasl calls it " + name)
	}
	server := m.New(accounts{})
	for {
		challenge, account, done, err := server.Next(ctx, response)
		if err != nil || done {
			return account, err
		}
		if response, err = client.Next(challenge); err != nil {
			// go-sasl's OAUTHBEARER client takes the challenge that tells why for
			// the end (RFC 7628 §3.2.3 lets the server wait for an answer).
			return "", errors.Join(sasl.ErrDenied, err)
		}
		if response == nil {
			response = []byte{}
		}
	}
}

func TestTheirClients(t *testing.T) {
	for _, tt := range []struct {
		mechanism    string
		right, wrong gosasl.Client
	}{
		{"PLAIN", gosasl.NewPlainClient("", "alice", "secret"), gosasl.NewPlainClient("", "alice", "wrong")},
		{"PLAIN", gosasl.NewPlainClient("alice", "alice", "secret"), gosasl.NewPlainClient("bob", "alice", "secret")},
		{"LOGIN", gosasl.NewLoginClient("alice", "secret"), gosasl.NewLoginClient("alice", "wrong")},
		{"OAUTHBEARER", gosasl.NewOAuthBearerClient(&gosasl.OAuthBearerOptions{Username: "alice", Token: "secret", Host: "mail.example.com", Port: 587}),
			gosasl.NewOAuthBearerClient(&gosasl.OAuthBearerOptions{Username: "alice", Token: "wrong"})},
		{"EXTERNAL", gosasl.NewExternalClient("alice"), gosasl.NewExternalClient("bob")},
	} {
		if account, err := serve(tt.mechanism, tt.right); account != "alice" || err != nil {
			t.Errorf("%s: %q, %v", tt.mechanism, account, err)
		}
		if account, err := serve(tt.mechanism, tt.wrong); !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("%s with something wrong: %q, %v", tt.mechanism, account, err)
		}
	}
}

// ask plays a client of ours against a go-sasl server.
func ask(server gosasl.Server, client sasl.Client) error {
	ctx := context.Background()
	_, response, err := client.Start(ctx)
	if err != nil {
		return err
	}
	for {
		challenge, done, err := server.Next(response)
		if err != nil || done {
			return err
		}
		if response, err = client.Next(ctx, challenge); err != nil {
			return err
		}
	}
}

func TestTheirServers(t *testing.T) {
	wrong := errors.New("wrong")
	is := func(ok bool) error {
		if ok {
			return nil
		}
		return wrong
	}
	plain := func() gosasl.Server {
		return gosasl.NewPlainServer(func(identity, user, password string) error {
			return is((identity == "" || identity == user) && user == "alice" && password == "secret")
		})
	}
	bearer := func() gosasl.Server {
		return gosasl.NewOAuthBearerServer(func(o gosasl.OAuthBearerOptions) *gosasl.OAuthBearerError {
			if o.Username == "alice" && o.Token == "secret" && o.Host == "mail.example.com" && o.Port == 587 {
				return nil
			}
			return &gosasl.OAuthBearerError{Status: "invalid_token"}
		})
	}
	for name, tt := range map[string]struct {
		server       func() gosasl.Server
		right, wrong sasl.Client
	}{
		"PLAIN":       {plain, sasl.PlainClient("", "alice", "secret"), sasl.PlainClient("", "alice", "wrong")},
		"OAUTHBEARER": {bearer, sasl.OAuthBearerClient("alice", "secret", "mail.example.com", 587), sasl.OAuthBearerClient("alice", "wrong", "mail.example.com", 587)},
		"EXTERNAL": {func() gosasl.Server {
			return gosasl.NewExternalServer(func(id string) error { return is(id == "alice") })
		},
			sasl.ExternalClient("alice"), sasl.ExternalClient("bob")},
	} {
		if err := ask(tt.server(), tt.right); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := ask(tt.server(), tt.wrong); err == nil {
			t.Errorf("%s: let in with something wrong", name)
		}
	}
}
