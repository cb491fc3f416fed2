package zone

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/miekg/dns"
)

// UpdateKey is the key of a zone's server, to change records with (TSIG, RFC 8945).
type UpdateKey struct {
	Name      string // absolute
	Algorithm string // as package dns calls it: "hmac-sha256."
	Secret    string // base64
}

var (
	bindName   = regexp.MustCompile(`(?m)^\s*key\s+"?([^\s"{]+)"?\s*\{`)
	algorithm  = regexp.MustCompile(`(?m)\balgorithm:?\s+"?([A-Za-z0-9.-]+)"?`)
	secret     = regexp.MustCompile(`(?m)\bsecret:?\s+"?([A-Za-z0-9+/=]+)"?`)
	knotName   = regexp.MustCompile(`(?m)^\s*-?\s*id:\s+"?([^\s"]+)"?`)
	oneLineKey = regexp.MustCompile(`^(?:(hmac-[a-z0-9]+):)?([^:\s]+):([A-Za-z0-9+/=]+)$`)
)

// ParseUpdateKey reads a key in one of the forms that name servers keep it in:
// that of BIND (tsig-keygen), that of Knot (keymgr -t), or name:secret and
// algorithm:name:secret on one line.
func ParseUpdateKey(text string) (*UpdateKey, error) {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !strings.HasPrefix(line, "//") {
			lines = append(lines, line)
		}
	}
	text = strings.Join(lines, "\n")
	if m := oneLineKey.FindStringSubmatch(text); m != nil {
		return newUpdateKey(m[2], m[1], m[3])
	}
	name := bindName.FindStringSubmatch(text)
	if name == nil {
		name = knotName.FindStringSubmatch(text)
	}
	a, s := algorithm.FindStringSubmatch(text), secret.FindStringSubmatch(text)
	if name == nil || s == nil {
		return nil, errors.New(`this is no key of a name server: it should look like key "name" { algorithm hmac-sha256; secret "…"; }; or like hmac-sha256:name:secret`)
	}
	if a == nil {
		a = []string{"", ""}
	}
	return newUpdateKey(name[1], a[1], s[1])
}

func newUpdateKey(name, algorithm, secret string) (*UpdateKey, error) {
	if algorithm == "" {
		algorithm = "hmac-sha256"
	}
	k := &UpdateKey{Name: dns.CanonicalName(name), Algorithm: dns.CanonicalName(algorithm), Secret: secret}
	switch k.Algorithm {
	case dns.HmacSHA1, dns.HmacSHA224, dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512:
	default:
		return nil, fmt.Errorf("the key's algorithm, %q, is none that is used here; make one of hmac-sha256", algorithm)
	}
	if _, ok := dns.IsDomainName(k.Name); !ok {
		return nil, fmt.Errorf("the key's name, %q, is no name", name)
	}
	if _, err := base64.StdEncoding.DecodeString(secret); err != nil {
		return nil, errors.New("the key's secret is not base64")
	}
	return k, nil
}
