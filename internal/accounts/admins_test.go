package accounts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
)

// TestCode: the codes of RFC 6238, appendix B, of which programs show the last six digits.
func TestCode(t *testing.T) {
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := Code([]byte("12345678901234567890"), time.Unix(at, 0)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

// TestCodesOnce: a code counts once, none that is older after it, and a clock may be half a minute off.
func TestCodesOnce(t *testing.T) {
	secret, now := []byte("12345678901234567890"), time.Unix(1111111111, 0)
	at := func(steps int) string { return Code(secret, now.Add(time.Duration(steps)*codeStep)) }
	var c codes
	take := func(code string, want bool, wantOff time.Duration) {
		t.Helper()
		if ok, off := c.take("ann", secret, code, now); ok != want || off != wantOff {
			t.Errorf("%s: %v %v, want %v %v", code, ok, off, want, wantOff)
		}
	}
	take("", false, 0)
	take("12345", false, 0)
	take(at(-2), false, -2*codeStep)
	take(at(3), false, 3*codeStep)
	take(at(-1), true, 0)
	take(at(-1), false, 0)
	take(at(1), true, 0)
	take(at(0), false, 0)
	take(at(1), false, 0)
	if ok, _ := c.take("joe", secret, at(1), now); !ok {
		t.Error("one has used what is another's")
	}
}

// admins are credentials of ann, with a second factor, and joe, without one.
func admins(t *testing.T) (*Credentials, []byte) {
	t.Helper()
	s := conf.New()
	s.ServerName = "mail.test"
	s.SecretKeyFile = filepath.Join(t.TempDir(), "key")
	key, _, err := seal.EnsureKey(s.SecretKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	secret := NewSecondFactor()
	sealed, err := key.SealText(secret, []byte(conf.TOTPSubject("ann")))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := passwd.Hash([]byte("swordfish"))
	if err != nil {
		t.Fatal(err)
	}
	s.Web.Admins = map[string]*conf.WebAdmin{
		"ann": {Password: conf.Secret(hash), TOTP: conf.Secret(sealed)}, "joe": {Password: conf.Secret(hash)}, "nix": {},
		"moved": {Password: conf.Secret(hash), TOTP: conf.Secret(sealed)},
	}
	s.Accounts = map[string]*conf.Account{"joe@mail.test": {Password: conf.Secret(hash)}}
	c, err := New(s, NewDirectory(s), nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c, secret
}

func TestVerifyAdmin(t *testing.T) {
	c, secret := admins(t)
	from := netip.MustParseAddr("192.0.2.1")
	code := Code(secret, time.Now())
	for _, try := range []struct {
		name, password, code string
		want                 error
	}{
		{"joe", "swordfish", "", nil},
		{"joe", "swordfish", "whatever", nil}, // he has no second factor
		{"joe", "wrong", "", sasl.ErrDenied},
		{"nobody", "swordfish", "", sasl.ErrDenied},
		{"nix", "", "", sasl.ErrDenied},
		{"joe@mail.test", "swordfish", "", sasl.ErrDenied}, // an account for mail
		{"ann", "swordfish", "", sasl.ErrDenied},
		{"ann", "wrong", code, sasl.ErrDenied},
		{"ann", "swordfish", code[:3] + " " + code[3:], nil},
		{"ann", "swordfish", code, sasl.ErrDenied}, // again
	} {
		if err := c.VerifyAdmin(t.Context(), from, try.name, try.password, try.code); !errors.Is(err, try.want) {
			t.Errorf("%+v: %v", try, err)
		}
	}
	if err := c.VerifyAdmin(t.Context(), from, "moved", "swordfish", code); err == nil || errors.Is(err, sasl.ErrDenied) {
		t.Error("a secret that was sealed for another name:", err)
	}
}

// TestClockOff: half a minute is let pass. A clock that is wrong by more keeps its owner out and is told him, which way and by how much; it counts as a
// failed login. Who has the code without the password, or one that was used, hears nothing of it.
func TestClockOff(t *testing.T) {
	from := netip.MustParseAddr("192.0.2.1")
	for _, off := range []int{-10, -3, -2, 2, 3, 10} {
		c, secret := admins(t)
		var log bytes.Buffer
		c.log = slog.New(slog.NewTextHandler(&log, nil))
		code := Code(secret, time.Now().Add(time.Duration(off)*codeStep))
		var clock *ClockError
		if err := c.VerifyAdmin(t.Context(), from, "ann", "wrong", code); errors.As(err, &clock) || !errors.Is(err, sasl.ErrDenied) {
			t.Errorf("%d steps, with a wrong password: %v", off, err)
		}
		// A step may have begun meanwhile.
		err := c.VerifyAdmin(t.Context(), from, "ann", "swordfish", code)
		if !errors.As(err, &clock) || !errors.Is(err, sasl.ErrDenied) || (clock.Off < 0) != (off < 0) || (clock.Off-time.Duration(off)*codeStep).Abs() > codeStep {
			t.Logf("%d steps: %v", off, err)
			if off != -10 && off != 2 { // on the edge
				t.Errorf("%d steps: %v", off, err)
			}
			continue
		}
		if strings.Count(log.String(), "login failed") != 2 || !strings.Contains(log.String(), "a code was right at another time") {
			t.Errorf("%s", &log)
		}
	}
	for _, off := range []int{0, 1} {
		c, secret := admins(t)
		if err := c.VerifyAdmin(t.Context(), from, "ann", "swordfish", Code(secret, time.Now().Add(time.Duration(off)*codeStep))); err != nil {
			t.Errorf("%d steps: %v", off, err)
		}
	}
	var c codes
	secret, now := []byte("12345678901234567890"), time.Unix(1111111111, 0)
	code := Code(secret, now)
	if ok, _ := c.take("ann", secret, code, now); !ok {
		t.Fatal("a right code")
	}
	if ok, off := c.take("ann", secret, code, now.Add(3*codeStep)); ok || off != 0 {
		t.Errorf("a used one: %v, %v", ok, off)
	}
	// Who guesses codes would else have nine more that are right, only later.
	ahead := Code(secret, now.Add(5*codeStep))
	for range 2 {
		if ok, off := c.take("ann", secret, ahead, now); ok || off != 5*codeStep {
			t.Errorf("one of a clock that is ahead: %v, %v", ok, off)
		}
	}
	later := now.Add(5 * codeStep)
	if ok, off := c.take("ann", secret, ahead, later); ok || off != 0 {
		t.Errorf("one that somebody was told to come back with: %v, %v", ok, off)
	}
	if ok, _ := c.take("ann", secret, Code(secret, later.Add(codeStep)), later); !ok {
		t.Error("the next one")
	}
}

// TestCodesKept: that a code was used is on stable storage before it lets anybody in, and the next process knows it; without that
// nobody gets in.
func TestCodesKept(t *testing.T) {
	c, secret := admins(t)
	from := netip.MustParseAddr("192.0.2.1")
	var kept []byte
	full := io.ErrShortWrite
	c.KeepCodes(func() error {
		if full != nil {
			return full
		}
		memory, err := c.Memory()
		kept = memory
		return err
	})
	now := time.Now()
	if err := c.VerifyAdmin(t.Context(), from, "ann", "swordfish", Code(secret, now)); !errors.Is(err, io.ErrShortWrite) {
		t.Error("it was not kept:", err)
	}
	full = nil
	code := Code(secret, now.Add(codeStep))
	if err := c.VerifyAdmin(t.Context(), from, "ann", "swordfish", code); err != nil || kept == nil {
		t.Fatal(err, kept)
	}
	next, _ := admins(t)
	next.admins, next.keyFile = c.admins, c.keyFile
	if err := next.Recall(kept); err != nil {
		t.Fatal(err)
	}
	if err := next.VerifyAdmin(t.Context(), from, "ann", "swordfish", code); !errors.Is(err, sasl.ErrDenied) {
		t.Error("after a restart it counts again:", err)
	}
	if ok, _ := next.codes.take("ann", secret, Code(secret, now.Add(2*codeStep)), now.Add(codeStep)); !ok {
		t.Error("the next one does not count")
	}
	// A clock that was wrong keeps nobody out for ever.
	other, _ := admins(t)
	other.codes.recall([]remembered{{Admin: "ann", Step: now.AddDate(1, 0, 0).Unix() / 30}}, now)
	if ok, _ := other.codes.take("ann", secret, code, now); !ok {
		t.Error("nobody with a second factor gets in for a year")
	}
}

// TestAdminFetchesNoMail: the name of an administrator with the right password is nobody to the mail protocols.
func TestAdminFetchesNoMail(t *testing.T) {
	c, _ := admins(t)
	if _, err := c.VerifyUser(t.Context(), netip.MustParseAddr("192.0.2.1"), "ann", "swordfish"); !errors.Is(err, sasl.ErrDenied) {
		t.Error(err)
	}
}

// TestAdminComputed: a password that was right is computed again, so that no time tells who guesses codes that he has it.
func TestAdminComputed(t *testing.T) {
	c, _ := admins(t)
	from := netip.MustParseAddr("192.0.2.1")
	if err := c.VerifyAdmin(t.Context(), from, "joe", "swordfish", ""); err != nil {
		t.Fatal(err)
	}
	computed := false
	err := c.verifier.Try(t.Context(), passwd.Attempt{
		Account: adminKey("joe").String(), Stored: string(c.admins["joe"].Password), Password: []byte("swordfish"),
		Allowed: func() error { computed = true; return nil },
	})
	if err != nil || !computed {
		t.Errorf("the password is remembered (%v)", err)
	}
}

// TestAdminThrottled: also wrong codes behind a right password; and nobody locks out the account
// of the same name.
func TestAdminThrottled(t *testing.T) {
	c, _ := admins(t)
	c.throttle.setRates(over(1000, time.Hour), over(5, time.Hour))
	if err := c.VerifyAdmin(t.Context(), netip.MustParseAddr("192.0.2.1"), "joe", "swordfish", ""); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		from := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		want := sasl.ErrDenied
		if i == 5 {
			want = sasl.ErrThrottled
		}
		for name, password := range map[string]string{"ann": "swordfish", "joe": "wrong", "nobody": "wrong"} {
			if err := c.VerifyAdmin(t.Context(), from, name, password, "000000"); !errors.Is(err, want) {
				t.Errorf("guess %d at %s: %v, want %v", i+1, name, err, want)
			}
		}
	}
	stranger := netip.MustParseAddr("203.0.113.9")
	if _, err := c.VerifyUser(t.Context(), stranger, "joe@mail.test", "swordfish"); err != nil {
		t.Error("the account of that name is locked out:", err)
	}
	if err := c.VerifyAdmin(t.Context(), netip.MustParseAddr("192.0.2.1"), "joe", "swordfish", ""); err != nil {
		t.Error("who has been here before is locked out:", err)
	}
	for _, who := range []string{"ann", "admin joe"} {
		if !c.Unlock(who) {
			t.Error("not unlocked:", who)
		}
	}
	for name, password := range map[string]string{"ann": "wrong", "joe": "wrong"} {
		if err := c.VerifyAdmin(t.Context(), stranger, name, password, ""); !errors.Is(err, sasl.ErrDenied) {
			t.Error("still locked out:", name, err)
		}
	}
	if c.AdminStamp("nix") != "" || c.AdminStamp("joe") == "" || c.AdminStamp("joe") == c.AdminStamp("ann") || !c.Admins() {
		t.Error("stamps")
	}
}

// TestLongNameInLog: what strangers make up as a name takes no more of the log than a name does.
func TestLongNameInLog(t *testing.T) {
	s := settingsOf(t, "joe@mail.test")
	var log bytes.Buffer
	c := newCredentials(t, s, nil, &log)
	from := netip.MustParseAddr("192.0.2.1")
	long := strings.Repeat("é", 30000)
	c.VerifyUser(t.Context(), from, long, "wrong")
	c.VerifyAdmin(t.Context(), from, long, "wrong", "")
	if n := strings.Count(log.String(), "login failed"); n != 2 || log.Len() > 2*(longestLogin+500) {
		t.Errorf("%d lines of %d octets", n, log.Len())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.VerifyAdmin(ended, from, long, "wrong", ""); err == nil || len(err.Error()) > longestLogin+500 {
		t.Error("a long error, or none")
	}
}
