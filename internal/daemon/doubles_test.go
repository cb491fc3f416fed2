package daemon

import (
	"context"
	"fmt"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
)

// TestDoubles: where accounts came from elsewhere, names that are nobody's have
// the iterations and salts that accounts have, in the same proportions, and cost
// the same; and each name always the same.
func TestDoubles(t *testing.T) {
	const bcrypt = "$2y$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq"
	accounts := ""
	for i := range 20 {
		keys, err := sasl.DeriveScram(sasl.ScramSHA256, []byte("x"), make([]byte, 40), 4096+i%2)
		if err != nil {
			t.Fatal(err)
		}
		accounts += fmt.Sprintf(`"u%d": {"password": %q, "scram_sha_256": %q},`, i, bcrypt, sasl.FormatScram(sasl.ScramSHA256, keys))
	}
	w := startWith(t, `{"server_name": "mail.test", "data_dir": "data",
		"Listeners": [{"address": "127.0.0.2:0", "protocol": "submission"}],
		"Domains": {"mail.test": {"Accounts": {`+accounts+`}}}, /* %s %s */}`, "")
	c := w.state().credentials
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
		if got := c.doubles.password(c.decoy, name); got != bcrypt {
			t.Errorf("costs what %q costs", got)
		}
	}
	if len(seen) != 2 || seen[4096] < 20 || seen[4097] < 20 {
		t.Errorf("iterations %v", seen)
	}
}
