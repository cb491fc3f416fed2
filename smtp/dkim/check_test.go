package dkim

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
)

func records(t testing.TB) (r, e string) {
	t.Helper()
	keys := testKeys()
	r, err1 := Record(keys[0].Key.Public())
	e, err2 := Record(keys[1].Key.Public())
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return r, e
}

// TestCheckRecords: what forms, zone files and examples do to a record is named, with its place.
func TestCheckRecords(t *testing.T) {
	good, short := records(t)
	key := testKeys()[0].Key.(*rsa.PrivateKey)
	private := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key))
	p := strings.TrimPrefix(good, "v=DKIM1; k=rsa; p=")
	tests := []struct {
		name  string
		texts []string
		want  string // a part of the text; empty: no fault
		at    int
		fatal bool
	}{
		{"as it is to be", []string{good}, "", 0, false},
		{"one string", []string{short}, "", 0, false},
		{"quotes in notes", []string{"v=DKIM1; n=\"a\"; p=" + p}, "", 0, false},
		{"for every service among others", []string{"v=DKIM1; s=email:*; p=" + p}, "", 0, false},
		{"for mail and reports", []string{"v=DKIM1; s=tlsrpt:email; p=" + p}, "", 0, false},
		{"for both hashes", []string{"v=DKIM1; h=sha1:sha256; p=" + p}, "", 0, false},
		{"semicolon at the end", []string{good + ";"}, "", 0, false},
		{"none", nil, "no key record", -1, true},
		{"only others", []string{"v=spf1 -all"}, "no key record", -1, true},
		{"another beside it", []string{"v=spf1 -all", good}, "no key stands beside it", -1, false},
		{"two", []string{good, short}, "2 key records", -1, true},
		{"the same twice", []string{good, good}, "2 key records", -1, true},
		{"two records of one", []string{good[:255], good[255:]}, "entered as 2 records", -1, true},
		{"cut at 255", []string{good[:255]}, "cut off", 255, true},
		{"cut at a whole number of octets", []string{good[:18+200]}, "cut off after 150 of 294 octets", 218, true},
		{"last letter lost", []string{"v=DKIM1; k=ed25519; p=" + short[22:len(short)-2]}, "cut off", len(short) - 2, true},
		{"quotes around it", []string{`"` + good + `"`}, "quotes", 0, true},
		{"quotes at the joint", []string{good[:255] + `" "` + good[255:]}, "quotes", 255, true},
		{"backslash", []string{strings.ReplaceAll(good, ";", `\;`)}, "backslash", 7, true},
		{"blank at the joint", []string{good[:255] + " " + good[255:]}, "blank stands within p=", 255, false},
		{"key twice", []string{good + "; p=" + p}, "p= stands twice", len(good) + 1, true},
		{"record twice", []string{good + good}, "k= stands twice", len(good) + 8, true},
		{"wrong key", []string{strings.Replace(short, "p=", "p=", 1)}, "another key", 22, true},
		{"version small", []string{strings.Replace(good, "DKIM1", "dkim1", 1)}, `the version is "dkim1", and must be DKIM1`, 2, true},
		{"version last", []string{"k=rsa; p=" + p + "; v=DKIM1"}, "not the first", -2, true},
		{"version missing", []string{"k=rsa; p=" + p}, "v=DKIM1 is missing", -1, false},
		{"PEM", []string{"v=DKIM1; p=-----BEGIN PUBLIC KEY-----" + p + "-----END PUBLIC KEY-----"}, "PEM", 11, true},
		{"private key", []string{"v=DKIM1; p=" + private}, "PRIVATE key", 11, true},
		{"revoked", []string{"v=DKIM1; p="}, "revoked", 11, true},
		{"no key", []string{"v=DKIM1; k=rsa"}, "p= is missing", -1, true},
		{"type unknown", []string{"v=DKIM1; k=dsa; p=" + p}, "no known type", 11, true},
		{"type forgotten", []string{strings.Replace(short, "k=ed25519; ", "", 1)}, "k=ed25519 is missing", 11, true},
		{"type of another", []string{strings.Replace(good, "k=rsa", "k=ed25519", 1)}, "ed25519 key has 32", 22, true},
		{"first tag without value", []string{"v DKIM1; p=" + p}, `the tags cannot be read from here on: "v DKIM1; `, 0, true},
		{"tag without value", []string{"v=DKIM1; k; p=" + p}, `the tags cannot be read from here on: "`, 7, true},
		{"s=email", []string{"v=DKIM1; s=email; p=" + p}, "TLS reports", 11, false},
		{"s=tlsrpt", []string{"v=DKIM1; s=tlsrpt; p=" + p}, "not for mail", 11, true},
		{"s=*", []string{"v=DKIM1; s=*; p=" + p}, "", 0, false},
		{"t=s", []string{"v=DKIM1; t=s; p=" + p}, "subdomains", 11, false},
		{"t=y", []string{"v=DKIM1; t=y; p=" + p}, "test mode", 11, false},
		{"h=sha1", []string{"v=DKIM1; h=sha1; p=" + p}, "not for sha256", 11, true},
		{"h=sha256", []string{"v=DKIM1; h=sha256; p=" + p}, "", 0, false},
		{"g=", []string{"v=DKIM1; g=; p=" + p}, "obsolete", 11, false},
		{"long", []string{good + "; n=" + strings.Repeat("x", 5000)}, "more than the 4096", -1, true},
		{"small", []string{"v=DKIM1; p=" + smallKey}, "768 bits", 11, true},
	}
	for _, test := range tests {
		faults := CheckRecords(test.texts, nil)
		if test.name == "wrong key" {
			faults = CheckRecords(test.texts, key.Public())
		}
		if test.want == "" && len(faults) == 0 {
			continue
		}
		found := false
		for _, f := range faults {
			found = found || strings.Contains(f.Text, test.want) && test.want != "" && (f.At == test.at || test.at == -2) && f.Fatal == test.fatal
		}
		if !found {
			t.Errorf("%s: %+v", test.name, faults)
		}
		hasFatal(t, test.name, faults, test.fatal)
	}
	if f := CheckRecords([]string{good}, key.Public()); f != nil {
		t.Errorf("the right key: %+v", f)
	}
	if f := CheckRecords([]string{short}, testKeys()[1].Key.Public().(ed25519.PublicKey)); f != nil {
		t.Errorf("the right key: %+v", f)
	}
}

func hasFatal(t testing.TB, name string, faults []Fault, want bool) {
	t.Helper()
	has := false
	for _, f := range faults {
		has = has || f.Fatal
	}
	if has != want {
		t.Errorf("%s: fatal %v: %+v", name, has, faults)
	}
}

// smallKey has 768 bits.
const smallKey = "MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhAOeSkKdzcfbxPXJntXUWNd5DWx2FW9QoFRFv/wVwMmjwgRKSN8HgN9zWEmeUVlbeyWssX2aORtkNrHJ1wUPWM8TBXfOjAuSPT0/0vr+RL0/CJa2rlXHnagLtR+YWmFeCOQIDAQAB"
