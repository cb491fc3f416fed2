package sign

import (
	"context"
	"crypto"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/postrider-mail/postrider/smtp/dkim"
)

// maxKeyFile bounds the file of a private key, in octets.
const maxKeyFile = 64 << 10

// readPrivate reads the private part of a key.
func (r *Ring) readPrivate(ctx context.Context, k *Key) (crypto.Signer, error) {
	name := filepath.Join(r.where, k.Domain.String(), k.Selector+".key")
	text, v, err := r.store.Get(ctx, r.file(k), "")
	if err == nil && v == "" {
		err = &fs.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	}
	if err != nil {
		return nil, err
	}
	key, err := ReadKey(name, text)
	if err != nil {
		return nil, err
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if record != k.Public {
		return nil, fmt.Errorf("%s holds another key than the one that was announced", name)
	}
	return key, nil
}

// ReadKey reads the text of a key file.
func ReadKey(name string, text []byte) (crypto.Signer, error) {
	if len(text) == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is too long for a key", name)
	}
	key, err := dkim.ReadKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}
