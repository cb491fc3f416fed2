package dkim

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// FieldName is the name of the header field that holds a signature.
const FieldName = "DKIM-Signature"

// The algorithms of signatures (RFC 6376 §3.3, RFC 8463 §3).
const (
	algorithmRSA     = "rsa-sha256"
	algorithmEd25519 = "ed25519-sha256"
)

// maxSignatureField is the length of the longest field that is read, in octets.
// OpenDKIM copies whole headers into z=, so that some have several kilobytes.
const maxSignatureField = 64 << 10

// signature is a DKIM-Signature field (RFC 6376 §3.5).
type signature struct {
	text  string // the field as it is, with its line end
	name  int    // the end of its name in text
	start int32  // where it begins in the header
	bFrom int    // where the value of b= begins and ends in text
	bTo   int

	algorithm     string
	domain        string
	selector      string
	identity      string
	fields        string // h=, names with colons between them
	sig, bodyHash []byte
	relaxedHeader bool
	relaxedBody   bool
	length        int64 // l=, or -1
	time, expires int64 // or -1
}

// parse reads the field. What could be read of it before something was wrong is there.
func (s *signature) parse(now time.Time) outcome {
	s.length, s.time, s.expires = -1, -1, -1
	if len(s.text) > maxSignatureField {
		return permanent(reasonTooLong)
	}
	colon := s.name + strings.IndexByte(s.text[s.name:], ':') + 1
	var room [24]tag
	tags, reason := parseTags(room[:0], s.text[colon:])
	if reason != "" {
		return permanent(reason)
	}
	// Who it says it is comes first, for the sake of those who read the results.
	early := s.parseNames(tags)
	if r := s.parseMethods(tags); r != "" {
		return permanent(r)
	}
	if early != "" {
		return permanent(early)
	}
	// One after the other, and not by a list of them: so the tags need no memory.
	r := s.parseIdentity(tags)
	if r == "" {
		r = s.parseFields(tags)
	}
	if r == "" {
		r = s.parseNumbers(tags)
	}
	if r == "" {
		r = s.parseHashes(tags, colon)
	}
	if r != "" {
		return permanent(r)
	}
	if s.expires >= 0 && now.Unix() > s.expires {
		return permanent(reasonExpired)
	}
	if !strings.Contains(s.domain, ".") {
		return outcome{Policy, reasonTopLevel}
	}
	return outcome{}
}

// parseNames reads d= and s=.
func (s *signature) parseNames(tags []tag) (reason Reason) {
	d, ok1 := lookup(tags, "d")
	sel, ok2 := lookup(tags, "s")
	if !ok1 || !ok2 {
		return reasonMissingTag
	}
	if s.domain, ok1 = canonicalName(d.value); !ok1 {
		return reasonDomain
	}
	if s.selector, ok2 = canonicalName(sel.value); !ok2 {
		return reasonSelector
	}
	if len(s.selector)+len("._domainkey.")+len(s.domain) > maxName {
		return reasonSelector
	}
	return ""
}

// maxName is the length of the longest domain name, written with dots (RFC 1035 §2.3.4).
const maxName = 253

// canonicalName returns a domain or a selector in lower-case A-labels, and whether it is one.
func canonicalName(s string) (string, bool) {
	name, err := domains.ToASCII(s)
	if err != nil || len(name) > maxName {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return "", false
			}
		}
	}
	return name, true
}

// parseMethods reads v=, a=, c= and q=: how it was made.
func (s *signature) parseMethods(tags []tag) Reason {
	if v, ok := lookup(tags, "v"); !ok {
		return reasonMissingTag
	} else if v.value != "1" {
		return reasonVersion
	}
	a, ok := lookup(tags, "a")
	switch {
	case !ok:
		return reasonMissingTag
	case strings.EqualFold(a.value, algorithmRSA):
		s.algorithm = algorithmRSA
	case strings.EqualFold(a.value, algorithmEd25519):
		s.algorithm = algorithmEd25519
	case strings.EqualFold(a.value, "rsa-sha1"): // RFC 8301 §3.1
		return reasonSHA1
	default:
		return reasonAlgorithm
	}
	if c, ok := lookup(tags, "c"); ok {
		head, body, both := strings.Cut(c.value, "/")
		if !both {
			body = "simple"
		}
		s.relaxedHeader, s.relaxedBody = strings.EqualFold(head, "relaxed"), strings.EqualFold(body, "relaxed")
		if !s.relaxedHeader && !strings.EqualFold(head, "simple") || !s.relaxedBody && !strings.EqualFold(body, "simple") {
			return reasonCanonical
		}
	}
	if q, ok := lookup(tags, "q"); ok && !listed(q.value, "dns/txt") {
		return reasonQuery
	}
	return ""
}

// parseIdentity reads i=, whose domain is that of d= or below it. All of it is
// quoted-printable (RFC 6376 §2.11); what that hides must not have control characters.
func (s *signature) parseIdentity(tags []tag) Reason {
	i, ok := lookup(tags, "i")
	if !ok {
		s.identity = "@" + s.domain
		return ""
	}
	text, ok := unquote(unspaced(i.value))
	at := strings.LastIndexByte(text, '@')
	if !ok || at < 0 || !isTagValue(text) || strings.ContainsAny(text, "\r\n\t") {
		return reasonIdentity
	}
	domain, ok := canonicalName(text[at+1:])
	if !ok {
		return reasonIdentity
	}
	if !domains.Within(domain, s.domain) {
		return reasonOtherIdentity
	}
	s.identity = text[:at+1] + domain
	return ""
}

// unquote undoes quoted-printable.
func unquote(s string) (string, bool) {
	if !strings.Contains(s, "=") {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b = append(b, byte(n))
		i += 2
	}
	return string(b), utf8.Valid(b)
}

// parseFields reads h=. From must be signed (RFC 6376 §5.4).
func (s *signature) parseFields(tags []tag) Reason {
	h, ok := lookup(tags, "h")
	if !ok {
		return reasonMissingTag
	}
	from := false
	for name := range strings.SplitSeq(h.value, ":") {
		if name = trim(name); !isFieldName(name) {
			return reasonFields
		}
		from = from || strings.EqualFold(name, "From")
	}
	if !from {
		return reasonFrom
	}
	s.fields = h.value
	return ""
}

// isFieldName reports whether a string can be the name of a header field (RFC 5322 §2.2).
func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' || s[i] == ';' {
			return false
		}
	}
	return s != ""
}

// parseNumbers reads t=, x= and l=.
func (s *signature) parseNumbers(tags []tag) Reason {
	for _, n := range []struct {
		name   string
		to     *int64
		digits int
		wrong  Reason
	}{{"t", &s.time, 12, reasonTime}, {"x", &s.expires, 12, reasonTime}, {"l", &s.length, 76, reasonLength}} {
		t, ok := lookup(tags, n.name)
		if !ok {
			continue
		}
		if len(t.value) == 0 || len(t.value) > n.digits || strings.Trim(t.value, "0123456789") != "" {
			return n.wrong
		}
		var err error
		if *n.to, err = strconv.ParseInt(t.value, 10, 64); err != nil {
			return reasonLengthTooLong // 76 digits are allowed; no body is that long
		}
	}
	if s.time >= 0 && s.expires >= 0 && s.expires <= s.time {
		return reasonExpiresFirst
	}
	return ""
}

// parseHashes reads bh= and b=. The tags were found in the field from an offset on.
func (s *signature) parseHashes(tags []tag, colon int) (reason Reason) {
	b, ok1 := lookup(tags, "b")
	bh, ok2 := lookup(tags, "bh")
	if !ok1 || !ok2 {
		return reasonMissingTag
	}
	var err1, err2 error
	// The bits behind the last octet encode nothing and are 0 (RFC 4648 §3.5): else one signature
	// could be written in several ways.
	strict := base64.StdEncoding.Strict()
	var room [1024]byte // the signature of the largest key has 684 letters
	letters := appendUnspaced(room[:0], b.value)
	s.sig, err1 = strict.AppendDecode(make([]byte, 0, len(letters)*3/4), letters)
	letters = appendUnspaced(room[:0], bh.value)
	s.bodyHash, err2 = strict.AppendDecode(make([]byte, 0, 33), letters)
	if err1 != nil || err2 != nil || len(s.sig) == 0 || bareCR(b.value) || bareCR(bh.value) {
		return reasonBase64
	}
	if len(s.bodyHash) != 32 {
		return reasonHashLength
	}
	s.bFrom, s.bTo = colon+b.from, colon+b.to
	if b.to == len(s.text)-colon { // the last tag: the line end stays
		s.bTo = len(withoutLineEnd(s.text))
	}
	return ""
}

// appendUnsigned appends the field as it was when it was signed, without the value of b=
// and without line end (RFC 6376 §3.7).
func (s *signature) appendUnsigned(dst []byte) []byte {
	bare := s.text[:s.bFrom] + s.text[s.bTo:]
	if s.relaxedHeader {
		return appendRelaxed(dst, bare, s.name)
	}
	return append(dst, withoutLineEnd(bare)...)
}

func withoutLineEnd(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
}

// isSignatureField reports whether a field's name is that of signatures.
func isSignatureField(text string, f field) bool {
	return int(f.name-f.start) == len(FieldName) && strings.EqualFold(text[f.start:f.name], FieldName)
}
