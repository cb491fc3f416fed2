package daemon

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/conf"
)

// TestStoredForms: whatever form a password was stored in by the program that
// was here before, its owner sends and fetches mail with it.
func TestStoredForms(t *testing.T) {
	const bcrypt = "$2y$05$CiM5w2.imUceVAotz3Wv..yK1IaFHOzpcBJszd02iFzkW4IPmC/rq" // "test", by doveadm pw
	t.Setenv("POSTRIDER_TEST_HASH", bcrypt)
	hashFile := filepath.Join(t.TempDir(), "hash")
	if err := os.WriteFile(hashFile, []byte(bcrypt+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, fmt.Sprintf(`"Domains": {"old.test": {"Accounts": {
		"bcrypt": %[1]q,
		"dovecot": "{BLF-CRYPT}%[1]s",
		"sha512crypt": "$6$VbNlD4RhhwBgTFBm$iOu1ZCLoo39LblPgNgXI72ykiwDZ.vN3GrJ/2AmqHLS.jTqe1XMFOTYUIiy0szBltxXqnF9A62V1EvFVGluQu.",
		"ssha": "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP",
		"env": {"password": "env:POSTRIDER_TEST_HASH"},
		"file": {"password_file": %[2]q},
	}}},`, bcrypt, hashFile))
	for _, user := range []string{"bcrypt", "dovecot", "sha512crypt", "ssha", "env", "file"} {
		for password, right := range map[string]bool{"test": true, "tess": false} {
			smtp, pop3 := "535 5.7.8", "-ERR [AUTH]"
			if right {
				smtp, pop3 = "235 2.7.0", "+OK"
			}
			k := w.dial("127.0.0.2:0")
			k.play("S: 220\nC: EHLO c.test\nS: 250")
			k.startTLS("STARTTLS", "220")
			k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " +
				base64.StdEncoding.EncodeToString([]byte("\x00"+user+"@old.test\x00"+password)) + "\nS: " + smtp)
			k = w.dial("127.0.0.4:0")
			k.play("S: +OK")
			k.startTLS("STLS", "+OK")
			k.play("C: USER " + user + "@old.test\nS: +OK\nC: PASS " + password + "\nS: " + pop3)
		}
	}
}

// TestNewPassword: from the reload on the new password counts and the old one
// does not, though it was right, and remembered, a moment ago.
func TestNewPassword(t *testing.T) {
	w := start(t, `"Accounts": {"carol@mail.test": "{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP"},`) // "test"
	login := func(user, password, want string) *talk {
		t.Helper()
		k := w.dial("127.0.0.2:0")
		k.play("S: 220\nC: EHLO c.test\nS: 250")
		k.startTLS("STARTTLS", "220")
		k.play("C: EHLO c.test\nS: 250\nC: AUTH PLAIN " +
			base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "\nS: " + want)
		return k
	}
	change := func(old, new string) {
		t.Helper()
		file := filepath.Join(w.dir, "t.conf")
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), old) {
			t.Fatal(err, old)
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	login("carol@mail.test", "test", "235")
	login("carol@mail.test", "test", "235")
	hash, err := passwd.Hash([]byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	change("{SSHA}XT8prj6MNUYZz+smK281UBX4BmjJTAmP", hash)
	login("carol@mail.test", "test", "535")
	k := login("carol@mail.test", "another", "235")

	// Who is no more cannot log in, and who is logged in is out.
	change(`"carol@mail.test"`, `"dora@mail.test"`)
	login("carol@mail.test", "another", "535")
	login("dora@mail.test", "another", "235")
	if k.goesOn() {
		t.Error("the session of an account that is gone goes on")
	}
}

// TestFailedLoginIsOneLine: with the session it happened in, whichever server
// and whichever mechanism.
func TestFailedLoginIsOneLine(t *testing.T) {
	w := start(t, "")
	plain := base64.StdEncoding.EncodeToString([]byte("\x00alice@mail.test\x00wrong"))
	for _, c := range []struct{ listener, hello, command, script string }{
		{"127.0.0.2:0", "S: 220\nC: EHLO c.test\nS: 250", "STARTTLS", "C: EHLO c.test\nS: 250\nC: AUTH PLAIN " + plain + "\nS: 535\nC: QUIT\nS: 221"},
		{"127.0.0.4:0", "S: +OK", "STLS", "C: USER alice@mail.test\nS: +OK\nC: PASS wrong\nS: -ERR [AUTH]\nC: QUIT\nS: +OK"},
		{"127.0.0.4:0", "S: +OK", "STLS", "C: AUTH CRAM-MD5\nS: + \nC: " + base64.StdEncoding.EncodeToString([]byte("alice@mail.test "+strings.Repeat("0", 32))) + "\nS: -ERR [AUTH]\nC: QUIT\nS: +OK"},
	} {
		w.logs.Take()
		k := w.dial(c.listener)
		k.play(c.hello)
		k.startTLS(c.command, map[string]string{"STARTTLS": "220", "STLS": "+OK"}[c.command])
		k.play(c.script)
		var logs string
		waitFor(t, func() bool { logs += w.logs.Take(); return strings.Contains(logs, " session\" service=") })
		failed := regexp.MustCompile(`level=WARN msg="login failed" session=(\w+) service=(?:submission|pop3) remote=127\.\S+ user=alice@mail\.test\n`).FindAllStringSubmatch(logs, -1)
		if len(failed) != 1 {
			t.Fatalf("%s: %d lines of a failed login\n%s", c.listener, len(failed), logs)
		}
		if n := len(regexp.MustCompile(`level=(INFO|WARN|ERROR) .*session=`+failed[0][1]).FindAllString(logs, -1)); n != 2 || !strings.Contains(logs, "failed_logins=1") {
			t.Errorf("%s: %d lines about the session, want the login's and its own\n%s", c.listener, n, logs)
		}
	}
}

// TestEndPointBinding: SCRAM that is bound to the server's certificate, for
// clients whose TLS gives them neither of the other bindings.
func TestEndPointBinding(t *testing.T) {
	w := start(t, `"Auth": {"mechanisms": ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]},`)
	for _, c := range []struct{ listener, hello, command, started, ehlo, challenge, final string }{
		{"127.0.0.2:0", "S: 220\nC: EHLO c.test\nS: 250", "STARTTLS", "220", "C: EHLO c.test\nS: 250\n", "334 ", "235"},
		{"127.0.0.4:0", "S: +OK", "STLS", "+OK", "", "+ ", "+OK"},
	} {
		for _, forged := range []bool{false, true} {
			k := w.dial(c.listener)
			k.play(c.hello)
			k.startTLS(c.command, c.started)
			cert := k.c.(*tls.Conn).ConnectionState().PeerCertificates[0]
			if forged {
				other, err := certs.NewTLS(selfSigned(t))
				if err != nil {
					t.Fatal(err)
				}
				cert = other.Certificates()[0]
			}
			binding, err := certs.EndPointBinding(cert)
			if err != nil {
				t.Fatal(err)
			}
			const header, bare = "p=tls-server-end-point,,", "n=alice@mail.test,r=abcdef"
			b64 := base64.StdEncoding.EncodeToString
			said := k.play(c.ehlo + "C: AUTH SCRAM-SHA-256-PLUS " + b64([]byte(header+bare)) + "\nS: " + c.challenge)
			first, err := base64.StdEncoding.DecodeString(strings.TrimSpace(said[len(c.challenge):]))
			if err != nil {
				t.Fatal(err)
			}
			field := strings.Split(string(first), ",") // r=… s=… i=…
			salt, _ := base64.StdEncoding.DecodeString(field[1][2:])
			iterations, _ := strconv.Atoi(field[2][2:])
			salted, err := pbkdf2.Key(sha256.New, testPassword, salt, iterations, 32)
			if err != nil {
				t.Fatal(err)
			}
			mac := func(key []byte, text string) []byte {
				m := hmac.New(sha256.New, key)
				m.Write([]byte(text))
				return m.Sum(nil)
			}
			clientKey := mac(salted, "Client Key")
			stored := sha256.Sum256(clientKey)
			last := "c=" + b64(append([]byte(header), binding...)) + "," + field[0]
			proof := mac(stored[:], bare+","+string(first)+","+last)
			for i := range proof {
				proof[i] ^= clientKey[i]
			}
			k.play("C: " + b64([]byte(last+",p="+b64(proof))))
			if forged {
				if said := k.reply(); !strings.HasPrefix(said, "535") && !strings.HasPrefix(said, "-ERR [AUTH]") {
					t.Errorf("%s: bound to another certificate: %s", c.listener, said)
				}
				continue
			}
			k.play("S: " + c.challenge)
			fmt.Fprint(k.c, "\r\n")
			k.play("S: " + c.final)
		}
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	cert, key, err := certs.SelfSigned("mail.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// forEver is how long a test waits for what does not come, on a machine however
// busy. Where all is well it is never used up.
const forEver = 3 * time.Minute

// waitFor waits until something is so.
func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	if !within(forEver, is) {
		t.Fatal("it does not come about")
	}
}

// within reports whether something has come about after a time at most.
func within(most time.Duration, is func() bool) bool {
	for end := time.Now().Add(most); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// TestLoginsSurviveRestart: who was locked out before a stop is so after it, in
// a file that nobody else can read.
func TestLoginsSurviveRestart(t *testing.T) {
	w := start(t, `"Auth": {"max_failures_per_address": 1},`)
	ctx := sasl.WithPeer(t.Context(), &sasl.Peer{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}})
	if _, err := w.live().Verify(ctx, "", "alice@mail.test", []byte("wrong")); !errors.Is(err, sasl.ErrDenied) {
		t.Fatal(err)
	}
	w.stop()
	info, err := os.Stat(filepath.Join(w.state().settings.DataDir, loginsFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v\n%s", info, err, tail(w.logs.String()))
	}
	again, err := New(func() (*conf.Settings, error) { return conf.Load(w.dir) }, w.logs)
	if err != nil {
		t.Fatal(err)
	}
	defer again.closeAll()
	if _, err := again.live().Verify(ctx, "", "bob@mail.test", []byte(testPassword)); !errors.Is(err, sasl.ErrThrottled) {
		t.Errorf("after a restart: %v", err)
	}
}

// TestLoginsSurviveKill: they are written down while the server runs, too.
func TestLoginsSurviveKill(t *testing.T) {
	w := start(t, "")
	ctx := sasl.WithPeer(t.Context(), &sasl.Peer{RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}})
	if _, err := w.live().Verify(ctx, "", "alice@mail.test", []byte(testPassword)); err != nil {
		t.Fatal(err)
	}
	ticking, end := context.WithCancel(t.Context())
	defer end()
	go every(ticking, time.Millisecond, w.keepLogins)
	waitFor(t, func() bool {
		text, _ := os.ReadFile(filepath.Join(w.state().settings.DataDir, loginsFile))
		return strings.Contains(string(text), "192.0.2.1/32")
	})
}
