package mailkeys

import (
	"os"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
)

// What testdata/v1.keys was made with.
const (
	goldenPassword  = "a password of 2026"
	goldenApp       = "app7app7app7app7app7app7app7"
	goldenRecovery  = "euyo-6dca-i6q7-om3z-wmqk-2735-gkzy-xruj-7ee3"
	goldenRecipient = "age1w2z9zv7s7kxa3jmxuymxry2dgctgk66dmkfafpcpw03p3teza42qjspzqa"
)

// TestGolden: keys that an earlier version wrote are opened by this one, in each way. Never change the file.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/v1.keys")
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse(text)
	if err != nil || b.State != Sealed || b.Keyring.Recipient() != goldenRecipient || len(b.Keyring.Known()) != 2 || len(b.Lost) != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	for name, open := range map[string]func() (*sealedmail.Unlocked, error){
		"password": func() (*sealedmail.Unlocked, error) { return Unlock(b.Keyring, []byte(goldenPassword)) },
		"app":      func() (*sealedmail.Unlocked, error) { return b.Keyring.UnlockApp("phone", []byte(goldenApp)) },
		"recovery": func() (*sealedmail.Unlocked, error) { return b.Keyring.Recover(goldenRecovery) },
	} {
		if u, err := open(); err != nil || u.Recipient() != goldenRecipient {
			t.Errorf("%s: %v", name, err)
		}
	}
}
