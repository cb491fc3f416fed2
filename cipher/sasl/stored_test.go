package sasl_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

func TestStoredForms(t *testing.T) {
	cram := sasl.MakeCRAM([]byte("test"))
	// As Dovecot's "doveadm pw -s CRAM-MD5" gives it.
	const text = "{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6"
	if got := sasl.FormatCRAM(cram); got != text {
		t.Errorf("FormatCRAM: %s", got)
	}
	for _, s := range []string{text, strings.TrimPrefix(text, "{CRAM-MD5}")} {
		if got, err := sasl.ParseCRAM(s); err != nil || !bytes.Equal(got, cram) {
			t.Errorf("ParseCRAM(%s): %x, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "{CRAM-MD5}", text + "00", "{CRAM-MD5}zz"} {
		if _, err := sasl.ParseCRAM(bad); !errors.Is(err, sasl.ErrForm) {
			t.Errorf("ParseCRAM(%q): %v", bad, err)
		}
	}
	for _, kind := range []sasl.Kind{sasl.ScramSHA1, sasl.ScramSHA256} {
		keys, err := sasl.MakeScram(kind, []byte("pässword"), 0)
		if err != nil || keys.Iterations != sasl.ScramIterations {
			t.Fatal(keys, err)
		}
		s := sasl.FormatScram(kind, keys)
		k, got, err := sasl.ParseScram(s)
		if err != nil || k != kind || !bytes.Equal(got.StoredKey, keys.StoredKey) || !bytes.Equal(got.ServerKey, keys.ServerKey) || !bytes.Equal(got.Salt, keys.Salt) {
			t.Errorf("%s: %v %v %v", s, k, got, err)
		}
		// However the keyboard composes the ä.
		if err := passwd.Verify(s, []byte("pa\u0308ssword")); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, _, err := sasl.ParseScram("SCRAM-SHA-512$x"); !errors.Is(err, sasl.ErrForm) {
		t.Errorf("ParseScram: %v", err)
	}
	for i, make := range []func() (*sasl.ScramKeys, error){
		func() (*sasl.ScramKeys, error) { return sasl.MakeScram(sasl.ScramSHA256, nil, 0) },
		func() (*sasl.ScramKeys, error) { return sasl.MakeScram(sasl.CRAMMD5, []byte("x"), 0) },
		func() (*sasl.ScramKeys, error) { return sasl.MakeScram(sasl.ScramSHA256, []byte("x"), 100) },
		func() (*sasl.ScramKeys, error) { return sasl.MakeScram(sasl.ScramSHA256, []byte("x"), 1<<30) },
	} {
		if k, err := make(); err == nil {
			t.Errorf("%d: made %v", i, k)
		}
	}
}

// Asking twice for somebody who does not exist gives the same salt, and nothing
// lets that somebody in.
func TestDecoy(t *testing.T) {
	d, same, other := sasl.NewDecoy([]byte("key")), sasl.NewDecoy([]byte("key")), sasl.NewDecoy(nil)
	for _, kind := range []sasl.Kind{sasl.ScramSHA1, sasl.ScramSHA256} {
		a, b := d.Secret(kind, "nobody").SCRAM, same.Secret(kind, "NoBody").SCRAM
		if !bytes.Equal(a.Salt, b.Salt) || !bytes.Equal(a.StoredKey, b.StoredKey) {
			t.Error("salt changes from one question to the next")
		}
		for _, differs := range []*sasl.ScramKeys{d.Secret(kind, "nobody2").SCRAM, other.Secret(kind, "nobody").SCRAM} {
			if bytes.Equal(a.Salt, differs.Salt) {
				t.Error("salts of two names or servers are the same")
			}
		}
		real, _ := sasl.MakeScram(kind, []byte("x"), 0)
		if len(a.Salt) != len(real.Salt) || a.Iterations != real.Iterations || len(a.StoredKey) != len(real.StoredKey) || len(a.ServerKey) != len(real.ServerKey) {
			t.Error("a decoy can be told from a real one")
		}
	}
	d.Iterations = 4096
	if n := d.Secret(sasl.ScramSHA256, "nobody").SCRAM.Iterations; n != 4096 {
		t.Errorf("%d iterations", n)
	}
	if s := d.Secret(sasl.CRAMMD5, "nobody"); len(s.CRAM) != sasl.CRAMSize {
		t.Errorf("CRAM-MD5 decoy of %d bytes", len(s.CRAM))
	}
	if s := d.Secret(sasl.APOP, "nobody"); len(s.APOP) == 0 {
		t.Error("APOP decoy is empty")
	}
	if s := d.Secret(sasl.Password, "nobody"); s.SCRAM != nil || s.CRAM != nil || s.APOP != nil {
		t.Error("decoy of no kind")
	}
}

// The secrets of a Decoy that nobody gave a key cannot be computed by others.
func TestZeroDecoy(t *testing.T) {
	var zero sasl.Decoy
	for kind := sasl.CRAMMD5; kind <= sasl.APOP; kind++ {
		foreseen := new(sasl.Decoy).Secret(kind, "ghost")
		got, again := zero.Secret(kind, "ghost"), zero.Secret(kind, "ghost")
		if reflect.DeepEqual(got, foreseen) {
			t.Errorf("kind %d: two zero Decoys give the same", kind)
		}
		if !reflect.DeepEqual(got, again) {
			t.Errorf("kind %d: asking twice tells", kind)
		}
	}
	if zero.Secret(sasl.ScramSHA256, "ghost").SCRAM.StoredKey == nil {
		t.Error("no keys")
	}
}

func TestAPOP(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		ts := sasl.APOPTimestamp("mail.example.com")
		if seen[ts] || !strings.HasPrefix(ts, "<") || !strings.HasSuffix(ts, "@mail.example.com>") || len(ts) < 40 {
			t.Fatalf("timestamp %s", ts)
		}
		seen[ts] = true
	}
	for _, bad := range []string{"", "a b", "a>b", "ä.example", "x\r\n"} {
		if ts := sasl.APOPTimestamp(bad); !strings.HasSuffix(ts, "@localhost>") {
			t.Errorf("timestamp for %q: %s", bad, ts)
		}
	}
	ctx := context.Background()
	const ts = "<1896.697170952@dbc.mtview.ca.us>"
	digest := sasl.APOPDigest(ts, []byte("tanstaaftanstaaf"))
	for _, tt := range []struct {
		timestamp, user, digest, want string
		err                           error
	}{
		{ts, "tim", digest, "tim", nil},
		{ts, "tim", strings.ToUpper(digest), "tim", nil},
		{"<other@host>", "tim", digest, "", sasl.ErrDenied},
		{"", "tim", sasl.APOPDigest("", []byte("tanstaaftanstaaf")), "", sasl.ErrDenied},
		{ts, "alice", digest, "", sasl.ErrDenied},
		{ts, "nobody", digest, "", sasl.ErrDenied},
		{ts, "tim", digest[1:], "", sasl.ErrMalformed},
		{ts, "tim", "zz" + digest[2:], "", sasl.ErrMalformed},
		{ts, "tim", "", "", sasl.ErrMalformed},
		{ts, "t\x00im", digest, "", sasl.ErrMalformed},
	} {
		account, err := sasl.VerifyAPOP(ctx, newBook(), tt.timestamp, tt.user, tt.digest)
		if account != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("VerifyAPOP(%q, %q, %q) = %q, %v", tt.timestamp, tt.user, tt.digest, account, err)
		}
	}
}

func TestPeerOf(t *testing.T) {
	if p := sasl.PeerOf(context.Background()); p == nil || p.TLS != nil {
		t.Errorf("PeerOf of nothing: %v", p)
	}
	want := &sasl.Peer{Service: "pop"}
	if p := sasl.PeerOf(sasl.WithPeer(context.Background(), want)); p != want {
		t.Errorf("PeerOf: %v", p)
	}
}
