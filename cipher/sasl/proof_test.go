package sasl

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
)

// A client that knows the password can sign anything. What it signs must still
// be this exchange: our nonce, and the header and channel it began with.
func TestProvedButWrong(t *testing.T) {
	f, _ := scramNamed("SCRAM-SHA-256")
	salt := []byte("0123456789abcdef")
	salted, err := saltedPassword(crypto.SHA256, []byte("pencil"), salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	clientKey := f.mac(salted, "Client Key")
	k, err := DeriveScram(ScramSHA256, []byte("pencil"), salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	c := fixed{"user", Secret{SCRAM: k}}
	b64 := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		what, header, nonce, extension string
		want                           error
	}{
		{"as it should be", "n,,", "abcdef", "", nil},
		{"with an extension", "n,,", "abcdef", ",x=1", nil},
		{"another nonce", "n,,", "abcdeg", "", ErrDenied},
		{"another header", "y,,", "abcdef", "", ErrDenied},
		{"another authzid", "n,a=root,", "abcdef", "", ErrDenied},
		{"more than the header", "n,,x", "abcdef", "", ErrDenied},
	} {
		s := f.mechanism().New(c).(*scramServer)
		s.nonces = func() string { return "def" }
		challenge, _, _, err := s.Next(context.Background(), []byte("n,,n=user,r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		final := fmt.Sprintf("c=%s,r=%s%s", b64([]byte(tt.header)), tt.nonce, tt.extension)
		proof := xor(clientKey, f.mac(k.StoredKey, "n=user,r=abc,"+string(challenge)+","+final))
		_, account, done, err := s.Next(context.Background(), []byte(final+",p="+b64(proof)))
		if !errors.Is(err, tt.want) || done != (tt.want == nil) || (account == "user") != done {
			t.Errorf("%s: %q, %v, %v; want %v", tt.what, account, done, err, tt.want)
		}
	}
}
