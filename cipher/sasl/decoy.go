package sasl

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"strings"
	"sync"
)

// Decoy makes secrets for accounts that do not exist. They are the same each
// time for the same name, so that asking twice does not tell (RFC 5802 §9
// leaves the salt visible to anybody), and no answer fits them. The zero value
// has a random key, as NewDecoy(nil); it must not be copied. It may be used
// concurrently.
type Decoy struct {
	// Iterations is what real accounts have for SCRAM; 0 means ScramIterations.
	Iterations int

	once sync.Once
	key  []byte
}

// NewDecoy makes a Decoy from a secret key that survives restarts; nil means a
// random one, whose salts change when the server starts again, which tells
// whoever asks before and after.
func NewDecoy(key []byte) *Decoy {
	return &Decoy{key: append([]byte(nil), key...)}
}

// Secret gives a Secret of the kind that no answer fits. The name's case does
// not matter, as it does not for real accounts.
func (d *Decoy) Secret(kind Kind, user string) Secret { return d.Like(kind, user, Secret{}) }

// Like is Secret with what shows of a SCRAM secret, its iterations and the length
// of its salt, taken from model, where it has them. Where accounts differ in
// these, give each name always the same account's: then they do not tell which
// names are accounts.
func (d *Decoy) Like(kind Kind, user string, model Secret) Secret {
	d.once.Do(func() {
		if len(d.key) == 0 { // with none anybody could compute what is derived of it
			d.key = make([]byte, 32)
			rand.Read(d.key)
		}
	})
	derive := func(what string, n int) (out []byte) {
		for i := byte(0); len(out) < n; i++ {
			m := hmac.New(sha256.New, d.key)
			m.Write([]byte(what + strings.Repeat("+", int(i)) + "\x00" + strings.ToLower(user)))
			out = m.Sum(out)
		}
		return out[:n]
	}
	scram := func(size int) Secret {
		name := scramName(kind)
		salt, iterations := 16, cmp.Or(d.Iterations, ScramIterations)
		if model.SCRAM != nil {
			salt, iterations = len(model.SCRAM.Salt), model.SCRAM.Iterations
		}
		return Secret{SCRAM: &ScramKeys{Salt: derive(name+" salt", salt), Iterations: iterations,
			StoredKey: derive(name+" stored", size), ServerKey: derive(name+" server", size)}}
	}
	switch kind {
	case CRAMMD5:
		return Secret{CRAM: derive("cram", CRAMSize)}
	case APOP:
		return Secret{APOP: derive("apop", 32)}
	case ScramSHA1:
		return scram(sha1.Size)
	case ScramSHA256:
		return scram(sha256.Size)
	}
	return Secret{}
}
