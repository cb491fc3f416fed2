package acme_test

import (
	"context"
	"log"
	"net/http"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/cipher/certs"
)

func Example() {
	pair := certs.Keypair{Cert: "/var/lib/mail/self.crt", Key: "/var/lib/mail/self.key"}
	if _, err := certs.EnsureSelfSigned(pair, "mail.example.com"); err != nil {
		log.Fatal(err)
	}
	fallback, err := certs.LoadTLS(pair)
	if err != nil {
		log.Fatal(err)
	}
	m, err := acme.New(acme.Options{
		Names:       []string{"mail.example.com", "pop.example.com"},
		Folder:      "/var/lib/mail/acme",
		AcceptTerms: true,
		Fallback:    fallback, // until the first certificate is there
	})
	if err != nil {
		log.Fatal(err)
	}
	go http.ListenAndServe(":80", m.HTTPHandler()) // the authority asks here
	go m.Run(context.Background())

	config := m.Config(certs.WithoutTickets) // for the SMTP and POP3 servers
	_ = config
}
