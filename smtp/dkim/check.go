package dkim

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
)

// Fault is something that is wrong with a key record, in words for whoever keeps the zone.
type Fault struct {
	// Fatal says that no signature of the key verifies because of it.
	Fatal bool
	// At is where it is in the record, in octets from 0, or -1.
	At int
	// Text is a sentence without capital and full stop. It may quote the record, with %q.
	Text string
}

func fatal(at int, format string, args ...any) Fault {
	return Fault{true, at, fmt.Sprintf(format, args...)}
}

func remark(at int, format string, args ...any) Fault {
	return Fault{false, at, fmt.Sprintf(format, args...)}
}

// CheckRecords says what is wrong with the TXT records at a key's name, each with its strings joined. Want is the
// public key that should stand there; nil: any. Nothing is returned if all is as Record would have it. One
// of the faults is fatal exactly if signatures with the key will not verify.
func CheckRecords(texts []string, want crypto.PublicKey) []Fault {
	var keys []string
	var faults []Fault
	for _, t := range texts {
		if isOtherRecord(t) && !isRest(t) {
			faults = append(faults, remark(-1, "a TXT record that is no key stands beside it: %s", short(t)))
			continue
		}
		keys = append(keys, t)
	}
	switch len(keys) {
	case 0:
		return append(faults, fatal(-1, "there is no key record"))
	case 1:
		return append(faults, checkRecord(keys[0], want)...)
	}
	for _, k := range keys {
		if isRest(k) {
			return append(faults, fatal(-1, "a long record was entered as %d records; it has to be one record of several strings", len(keys)))
		}
	}
	return append(faults, fatal(-1, "there are %d key records, and must be one", len(keys)))
}

// isRest reports whether a record looks like the second half of one that was cut in two.
func isRest(text string) bool {
	return len(text) > 40 && !strings.Contains(text, "DKIM1") && strings.Trim(strings.TrimRight(text, `"; `), base64Letters+`"=`) == ""
}

const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// short quotes a text that may be long.
func short(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return fmt.Sprintf("%q", s)
}

// checkRecord says what is wrong with one record.
func checkRecord(record string, want crypto.PublicKey) []Fault {
	if len(record) > maxRecord {
		return []Fault{fatal(-1, "the record has %d octets, more than the %d that are read", len(record), maxRecord)}
	}
	key, wrong := parseKey(record)
	if wrong.reason != "" {
		if typing := checkTyping(record); typing != nil {
			return typing
		}
		return sure(checkSyntax(record, wrong.reason), wrong.reason)
	}
	tags, _ := parseTags(nil, record)
	faults := checkTags(tags, key)
	p, _ := lookup(tags, "p")
	if key.use.reason != "" {
		faults = append(faults, checkTyping(record)...)
		return sure(append(faults, checkValue(p, record, key)...), key.use.reason)
	}
	if i := strings.IndexAny(p.value, " \t\r\n"); i >= 0 {
		at := strings.Index(record[p.from:], p.value) + p.from + i
		faults = append(faults, remark(at, "a blank stands within p=; not every verifier skips it"))
	}
	if k, ok := want.(interface{ Equal(crypto.PublicKey) bool }); ok && !k.Equal(key.Public) {
		faults = append(faults, fatal(p.from, "p= is another key than the one that signs"))
	}
	return faults
}

// sure adds a fatal fault if there is none yet: the record is of no use, for a reason that
// nothing here has more words for.
func sure(faults []Fault, r Reason) []Fault {
	for _, f := range faults {
		if f.Fatal {
			return faults
		}
	}
	return append(faults, fatal(-1, "%s", r))
}

// checkTyping finds what forms and zone files leave behind in a record that is of no use.
func checkTyping(record string) (faults []Fault) {
	if i := strings.IndexByte(record, '"'); i >= 0 {
		faults = append(faults, fatal(i, "quotes are part of the record; the form wants the text without them"))
	}
	if i := strings.Index(record, `\;`); i >= 0 {
		faults = append(faults, fatal(i, `a backslash stands before ";"; only in some zone files it belongs there`))
	}
	if i := strings.Index(record, "-----BEGIN"); i >= 0 {
		faults = append(faults, fatal(i, "p= is a PEM file; only the base64 between its first and last line belongs there"))
	}
	return faults
}

// checkSyntax finds where a record cannot be read.
func checkSyntax(record string, r Reason) []Fault {
	tags, _ := parseTags(nil, record)
	switch r {
	case reasonKeyVersion:
		v, _ := lookup(tags, "v")
		if v.value == "DKIM1" {
			return []Fault{fatal(v.from, "v=DKIM1 is not the first tag")}
		}
		return []Fault{fatal(v.from, "the version is %s, and must be DKIM1 in capitals", short(v.value))}
	case reasonTagTwice:
		end := 0
		if n := len(tags); n > 0 {
			end = tags[n-1].to + 1
		}
		name, _, _ := strings.Cut(record[end:], "=")
		return []Fault{fatal(end, "the tag %s= stands twice", trim(name))}
	case reasonTagSyntax, reasonTagCharacter:
		end := 0
		if n := len(tags); n > 0 {
			end = tags[n-1].to
		}
		return []Fault{fatal(end, "the tags cannot be read from here on: %s", short(record[end:]))}
	case reasonKeyMissing:
		return []Fault{fatal(-1, "p= is missing: there is no key in the record")}
	case reasonKeyType:
		k, _ := lookup(tags, "k")
		return []Fault{fatal(k.from, "k= is %s, no known type of key", short(k.value))}
	}
	return nil
}

// checkTags says what tags other than v=, k= and p= do.
func checkTags(tags []tag, key *Key) (faults []Fault) {
	if _, ok := lookup(tags, "v"); !ok {
		faults = append(faults, remark(-1, "v=DKIM1 is missing; some receivers want it"))
	}
	if s, ok := lookup(tags, "s"); ok && !listed(s.value, "*") {
		if !listed(s.value, "email") {
			faults = append(faults, fatal(s.from, "s= is %s: the key is not for mail", short(s.value)))
		} else if !listed(s.value, "tlsrpt") {
			faults = append(faults, remark(s.from, "s= is %s: receivers may ignore TLS reports that are signed with the key", short(s.value)))
		}
	}
	t, _ := lookup(tags, "t")
	if key.Testing {
		faults = append(faults, remark(t.from, "t=y is test mode: receivers may treat signed mail as unsigned"))
	}
	if key.Strict {
		faults = append(faults, remark(t.from, "t=s: signatures in the name of subdomains (i=) are not good"))
	}
	if h, ok := lookup(tags, "h"); ok && !listed(h.value, "sha256") {
		faults = append(faults, fatal(h.from, "h= is %s: the key is not for sha256, which is the only hash in use", short(h.value)))
	}
	if g, ok := lookup(tags, "g"); ok {
		faults = append(faults, remark(g.from, "g= is obsolete; old receivers take it for a limit"))
	}
	return faults
}

// checkValue says why p= is no key that can be used.
func checkValue(p tag, record string, key *Key) []Fault {
	at := p.from
	switch key.use.reason {
	case reasonKeyRevoked:
		return []Fault{fatal(at, "p= is empty: the key is revoked")}
	case reasonKeyBase64:
		return []Fault{checkBase64(p, record)}
	case reasonKeySmall, reasonKeyLarge:
		return []Fault{fatal(at, "the key has %d bits; receivers take %d to %d", key.Bits, minBits, maxBits)}
	case reasonKeyForm:
		octets, _ := base64.StdEncoding.DecodeString(unspaced(p.value))
		if key.Type == "ed25519" {
			return []Fault{fatal(at, "p= has %d octets, and an ed25519 key has 32, without any wrapping", len(octets))}
		}
		if isPrivate(octets) {
			return []Fault{fatal(at, "p= is a PRIVATE key: anybody can sign with it now; make a new one")}
		}
		if whole := derLength(octets); whole > len(octets) {
			return []Fault{fatal(p.to, "the key is cut off after %d of %d octets", len(octets), whole)}
		}
		if len(octets) == 32 {
			return []Fault{fatal(at, "p= looks like an ed25519 key; k=ed25519 is missing")}
		}
		return []Fault{fatal(at, "p= is no RSA public key")}
	}
	return nil
}

// checkBase64 says where p= is no base64.
func checkBase64(p tag, record string) Fault {
	begin := strings.Index(record[p.from:], p.value) + p.from
	for i := range len(p.value) {
		if c := p.value[i]; !isSpace(c) && c != '=' && strings.IndexByte(base64Letters, c) < 0 {
			return fatal(begin+i, "%q is no letter of base64", rune(c))
		}
	}
	if n := len(strings.TrimRight(unspaced(p.value), "=")); n%4 == 1 || p.to == len(record) {
		return fatal(p.to, "p= is cut off or has lost a letter: %d letters of base64 are no whole number of octets", n)
	}
	return fatal(begin, "p= is no base64")
}

// derLength is how many octets a DER value has by its first octets, or 0.
func derLength(der []byte) int {
	if len(der) < 4 || der[0] != 0x30 {
		return 0
	}
	switch der[1] {
	case 0x81:
		return 3 + int(der[2])
	case 0x82:
		return 4 + int(der[2])<<8 + int(der[3])
	}
	return 2 + int(der[1]&0x7f)
}

func isPrivate(der []byte) bool {
	_, err1 := x509.ParsePKCS8PrivateKey(der)
	_, err2 := x509.ParsePKCS1PrivateKey(der)
	return err1 == nil || err2 == nil
}
