package sealedmail_test

import (
	"bytes"
	"fmt"
	"io"
	"log"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
)

func Example() {
	// Once: keys for the mailbox. The recovery key is for the owner's drawer.
	keyring, recovery, err := sealedmail.NewKeyring([]byte("password"))
	if err != nil {
		log.Fatal(err)
	}

	// At delivery: no password is needed, and the size is known beforehand.
	const message = "Subject: hello\r\n\r\nFor your eyes only.\r\n"
	var file bytes.Buffer
	w, err := keyring.Seal(&file)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(w, message)
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(int64(file.Len()) == sealedmail.SealedSize(int64(len(message))))

	// The password was forgotten, and is replaced.
	keys, err := keyring.Recover(recovery)
	if err != nil {
		log.Fatal(err)
	}
	if err := keyring.ChangePassword(keys, []byte("second")); err != nil {
		log.Fatal(err)
	}

	// At login.
	keys, err = keyring.Unlock([]byte("second"))
	if err != nil {
		log.Fatal(err)
	}
	plain, err := keys.Open(&file)
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	fmt.Println(string(text) == message, err)
	// Output:
	// true
	// true <nil>
}

// New mail gets a new key; what is there stays readable.
func ExampleKeyring_Rotate() {
	keyring, _, err := sealedmail.NewKeyring([]byte("password"))
	if err != nil {
		log.Fatal(err)
	}
	old := keyring.Recipient()
	keys, err := keyring.Unlock([]byte("password"))
	if err != nil {
		log.Fatal(err)
	}
	err = keyring.Rotate(keys)
	fmt.Println(err, keyring.Recipient() != old)
	// Output: <nil> true
}
