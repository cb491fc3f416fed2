package sasl

import (
	"context"
)

// externalServer is EXTERNAL (RFC 4422 appendix A) by the client's TLS
// certificate.
func externalServer() Mechanism {
	return Mechanism{Name: "EXTERNAL", NeedsTLS: true,
		Usable: func(c Credentials) bool { _, ok := c.(Certificates); return ok },
		Fits:   hasCertificate,
		New: func(c Credentials) Server {
			return &single{take: func(ctx context.Context, response []byte) (string, error) {
				authzid, err := prepareName(string(response))
				if err != nil {
					return "", err
				}
				certificates, ok := c.(Certificates)
				if !ok || !hasCertificate(PeerOf(ctx)) {
					return "", ErrDenied
				}
				return certificates.Certificate(ctx, authzid)
			}}
		}}
}

func hasCertificate(p *Peer) bool { return p.TLS != nil && len(p.TLS.PeerCertificates) > 0 }

// ExternalClient answers EXTERNAL; authzid is empty to be whoever the
// certificate says.
func ExternalClient(authzid string) Client {
	return &plainClient{name: "EXTERNAL", initial: []byte(authzid)}
}
