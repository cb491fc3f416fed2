package sealedmail_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
)

const message = "From: a@example.com\r\nTo: b@example.com\r\nSubject: sealed\r\n\r\nFor your eyes only.\r\n"

func newKeyring(t testing.TB) (k *sealedmail.Keyring, recovery string) {
	t.Helper()
	k, recovery, err := sealedmail.NewKeyring([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	return k, recovery
}

func seal(t testing.TB, k *sealedmail.Keyring, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := k.Seal(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(u *sealedmail.Unlocked, r io.Reader) ([]byte, error) {
	plain, err := u.Open(r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

func unlock(t testing.TB, k *sealedmail.Keyring, password string) *sealedmail.Unlocked {
	t.Helper()
	u, err := k.Unlock([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestSizes(t *testing.T) {
	const chunk = 64 << 10
	k, _ := newKeyring(t)
	u := unlock(t, k, "password")
	for _, n := range []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 3 * chunk, 3*chunk + 1} {
		plain := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		sealed := seal(t, k, plain)
		if got := sealedmail.SealedSize(int64(n)); got != int64(len(sealed)) {
			t.Errorf("SealedSize(%d) = %d, is %d", n, got, len(sealed))
		}
		if got, err := sealedmail.PlainSize(int64(len(sealed))); err != nil || got != int64(n) {
			t.Errorf("PlainSize(%d) = %d, %v, is %d", len(sealed), got, err, n)
		}
		if !sealedmail.IsSealed(sealed[:sealedmail.MagicSize]) || sealedmail.IsSealed([]byte(message)) {
			t.Error("IsSealed")
		}
		got, err := open(u, iotest.HalfReader(bytes.NewReader(sealed)))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes came back as %d, %v", n, len(got), err)
		}
	}
	for _, bad := range []int64{-1, 0, 100, 199, 200 + chunk + 1, 200 + chunk + 16} {
		if n, err := sealedmail.PlainSize(bad); !errors.Is(err, sealedmail.ErrSize) {
			t.Errorf("PlainSize(%d) = %d, %v", bad, n, err)
		}
	}
}

func TestChanged(t *testing.T) {
	k, _ := newKeyring(t)
	u := unlock(t, k, "password")
	sealed := seal(t, k, []byte(message))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if got, err := open(u, bytes.NewReader(changed)); !errors.Is(err, sealedmail.ErrOpen) || len(got) > 0 {
			t.Errorf("byte %d changed: %q, %v", i, got, err)
		}
		if got, err := open(u, bytes.NewReader(sealed[:i])); !errors.Is(err, sealedmail.ErrOpen) || len(got) > 0 {
			t.Errorf("cut at %d: %q, %v", i, got, err)
		}
	}
	other, _ := newKeyring(t)
	if _, err := open(unlock(t, other, "password"), bytes.NewReader(sealed)); !errors.Is(err, sealedmail.ErrOpen) {
		t.Errorf("opened with another's keys: %v", err)
	}
	broken := errors.New("disk on fire")
	for _, n := range []int{10, 190, len(sealed)} {
		_, err := open(u, io.MultiReader(bytes.NewReader(sealed[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, sealedmail.ErrOpen) {
			t.Errorf("reader failing at %d: %v", n, err)
		}
	}
	if _, err := sealedmail.Seal(io.Discard, "age1junk"); err == nil {
		t.Error("sealed to no key")
	}
	if _, err := k.Seal(iotest.TruncateWriter(failing{}, 0)); err != nil {
		t.Errorf("a truncating writer: %v", err)
	}
	if _, err := k.Seal(failing{}); err == nil {
		t.Error("no error from a full disk")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// Everything that can happen to a keyring, and the mail sealed on the way still
// opens.
func TestKeyringLife(t *testing.T) {
	k, recovery := newKeyring(t)
	var mail [][]byte
	stillOpens := func(when, password string) {
		t.Helper()
		// Each step goes through the text form, as in a store.
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		k = new(sealedmail.Keyring)
		if err := k.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		mail = append(mail, seal(t, k, []byte(message)))
		u := unlock(t, k, password)
		r, err := k.Recover(" " + strings.ToLower(recovery) + "\n")
		if err != nil {
			t.Fatalf("%s: recovery: %v", when, err)
		}
		for i, sealed := range mail {
			for _, by := range []*sealedmail.Unlocked{u, r} {
				if got, err := open(by, bytes.NewReader(sealed)); err != nil || string(got) != message {
					t.Errorf("%s: message %d: %q, %v", when, i, got, err)
				}
			}
		}
		for _, secret := range append(strings.Fields(u.Identities()), recovery, password) {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s: the text form holds a secret in clear", when)
			}
		}
	}
	stillOpens("new", "password")
	if err := k.ChangePassword(unlock(t, k, "password"), []byte("second")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Unlock([]byte("password")); !errors.Is(err, sealedmail.ErrPassword) {
		t.Errorf("old password: %v", err)
	}
	stillOpens("after a change", "second")
	before := k.Recipient()
	if err := k.Rotate(unlock(t, k, "second")); err != nil || k.Recipient() == before || k.Known()[1] != before {
		t.Fatal("rotation:", err)
	}
	stillOpens("after rotation", "second")
	u, err := k.Recover(recovery)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.ChangePassword(u, []byte("third")); err != nil {
		t.Fatal(err)
	}
	stillOpens("after a reset", "third")
	old := recovery
	if recovery, err = k.NewRecovery(unlock(t, k, "third")); err != nil || recovery == old {
		t.Fatal("new recovery key:", err)
	}
	stillOpens("after a new recovery key", "third")
	if _, err := k.Recover(old); !errors.Is(err, sealedmail.ErrPassword) {
		t.Errorf("old recovery key: %v", err)
	}
	for i := range len(recovery) {
		slip := recovery[:i] + "q" + recovery[i+1:]
		if recovery[i] == 'q' {
			continue
		}
		if _, err := k.Recover(slip); !errors.Is(err, sealedmail.ErrRecovery) {
			t.Errorf("a slip at %d: %v", i, err)
		}
	}
	// A change of passwords in which one may break off: both open until it is settled.
	id, err := k.AddPassword(unlock(t, k, "third"), []byte("fourth"))
	if err != nil || k.Passwords() != 2 {
		t.Fatal(err)
	}
	stillOpens("in a change", "third")
	stillOpens("in a change", "fourth")
	if err := k.KeepPassword(id); err != nil || k.Passwords() != 1 {
		t.Fatal(err)
	}
	if _, err := k.Unlock([]byte("third")); !errors.Is(err, sealedmail.ErrPassword) {
		t.Errorf("old password: %v", err)
	}
	app := strings.Repeat("app7", 7)
	if err := k.AddApp(unlock(t, k, "fourth"), "phone", []byte(app)); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(unlock(t, k, "fourth")); err != nil {
		t.Fatal(err)
	}
	stillOpens("with an app password", "fourth")
	if u, err := k.UnlockApp("phone", []byte(app)); err != nil || u.Recipient() != k.Recipient() {
		t.Error("app password:", err)
	}
	for _, wrong := range []error{
		func() error { _, err := k.UnlockApp("phone", []byte("fourth")); return err }(),
		func() error { _, err := k.UnlockApp("other", []byte(app)); return err }(),
		func() error { _, err := k.Unlock([]byte(app)); return err }(),
		func() error { _, err := k.Unlock(nil); return err }(),
	} {
		if !errors.Is(wrong, sealedmail.ErrPassword) {
			t.Errorf("%v, want ErrPassword", wrong)
		}
	}
	generation := k.Generation()
	if err := k.RemoveApps(func(id string) bool { return id == "phone" }); err != nil || k.Generation() != generation+1 {
		t.Fatal(err)
	}
	if _, err := k.UnlockApp("phone", []byte(app)); !errors.Is(err, sealedmail.ErrPassword) {
		t.Error("an app password that was removed:", err)
	}
	if err := k.ChangePassword(unlock(t, k, "fourth"), nil); err == nil {
		t.Error("an empty password was set")
	}
	if free, err := sealedmail.NewKeys(); err != nil || !errors.Is(k.ChangePassword(free, []byte("x")), sealedmail.ErrKeyring) {
		t.Error("a password was wrapped for keys of no keyring", err)
	}
	stillOpens("after refusals", "fourth")
	if _, _, err := sealedmail.NewKeyring(nil); err == nil {
		t.Error("a keyring without password")
	}
}

// Another public key put into the keyring, to have new mail sealed to it, is
// noticed at the next login.
// TestEmptyKeyring: of a keyring that nobody made, no password is said to be wrong.
func TestEmptyKeyring(t *testing.T) {
	var k sealedmail.Keyring
	_, unlock := k.Unlock([]byte("x"))
	_, text := k.MarshalText()
	for what, err := range map[string]error{"Unlock": unlock, "MarshalText": text} {
		if !errors.Is(err, sealedmail.ErrKeyring) || errors.Is(err, sealedmail.ErrPassword) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSwappedRecipient(t *testing.T) {
	k, recovery := newKeyring(t)
	other, _ := newKeyring(t)
	text, _ := k.MarshalText()
	swapped := bytes.ReplaceAll(text, []byte(k.Recipient()), []byte(other.Recipient()))
	if bytes.Equal(swapped, text) {
		t.Fatal("nothing swapped")
	}
	if err := k.UnmarshalText(swapped); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Unlock([]byte("password")); err == nil {
		t.Error("not noticed by the password")
	}
	if _, err := k.Recover(recovery); !errors.Is(err, sealedmail.ErrKeyring) {
		t.Errorf("not noticed by the recovery key: %v", err)
	}
}

func TestDamagedKeyring(t *testing.T) {
	k, recovery := newKeyring(t)
	text, _ := k.MarshalText()
	for _, bad := range []string{
		"", "{}", "[]", strings.Repeat(" ", 70<<10),
		strings.Replace(string(text), `"version": 2`, `"version": 3`, 1),
		strings.Replace(string(text), "argon2id", "scrypt", 1),
		strings.Replace(string(text), "age1", "age2", 1),
		strings.Replace(string(text), `"salt"`, `"pepper"`, 1),
		strings.Replace(string(text), `"keys"`, `"lost"`, 1),
		strings.Replace(string(text), `"wraps"`, `"lost"`, 1),
	} {
		if err := new(sealedmail.Keyring).UnmarshalText([]byte(bad)); !errors.Is(err, sealedmail.ErrKeyring) {
			t.Errorf("%.40q: %v, want ErrKeyring", bad, err)
		}
	}
	at := strings.Index(string(text), `"keys": "`) + 20
	damaged := bytes.Clone(text)
	damaged[at] = map[bool]byte{false: 'A', true: 'B'}[damaged[at] == 'A']
	if err := k.UnmarshalText(damaged); err != nil {
		t.Fatal("damage:", err)
	}
	// The secret is right, and that is said: what is damaged is the keyring.
	if _, err := k.Recover(recovery); !errors.Is(err, sealedmail.ErrKeyring) {
		t.Errorf("damaged keys: %v", err)
	}
	if _, err := k.Unlock([]byte("password")); !errors.Is(err, sealedmail.ErrKeyring) {
		t.Errorf("damaged keys: %v", err)
	}
}

// The age program opens what was sealed here, with the owner's keys.
func TestAgeOpens(t *testing.T) {
	program, err := exec.LookPath("age")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("age is not installed")
		}
		t.Skip("age is not installed")
	}
	k, _ := newKeyring(t)
	u := unlock(t, k, "password")
	folder := t.TempDir()
	keys, sealed := filepath.Join(folder, "keys.txt"), filepath.Join(folder, "message")
	os.WriteFile(keys, []byte(u.Identities()), 0o600)
	os.WriteFile(sealed, seal(t, k, []byte(message)), 0o600)
	out, err := exec.Command(program, "-d", "-i", keys, sealed).Output()
	if err != nil || string(out) != message {
		t.Errorf("age -d: %q, %v", out, err)
	}
	// And the other way round.
	cmd := exec.Command(program, "-r", k.Recipient())
	cmd.Stdin = strings.NewReader(message)
	if out, err = cmd.Output(); err != nil {
		t.Fatal(err)
	}
	if got, err := open(u, bytes.NewReader(out)); err != nil || string(got) != message {
		t.Errorf("opened %q, %v", got, err)
	}
}

func FuzzOpen(f *testing.F) {
	k, _ := newKeyring(f)
	u := unlock(f, k, "password")
	other, _ := newKeyring(f)
	f.Add(seal(f, other, []byte(message)))
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := open(u, bytes.NewReader(data)); err == nil || len(got) > 0 {
			t.Fatalf("opened %q", got)
		}
	})
}

func FuzzSizes(f *testing.F) {
	for _, n := range []int64{0, 1, 200, 65736, 65752, 1 << 40, -5} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		if n > 1<<60 {
			return
		}
		plain, err := sealedmail.PlainSize(n)
		if err == nil && (plain < 0 || sealedmail.SealedSize(plain) != n) {
			t.Fatalf("PlainSize(%d) = %d", n, plain)
		}
		if n >= 0 {
			if back, err := sealedmail.PlainSize(sealedmail.SealedSize(n)); err != nil || back != n {
				t.Fatalf("SealedSize and back: %d, %v", back, err)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, _ := newKeyring(b)
	plain := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		w, _ := k.Seal(io.Discard)
		w.Write(plain)
		w.Close()
	}
}

func BenchmarkOpen(b *testing.B) {
	k, _ := newKeyring(b)
	u := unlock(b, k, "password")
	sealed := seal(b, k, bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		r, _ := u.Open(bytes.NewReader(sealed))
		io.Copy(io.Discard, r)
	}
}

func BenchmarkUnlock(b *testing.B) {
	k, _ := newKeyring(b)
	b.ReportAllocs()
	for b.Loop() {
		k.Unlock([]byte("password"))
	}
}
