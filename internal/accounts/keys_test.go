package accounts

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
)

// dovecotScram is a password as Dovecot's SCRAM-SHA-256 scheme stores it.
func dovecotScram(t *testing.T, password string) conf.Secret {
	t.Helper()
	k, err := sasl.MakeScram(sasl.ScramSHA256, []byte(password), 4096)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.NewReplacer("$", ",", ":", ",").Replace(strings.TrimPrefix(sasl.FormatScram(sasl.ScramSHA256, k), "SCRAM-SHA-256$"))
	return conf.Secret("{SCRAM-SHA-256}" + fields)
}

// TestKeysInPassword: an account whose password is stored as keys has these keys, and
// keeps no mechanism from the others.
func TestKeysInPassword(t *testing.T) {
	cram := "{CRAM-MD5}" + hex.EncodeToString(sasl.MakeCRAM([]byte("x")))
	for _, c := range []struct {
		password    conf.Secret
		scram, cram bool
	}{
		{dovecotScram(t, "x"), true, false},
		{conf.Secret(cram), false, true},
		{"$2y$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq", false, false},
	} {
		s := conf.New()
		s.ServerName, s.SecretKeyFile = "mail.test", filepath.Join(t.TempDir(), "secret.key")
		s.Accounts = map[string]*conf.Account{"ann@mail.test": {Password: c.password}}
		a, err := New(s, NewDirectory(s), nil, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if scram, cram := a.Offers(sasl.ScramSHA256), a.Offers(sasl.CRAMMD5); scram != c.scram || cram != c.cram {
			t.Errorf("%.16s: SCRAM-SHA-256 offered %v, CRAM-MD5 %v", c.password, scram, cram)
		}
		for kind, has := range map[sasl.Kind]bool{sasl.ScramSHA256: c.scram, sasl.CRAMMD5: c.cram} {
			secret, account, err := a.Secret(t.Context(), kind, "ann@mail.test")
			if err != nil || account != "ann@mail.test" {
				t.Errorf("%s, %v", account, err)
			}
			own := kind == sasl.CRAMMD5 && fmt.Sprintf("{CRAM-MD5}%x", secret.CRAM) == string(c.password)
			if kind == sasl.ScramSHA256 {
				_, k, err := sasl.ParseScram(string(c.password))
				own = err == nil && string(k.StoredKey) == string(secret.SCRAM.StoredKey)
			}
			if own != has {
				t.Errorf("%.16s: kind %v has the account's keys: %v", c.password, kind, own)
			}
		}
	}
}

// TestKeysFromLogin: an account with an old hash keeps SCRAM from all until it has logged
// in with its password; the keys survive a reload and a restart, and a new password ends them.
func TestKeysFromLogin(t *testing.T) {
	const bcrypt = "$2y$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq" // "test"
	s := conf.New()
	s.ServerName, s.SecretKeyFile = "mail.test", filepath.Join(t.TempDir(), "secret.key")
	s.Accounts = map[string]*conf.Account{"ann@mail.test": {Password: bcrypt}, "bob@mail.test": {Password: dovecotScram(t, "x")},
		"off@mail.test": {Password: bcrypt, Disabled: true}}
	made := func(s *conf.Settings, old *Credentials) *Credentials {
		t.Helper()
		c, err := New(s, NewDirectory(s), nil, old, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := made(s, nil)
	ctx := sasl.WithPeer(t.Context(), &sasl.Peer{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}})
	if _, err := c.Verify(ctx, "", "ann@mail.test", []byte("wrong")); err == nil || c.Offers(sasl.ScramSHA256) {
		t.Fatalf("a wrong password: %v, offered %v", err, c.Offers(sasl.ScramSHA256))
	}
	memory := func(c *Credentials) []byte {
		t.Helper()
		text, err := c.Memory()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for range 2 {
		if _, err := c.Verify(ctx, "", "ann@mail.test", []byte("test")); err != nil {
			t.Fatal(err)
		}
	}
	again := made(s, nil)
	if err := again.Recall(memory(c)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Credentials{"login": c, "reload": made(s, c), "restart": again} {
		secret, _, err := c.Secret(ctx, sasl.ScramSHA256, "ann@mail.test")
		if err != nil || !c.Offers(sasl.ScramSHA256) || c.Offers(sasl.CRAMMD5) {
			t.Fatalf("%s: %v, SCRAM offered %v", name, err, c.Offers(sasl.ScramSHA256))
		}
		derived, err := sasl.DeriveScram(sasl.ScramSHA256, []byte("test"), secret.SCRAM.Salt, secret.SCRAM.Iterations)
		if err != nil || string(derived.StoredKey) != string(secret.SCRAM.StoredKey) {
			t.Errorf("%s: the keys are of another password, %v", name, err)
		}
	}
	changed := *s
	changed.Accounts = map[string]*conf.Account{"ann@mail.test": {Password: conf.Secret(bcrypt[:len(bcrypt)-1] + "w")}}
	if next := made(&changed, c); next.Offers(sasl.ScramSHA256) || strings.Contains(string(memory(next)), "SCRAM") {
		t.Error("the keys of an old password are the account's")
	}
	refused := *s
	refused.Auth.DeriveKeys = false
	if next := made(&refused, c); next.Offers(sasl.ScramSHA256) {
		t.Error("keys are used that are not wanted")
	}
}
