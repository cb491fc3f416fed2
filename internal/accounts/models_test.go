package accounts

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// TestModels: where accounts came from elsewhere, names that are nobody's have
// the iterations and salts that accounts have, in the same proportions, and cost
// the same; and each name always the same.
func TestModels(t *testing.T) {
	const bcrypt = "$2y$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq"
	s := conf.New()
	s.ServerName, s.SecretKeyFile = "mail.test", filepath.Join(t.TempDir(), "secret.key")
	s.Accounts = make(map[string]*conf.Account)
	for i := range 20 {
		keys, err := sasl.DeriveScram(sasl.ScramSHA256, []byte("x"), make([]byte, 40), 4096+i%2)
		if err != nil {
			t.Fatal(err)
		}
		s.Accounts[fmt.Sprintf("u%d@mail.test", i)] = &conf.Account{Password: bcrypt, ScramSHA256: conf.Secret(sasl.FormatScram(sasl.ScramSHA256, keys))}
	}
	c, err := New(s, NewDirectory(s), nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]int)
	for i := range 200 {
		name := fmt.Sprintf("nobody%d@mail.test", i)
		s, _, err := c.Secret(context.Background(), sasl.ScramSHA256, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.SCRAM.Salt) != 40 {
			t.Fatalf("a salt of %d bytes, where accounts have 40", len(s.SCRAM.Salt))
		}
		seen[s.SCRAM.Iterations]++
		if again, _, _ := c.Secret(context.Background(), sasl.ScramSHA256, name); again.SCRAM.Iterations != s.SCRAM.Iterations || string(again.SCRAM.Salt) != string(s.SCRAM.Salt) {
			t.Error("asking twice shows that there is nobody")
		}
		if got := c.models.password(c.decoy, domains.Address(name)); got != bcrypt {
			t.Errorf("costs what %q costs", got)
		}
	}
	if len(seen) != 2 || seen[4096] < 20 || seen[4097] < 20 {
		t.Errorf("iterations %v", seen)
	}
}

// TestModelsInProportion: one account of ten that costs something else is imitated by
// one name of ten that is nobody's, whatever the server's key is.
func TestModelsInProportion(t *testing.T) {
	for range 5 {
		s := conf.New()
		s.ServerName, s.SecretKeyFile = "mail.test", filepath.Join(t.TempDir(), "secret.key")
		s.Accounts = make(map[string]*conf.Account)
		for i := range 10 {
			form := "own"
			if i == 7 {
				form = "taken over"
			}
			s.Accounts[fmt.Sprintf("u%d@mail.test", i)] = &conf.Account{Password: conf.Secret(form)}
		}
		c, err := New(s, NewDirectory(s), nil, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range 4000 {
			if c.models.password(c.decoy, domains.Address(fmt.Sprintf("nobody%d@mail.test", i))) == "taken over" {
				n++
			}
		}
		if n < 280 || n > 520 {
			t.Errorf("%d of 4000 names cost what one account of ten does", n)
		}
	}
}
