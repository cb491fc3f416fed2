package sasl

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
)

// sealedBook implements every interface and lets nobody in: its secrets are
// decoys.
type sealedBook struct{ decoy *Decoy }

func (sealedBook) Offers(Kind) bool { return true }
func (sealedBook) Verify(context.Context, string, string, []byte) (string, error) {
	return "", ErrDenied
}
func (b sealedBook) Secret(_ context.Context, kind Kind, user string) (Secret, string, error) {
	return b.decoy.Secret(kind, user), user, nil
}
func (sealedBook) Token(context.Context, string, string, string) (string, error) {
	return "", ErrDenied
}
func (sealedBook) Certificate(context.Context, string) (string, error) { return "", ErrDenied }

// Whatever a client answers, no mechanism panics, goes on for ever, or lets it
// in. Responses are separated by newlines; "-" is none.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"\x00alice\x00secret", "-\n\x00alice\x00secret", "alice\nsecret", "-\nalice 00112233445566778899aabbccddeeff",
		"n,,n=alice,r=abc\nc=biws,r=abc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "y,a=bob,n=al=2Cice,r=abc\nc=biws,r=abc,p=AAAA",
		"p=tls-exporter,,n=alice,r=abc\nc=cD10bHMtZXhwb3J0ZXIsLA==,r=abc,p=AAAA", "p=tls-server-end-point,,n=a,r=b\nc=biws",
		"n,a=alice,\x01auth=Bearer x\x01\x01\n\x01", "user=alice\x01auth=Bearer x\x01\x01\n", "-\nalice", "",
	} {
		for m := range len(Mechanisms()) {
			f.Add(uint8(m), s)
		}
	}
	leaf := &x509.Certificate{Raw: []byte("leaf"), SignatureAlgorithm: x509.ECDSAWithSHA256}
	peer := &Peer{Hostname: "h", Certificate: leaf, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}}
	ctx := WithPeer(context.Background(), peer)
	c := sealedBook{NewDecoy([]byte("fuzz"))}
	f.Fuzz(func(t *testing.T, which uint8, responses string) {
		all := Mechanisms()
		s := all[int(which)%len(all)].New(c)
		ended := false
		for line := range strings.SplitSeq(responses, "\n") {
			response := []byte(line)
			if line == "-" {
				response = nil
			}
			challenge, account, done, err := s.Next(ctx, response)
			if done || account != "" {
				t.Fatalf("let in as %q", account)
			}
			if err != nil && challenge != nil {
				t.Fatalf("challenge %q beside error %v", challenge, err)
			}
			if ended && err == nil {
				t.Fatal("the exchange went on after its end")
			}
			if err == nil && challenge == nil {
				t.Fatal("neither challenge nor end")
			}
			ended = err != nil
		}
	})
}

// Whatever a server says, SCRAM's client never takes it for genuine.
func FuzzScramClient(f *testing.F) {
	f.Add("r=abcdef,s=QSXCR+Q6sek8bf92,i=4096", "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
	f.Add("r=abcdef,s=QSXCR+Q6sek8bf92,i=4096,m=x", "e=other-error")
	f.Add("m=x,r=abcdef", "")
	f.Fuzz(func(t *testing.T, first, final string) {
		if i := strings.Index(first, ",i="); i >= 0 && len(first) > i+7 {
			return // bounded, but slow
		}
		client, err := ScramClient("SCRAM-SHA-1", "", "alice", "secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		client.(*scramClient).nonce = "abc"
		client.Start(context.Background())
		response, err := client.Next(context.Background(), []byte(first))
		if err == nil && !bytes.HasPrefix(response, []byte("c=biws,r=abc")) {
			t.Fatalf("answered %q", response)
		}
		client.Next(context.Background(), []byte(final))
		if Finish(client) == nil {
			t.Fatal("took a false server for genuine")
		}
	})
}

// What is written as a saslname is read back, and what is read is a name.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"alice", "al=ice", "a,b=2C", "=3D", "\u212b", "x@y", ",", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		prepared, err := prepareName(name)
		if err != nil {
			if prepared != "" {
				t.Fatalf("%q with an error", prepared)
			}
			return
		}
		got, err := unescapeName(escapeName(name))
		if err != nil || got != prepared {
			t.Fatalf("%q came back as %q, %v; want %q", name, got, err, prepared)
		}
		unescapeName(name)
		if g, rest, err := parseGS2("n," + authzidField(name) + ",rest"); name != "" && (err != nil || g.authzid != prepared || rest != "rest") {
			t.Fatalf("authzid %q came back as %q, %q, %v", name, g.authzid, rest, err)
		}
	})
}

// No digest but the right one is taken.
func FuzzAPOP(f *testing.F) {
	const ts, secret = "<1896.697170952@dbc.mtview.ca.us>", "tanstaaf"
	f.Add("mrose", "c4c9334bac560ecc979e58001b3e22fb")
	f.Add("mrose", "")
	f.Add("m\x00", "zz")
	c := fixed{"mrose", Secret{APOP: []byte(secret)}}
	f.Fuzz(func(t *testing.T, user, digest string) {
		account, err := VerifyAPOP(context.Background(), c, ts, user, digest)
		right := strings.EqualFold(digest, APOPDigest(ts, []byte(secret)))
		if err == nil && (!right || account != "mrose") {
			t.Fatalf("took %q of %q", digest, user)
		}
		if err != nil && !errors.Is(err, ErrDenied) && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
	})
}
