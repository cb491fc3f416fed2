package certs_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
)

// The server's side of STARTTLS or STLS.
func ExampleUpgrade() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	pair := certs.Keypair{Cert: filepath.Join(folder, "mail.crt"), Key: filepath.Join(folder, "mail.key")}
	if _, err := certs.EnsureSelfSigned(pair, "mail.example.com"); err != nil {
		log.Fatal(err)
	}
	certificates, err := certs.LoadTLS(pair) // as many pairs as there are names
	if err != nil {
		log.Fatal(err)
	}
	config := certificates.Config(certs.WithoutTickets)

	client, server := net.Pipe()
	go func() {
		// After the answer "220 Ready" to STARTTLS, with what is left in the
		// line reader's buffer:
		const buffered = 0
		conn, err := certs.Upgrade(context.Background(), server, buffered, config)
		if err != nil {
			server.Close() // nothing may be said any more
			return
		}
		io.WriteString(conn, "now under TLS")
		conn.Close()
	}()
	conn, err := certs.UpgradeClient(context.Background(), client, 0, &tls.Config{
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
	var certificates *certs.TLS // from LoadTLS

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
