package dkim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// peer is a program that signs and verifies as others do. It is given a job in JSON, and
// answers in JSON. Texts of messages are Latin-1 in it: an octet is a character.
type peer struct {
	name    string
	command []string
	probe   []string // fails where the peer is not installed
	pkg     string   // Debian's name
	two     bool     // knows ed25519
}

var peers = []peer{
	{"dkimpy", []string{"/usr/bin/python3", "testdata/peers/dkimpy.py"}, []string{"/usr/bin/python3", "-c", "import dkim, nacl"}, "python3-dkim", true},
	{"Mail::DKIM", []string{"perl", "testdata/peers/maildkim.pl"}, []string{"perl", "-MMail::DKIM", "-e", "1"}, "libmail-dkim-perl", false},
	{"OpenDKIM", []string{"/usr/bin/python3", "testdata/peers/opendkim.py"}, []string{"/usr/bin/python3", "-c", `import ctypes; ctypes.CDLL("libopendkim.so.11")`}, "opendkim-tools", true},
}

type job struct {
	Zone       map[string]string `json:"zone"`
	RSA        string            `json:"rsa"`     // PEM, PKCS #1
	RSADER     string            `json:"rsa_der"` // the same, its base64 alone
	Ed25519    string            `json:"ed25519"` // base64 of the seed
	Ed25519PEM string            `json:"ed25519_pem"`
	Sign       map[string]string `json:"sign"`
	Verify     map[string]string `json:"verify"`
}

type done struct {
	Signed   map[string]string   `json:"signed"`
	Verified map[string][]string `json:"verified"`
}

// run gives the peer a job.
func (p peer) run(t *testing.T, j job) done {
	t.Helper()
	if err := exec.Command(p.probe[0], p.probe[1:]...).Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s (%s) is not installed", p.name, p.pkg)
		}
		t.Skipf("%s (%s) is not installed", p.name, p.pkg)
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), p.command[0], p.command[1:]...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", p.name, err, said.String())
	}
	if said.Len() > 0 {
		t.Logf("%s: %.2000s", p.name, said.String())
	}
	var d done
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func octets(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// newJob has the test's keys.
func newJob(t *testing.T, s *Signer) job {
	j := job{Zone: map[string]string{}, Sign: map[string]string{}, Verify: map[string]string{}}
	for name, texts := range published(t, s) {
		j.Zone[name] = texts[0]
	}
	der := x509.MarshalPKCS1PrivateKey(s.Keys[0].Key.(*rsa.PrivateKey))
	j.RSA = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}))
	j.RSADER = base64.StdEncoding.EncodeToString(der)
	j.Ed25519 = base64.StdEncoding.EncodeToString(s.Keys[1].Key.(ed25519.PrivateKey).Seed())
	text, err := FormatKey(s.Keys[1].Key)
	if err != nil {
		t.Fatal(err)
	}
	j.Ed25519PEM = string(text)
	return j
}

// corpus are the project's messages as they would be on the wire; those that no
// two programs read alike, for bare CRs, NULs or lines in the header that are no field, are left out.
func corpus(t testing.TB) map[string]string {
	t.Helper()
	messages := map[string]string{}
	root := filepath.Join("..", "..", "testdata", "messages")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".md") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		m := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n")
		if rel, _ := filepath.Rel(root, name); wellFormed(m) {
			messages[filepath.ToSlash(rel)] = m
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range awkward() {
		if wellFormed(m) {
			messages["awkward/"+name] = m
		}
	}
	if len(messages) < 100 {
		t.Fatalf("only %d messages", len(messages))
	}
	return messages
}

func wellFormed(m string) bool {
	if strings.ContainsAny(strings.ReplaceAll(m, "\r\n", ""), "\r\n") || strings.ContainsRune(m, 0) || !strings.HasSuffix(m, "\r\n") {
		return false
	}
	head, _ := parted(m)
	from := 0
	for line := range strings.Lines(head) {
		name, value, ok := strings.Cut(line, ":")
		folded := line[0] == ' ' || line[0] == '\t'
		if !folded && (!ok || !isFieldName(name)) || folded && strings.TrimSpace(line) == "" {
			return false
		}
		if strings.EqualFold(name, "From") && strings.Contains(value, "@") { // OpenDKIM reads it
			from++
		}
	}
	return from == 1
}

// TestPeersVerify: what is signed here is good for the others.
func TestPeersVerify(t *testing.T) {
	messages := corpus(t)
	s := &Signer{Domain: "example.com", Keys: testKeys(), Lifetime: 1e9 * 86400 * 12}
	top := map[string]string{}
	for name, m := range messages {
		top[name] = latin1(signed(t, s, m, 1000))
	}
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			j := newJob(t, s)
			j.Verify = top
			got := p.run(t, j).Verified
			for name := range messages {
				r := got[name] // of ours, those of the message itself behind them
				if len(r) < 2 || r[0] != "pass" || p.two && r[1] != "pass" {
					t.Errorf("%s: %q", name, r)
				}
			}
			t.Logf("%d messages", len(got))
		})
	}
}

// TestVerifyPeers: what others sign is good here, in pieces of any size.
func TestVerifyPeers(t *testing.T) {
	messages := corpus(t)
	s := &Signer{Domain: "example.com", Keys: testKeys()}
	v := &Verifier{Resolver: published(t, s)}
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			j := newJob(t, s)
			for name, m := range messages {
				j.Sign[name] = latin1(m)
			}
			got := p.run(t, j).Signed
			if want := len(messages) * 3 / 4; len(got) < want {
				t.Errorf("%d signed messages, fewer than %d", len(got), want)
			}
			for name, text := range got {
				for _, piece := range []int{1, 7, 4096} {
					if r := verify(v, octets(text), piece); len(r) == 0 || r[0].Status != Pass {
						t.Errorf("%s in pieces of %d: %+v", name, piece, r)
						break
					}
				}
			}
			t.Logf("%d signed messages", len(got))
		})
	}
}
