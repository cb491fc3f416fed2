package accounts

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// keys are what one account keeps for challenges, read from its settings once.
type keys struct {
	cram  []byte
	scram atomic.Pointer[sasl.ScramKeys] // may be made later, once
	apop  []byte
}

// readKeys opens and parses what an account keeps. unseal opens the APOP
// secret; the key behind it is needed only where an account has one.
func readKeys(address domains.Address, a *conf.Account, unseal func(text string, context []byte) ([]byte, error)) (*keys, error) {
	var k keys
	var err error
	if stored := a.CRAMKey(); stored != "" {
		if k.cram, err = sasl.ParseCRAM(string(stored)); err != nil {
			return nil, fmt.Errorf("account %s: cram_md5: %w", address, err)
		}
	}
	if stored := a.ScramKeys(); stored != "" {
		kind, scram, err := sasl.ParseScram(string(stored))
		if err == nil && kind != sasl.ScramSHA256 {
			err = errors.New("not a SCRAM-SHA-256 secret")
		}
		if err != nil {
			return nil, fmt.Errorf("account %s: scram_sha_256: %w", address, err)
		}
		k.scram.Store(scram)
	}
	if a.APOP != "" {
		if k.apop, err = unseal(string(a.APOP), apopContext(address)); err != nil {
			return nil, fmt.Errorf("account %s: apop: %w", address, err)
		}
	}
	return &k, nil
}

// apopContext binds a sealed APOP secret to its account, so that it cannot be
// copied to another one.
func apopContext(address domains.Address) []byte { return []byte("apop:" + address) }

// readAllKeys reads the keys of all accounts; the server's key, which opens what
// is sealed, only if one of them needs it.
func readAllKeys(dir *Directory, keyFile string) (map[domains.Address]*keys, error) {
	var key *seal.Key
	unseal := func(text string, context []byte) ([]byte, error) {
		if key == nil {
			k, err := seal.LoadKey(keyFile)
			if err != nil {
				return nil, err
			}
			key = &k
		}
		return key.OpenText(text, context)
	}
	all := make(map[domains.Address]*keys)
	var problems []error
	for address, account := range dir.Accounts() {
		k, err := readKeys(address, account, unseal)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all[address] = k
	}
	return all, errors.Join(problems...)
}
