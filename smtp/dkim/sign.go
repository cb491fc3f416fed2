package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultFields returns the names of the fields that a Signer signs if it was not told
// any: those by which a message is known and shown, and those of lists (RFC 6376 §5.4.1,
// RFC 8058 §4). All of them that a message has are signed.
func DefaultFields() []string {
	return []string{
		"From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition",
		"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
	}
}

// DefaultOversigned returns the names of the fields of which nobody may add one more, if a Signer was
// not told any (RFC 6376 §5.4, §8.15): a second one would be shown in place of the one that was signed.
func DefaultOversigned() []string {
	return []string{"From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"}
}

// completed are the fields that a server on the way puts into a message that has none
// (RFC 6409 §8): they may be added to one that was signed without them.
func completed(name string) bool {
	return strings.EqualFold(name, "Date") || strings.EqualFold(name, "Message-ID")
}

// SigningKey is a private key, and the selector under which its public one is published.
type SigningKey struct {
	Selector string
	// Key is an *rsa.PrivateKey, an ed25519.PrivateKey or anything else with such a
	// public key.
	Key crypto.Signer
}

// Signer signs messages in the name of a domain, relaxed/relaxed, without l= and z=. It is
// safe for concurrent use; its fields must not be changed then.
type Signer struct {
	// Domain is d=, that of the message's From field if the signature is to count for DMARC.
	Domain string
	// Keys each give one signature.
	Keys []SigningKey
	// Fields are the names of the fields to sign; nil: DefaultFields.
	Fields []string
	// Oversigned are the names of the fields, also of those that a message lacks, of which none may be
	// added; nil: DefaultOversigned. A Date or Message-ID that is not there may be.
	Oversigned []string
	// Lifetime is how long signatures are good (x=): longer than any queue on the way keeps mail; 0: for ever.
	Lifetime time.Duration
	// Now tells the time of signatures (t=); nil: time.Now.
	Now func() time.Time
}

// Signing is one message on its way to be signed. The body is written to it, in pieces of any size;
// then Finish has the signatures. It is not safe for concurrent use.
type Signing struct {
	header  *header
	hashed  *body
	sum     *bodySum
	keys    []SigningKey
	domain  string
	fields  []string // h=
	time    int64
	expires int64 // or 0
}

// Errors of Signer.Sign.
var (
	ErrNoFrom   = errors.New("dkim: message without From field")
	ErrLineEnds = errors.New("dkim: CR or LF alone in the header, which no two programs read alike")
	ErrNoKey    = errors.New("dkim: signer without key")
)

// Sign begins with a message whose header is known, as it will leave: all of its octets in front of
// the empty line, which may stand at the end, with whatever is put on top and is to be signed.
func (s *Signer) Sign(header string) (*Signing, error) {
	domain, err := s.check()
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(strings.ReplaceAll(header, "\r\n", ""), "\r\n") {
		return nil, ErrLineEnds
	}
	g := &Signing{header: newHeader(header, strings.Count(header, "\n")), hashed: newBody(true), domain: domain}
	if g.header.count("From") == 0 {
		return nil, ErrNoFrom
	}
	g.sum = g.hashed.sum(-1)
	for _, k := range s.Keys {
		k.Selector, _ = canonicalName(k.Selector)
		g.keys = append(g.keys, k)
	}
	g.fields = s.chosen(g.header)
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	t := now()
	g.time = t.Unix()
	if s.Lifetime > 0 {
		g.expires = t.Add(s.Lifetime).Unix()
	}
	return g, nil
}

// check says why nobody would believe the signatures, and returns the domain in A-labels.
func (s *Signer) check() (string, error) {
	domain, ok := canonicalName(s.Domain)
	if !ok || !strings.Contains(domain, ".") {
		return "", fmt.Errorf("dkim: cannot sign for the domain %q", s.Domain)
	}
	if len(s.Keys) == 0 {
		return "", ErrNoKey
	}
	for _, name := range slices.Concat(s.Fields, s.Oversigned) {
		if !isFieldName(name) {
			return "", fmt.Errorf("dkim: %q is no name of a field", name)
		}
	}
	for _, k := range s.Keys {
		if k.Key == nil {
			return "", ErrNoKey
		}
		selector, ok := canonicalName(k.Selector)
		if !ok || len(RecordName(selector, domain)) > maxName+1 {
			return "", fmt.Errorf("dkim: bad selector %q", k.Selector)
		}
		if err := checkPublic(k.Key.Public()); err != nil {
			return "", err
		}
	}
	return domain, nil
}

// checkPublic says what is wrong with a key to sign with.
func checkPublic(public crypto.PublicKey) error {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if o := usable(public); o.reason != "" {
			return &KeyError{o.reason}
		}
	case ed25519.PublicKey:
	default:
		return &KeyError{reasonKeyType}
	}
	return nil
}

// chosen are the names in h=: one for each field that is signed, one more for each that must not be added.
func (s *Signer) chosen(h *header) (names []string) {
	fields, over := s.Fields, s.Oversigned
	if fields == nil {
		fields = DefaultFields()
	}
	if over == nil {
		over = DefaultOversigned()
	}
	if !holds(fields, "From") {
		fields = append([]string{"From"}, fields...)
	}
	for i, name := range fields {
		if holds(fields[:i], name) {
			continue
		}
		n := h.count(name)
		if holds(over, name) && (n > 0 || !completed(name)) {
			n++
		}
		names = append(names, slices.Repeat([]string{name}, n)...)
	}
	return names
}

func holds(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// Write takes the next piece of the body, which is all that follows the empty line. It never fails.
func (g *Signing) Write(p []byte) (int, error) { return g.hashed.Write(p) }

// Most is the number of octets that all signatures together will have, at most.
func (g *Signing) Most() (octets int) {
	for _, k := range g.keys {
		octets += len(g.field(k, make([]byte, sha256.Size), make([]byte, signatureSize(k.Key.Public()))))
	}
	return octets
}

// signatureSize is the length of a signature in octets.
func signatureSize(public crypto.PublicKey) int {
	if public, ok := public.(*rsa.PublicKey); ok {
		return public.Size()
	}
	return ed25519.SignatureSize
}

// Finish returns a DKIM-Signature field for each key, complete with its CRLF, to be put on top of
// the message. The body must have been written. It is called once.
func (g *Signing) Finish() ([]string, error) {
	g.hashed.end()
	bodyHash := g.sum.hash.Sum(nil)
	var fields []string
	for _, k := range g.keys {
		h := sha256.New()
		g.header.sum(h, strings.Join(g.fields, ":"), true, -1)
		unsigned := g.field(k, bodyHash, nil)
		h.Write(appendRelaxed(nil, unsigned, len(FieldName)))
		sig, err := sign(k.Key, h.Sum(nil))
		if err != nil {
			return nil, fmt.Errorf("dkim: signing as %s of %s: %w", k.Selector, g.domain, err)
		}
		fields = append(fields, g.field(k, bodyHash, sig))
	}
	return fields, nil
}

func sign(key crypto.Signer, digest []byte) ([]byte, error) {
	how := crypto.SHA256
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		how = 0 // RFC 8463 §3: the hash is the message
	}
	return key.Sign(rand.Reader, digest, how)
}

// field writes the signature field. What stands in front of b= does not depend on sig.
func (g *Signing) field(k SigningKey, bodyHash, sig []byte) string {
	var w folder
	w.put(FieldName+":", "")
	w.put(" v=1;", "")
	algorithm := algorithmRSA
	if _, ok := k.Key.Public().(ed25519.PublicKey); ok {
		algorithm = algorithmEd25519
	}
	w.put(" ", "a="+algorithm+";")
	w.put(" ", "c=relaxed/relaxed;")
	w.put(" ", "d="+g.domain+";")
	w.put(" ", "s="+k.Selector+";")
	w.put(" ", "t="+strconv.FormatInt(g.time, 10)+";")
	if g.expires > 0 {
		w.put(" ", "x="+strconv.FormatInt(g.expires, 10)+";")
	}
	w.put(" ", "h=")
	for i, name := range g.fields {
		if i < len(g.fields)-1 {
			name += ":"
		}
		w.put("", name)
	}
	w.put("", ";")
	w.put(" ", "bh="+base64.StdEncoding.EncodeToString(bodyHash)+";")
	w.put(" ", "b=")
	w.break76(base64.StdEncoding.EncodeToString(sig))
	w.text.WriteString("\r\n")
	return w.text.String()
}

// folder writes a folded header field.
type folder struct {
	text   strings.Builder
	column int
}

// lineLength is where lines are folded (RFC 5322 §2.1.1 wants no more than 78).
const lineLength = 76

// put writes a word and the space in front of it, or a fold where the line is full.
func (w *folder) put(space, word string) {
	if w.column > 1 && w.column+len(space)+len(word) > lineLength {
		w.fold()
		space = ""
	}
	w.text.WriteString(space + word)
	w.column += len(space) + len(word)
}

// break76 writes a long word that may be folded anywhere.
func (w *folder) break76(word string) {
	for word != "" {
		if w.column >= lineLength {
			w.fold()
		}
		n := min(len(word), lineLength-w.column)
		w.text.WriteString(word[:n])
		w.column += n
		word = word[n:]
	}
}

func (w *folder) fold() {
	w.text.WriteString("\r\n\t")
	w.column = 1
}

var _ io.Writer = (*Signing)(nil)
