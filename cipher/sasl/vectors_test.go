package sasl

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// fixed knows one account by one secret.
type fixed struct {
	user   string
	secret Secret
}

func (f fixed) Offers(Kind) bool { return true }
func (f fixed) Verify(context.Context, string, string, []byte) (string, error) {
	return "", ErrDenied
}
func (f fixed) Secret(_ context.Context, _ Kind, user string) (Secret, string, error) {
	if user != f.user {
		return Secret{}, "", nil
	}
	return f.secret, f.user, nil
}

// RFC 5802 §5 and RFC 7677 §3, both sides.
func TestScramVectors(t *testing.T) {
	for _, tt := range []struct {
		name, salt, cnonce, snonce         string
		first, challenge, final, signature string
	}{
		{
			"SCRAM-SHA-1", "QSXCR+Q6sek8bf92",
			"fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j",
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
		{
			"SCRAM-SHA-256", "W22ZaJ0SNY7soEsUEjb6gQ==",
			"rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	} {
		f, _ := scramNamed(tt.name)
		salt, _ := base64.StdEncoding.DecodeString(tt.salt)
		k, err := DeriveScram(f.kind, []byte("pencil"), salt, 4096)
		if err != nil {
			t.Fatal(err)
		}
		s := f.mechanism().New(fixed{"user", Secret{SCRAM: k}}).(*scramServer)
		s.nonces = func() string { return tt.snonce }
		client, err := ScramClient(tt.name, "", "user", "pencil", nil)
		if err != nil {
			t.Fatal(err)
		}
		client.(*scramClient).nonce = tt.cnonce

		ctx := context.Background()
		_, first, _ := client.Start(ctx)
		check(t, "client-first", string(first), tt.first, nil)
		challenge, _, _, err := s.Next(ctx, first)
		check(t, "server-first", string(challenge), tt.challenge, err)
		final, err := client.Next(ctx, challenge)
		check(t, "client-final", string(final), tt.final, err)
		signature, account, done, err := s.Next(ctx, final)
		check(t, "server-final", string(signature), tt.signature, err)
		if !done || account != "user" {
			t.Errorf("%s: done %v, account %q", tt.name, done, account)
		}
		_, err = client.Next(ctx, signature)
		check(t, "client's end", "", "", err)
		if err := Finish(client); err != nil {
			t.Error(err)
		}
	}
}

func check(t *testing.T, what, got, want string, err error) {
	t.Helper()
	if got != want || err != nil {
		t.Errorf("%s: %q, error %v\n want %q", what, got, err, want)
	}
}

// RFC 2195 §2, from the two states and not from the password.
func TestCRAMVector(t *testing.T) {
	challenge := []byte("<1896.697170952@postoffice.reston.mci.net>")
	client := CRAMMD5Client("tim", "tanstaaftanstaaf")
	client.Start(context.Background())
	got, err := client.Next(context.Background(), challenge)
	check(t, "response", string(got), "tim b913a602c7eda7a495b4e6e7334d3890", err)

	s := &cramServer{c: fixed{"tim", Secret{CRAM: MakeCRAM([]byte("tanstaaftanstaaf"))}}, challenge: challenge}
	_, account, done, err := s.Next(context.Background(), got)
	if !done || account != "tim" || err != nil {
		t.Errorf("server: %q %v %v", account, done, err)
	}
}

// RFC 2202 §2: HMAC-MD5 with keys shorter than, as long as and longer than a
// block, so that both ways to make the states are right.
func TestCRAMKeysAreHMAC(t *testing.T) {
	for _, tt := range []struct{ key, data, want string }{
		{"Jefe", "what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"},
		{string(fill(0xaa, 80)), "Test Using Larger Than Block-Size Key - Hash Key First", "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
		{string(fill(0x0b, 16)), "Hi There", "9294727a3638bb1c13f48ef8158bfc9d"},
	} {
		got, err := cramDigest(MakeCRAM([]byte(tt.key)), []byte(tt.data))
		check(t, "HMAC-MD5", hex.EncodeToString(got), tt.want, err)
	}
}

func fill(b byte, n int) []byte {
	s := make([]byte, n)
	for i := range s {
		s[i] = b
	}
	return s
}

// RFC 1939 §7.
func TestAPOPVector(t *testing.T) {
	got := APOPDigest("<1896.697170952@dbc.mtview.ca.us>", []byte("tanstaaf"))
	check(t, "digest", got, "c4c9334bac560ecc979e58001b3e22fb", nil)
}

// RFC 4616 §4.
func TestPlainVector(t *testing.T) {
	_, initial, _ := PlainClient("", "tim", "tanstaaftanstaaf").Start(context.Background())
	check(t, "PLAIN", string(initial), "\x00tim\x00tanstaaftanstaaf", nil)
	_, initial, _ = PlainClient("Ursel", "Kurt", "xipj3plmq").Start(context.Background())
	check(t, "PLAIN", string(initial), "Ursel\x00Kurt\x00xipj3plmq", nil)
}

// RFC 7628 §4.1, whose base64 is broken over lines there.
func TestOAuthBearerVector(t *testing.T) {
	const want = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
	_, initial, _ := OAuthBearerClient("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "server.example.com", 143).Start(context.Background())
	check(t, "OAUTHBEARER", base64.StdEncoding.EncodeToString(initial), want, nil)
	authzid, _, token, err := parseOAuthBearer(string(initial))
	check(t, "authzid", authzid, "user@example.com", err)
	check(t, "token", token, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", err)
}

// RFC 4013 §3.
func TestPrepareName(t *testing.T) {
	for in, want := range map[string]string{"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX"} {
		got, err := prepareName(in)
		check(t, in, got, want, err)
	}
	for _, bad := range []string{"\u0007", "\u0627\u0031", "a\x00b", "a\xff", string(fill('x', maxName+1))} {
		if got, err := prepareName(bad); err != ErrMalformed {
			t.Errorf("prepareName(%.20q) = %q, %v", bad, got, err)
		}
	}
}

func TestScramHashes(t *testing.T) {
	for name, want := range map[string]crypto.Hash{"scram-sha-1-plus": crypto.SHA1, "SCRAM-SHA-256": crypto.SHA256} {
		if f, ok := scramNamed(name); !ok || f.hash != want {
			t.Errorf("%s: %v %v", name, f, ok)
		}
	}
	if _, ok := scramNamed("SCRAM-MD5"); ok {
		t.Error("SCRAM-MD5 found")
	}
}
