package accounts

import (
	"encoding/hex"
	"fmt"
	"log/slog"
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
		a, err := New(s, NewDirectory(s), nil, slog.New(slog.DiscardHandler))
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
