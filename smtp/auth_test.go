package smtp_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// accounts knows the account "test" with the password "sesame", by every kind
// of secret.
type accounts struct {
	cram  []byte
	scram map[sasl.Kind]*sasl.ScramKeys
	decoy *sasl.Decoy
}

func newAccounts() *accounts {
	a := &accounts{cram: sasl.MakeCRAM([]byte("sesame")), scram: map[sasl.Kind]*sasl.ScramKeys{}, decoy: sasl.NewDecoy(nil)}
	for _, kind := range []sasl.Kind{sasl.ScramSHA1, sasl.ScramSHA256} {
		keys, err := sasl.MakeScram(kind, []byte("sesame"), 4096)
		if err != nil {
			panic(err)
		}
		a.scram[kind] = keys
	}
	return a
}

func (a *accounts) Verify(_ context.Context, authzid, user string, password []byte) (string, error) {
	switch {
	case user == "throttled":
		return "", sasl.ErrThrottled
	case user == "later":
		return "", errors.New("directory is down")
	case user == "crash":
		panic("directory crashes")
	case user != "test" || string(password) != "sesame" || authzid != "" && authzid != user:
		return "", sasl.ErrDenied
	}
	return "test", nil
}

func (a *accounts) Secret(_ context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	if user != "test" {
		return a.decoy.Secret(kind, user), user, nil
	}
	return sasl.Secret{CRAM: a.cram, SCRAM: a.scram[kind]}, "test", nil
}

func (a *accounts) Offers(kind sasl.Kind) bool { return kind != sasl.APOP }

func (a *accounts) Token(_ context.Context, authzid, user, token string) (string, error) {
	if token != "sesame-token" {
		return "", sasl.ErrDenied
	}
	return "test", nil
}

// holders are accounts that may also show a certificate.
type holders struct{ *accounts }

func (holders) Certificate(ctx context.Context, authzid string) (string, error) {
	if p := sasl.PeerOf(ctx); p.TLS == nil || len(p.TLS.PeerCertificates) == 0 {
		return "", sasl.ErrDenied
	}
	return "test", nil
}

// sasl runs an exchange as a client: mechanism, user, password, and the reply
// it should end with.
func (w *world) sasl(arg string) error {
	f := strings.Fields(arg)
	mechanism, user, password, want := f[0], f[1], f[2], f[3]
	var c sasl.Client
	var err error
	switch {
	case strings.HasPrefix(mechanism, "SCRAM"):
		var cs *tls.ConnectionState
		if state, ok := w.player.TLSState(); ok {
			cs = &state
		}
		c, err = sasl.ScramClient(mechanism, "", user, password, cs)
	case mechanism == "CRAM-MD5":
		c = sasl.CRAMMD5Client(user, password)
	case mechanism == "LOGIN":
		c = sasl.LoginClient(user, password)
	case mechanism == "XOAUTH2":
		c = sasl.XOAuth2Client(user, password)
	case mechanism == "OAUTHBEARER":
		c = sasl.OAuthBearerClient(user, password, "mx.example.com", 25)
	case mechanism == "EXTERNAL":
		c = sasl.ExternalClient("")
	default:
		c = sasl.PlainClient("", user, password)
	}
	if err != nil {
		return err
	}
	_, initial, err := c.Start(context.Background())
	if err != nil {
		return err
	}
	line := "AUTH " + mechanism
	if initial != nil {
		line += " " + encode(initial)
	}
	for {
		if err := w.player.Send(line + "\r\n"); err != nil {
			return err
		}
		reply, err := w.player.Line()
		if err != nil {
			return err
		}
		challenge, more := strings.CutPrefix(reply, "334 ")
		if !more {
			if !strings.HasPrefix(reply, want) {
				return fmt.Errorf("reply is %q", reply)
			}
			if want == "235" {
				return sasl.Finish(c)
			}
			return nil
		}
		b, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			return err
		}
		response, err := c.Next(context.Background(), b)
		if err != nil {
			return err
		}
		line = encode(response)
		if len(response) == 0 {
			line = ""
		}
	}
}

func encode(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}
