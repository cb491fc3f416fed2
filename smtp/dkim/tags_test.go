package dkim

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
)

// TestTagCharacters: names and values of tags consist of what RFC 6376 §3.2 lets them, and of what UTF-8 has.
func TestTagCharacters(t *testing.T) {
	between := func(c, from, to byte) bool { return from <= c && c <= to }
	letter := func(c byte) bool { return between(c, 'a', 'z') || between(c, 'A', 'Z') }
	mailtest.Octets(t, "first of a name", "", isTagName, letter)
	mailtest.Octets(t, "of a name", "", func(s string) bool { return isTagName("a" + s) }, func(c byte) bool { return letter(c) || between(c, '0', '9') || c == '_' })
	mailtest.Octets(t, "of a value", "xy", isTagValue, func(c byte) bool { return between(c, ' ', '~') || c == '\t' || c == '\r' || c == '\n' })
	if !isTagValue("schlüssel") || isTagValue("schl\xfcssel") || isTagName("") {
		t.Error("UTF-8 is taken for something else, or nothing for a name")
	}
}

// TestManyTags: so many tags are read, and no more.
func TestManyTags(t *testing.T) {
	mailtest.Edge(t, "tags", maxTags, func(n int) bool {
		tags, reason := parseTags(nil, manyTags(n))
		if reason != "" && reason != reasonTooManyTags || len(tags) != min(n, maxTags) {
			t.Errorf("%d tags: %d are read, %s", n, len(tags), reason)
		}
		return reason == ""
	})
}

// TestSignatureShown: which of several signatures of one domain a result is about is told by how it begins
// (RFC 6008 §4): nine octets of it, or all where it is shorter.
func TestSignatureShown(t *testing.T) {
	for key := range testKeys() {
		s, v, _ := setup(t, key)
		m := signed(t, s, simpleMessage, 100)
		r := verify(v, m, 100)
		unfolded := strings.NewReplacer("\r\n", "", "\t", "", " ", "").Replace(m[:strings.Index(m, "\r\nFrom:")])
		_, b, ok := strings.Cut(unfolded, ";b=")
		if !ok || len(r) != 1 || len(r[0].Signature) != 12 || !strings.HasPrefix(b, r[0].Signature) {
			t.Errorf("%q is not how %q begins", r[0].Signature, b)
		}
	}
	_, v, _ := setup(t, 1)
	short := base64.StdEncoding.EncodeToString([]byte("short"))
	m := "DKIM-Signature: v=1; a=ed25519-sha256; d=example.com; s=e; h=From; bh=" + strings.Repeat("A", 43) + "=; b=" + short + "\r\n" + simpleMessage
	if r := verify(v, m, 100); len(r) != 1 || r[0].Signature != short {
		t.Errorf("%+v", r)
	}
}

// TestFlags: of the flags of a key each counts wherever in the list it stands, in any case, and nothing that only looks
// like it (RFC 6376 §3.6.1).
func TestFlags(t *testing.T) {
	record, err := Record(testKeys()[1].Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	record = strings.TrimPrefix(record, "v=DKIM1; ")
	for flags, want := range map[string]string{
		"": "", "y": "testing", "s": "strict", "y:s": "testing strict", "s:y": "testing strict", " Y : S ": "testing strict", "x:y": "testing", "y:y": "testing",
		"yes": "", "x": "", "ys": "", "y s": "", ":": "", "x:s:z": "strict",
	} {
		key, err := ParseKey("v=DKIM1; t=" + flags + "; " + record)
		if err != nil {
			t.Fatal(flags, err)
		}
		var got []string
		if key.Testing {
			got = append(got, "testing")
		}
		if key.Strict {
			got = append(got, "strict")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("t=%s: %q, want %q", flags, got, want)
		}
	}
}

// TestIsRest: the second half of a record is long and all base64; what is short, or says something, is none.
func TestIsRest(t *testing.T) {
	half := strings.Repeat("AbC+/09z", 6)
	for text, want := range map[string]bool{
		half: true, half + "==": true, `"` + half + `"; `: true, half[:41]: true, half[:40]: false, "AQAB": false, half + "DKIM1": false, half + " x": false, half + "-": false, "": false,
	} {
		if isRest(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
