package conf

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// DNS is about what the domains publish in the DNS, beside what follows from
// other settings.
type DNS struct {
	// What the SPF records name beside this host: others that send mail as the
	// domains, such as a provider that all mail leaves through, or a newsletter
	// service. They say what.
	//
	//	"spf": ["include:_spf.provider.example", "ip4:192.0.2.7"]
	SPF []string `json:"spf"`

	// What others are asked to do with mail that claims to be of the domains
	// and is not (DMARC): "none", "quarantine" or "reject".
	DMARCPolicy string `json:"dmarc_policy" one:"none,quarantine,reject"`

	// The address that reports of others are asked for at, about mail that claims
	// to be of the domains (DMARC) and about TLS (TLS-RPT). Empty means
	// that of Reports or, without one, postmaster of each domain; "none" means that
	// no reports are asked for.
	ReportsTo string `json:"reports_to"`

	// Whether others are told to deliver to the domains over verified TLS only
	// (MTA-STS, RFC 8461): "off", "testing" (they only report what would have
	// failed), "enforce", or "auto": each domain is tested until for a week nothing was found to fail
	// here and nothing was told by others, and enforced then. The policy is fetched over
	// HTTPS at mta-sts.DOMAIN of each domain, which needs a certificate: Web serves
	// it, or a web server of yours.
	MTASTS string `json:"mta_sts" one:"off,auto,testing,enforce"`

	// A file in PEM with the key that the server will show next: its certificate, its public key, or
	// itself. The TLSA records name it beside the one that is shown now, so that it is known
	// before it is used (RFC 7671 §8.1). Certificates that are renewed by themselves keep their key.
	NextKeyFile string `json:"next_key_file" conf:"path"`

	// Hosts that take mail for the domains while this one is away, best first.
	OtherMX []string `json:"other_mx"`
}

var spfTerm = regexp.MustCompile(`^[+?~-]?((include|exists|ip4|ip6):[^\s]+|(a|mx|ptr)([:/][^\s]+)?)$`)

// spfNetwork reports whether a term has a network of its kind, if it is ip4 or ip6. With one that has not, the
// record is an error for everybody, and none of the domain's mail passes.
func spfNetwork(term string) bool {
	kind, network, _ := strings.Cut(strings.TrimLeft(term, "+?~-"), ":")
	if kind != "ip4" && kind != "ip6" {
		return true
	}
	p, ok := ForwarderNetwork(network)
	return ok && p.Addr().Is4() == (kind == "ip4")
}

// NextKey returns the SubjectPublicKeyInfo of the key in NextKeyFile; nil where none is named.
func (d *DNS) NextKey() ([]byte, error) {
	if d.NextKeyFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(d.NextKeyFile)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			return cert.RawSubjectPublicKeyInfo, nil
		case "PUBLIC KEY":
			_, err := x509.ParsePKIXPublicKey(block.Bytes)
			return block.Bytes, err
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			return publicOf(block)
		}
	}
	return nil, fmt.Errorf("%s holds no certificate and no key in PEM", d.NextKeyFile)
}

// publicOf is the public half of a private key.
func publicOf(block *pem.Block) ([]byte, error) {
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key is of a kind that no certificate is for")
	}
	return x509.MarshalPKIXPublicKey(signer.Public())
}

func (c *checker) dns() {
	d := &c.DNS
	if _, err := d.NextKey(); err != nil {
		c.fail(at("DNS", "next_key_file"), "%w", err)
	}
	for i, term := range d.SPF {
		switch lower := strings.ToLower(term); {
		case strings.ContainsAny(term, " \t") || strings.HasPrefix(lower, "v=spf1"):
			c.fail(at("DNS", "spf", i), "%q is more than one term; write each as a string of its own, without v=spf1", term)
		case strings.HasSuffix(lower, "all") && len(term) <= len("+all"):
			c.fail(at("DNS", "spf", i), "the record ends in -all by itself")
		case strings.HasPrefix(lower, "redirect="):
			c.fail(at("DNS", "spf", i), "a redirect never counts beside -all; write include:%s", term[len("redirect="):])
		case !spfTerm.MatchString(lower), !spfNetwork(lower):
			c.fail(at("DNS", "spf", i), "%q is no term of SPF, such as include:_spf.example.net or ip4:192.0.2.7", term)
		}
	}
	if d.ReportsTo != "" && d.ReportsTo != "none" {
		if err := checkAddress(d.ReportsTo); err != nil {
			c.fail(at("DNS", "reports_to"), "%w", err)
		}
	}
	for i, host := range d.OtherMX {
		switch {
		case checkDomain(host) != nil:
			c.fail(at("DNS", "other_mx", i), "%w", checkDomain(host))
		case domains.Canonical(host) == domains.Canonical(c.ServerName):
			c.fail(at("DNS", "other_mx", i), "%q is this host itself", host)
		case slices.Index(d.OtherMX, host) < i:
			c.fail(at("DNS", "other_mx", i), "%q stands here twice", host)
		}
	}
}
