package smtp_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/smtp"
)

// TestNoClientCertificate: a client that is not to be asked for a certificate is not, and all others are.
func TestNoClientCertificate(t *testing.T) {
	cert, key, err := certs.SelfSigned("mx.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := &smtp.Server{
		Hostname: "mx.test", TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert},
		Handler: smtp.HandlerFunc(func(context.Context, *smtp.Envelope) error { return nil }), CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		CheckHelo: func(_ context.Context, s *smtp.Session, name string) error {
			s.NoClientCertificate = name == "shy.test"
			return nil
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	defer s.Close()
	for name, want := range map[string]bool{"shy.test": false, "bold.test": true} {
		asked := false
		d := &smtp.Dialer{Hello: name, TLS: smtp.TLSOpportunistic, TLSConfig: &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &pair, nil
		}}}
		c, err := d.Dial(t.Context(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if c.TLS() == nil || asked != want {
			t.Errorf("%s: asked %t, TLS %t", name, asked, c.TLS() != nil)
		}
		c.Close()
	}
}
