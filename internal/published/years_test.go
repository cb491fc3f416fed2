package published

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider-mail/postrider/internal/conf"
)

// years is a server with a certificate, and a zone of two servers, one of which follows late. Strangers ask either of them at any moment and
// keep the answer for its TTL.
type years struct {
	t        *testing.T
	s        *conf.Settings
	cert     string              // its file
	wanted   []string            // the TLSA records that were pushed last
	behind   time.Time           // when the second server has them
	servers  [2][]string         // what each shows
	kept     map[string][]string // answers that strangers may have, by the moment at which they end
	ttl      time.Duration
	mistaken int // moments at which somebody would have found no match
}

// show puts a key and a new certificate of it in place.
func (y *years) show(key *ecdsa.PrivateKey) {
	y.t.Helper()
	cert := &x509.Certificate{SerialNumber: big.NewInt(time.Now().Unix()), DNSNames: []string{"mx.mail.test"}, NotBefore: time.Now(), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err == nil {
		err = os.WriteFile(y.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		y.t.Fatal(err)
	}
}

// plan are the TLSA records that should be there.
func (y *years) plan() (all []string) {
	y.t.Helper()
	p, err := Plan(y.s, "mail.test", nil)
	if err != nil {
		y.t.Fatal(err)
	}
	for _, r := range p.Records() {
		if tlsa, ok := r.RR.(*dns.TLSA); ok {
			y.ttl = time.Duration(tlsa.Hdr.Ttl) * time.Second
			all = append(all, tlsa.String())
		}
	}
	return all
}

func (y *years) push() {
	y.wanted, y.behind = y.plan(), time.Now().Add(11*time.Hour)
	y.servers[0] = y.wanted
}

// pass lets time pass, in which strangers come and look.
func (y *years) pass(d time.Duration) {
	const step = 20 * time.Minute
	shown := y.shown()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(step) {
		if !time.Now().Before(y.behind) {
			y.servers[1] = y.wanted
		}
		for at, answer := range y.kept {
			if until, _ := time.Parse(time.RFC3339, at[2:]); time.Now().After(until) {
				delete(y.kept, at)
			} else if !slices.Contains(answer, shown) {
				y.mistaken++
			}
		}
		for i, answer := range y.servers {
			if !slices.Contains(answer, shown) {
				y.mistaken++
			}
			y.kept[string(rune('0'+i))+" "+time.Now().Add(y.ttl).Format(time.RFC3339)] = answer
		}
	}
}

// shown is the record of the certificate that the server shows now.
func (y *years) shown() string {
	leaf := leafOf(y.cert)
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	for _, all := range [][]string{y.wanted, y.plan()} {
		for _, r := range all {
			rr, err := dns.NewRR(r)
			if err == nil && rr.(*dns.TLSA).Verify(leaf) == nil {
				return r
			}
		}
	}
	y.t.Fatalf("the plan does not know the key %x, which is shown", sum)
	return ""
}

// TestTwoYearsOfCertificates: a certificate is renewed every two months and its key changed twice a year, as docs/dns.md says. At no moment finds anybody, whichever
// server he asked and however long he has kept the answer, no record of the certificate that he is shown; nor is a record left over. Without the wait, somebody does.
func TestTwoYearsOfCertificates(t *testing.T) {
	for _, wait := range []time.Duration{2, 0} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			y := &years{t: t, s: conf.New(), cert: filepath.Join(dir, "cert.pem"), kept: make(map[string][]string)}
			y.s.ServerName, y.s.DataDir, y.s.TLS.CertificateFile = "mx.mail.test", dir, y.cert
			fresh := func() *ecdsa.PrivateKey {
				key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				return key
			}
			key := fresh()
			y.show(key)
			y.push()
			y.servers[1] = y.wanted
			for month := range 24 {
				y.pass(30 * 24 * time.Hour)
				if month%2 == 1 {
					before := y.plan()
					y.show(key) // a renewal keeps the key
					if !slices.Equal(y.plan(), before) {
						t.Fatalf("a renewal asks for other records: %q, %q", before, y.plan())
					}
				}
				if month%6 != 5 {
					continue
				}
				next := fresh()
				spki, err := x509.MarshalPKIXPublicKey(&next.PublicKey)
				if err != nil {
					t.Fatal(err)
				}
				y.s.DNS.NextKeyFile = filepath.Join(dir, "next.pem")
				if err := os.WriteFile(y.s.DNS.NextKeyFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), 0o600); err != nil {
					t.Fatal(err)
				}
				if len(y.plan()) != 2 {
					t.Fatalf("the next key is not announced: %q", y.plan())
				}
				y.push()
				if wait > 0 { // "dns check" says when every server shows it
					y.pass(12*time.Hour + wait*y.ttl)
				}
				key = next
				y.show(key)
				y.pass(time.Hour) // both are known
				y.s.DNS.NextKeyFile = ""
				if len(y.plan()) != 1 {
					t.Fatalf("a record is left over: %q", y.plan())
				}
				y.push()
			}
			y.pass(24 * time.Hour)
			if hasty := wait == 0; hasty != (y.mistaken > 0) {
				t.Errorf("waiting for %d times the TTL, somebody found no match %d times", wait, y.mistaken)
			}
			if !slices.Equal(y.servers[0], y.plan()) || !slices.Equal(y.servers[1], y.plan()) {
				t.Errorf("left over: %q", y.servers)
			}
		})
	}
}
