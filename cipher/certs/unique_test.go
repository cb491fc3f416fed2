package certs_test

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// TestNoUnique: a connection of TLS 1.2 that was resumed has no tls-unique, and nothing is
// bound to nothing.
func TestNoUnique(t *testing.T) {
	set, _ := certs.NewTLS(inMemory(t, "a.example"))
	ours, theirs, err1, err2 := shake(t, set.Config(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, conn := range []*tls.Conn{ours, theirs} {
		cs := conn.ConnectionState()
		for _, none := range [][]byte{nil, {}} {
			cs.TLSUnique = none
			if b, err := certs.UniqueBinding(&cs); !errors.Is(err, certs.ErrNoBinding) || b != nil {
				t.Errorf("%x, %v", b, err)
			}
		}
	}
}
