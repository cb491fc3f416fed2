package passwd_test

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

// stored are strings that other systems made of a password.
var stored = []struct{ password, stored string }{
	// Dovecot 2.3.19's "doveadm pw".
	{"test", "{CRAM-MD5}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6"},
	{"test", "{CRAM-MD5.B64}4C03T94Nx1oXpVcDmjpTOMd0MwR3fczTdvMyvuaNLPY="},
	{"test", "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"},
	{"test", "{SSHA.HEX}2ef23e3d8b041beff0e7a9e95a09c1b546c27ba0559f0aef"},
	{"test", "{SSHA256}EjrugGzsSEsAGqyesZDkttGf8I+skNKuF+PxnmZVG9F49gM9"},
	{"test", "{SSHA512}Op1CCUFFS4kNuqDroIv1HtrP/3DSOMB8hg4Sr7ZhowdXMGNQmGXAUYsHZuGhMjT8fengD6SNujQi4LosJtOSRVk6Mm8="},
	{"test", "{PBKDF2}$1$OXPmMuI0apMzaMlw$5000$e9859f6e1d0484a4623a0d80119ecf95c1c3580e"},
	{"test", "{SCRAM-SHA-1}4096,DalgKoOMSQYt7eNMl0T8Kw==,hVhfooVg6qTfA2PcnkkDJ0+8QUs=,5wkslhD58myuFpF4hleRgTglIAY="},
	{"test", "{SCRAM-SHA-256}4096,u9x963IQsditd1Ae7F24RA==,vTjivmNjRLZ0kVp7MZ0v3koJyfPc535SZShDDrXRU+A=,1ds1pHwC+t3ZErD4A6PiJIdieMCTPuxYsRvWSIOuPi4="},
	{"test", "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$hNI+7S7kf9FY1OIZ3D4p8g$J8ZvcjZl3VfZK466kWr3paiZu8nRvLJh9rxXtAo4xog"},
	{"test", "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$2YHb0Z0hCrZz+Xy9zRpb/g$oLZxuwSFZiDLWah81ngg7tFp572Q/UT60ntszR/ayd4"},
	{"test", "{BLF-CRYPT}$2y$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq"},
	{"test", "{CRYPT}$2y$05$tx2OdHLcraWa7nwt/w645./2nIabpAQChW9e.Nu4t/MKOp//edF1m"},
	{"test", "{SHA256-CRYPT}$5$CYaCsu01ngwOuBgL$3JBQ5ue4TobG9eA4tPNyfLFkaEGuPwyKQS1vWYtdLl9"},
	{"test", "{SHA512-CRYPT}$6$/sUkRCR3klk0SmYa$0zkF784EbsSAak9nKN4tWfvC5TiqwV9OK5SgedNJVe1RDI3bEodWr4wtKv7sgsQh11STANfmiEVwdXkKw.5ke1"},
	// SHA-crypt, as OpenSSL and libxcrypt give it.
	{"Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
	{"Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
	{"a short string", "$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1"},
	{"the minimum number is still observed", "$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaTfF4ZEQpyUNGc0dqbpBYYBaHHrsX."},
	// RFC 7677's example, user "user".
	{"pencil", "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="},
}

func TestVerifyStoredElsewhere(t *testing.T) {
	for _, tt := range stored {
		if err := passwd.CheckForm(tt.stored); err != nil {
			t.Errorf("CheckForm(%s) = %v", tt.stored, err)
		}
		if err := passwd.Verify(tt.stored, []byte(tt.password)); err != nil {
			t.Errorf("Verify(%s, %q) = %v", tt.stored, tt.password, err)
		}
		for _, wrong := range []string{"", tt.password + "x", tt.password[1:], strings.ToUpper(tt.password)} {
			if err := passwd.Verify(tt.stored, []byte(wrong)); !errors.Is(err, passwd.ErrMismatch) {
				t.Errorf("Verify(%s, %q) = %v, want ErrMismatch", tt.stored, wrong, err)
			}
		}
	}
}

func TestRefusedForms(t *testing.T) {
	b22 := strings.Repeat("A", 22)
	for _, tt := range []struct {
		stored string
		want   error
		says   string
	}{
		{"", passwd.ErrForm, "empty"},
		{"secret", passwd.ErrClear, "clear"},
		{"{PLAIN}secret", passwd.ErrRefused, "clear"},
		{"{cleartext}secret", passwd.ErrRefused, "clear"},
		{"{MD5}$1$abc$def", passwd.ErrRefused, "weak"},
		{"{DIGEST-MD5}00", passwd.ErrRefused, "weak"},
		{"{CRYPT}ab1234567890.", passwd.ErrRefused, "DES"},
		{"{CRYPT}$1$abc$def", passwd.ErrRefused, "MD5"},
		{"{CRYPT}$7$x", passwd.ErrForm, "scheme"},
		{"{SHA512-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", passwd.ErrForm, "scheme"},
		{"{UNHEARD}x", passwd.ErrForm, "not known"},
		{"{SSHA", passwd.ErrClear, "clear"},
		{"{SSHA}", passwd.ErrClear, "clear"},
		{"$ecret", passwd.ErrClear, "clear"},
		{"{SSHA}####", passwd.ErrForm, "base64"[:0]},
		{"{SSHA.HEX}zz", passwd.ErrForm, "hex"},
		{"{SSHA.ROT13}zz", passwd.ErrForm, "encoding"},
		{"{SSHA}AAAA", passwd.ErrForm, "length"},
		{"{CRAM-MD5}00ff", passwd.ErrForm, "32 bytes"},
		{"{ARGON2ID.B64}x", passwd.ErrForm, "no encoding"},
		{"{PBKDF2}$2$salt$5000$00", passwd.ErrForm, "PBKDF2"},
		{"{PBKDF2}$1$salt$x$00", passwd.ErrForm, "PBKDF2"},
		{"{PBKDF2}$1$salt$5000$00", passwd.ErrForm, "PBKDF2"},
		{"{PBKDF2}$1$salt$9000000$e9859f6e1d0484a4623a0d80119ecf95c1c3580e", passwd.ErrCost, "iterations"},
		{"$1$abc$def", passwd.ErrRefused, "weak"},
		{"$argon2d$v=19$m=19456,t=2,p=1$" + b22 + "$" + b22, passwd.ErrRefused, "argon2d"},
		{"$2x$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq", passwd.ErrRefused, "faulty"},
		{"$y$j9T$abc$def", passwd.ErrForm, "yescrypt"},
		{"$unheard$x", passwd.ErrForm, "id"},
		{"$argon2id$v=16$m=19456,t=2,p=1$" + b22 + "$" + b22, passwd.ErrForm, "version"},
		{"$argon2id$m=19456,t=2,p=1$" + b22 + "$" + b22, passwd.ErrForm, "number of $"},
		{"$argon2id$v=19$t=2,m=19456,p=1$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=19456,t=2$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=+1,t=2,p=1$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=019456,t=2,p=1$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=19456,t=0,p=1$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=19456,t=2,p=0$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=7,t=2,p=1$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=19456,t=2,p=256$" + b22 + "$" + b22, passwd.ErrForm, "parameters"},
		{"$argon2id$v=19$m=19456,t=2,p=1$!$" + b22, passwd.ErrForm, "base64"},
		{"$argon2id$v=19$m=19456,t=2,p=1$AAAA$" + b22, passwd.ErrForm, "length"},
		{"$argon2id$v=19$m=4194304,t=1,p=1$" + b22 + "$" + b22, passwd.ErrCost, "m=4194304"},
		{"$argon2id$v=19$m=262144,t=5,p=1$" + b22 + "$" + b22, passwd.ErrCost, "t=5"},
		{"$argon2id$v=19$m=8,t=4294967295,p=1$" + b22 + "$" + b22, passwd.ErrCost, "t=4294967295"},
		{"$2b$16$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq", passwd.ErrCost, "16"},
		{"$2b$03$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq", passwd.ErrForm, "cost 3"},
		{"$2b$x5$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq", passwd.ErrForm, "number"},
		{"$2b$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/r!", passwd.ErrForm, "stray"},
		{"$2b$05$short", passwd.ErrForm, "bcrypt"},
		{"$5$saltstring", passwd.ErrForm, "SHA-crypt"},
		{"$5$saltstring$5B8vYYiY", passwd.ErrForm, "SHA-crypt"},
		{"$5$rounds=999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", passwd.ErrForm, "rounds"},
		{"$5$rounds=99999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", passwd.ErrCost, "rounds"},
		{"$pbkdf2-sha256$29000$x", passwd.ErrForm, "PBKDF2"},
		{"$pbkdf2-sha256$29000$AAAA$AAAA", passwd.ErrForm, "PBKDF2"},
		{"$pbkdf2-sha256$x$AAAA$AAAA", passwd.ErrForm, "PBKDF2"},
		{"SCRAM-SHA-512$4096:AAAA$AAAA:AAAA", passwd.ErrForm, "neither"},
		{"SCRAM-SHA-256$4096:AAAA$AAAA:AAAA", passwd.ErrForm, "damaged"},
		{"SCRAM-SHA-256$x:AAAA$AAAA:AAAA", passwd.ErrForm, "damaged"},
		{"SCRAM-SHA-256$4096", passwd.ErrForm, "damaged"},
		{"{SCRAM-SHA-1}2100000000,DalgKoOMSQYt7eNMl0T8Kw==,hVhfooVg6qTfA2PcnkkDJ0+8QUs=,5wkslhD58myuFpF4hleRgTglIAY=", passwd.ErrCost, "iterations"},
		{"{" + strings.Repeat("x", 2000), passwd.ErrForm, "long"},
	} {
		err := passwd.CheckForm(tt.stored)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("CheckForm(%.70s) = %v, want %v with %q", tt.stored, err, tt.want, tt.says)
		}
		if verr := passwd.Verify(tt.stored, []byte("secret")); verr == nil {
			t.Errorf("Verify(%.70s) accepted a refused form", tt.stored)
		}
		if err != nil && len(tt.stored) > 20 && strings.Contains(err.Error(), tt.stored[len(tt.stored)-10:]) {
			t.Errorf("CheckForm's error repeats the stored string: %v", err)
		}
	}
}

// TestKind: what a list of accounts says of each form.
func TestKind(t *testing.T) {
	for stored, want := range map[string]string{
		"$argon2id$v=19$x": "argon2id", "$2y$05$x": "bcrypt", "$5$x": "SHA-crypt", "$6$x": "SHA-crypt", "$pbkdf2-sha256$x": "pbkdf2-sha256",
		"$y$j9T$x": "yescrypt", "$unheard$x": "unheard", "{SSHA}x": "{SSHA}", "SCRAM-SHA-256$x": "SCRAM-SHA-256",
		"": "unknown", "secret": "unknown", "$": "unknown", "{x": "unknown", "SCRAM-": "unknown",
	} {
		if got := passwd.Kind(stored); got != want {
			t.Errorf("%s is called %s, want %s", stored, got, want)
		}
	}
}

func TestHash(t *testing.T) {
	const password = "correct horse 電池"
	a, err := passwd.Hash([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := passwd.Hash([]byte(password))
	if a == b {
		t.Error("two hashes of one password are the same: no salt")
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash is %s", a)
	}
	if err := passwd.Verify(a, []byte(password)); err != nil {
		t.Error(err)
	}
	if err := passwd.Verify(a, []byte("wrong")); !errors.Is(err, passwd.ErrMismatch) {
		t.Errorf("wrong password: %v", err)
	}
	for _, bad := range []string{"", strings.Repeat("x", passwd.MaxPassword+1)} {
		if _, err := passwd.Hash([]byte(bad)); !errors.Is(err, passwd.ErrPassword) {
			t.Errorf("Hash of %d bytes: %v, want ErrPassword", len(bad), err)
		}
	}
}

func TestNeedsRehash(t *testing.T) {
	good, _ := passwd.Hash([]byte("x"))
	for s, want := range map[string]bool{
		good:                false,
		"{ARGON2ID}" + good: false,
		stored[9].stored:    false, // argon2id, 64 MiB
		stored[10].stored:   true,  // argon2i
		stored[0].stored:    false, // CRAM-MD5 serves more than this
		stored[8].stored:    false, // SCRAM-SHA-256
		stored[2].stored:    true,
		stored[11].stored:   true,
		"{PLAIN}x":          true,
		"damaged":           true,
		"$argon2id$v=19$m=4096,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$J8ZvcjZl3VfZK466kWr3paiZu8nRvLJh9rxXtAo4xog": true,
	} {
		if got := passwd.NeedsRehash(s); got != want {
			t.Errorf("NeedsRehash(%s) = %v", s, got)
		}
	}
}

// Nobody gets in with an empty password, even where somebody stored one.
func TestEmptyPassword(t *testing.T) {
	empty := fmt.Sprintf("{CRAM-MD5}%x", sasl.MakeCRAM(nil))
	if err := passwd.CheckForm(empty); err != nil {
		t.Fatal(err)
	}
	for _, password := range [][]byte{nil, {}} {
		if err := passwd.Verify(empty, password); !errors.Is(err, passwd.ErrMismatch) {
			t.Errorf("Verify: %v", err)
		}
		if err := new(passwd.Verifier).Verify(t.Context(), "alice", empty, password); !errors.Is(err, passwd.ErrMismatch) {
			t.Errorf("Verify: %v", err)
		}
	}
}

// Every bcrypt looks at 72 bytes; a longer password must not be an error.
func TestBcryptLongPassword(t *testing.T) {
	const hash = "$2a$04$WQw5Yy1PSiB5cWFXQWlyaOd.pEJ0TVdnS8JmEcHrzuuE5k.ET1Bse"
	err := passwd.Verify(hash, []byte(strings.Repeat("long", 100)))
	if !errors.Is(err, passwd.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
}

// need skips the test where a program is not installed, except in CI.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not installed", program)
	default:
		t.Skipf("%s is not installed", program)
	}
	return path
}

func TestOpenSSLPasswd(t *testing.T) {
	openssl := need(t, "openssl")
	for _, password := range []string{"a", "Hello world!", "pässwörd", strings.Repeat("0123456789", 12)} {
		for _, form := range []string{"-5", "-6"} {
			out, err := exec.Command(openssl, "passwd", form, password).Output()
			if err != nil {
				t.Fatal(err)
			}
			s := strings.TrimSpace(string(out))
			if err := passwd.Verify(s, []byte(password)); err != nil {
				t.Errorf("Verify(%s, %q) = %v", s, password, err)
			}
		}
	}
}

func TestDoveadm(t *testing.T) {
	doveadm := need(t, "doveadm")
	h, err := passwd.Hash([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	// -O: without a configuration. Dovecot reads what we write.
	for _, ours := range []string{"{ARGON2ID}" + h, fmt.Sprintf("{CRAM-MD5}%x", sasl.MakeCRAM([]byte("secret")))} {
		out, err := exec.Command(doveadm, "-O", "pw", "-t", ours, "-p", "secret").CombinedOutput()
		if err != nil {
			t.Errorf("doveadm pw -t %s: %v: %s", ours, err, out)
		}
	}
	for _, scheme := range []string{"SSHA", "SSHA256", "SSHA512", "SHA512-CRYPT", "PBKDF2", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "ARGON2ID", "ARGON2I",
		"BLF-CRYPT", "CRYPT", "SHA256-CRYPT", "SSHA.HEX", "SSHA256.HEX", "SSHA512.b64", "CRAM-MD5.B64"} {
		out, err := exec.Command(doveadm, "-O", "pw", "-s", scheme, "-p", "secret").Output()
		if err != nil {
			t.Errorf("doveadm pw -s %s: %v", scheme, err)
			continue
		}
		if err := passwd.Verify(strings.TrimSpace(string(out)), []byte("secret")); err != nil {
			t.Errorf("Verify(%s) = %v", out, err)
		}
	}
}

// TestComposition: it does not matter whether a keyboard sends an accent as a
// character of its own, for any form of stored password.
func TestComposition(t *testing.T) {
	const composed, apart = "p\u00e4ssword", "pa\u0308ssword"
	keys, err := sasl.MakeScram(sasl.ScramSHA256, []byte(composed), 4096)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512([]byte(composed + "salt"))
	forms := map[string]string{
		"SCRAM":    sasl.FormatScram(sasl.ScramSHA256, keys),
		"CRAM-MD5": sasl.FormatCRAM(sasl.MakeCRAM([]byte(composed))),
		"SSHA512":  "{SSHA512}" + base64.StdEncoding.EncodeToString(append(sum[:], "salt"...)),
	}
	for _, set := range []string{composed, apart} {
		if forms["argon2id of "+set], err = passwd.Hash([]byte(set)); err != nil {
			t.Fatal(err)
		}
	}
	var v passwd.Verifier
	for name, stored := range forms {
		for _, typed := range []string{composed, apart} {
			if err := errors.Join(passwd.Verify(stored, []byte(typed)), v.Verify(t.Context(), name, stored, []byte(typed))); err != nil {
				t.Errorf("%s, typed %q: %v", name, typed, err)
			}
		}
		if err := passwd.Verify(stored, []byte("passwo\u0308rd")); !errors.Is(err, passwd.ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
