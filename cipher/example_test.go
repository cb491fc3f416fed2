package cipher_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher"
)

func ExampleHashPassword() {
	stored, err := cipher.HashPassword([]byte("correct horse"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored[:len("$argon2id$v=19$m=19456,t=2,p=1$")])
	fmt.Println(cipher.VerifyPassword(stored, []byte("correct horse")))
	fmt.Println(cipher.VerifyPassword(stored, []byte("battery staple")))
	// Output:
	// $argon2id$v=19$m=19456,t=2,p=1$
	// <nil>
	// cipher: password does not match
}

// User files of other systems can be taken over as they are.
func ExampleVerifyPassword() {
	const fromDovecot = "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"
	if cipher.VerifyPassword(fromDovecot, []byte("test")) == nil && cipher.NeedsRehash(fromDovecot) {
		fmt.Println("right; store cipher.HashPassword's string from now on")
	}
	// Output: right; store cipher.HashPassword's string from now on
}

// A configuration check says what is wrong without doing the work.
func ExampleCheckForm() {
	for _, stored := range []string{
		"$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"{PLAIN}secret",
		"$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$J8ZvcjZl3VfZK466kWr3paiZu8nRvLJh9rxXtAo4xog",
	} {
		fmt.Println(cipher.CheckForm(stored))
	}
	// Output:
	// <nil>
	// cipher: refused: {PLAIN} keeps the password in clear
	// cipher: stored password asks for too much work: argon2 with m=4194304,t=3
}

func ExampleVerifier() {
	var v cipher.Verifier // one for the whole server
	stored := map[string]string{"alice": "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"}

	login := func(ctx context.Context, user, password string) error {
		s, ok := stored[user]
		if !ok {
			return v.Dummy(ctx, []byte(password)) // as slow as if there were one
		}
		return v.Verify(ctx, user, s, []byte(password))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fmt.Println(login(ctx, "alice", "test"))
	fmt.Println(login(ctx, "alice", "guess"))
	fmt.Println(login(ctx, "nobody", "guess"))
	// Output:
	// <nil>
	// cipher: password does not match
	// cipher: password does not match
}

// The server's side of STARTTLS or STLS.
func ExampleUpgrade() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	pair := cipher.Keypair{Cert: filepath.Join(folder, "mail.crt"), Key: filepath.Join(folder, "mail.key")}
	if _, err := cipher.EnsureSelfSigned(pair, "mail.example.com"); err != nil {
		log.Fatal(err)
	}
	certificates, err := cipher.LoadTLS(pair) // as many pairs as there are names
	if err != nil {
		log.Fatal(err)
	}
	config := certificates.Config(cipher.WithoutTickets)

	client, server := net.Pipe()
	go func() {
		// After the answer "220 Ready" to STARTTLS, with what is left in the
		// line reader's buffer:
		const buffered = 0
		conn, err := cipher.Upgrade(context.Background(), server, buffered, config)
		if err != nil {
			server.Close() // nothing may be said any more
			return
		}
		io.WriteString(conn, "now under TLS")
		conn.Close()
	}()
	conn, err := cipher.UpgradeClient(context.Background(), client, 0, &tls.Config{
		ServerName: "mail.example.com", InsecureSkipVerify: true}) // self-signed
	if err != nil {
		log.Fatal(err)
	}
	text, _ := io.ReadAll(conn)
	fmt.Printf("%s\n", text)
	// Output: now under TLS
}

// Certificates that were renewed on disk come into use without a restart.
func ExampleTLS_ReloadIfChanged() {
	var certificates *cipher.TLS // from LoadTLS

	watch := func(ctx context.Context) {
		for range time.Tick(time.Minute) {
			if changed, err := certificates.ReloadIfChanged(); err != nil {
				log.Print(err) // what was in use stays in use
			} else if changed {
				log.Print("new certificates")
			}
			for _, e := range certificates.Expiring(14 * 24 * time.Hour) {
				log.Printf("%s expires %v", e.File, e.NotAfter)
			}
		}
	}
	_ = watch
}

func ExampleKey_SealText() {
	key := cipher.GenerateKey() // a server uses EnsureKey("/etc/postrider/server.key")
	text, err := key.SealText([]byte("tanstaaf"), []byte("apop:mrose@example.com"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text[:7])

	secret, err := key.OpenText(text, []byte("apop:mrose@example.com"))
	fmt.Printf("%s %v\n", secret, err)
	// The same text in another account's place does not open.
	_, err = key.OpenText(text, []byte("apop:mallory@example.com"))
	fmt.Println(errors.Is(err, cipher.ErrOpen))
	// Output:
	// sealed:
	// tanstaaf <nil>
	// true
}

func ExampleKey_EncryptWriter() {
	key := cipher.GenerateKey()
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
	// cipher: sealed stream is cut short
	// as much as you like <nil>
}

func ExampleRefuse() {
	fmt.Println(cipher.Refuse("RC4"))
	// Output: cipher: refused: RC4 leaks what it encrypts and is prohibited (RFC 7465); use XChaCha20-Poly1305
}
