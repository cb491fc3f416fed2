package smtp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	netsmtp "net/smtp"
	"strings"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// A server that catches the mail of a program under test. In a test, pass
// l.Addr() to the program, and srv.Close to t.Cleanup.
func Example_catchMail() {
	type mail struct{ from, to, text string }
	caught := make(chan mail, 100)
	mux := smtp.NewServeMux()
	mux.HandleFunc("*@*", func(ctx context.Context, e *smtp.Envelope) error {
		text, err := io.ReadAll(e.Data)
		if err == nil {
			caught <- mail{e.From.String(), e.To[0].Path.String(), string(text)}
		}
		return err
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := &smtp.Server{Handler: mux, Hostname: "localhost", Log: quiet}
	go srv.Serve(l)
	defer srv.Close()

	netsmtp.SendMail(l.Addr().String(), nil, "app@example.net", []string{"bob@example.com"}, []byte("Subject: hello\r\n\r\nHello Bob.\r\n"))
	fmt.Printf("%q\n", <-caught)
	// Output: {"app@example.net" "bob@example.com" "Subject: hello\r\n\r\nHello Bob.\r\n"}
}

// A submission server as it stands on port 587: TLS, then AUTH, an answer of
// its own for each recipient, and what senders want to know about delivery. The
// client below it speaks all of that.
func ExampleServer_submission() {
	certificate, trust := selfSigned("localhost", "127.0.0.1")
	srv := &smtp.Server{
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{certificate}}, // or srv.ListenAndServeTLS(certFile, keyFile)
		TLSMode:     smtp.RequireTLS,
		RequireAuth: true,
		Credentials: sasl.PasswordFunc(func(user, password, remoteAddr string) error {
			if user == "ann" && password == "sesame" {
				return nil
			}
			return sasl.ErrDenied
		}),
		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
			switch to.Path.Local {
			case "nobody":
				return smtp.ErrNoSuchUser
			case "full":
				return smtp.ErrMailboxFull.Textf("%s has no room", to.Path)
			}
			return nil
		},
		Extensions: smtp.Extensions{DSN: true}, // the Handler sends reports
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			for _, to := range e.To {
				fmt.Println(e.Session.User, "to", to.Path, "report success:", to.Params.Notify&smtp.NotifySuccess != 0)
			}
			_, err := io.Copy(io.Discard, e.Data)
			return err
		}),
	}
	addr := loopback(srv)
	defer srv.Close()

	ctx := context.Background()
	d := smtp.Dialer{TLS: smtp.TLSRequired, TLSConfig: &tls.Config{RootCAs: trust}, User: "ann", Password: "sesame"}
	c, err := d.Dial(ctx, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Quit(ctx)
	m := &smtp.Outgoing{From: smtp.Path{Local: "ann", Domain: "example.net"}, Params: smtp.Params{Ret: "HDRS", EnvID: "letter-1"}}
	for _, address := range []string{"bob@example.com", "nobody@example.com", "full@example.com", "jürgen@exämple.org"} {
		to, err := smtp.ParseMailbox(address, smtp.PathUTF8)
		if err != nil {
			log.Fatal(err)
		}
		m.To = append(m.To, smtp.Recipient{Path: to, Params: smtp.RcptParams{Notify: smtp.NotifySuccess}})
	}
	results, err := c.Send(ctx, m, strings.NewReader("Subject: Grüße\r\n\r\nHallo!\r\n"))
	if err != nil {
		log.Fatal(err) // the connection broke
	}
	for i, r := range results {
		switch {
		case r.Err == nil:
			fmt.Println(m.To[i].Path, "has it")
		case errors.Is(r.Err, smtp.ErrNoSuchUser):
			fmt.Println(m.To[i].Path, "is not there")
		case r.Reply != nil && r.Reply.Temporary():
			fmt.Println(m.To[i].Path, "may be tried again")
		}
	}
	// Output:
	// ann to bob@example.com report success: true
	// ann to jürgen@exämple.org report success: true
	// bob@example.com has it
	// nobody@example.com is not there
	// full@example.com may be tried again
	// jürgen@exämple.org has it
}

// selfSigned is a certificate for an example, and who trusts it.
func selfSigned(names ...string) (tls.Certificate, *x509.CertPool) {
	certPEM, keyPEM, err := certs.SelfSigned(names...)
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		log.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(certPEM)
	return certificate, trust
}
