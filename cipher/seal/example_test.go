package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/postrider-mail/postrider/cipher/seal"
)

func ExampleKey_SealText() {
	key := seal.GenerateKey() // a server uses EnsureKey("/etc/postrider/server.key")
	text, err := key.SealText([]byte("tanstaaf"), []byte("apop:mrose@example.com"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text[:7])

	secret, err := key.OpenText(text, []byte("apop:mrose@example.com"))
	fmt.Printf("%s %v\n", secret, err)
	// The same text in another account's place does not open.
	_, err = key.OpenText(text, []byte("apop:mallory@example.com"))
	fmt.Println(errors.Is(err, seal.ErrOpen))
	// Output:
	// sealed:
	// tanstaaf <nil>
	// true
}

func ExampleKey_EncryptWriter() {
	key := seal.GenerateKey()
	var sealed bytes.Buffer
	w, err := key.EncryptWriter(&sealed, []byte("backup of 2026-11-20"))
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(w, strings.NewReader("as much as you like"))
	if err := w.Close(); err != nil { // only now it is complete
		log.Fatal(err)
	}

	short := bytes.NewReader(sealed.Bytes()[:sealed.Len()-1])
	r, _ := key.DecryptReader(short, []byte("backup of 2026-11-20"))
	_, err = io.ReadAll(r)
	fmt.Println(err)
	r, _ = key.DecryptReader(&sealed, []byte("backup of 2026-11-20"))
	plain, err := io.ReadAll(r)
	fmt.Printf("%s %v\n", plain, err)
	// Output:
	// seal: sealed stream is cut short
	// as much as you like <nil>
}
