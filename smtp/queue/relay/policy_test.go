package relay

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// secureScene is a scene whose host has TLS with a good certificate.
func (s *scene) secure(t *testing.T) *ca {
	a := newCA(t)
	s.Roots = a.pool
	s.mx.tls = a.server(t, "mx.example.net", time.Hour*24*30)
	return a
}

func (s *scene) enforceSTS(policy string) *web {
	w := &web{pages: map[string]string{"mta-sts.example.net": policy}}
	s.zone.txt["_mta-sts.example.net"] = []string{"v=STSv1; id=1;"}
	s.STS = &STS{Resolver: s.zone, HTTP: &http.Client{Transport: w}}
	return w
}

// TestLevels: what each level takes of a host in each condition.
func TestLevels(t *testing.T) {
	conditions := map[string]func(t *testing.T, s *scene){
		"plain":   func(t *testing.T, s *scene) { s.secure(t); s.mx.tls = nil },
		"good":    func(t *testing.T, s *scene) { s.secure(t) },
		"name":    func(t *testing.T, s *scene) { s.mx.tls = s.secure(t).server(t, "other.example.net", time.Hour) },
		"expired": func(t *testing.T, s *scene) { s.mx.tls = s.secure(t).server(t, "mx.example.net", -time.Hour) },
		"unknown": func(t *testing.T, s *scene) { s.secure(t); s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour) },
		"broken": func(t *testing.T, s *scene) {
			s.secure(t)
			s.mx.tls = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}
		},
		"refused": func(t *testing.T, s *scene) {
			s.secure(t)
			s.mx.reply = func(_ int, line string) string {
				if line == "STARTTLS" {
					return "454 4.7.0 not now"
				}
				return ""
			}
		},
	}
	for _, c := range []struct {
		level Level
		works string // conditions under which mail goes out
		clear string // of them, those without TLS
	}{
		{Auto, "plain good name expired unknown broken refused", "plain broken refused"},
		{May, "plain good name expired unknown broken refused", "plain broken refused"},
		{None, "plain good name expired unknown broken refused", "plain good name expired unknown broken refused"},
		{Encrypt, "good name expired unknown", ""},
		{Verify, "good", ""},
		{DANE, "", ""}, // without TLSA records
	} {
		for name, change := range conditions {
			bubble(t, string(c.level)+" "+name, func(t *testing.T, s *scene) {
				change(t, s)
				s.Domains = levels(map[string]Level{"example.net": c.level})
				res := s.send(t, delivery("bob@example.net"))[0]
				works, clear := strings.Contains(c.works, name), strings.Contains(c.clear, name)
				if (res.Status == queue.Delivered) != works {
					t.Fatalf("%+v", res)
				}
				if !works {
					if res.Status != queue.Pending || !strings.Contains(res.Text, "TLS policy") || strings.Contains(res.Text, "\n") || res.Unreachable {
						t.Errorf("a failed policy is %+v", res)
					}
					if len(s.mx.messages()) != 0 {
						t.Error("the message was sent")
					}
					return
				}
				if got := s.mx.messages()[0]; got.tls == clear || (res.TLS == "") != clear {
					t.Errorf("TLS %v, %q", got.tls, res.TLS)
				}
				if verified := strings.HasSuffix(res.TLS, " verified"); !clear && verified != (name == "good") {
					t.Errorf("TLS %q", res.TLS)
				}
			})
		}
	}
}

func TestLevelNames(t *testing.T) {
	r := &Relay{Domains: levels(map[string]Level{"a.example": None, ".example": Verify, "*": Encrypt, "b.example": Auto})}
	for domain, want := range map[string]Level{"a.example": None, "x.a.example": Verify, "c.example": Verify, "example": Encrypt, "other.org": Encrypt, "b.example": Auto} {
		if got := r.level(domains.Name(domain)); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
	for _, s := range []string{"auto", "none", "MAY", "encrypt", "verify", "dane", ""} {
		if _, err := ParseLevel(s); err != nil {
			t.Error(err)
		}
	}
	if _, err := ParseLevel("maybe"); err == nil {
		t.Error("maybe is a level")
	}
}

func TestSTSEnforced(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, s *scene, a *ca)
		policy string
		want   queue.Status
		text   string
		report string
	}{
		{"good", func(*testing.T, *scene, *ca) {}, enforce, queue.Delivered, "", "sts "},
		{"other host", func(*testing.T, *scene, *ca) {}, strings.Replace(enforce, "mx.", "mail.", 1), queue.Pending, "not among the hosts", "sts validation-failure"},
		{"no STARTTLS", func(_ *testing.T, s *scene, _ *ca) { s.mx.tls = nil }, enforce, queue.Pending, "does not offer STARTTLS", "sts starttls-not-supported"},
		{"wrong name", func(t *testing.T, s *scene, a *ca) { s.mx.tls = a.server(t, "x.example.net", time.Hour) }, enforce, queue.Pending, "certificate", "sts certificate-host-mismatch"},
		{"expired", func(t *testing.T, s *scene, a *ca) { s.mx.tls = a.server(t, "mx.example.net", -time.Hour) }, enforce, queue.Pending, "expired", "sts certificate-expired"},
		{"not trusted", func(t *testing.T, s *scene, _ *ca) { s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour) }, enforce, queue.Pending, "authority", "sts certificate-not-trusted"},
		{"testing", func(t *testing.T, s *scene, a *ca) { s.mx.tls = a.server(t, "x.example.net", time.Hour) }, strings.Replace(enforce, "enforce", "testing", 1), queue.Delivered, "", "sts certificate-host-mismatch"},
		{"testing, other host", func(*testing.T, *scene, *ca) {}, "version: STSv1\nmode: testing\nmx: mail.example.net\nmax_age: 1000\n", queue.Delivered, "", "sts certificate-host-mismatch"},
		{"none", func(_ *testing.T, s *scene, _ *ca) { s.mx.tls = nil }, strings.Replace(enforce, "enforce", "none", 1), queue.Delivered, "", "no-policy-found starttls-not-supported"},
		{"configuration is stronger", func(_ *testing.T, s *scene, _ *ca) {
			s.mx.tls, s.Domains = nil, levels(map[string]Level{"example.net": May})
		}, enforce, queue.Delivered, "", "no-policy-found starttls-not-supported"},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			a := s.secure(t)
			c.change(t, s, a)
			s.enforceSTS(c.policy)
			var reports []string
			s.Report = func(r TLSResult) { reports = append(reports, r.PolicyType+" "+r.Failure) }
			res := s.send(t, delivery("bob@example.net"))[0]
			if res.Status != c.want || !strings.Contains(res.Text, c.text) {
				t.Errorf("%+v", res)
			}
			if got := strings.Join(reports, ", "); got != c.report {
				t.Errorf("reported %q, want %q", got, c.report)
			}
			if c.name == "good" && !strings.HasSuffix(res.TLS, "verified by mta-sts") {
				t.Errorf("TLS %q", res.TLS)
			}
		})
	}
}

// TestSeenBefore: who has shown verified TLS once is not believed when it is
// suddenly gone, until the memory has faded or an operator says so.
func TestSeenBefore(t *testing.T) {
	bubble(t, "", func(t *testing.T, s *scene) {
		s.secure(t)
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
			t.Fatalf("%+v", r)
		}
		time.Sleep(time.Hour)
		good := s.mx.tls
		s.mx.tls = nil
		r := s.send(t, delivery("bob@example.net"))[0]
		if r.Status != queue.Pending || !strings.Contains(r.Text, "seen before") {
			t.Errorf("%+v", r)
		}
		s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour)
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Pending || !strings.Contains(r.Text, "certificate") {
			t.Errorf("%+v", r)
		}
		s.mx.tls = good
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
			t.Errorf("%+v", r)
		}
		time.Sleep(time.Hour)
		s.mx.tls = nil
		s.Domains = levels(map[string]Level{"example.net": May})
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
			t.Errorf("an operator's word: %+v", r)
		}
		s.Domains = levels(nil)
		time.Sleep(seenFor)
		if r := s.send(t, delivery("bob@example.net"))[0]; r.Status != queue.Delivered {
			t.Errorf("after the memory has faded: %+v", r)
		}
	})
}

func TestRequireTLS(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, s *scene)
		want   queue.Status
		code   string
	}{
		{"taken", func(t *testing.T, s *scene) { s.mx.ext = append(s.mx.ext, "REQUIRETLS") }, queue.Delivered, ""},
		{"not offered", func(t *testing.T, s *scene) {}, queue.Failed, "5.7.30"},
		{"not verified", func(t *testing.T, s *scene) {
			s.mx.ext = append(s.mx.ext, "REQUIRETLS")
			s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour)
		}, queue.Pending, "4.7.5"},
		{"not verified, and TLSA records of no use", func(t *testing.T, s *scene) {
			s.mx.ext = append(s.mx.ext, "REQUIRETLS")
			s.mx.tls = newCA(t).server(t, "mx.example.net", time.Hour)
			s.zone.secure = true
			s.zone.tlsa["_25._tcp.mx.example.net"] = []resolver.TLSA{{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
		}, queue.Pending, "4.7.5"},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			s.secure(t)
			s.zone.secure = true // so that the host is the right one
			c.change(t, s)
			d := delivery("bob@example.net")
			d.Entry.Params.RequireTLS = true
			r := s.send(t, d)[0]
			if r.Status != c.want || c.code != "" && r.Enhanced != c.code {
				t.Errorf("%+v", r)
			}
			if got := s.mx.messages(); len(got) == 1 && !strings.Contains(got[0].line, "REQUIRETLS") {
				t.Errorf("MAIL was %q", got[0].line)
			}
		})
	}
}

func TestDANE(t *testing.T) {
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	long := func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	for _, c := range []struct {
		name    string
		records func(s *scene, a *ca) []resolver.TLSA
		change  func(t *testing.T, s *scene, a *ca)
		want    queue.Status
		tls     string
		text    string
	}{
		{"3 1 1", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: sum(leaf(s.mx.tls).RawSubjectPublicKeyInfo)}}
		}, nil, queue.Delivered, "by dane", ""},
		{"3 0 2", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 0, Matching: 2, Data: long(leaf(s.mx.tls).Raw)}}
		}, nil, queue.Delivered, "by dane", ""},
		{"3 1 0", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 0, Data: leaf(s.mx.tls).RawSubjectPublicKeyInfo}}
		}, nil, queue.Delivered, "by dane", ""},
		{"3, expired and for another name", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: sum(leaf(s.mx.tls).RawSubjectPublicKeyInfo)}}
		},
			func(t *testing.T, s *scene, a *ca) {
				s.mx.tls, s.Roots = a.server(t, "x.example", -time.Hour), newCA(t).pool
			}, queue.Delivered, "by dane", ""},
		{"2 0 1", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 2, Selector: 0, Matching: 1, Data: sum(a.cert.Raw)}}
		}, nil, queue.Delivered, "by dane", ""},
		{"2 0 0, anchor in the DNS", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 2, Selector: 0, Matching: 0, Data: a.cert.Raw}}
		},
			func(t *testing.T, s *scene, a *ca) {
				s.mx.tls.Certificates[0].Certificate = s.mx.tls.Certificates[0].Certificate[:1]
			}, queue.Delivered, "by dane", ""},
		{"2, wrong name", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 2, Selector: 0, Matching: 1, Data: sum(a.cert.Raw)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.mx.tls = a.server(t, "x.example", time.Hour) }, queue.Pending, "", "certificate"},
		{"2, expired", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 2, Selector: 0, Matching: 1, Data: sum(a.cert.Raw)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.mx.tls = a.server(t, "mx.example.net", -time.Hour) }, queue.Pending, "", "certificate"},
		{"2, the recipient's domain", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 2, Selector: 0, Matching: 1, Data: sum(a.cert.Raw)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.mx.tls = a.server(t, "example.net", time.Hour) }, queue.Delivered, "by dane", ""},
		{"no match", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
		}, nil, queue.Pending, "", "no TLSA record matches"},
		{"one of two", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}, {Usage: 3, Selector: 1, Matching: 1, Data: sum(leaf(s.mx.tls).RawSubjectPublicKeyInfo)}}
		}, nil, queue.Delivered, "by dane", ""},
		{"no STARTTLS", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.mx.tls = nil }, queue.Pending, "", "does not offer STARTTLS"},
		{"unusable: encrypt", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}, {Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 5)}}
		}, nil, queue.Delivered, "verified", ""},
		{"unusable, but MTA-STS", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.enforceSTS(strings.Replace(enforce, "mx.", "mail.", 1)) }, queue.Pending, "", "MTA-STS"},
		{"unusable, no STARTTLS", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 0, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.mx.tls = nil }, queue.Pending, "", "does not offer STARTTLS"},
		{"not validated: no DANE", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.zone.secure = false }, queue.Delivered, "verified", ""},
		{"lookup fails", func(s *scene, a *ca) []resolver.TLSA { return nil },
			func(t *testing.T, s *scene, a *ca) { s.zone.fail["_25._tcp.mx.example.net"] = errors.New("SERVFAIL") }, queue.Pending, "", "TLSA"},
		{"no records", func(s *scene, a *ca) []resolver.TLSA { return nil }, nil, queue.Delivered, "verified", ""},
		{"configured, no records", func(s *scene, a *ca) []resolver.TLSA { return nil },
			func(t *testing.T, s *scene, a *ca) { s.Domains = levels(map[string]Level{"example.net": DANE}) }, queue.Pending, "", "no validated TLSA"},
		{"configured, one record", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: sum(leaf(s.mx.tls).RawSubjectPublicKeyInfo)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.Domains = levels(map[string]Level{"example.net": DANE}) }, queue.Delivered, "by dane", ""},
		{"above MTA-STS", func(s *scene, a *ca) []resolver.TLSA {
			return []resolver.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: sum(leaf(s.mx.tls).RawSubjectPublicKeyInfo)}}
		},
			func(t *testing.T, s *scene, a *ca) { s.enforceSTS(strings.Replace(enforce, "mx.", "mail.", 1)) }, queue.Delivered, "by dane", ""},
	} {
		bubble(t, c.name, func(t *testing.T, s *scene) {
			a := s.secure(t)
			s.zone.secure = true
			if c.change != nil {
				c.change(t, s, a)
			}
			if s.mx.tls != nil || strings.Contains(c.name, "no STARTTLS") {
				if rec := c.records(s, a); rec != nil {
					s.zone.tlsa["_25._tcp.mx.example.net"] = rec
				}
			}
			r := s.send(t, delivery("bob@example.net"))[0]
			if r.Status != c.want || !strings.Contains(r.Text, c.text) || !strings.HasSuffix(r.TLS, c.tls) {
				t.Errorf("%+v", r)
			}
		})
	}
}
