package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

const ann, bob = "ann@a.test", "bob@a.test"

func everybody(string) bool { return true }

func deliver(t testing.TB, s mailstore.Store, top, body string, users ...string) {
	t.Helper()
	d, err := s.Create(t.Context(), mailstore.Meta{Top: []byte(top)}, users...)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, body)
	if err := d.Commit(t.Context(), []byte(top)); err != nil {
		t.Fatal(err)
	}
}

// only is the one file of a mailbox.
func files(t testing.TB, dir, user string) []string {
	t.Helper()
	local, domain, _ := strings.Cut(user, "@")
	var all []string
	for _, sub := range []string{"new", "cur"} {
		found, _ := filepath.Glob(filepath.Join(dir, domain, local, sub, "*"))
		all = append(all, found...)
	}
	return all
}

func readAll(m mailstore.Maildrop, i int) (string, error) {
	r, err := m.Open(context.Background(), i)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func drop(t testing.TB, s mailstore.Store, user string) mailstore.Maildrop {
	t.Helper()
	m, err := s.Open(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func long(n int) string { return strings.Repeat("a line of some length, marked\r\n", n/31+1)[:n] }

// TestForeign is what is done to files from outside: each is found, is one message's trouble, and has its name in the log.
func TestForeign(t *testing.T) {
	chunk := sealedmail.SealedChunkSize
	rename := func(t *testing.T, path, from, to string) string {
		fresh := filepath.Join(filepath.Dir(path), strings.Replace(filepath.Base(path), from, to, 1))
		if err := os.Rename(path, fresh); err != nil || fresh == path {
			t.Fatal(err, fresh)
		}
		return fresh
	}
	cut := func(n int) func(*testing.T, string, string, string) {
		return func(t *testing.T, path, _, _ string) {
			info, _ := os.Stat(path)
			if err := os.Truncate(path, int64(n)); err != nil {
				t.Fatal(err)
			}
			// With a name that fits as well as a thief can make it.
			size, err := sealedmail.PlainSize(int64(n))
			if err != nil {
				return
			}
			path = rename(t, path, fmt.Sprintf(",S=%d", info.Size()), fmt.Sprintf(",S=%d", n))
			_, z, _ := strings.Cut(path, ",Z=")
			z, _, _ = strings.Cut(z, ",")
			rename(t, path, ",Z="+z, fmt.Sprintf(",Z=%d", size-int64(len(field(newMark(strings.Repeat("k", 20)))))))
		}
	}
	tests := map[string]func(t *testing.T, path, other, theirs string){
		"cut": func(t *testing.T, path, _, _ string) {
			if err := os.Truncate(path, 1000); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, path, _, _ string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
		"changed": func(t *testing.T, path, _, _ string) {
			data, _ := os.ReadFile(path)
			data[len(data)-20] ^= 1
			os.WriteFile(path, data, 0o600)
		},
		"head changed": func(t *testing.T, path, _, _ string) {
			data, _ := os.ReadFile(path)
			data[60] ^= 1
			os.WriteFile(path, data, 0o600)
		},
		"exchanged": func(t *testing.T, path, other, _ string) {
			data, _ := os.ReadFile(other)
			os.WriteFile(path, data, 0o600)
		},
		"an older file under this name": func(t *testing.T, path, other, _ string) {
			if err := os.Rename(other, path); err != nil {
				t.Fatal(err)
			}
			os.WriteFile(other, nil, 0o600)
			os.Remove(other)
		},
		"of another mailbox": func(t *testing.T, path, _, theirs string) {
			data, _ := os.ReadFile(theirs)
			os.WriteFile(path, data, 0o600)
		},
		"moved from another mailbox": func(t *testing.T, path, _, theirs string) {
			os.Rename(theirs, filepath.Join(filepath.Dir(path), filepath.Base(theirs)))
			os.Remove(path)
		},
		"another size in the name": func(t *testing.T, path, _, _ string) { rename(t, path, ",Z=2", ",Z=1") },
		"another key in the name":  func(t *testing.T, path, _, _ string) { rename(t, path, ",K=", ",K=q") },
		"a name without fields": func(t *testing.T, path, _, _ string) {
			name, _, _ := strings.Cut(path, ",")
			os.Rename(path, name)
		},
		"plain text under a sealed name": func(t *testing.T, path, _, _ string) {
			info, _ := os.Stat(path)
			os.WriteFile(path, []byte(long(int(info.Size()))), 0o600)
		},
	}
	for _, n := range []int{-1, 0, 1} {
		for k := range 4 {
			tests[fmt.Sprintf("cut at chunk %d%+d", k, n)] = cut(sealedmail.HeadSize + k*chunk + n)
		}
	}
	body := long(200_000)
	for name, harm := range tests {
		t.Run(name, func(t *testing.T) {
			dir, keys := t.TempDir(), newRing(everybody)
			inner, err := maildir.Open(dir, maildir.WithReserve(0))
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			s := unlocked{New(inner, keys.recipient, slog.New(slog.NewTextHandler(&log, nil))), keys}
			deliver(t, s, "", body, ann)
			path := files(t, dir, ann)[0]
			deliver(t, s, "", strings.ToUpper(body), ann)
			other := ""
			for _, f := range files(t, dir, ann) {
				if f != path {
					other = f
				}
			}
			deliver(t, s, "", body, bob)
			deliver(t, s, "", "whole\r\n", ann)
			harm(t, path, other, files(t, dir, bob)[0])
			inner.Close()
			inner, err = maildir.Open(dir, maildir.WithReserve(0))
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			s = unlocked{New(inner, keys.recipient, slog.New(slog.NewTextHandler(&log, nil))), keys}
			m := drop(t, s, ann)
			bad, whole := 0, 0
			for i := range m.Len() {
				got, err := readAll(m, i)
				switch {
				case err == nil && got == "whole\r\n", err == nil && got == strings.ToUpper(body):
					whole++
				case errors.Is(err, mailstore.ErrDamaged):
					bad++
					if !strings.HasPrefix(body, got) {
						t.Errorf("before it was found to be damaged, %d octets of another message came", len(got))
					}
				default:
					t.Errorf("message %d: %d octets, %v", i, len(got), err)
				}
			}
			if bad != 1 || whole < 1 {
				t.Errorf("%d messages damaged, %d whole", bad, whole)
			}
			if !strings.Contains(log.String(), "sealed message cannot be opened") || !strings.Contains(log.String(), "file=") {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
}

// TestLocked: without the key nothing looks empty, and nothing can be read.
func TestLocked(t *testing.T) {
	s := openStore(t, t.TempDir(), newRing(everybody))
	deliver(t, s, "Top: x\r\n", "body\r\n", ann)
	m := drop(t, s.Store, ann)
	if m.Len() != 1 || m.Size(0) != 14 {
		t.Errorf("%d messages", m.Len())
	}
	if _, err := readAll(m, 0); !errors.Is(err, mailstore.ErrSealed) {
		t.Error(err)
	}
	if err := m.(mailstore.Trash).Flag(t.Context(), []int{0}, "T"); err != nil {
		t.Error(err)
	}
	if err := m.(mailstore.Keeper).Move(t.Context(), []int{0}, "Trash"); err != nil {
		t.Error(err)
	}
}

// TestNoKey: mail whose public key cannot be had is not taken, and is not written in clear.
func TestNoKey(t *testing.T) {
	dir, broken := t.TempDir(), errors.New("key file is cut")
	inner, err := maildir.Open(dir, maildir.WithReserve(0))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	keys := map[string]string{bob: ""}
	s := New(inner, func(user string) (string, error) {
		if k, ok := keys[user]; ok {
			return k, nil
		}
		return "", broken
	}, nil)
	for _, key := range []string{"unset", "age1nonsense", "age1pq1future"} {
		if key != "unset" {
			keys[ann] = key
		}
		_, err := s.Create(t.Context(), mailstore.Meta{}, ann, bob)
		var r *mailstore.Refused
		if !errors.As(err, &r) || !errors.Is(r.Mailboxes[ann], ErrKey) || r.Mailboxes[bob] != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	deliver(t, s, "", "x\r\n", bob)
	if n := len(files(t, dir, ann)); n != 0 {
		t.Errorf("%d files", n)
	}
}

// TestOneWrite: several mailboxes share one file where none is sealed, also beside one that is.
func TestOneWrite(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, newRing(func(u string) bool { return u == ann }))
	deliver(t, s, "", long(300_000), ann, bob, "carl@a.test")
	one, err := os.Stat(files(t, dir, bob)[0])
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.Stat(files(t, dir, "carl@a.test")[0])
	if err != nil || !os.SameFile(one, two) {
		t.Error("two files")
	}
	if sealed, err := os.Stat(files(t, dir, ann)[0]); err != nil || os.SameFile(one, sealed) {
		t.Error(err)
	}
}

// TestQuota counts what is inside, without a key.
func TestQuota(t *testing.T) {
	inner, err := maildir.Open(t.TempDir(), maildir.WithReserve(0), maildir.WithQuota(func(string) maildir.Quota { return maildir.Quota{Octets: 100_000} }))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	s := New(inner, newRing(func(u string) bool { return u == ann }).recipient, nil)
	deliver(t, s, "", long(90_000), ann)
	if err := s.Room(t.Context(), ann, 10_000); err != nil {
		t.Error(err)
	}
	if err := s.Room(t.Context(), ann, 10_001); !errors.Is(err, mailstore.ErrOverQuota) {
		t.Error(err)
	}
	d, err := s.Create(t.Context(), mailstore.Meta{}, ann, bob)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, long(20_000))
	var r *mailstore.Refused
	if err := d.Commit(t.Context(), nil); !errors.As(err, &r) || len(r.Mailboxes) != 1 || !errors.Is(r.Mailboxes[ann], mailstore.ErrOverQuota) {
		t.Fatal(err)
	}
	if u, _ := s.Usage(t.Context(), bob); u.Messages != 0 {
		t.Error("a mailbox has the message that another refused")
	}
	d.Exclude(ann)
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if u, _ := s.Usage(t.Context(), bob); u != (mailstore.Usage{Messages: 1, Octets: 20_000}) {
		t.Errorf("%+v", u)
	}
}

// TestNoPlainText: nothing on the disk has a word of the messages in it, at any size and with any top.
func TestNoPlainText(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, newRing(everybody))
	for _, n := range []int{10, 5000, 60_000, 70_000, 200_000} {
		for _, top := range []string{"", "Received: marked\r\n", strings.Repeat("X: marked\r\n", 2000)} {
			d, err := s.Create(t.Context(), mailstore.Meta{Top: []byte("Received: expected\r\n")}, ann, bob)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(d, long(n))
			if err := d.Commit(t.Context(), []byte(top)); err != nil {
				t.Fatal(err)
			}
		}
	}
	scan(t, dir, "marked", "a line of")
	m := drop(t, s, ann)
	for i := range m.Len() {
		if got, err := readAll(m, i); err != nil || int64(len(got)) != m.Size(i) || strings.Contains(got, "X-Sealed") {
			t.Error(err, len(got), m.Size(i))
		}
	}
}

// scan looks for words in every octet below a directory, and in the names.
func scan(t *testing.T, dir string, words ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, w := range words {
			if bytes.Contains(data, []byte(w)) || strings.Contains(path, w) {
				t.Errorf("%s has %q in it", path, w)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAgeOpens: Debian's age opens what is sealed here, and what it has sealed is opened here.
func TestAgeOpens(t *testing.T) {
	if _, err := exec.LookPath("age"); err != nil {
		t.Skip("age is not installed")
	}
	dir, keys := t.TempDir(), newRing(everybody)
	s := openStore(t, filepath.Join(dir, "mail"), keys)
	body := long(150_000)
	for _, top := range []string{"Top: x\r\n", ""} {
		deliver(t, s, top, body, ann)
	}
	identity := filepath.Join(dir, "keys.txt")
	if err := os.WriteFile(identity, []byte(keys.of(ann).Identities()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range files(t, filepath.Join(dir, "mail"), ann) {
		out, err := exec.Command("age", "-d", "-i", identity, f).Output()
		line, text, _ := strings.Cut(string(out), "\r\n")
		if err != nil || !strings.HasPrefix(line, "X-Sealed: 1 ") || strings.TrimPrefix(text, "Top: x\r\n") != body {
			t.Errorf("%v: %.100q", err, out)
		}
	}
	seal := exec.Command("age", "-r", keys.of(ann).Recipient())
	mark := newMark(keys.of(ann).Recipient())
	seal.Stdin = strings.NewReader(field(mark) + body)
	out, err := seal.Output()
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(io.NopCloser(bytes.NewReader(out)), int64(len(out)), mark, int64(len(body)), keys.of(ann))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != body {
		t.Error(err)
	}
}

// TestConvert: sealing and unsealing what is there changes nothing that can be seen, and can be broken off.
func TestConvert(t *testing.T) {
	dir, keys := t.TempDir(), newRing(func(string) bool { return false })
	s := openStore(t, dir, keys)
	var want []string
	for i, n := range []int{0, 1, 100, 65_000, 65_536 - 31, 70_000, 300_000} {
		for _, b := range []string{long(n), long(n) + "\nbare LF", ".\r\n..\r\n" + long(n)} {
			d, err := s.Create(t.Context(), mailstore.Meta{Flags: "FS"[:i%3], UID: strings.Repeat("u", i%2*(len(want)+1))}, ann)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(d, b)
			if err := d.Commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			want = append(want, b)
		}
	}
	before := describe(t, s, ann)
	octets := tree(t, dir)
	for round := 0; ; round++ {
		m := drop(t, s.inner, ann).(mailstore.SealedDrop)
		_, done, err := SealDrop(t.Context(), m, keys.of(ann).Recipient(), time.Now()) // one message at a time
		m.Close()
		if err != nil {
			t.Fatal(err)
		}
		if after := describe(t, s, ann); after != before {
			t.Fatalf("round %d: before\n%s\nafter\n%s", round, before, after)
		}
		if done {
			break
		}
		if round > 2*len(want) {
			t.Fatal("it does not end")
		}
	}
	scan(t, dir, "a line of", "bare LF")
	counted := drop(t, s.inner, ann)
	c := CountDrop(counted.(mailstore.SealedDrop))
	counted.Close()
	if c.Plain != 0 || c.Messages != len(want) || c.Keys[sealedmail.Key(keys.of(ann).Recipient())] != len(want) {
		t.Errorf("%+v", c)
	}
	for done := false; !done; {
		other, err := maildir.Open(dir, maildir.WithMode(maildir.Share), maildir.WithReserve(0))
		if err != nil {
			t.Fatal(err)
		}
		m := drop(t, other, ann).(mailstore.SealedDrop)
		if _, done, err = UnsealDrop(t.Context(), m, keys.of(ann), time.Now()); err != nil {
			t.Fatal(err)
		}
		m.Close()
		other.Close()
	}
	if got := tree(t, dir); got != octets {
		t.Errorf("after unsealing\n%s\nbefore\n%s", got, octets)
	}
}

// describe is all that a client sees of a mailbox, and flags.
func describe(t *testing.T, s mailstore.Store, user string) string {
	t.Helper()
	var b strings.Builder
	m := drop(t, s, user)
	defer m.Close()
	for i := range m.Len() {
		text, err := readAll(m, i)
		if err != nil {
			t.Fatal(err)
		}
		k := m.(mailstore.Keeper)
		fmt.Fprintf(&b, "%s %d %s %d %.20q %.20q\n", m.UID(i), m.Size(i), k.Flags(i), k.Received(i).Unix(), text, text[max(0, len(text)-20):])
	}
	u, err := s.Usage(t.Context(), user)
	fmt.Fprintln(&b, u, err)
	return b.String()
}

// tree is every message file and how long it is.
func tree(t *testing.T, dir string) string {
	var b strings.Builder
	for _, f := range files(t, dir, ann) {
		info, _ := os.Stat(f)
		fmt.Fprintln(&b, filepath.Base(f), info.Size())
	}
	return b.String()
}

// FuzzOpen: whatever stands in a file under whatever mark, it is the message that was sealed so or an error.
func FuzzOpen(f *testing.F) {
	keys, err := sealedmail.NewKeys()
	if err != nil {
		f.Fatal(err)
	}
	mark := newMark(keys.Recipient())
	for _, n := range []int{0, 10, 70_000} {
		var b bytes.Buffer
		if err := SealFile(&b, strings.NewReader(long(n)), keys.Recipient(), mark); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), mark, int64(n))
	}
	f.Add([]byte("Subject: plain\r\n\r\n"), "abc.def", int64(10))
	f.Fuzz(func(t *testing.T, file []byte, mark string, size int64) {
		r, err := open(io.NopCloser(bytes.NewReader(file)), int64(len(file)), mark, size, keys)
		if err != nil {
			return
		}
		r.fail = func(err error) error { return err }
		got, err := io.ReadAll(r)
		if err == nil && int64(len(got)) != size {
			t.Errorf("%d octets for %d", len(got), size)
		}
		if err == nil && string(got) != long(len(got)) {
			t.Error("another message")
		}
	})
}

// TestOneKeyForTwo: of two mailboxes with one key the one that has room gets its message where the other has none.
func TestOneKeyForTwo(t *testing.T) {
	for _, n := range []int{2_000, 200_000} {
		inner, err := maildir.Open(t.TempDir(), maildir.WithReserve(0), maildir.WithQuota(func(u string) maildir.Quota {
			if u == ann {
				return maildir.Quota{Octets: 100}
			}
			return maildir.Quota{}
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		u, err := sealedmail.NewKeys()
		if err != nil {
			t.Fatal(err)
		}
		s := New(inner, func(string) (string, error) { return u.Recipient(), nil }, nil)
		d, err := s.Create(t.Context(), mailstore.Meta{}, ann, bob)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(d, long(n))
		var r *mailstore.Refused
		if err := d.Commit(t.Context(), nil); !errors.As(err, &r) {
			t.Fatal(err)
		}
		d.Exclude(ann)
		err = d.Commit(t.Context(), nil)
		if got, _ := s.Usage(t.Context(), bob); err != nil || got.Messages != 1 {
			t.Errorf("%d octets: acknowledged with %v, and there are %d", n, err, got.Messages)
		}
	}
}

// TestOneKeyForTwoLate: the same, where the one has no room any more when the message turns out to be long.
func TestOneKeyForTwoLate(t *testing.T) {
	full := false
	inner, err := maildir.Open(t.TempDir(), maildir.WithReserve(0), maildir.WithQuota(func(u string) maildir.Quota {
		if u == ann && full {
			return maildir.Quota{Octets: 100}
		}
		return maildir.Quota{}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	u, err := sealedmail.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	s := New(inner, func(string) (string, error) { return u.Recipient(), nil }, nil)
	deliver(t, s, "", long(1000), ann)
	d, err := s.Create(t.Context(), mailstore.Meta{}, ann, bob)
	if err != nil {
		t.Fatal(err)
	}
	full = true
	io.WriteString(d, long(200_000))
	var r *mailstore.Refused
	if err := d.Commit(t.Context(), nil); !errors.As(err, &r) || len(r.Mailboxes) != 1 || r.Mailboxes[ann] == nil {
		t.Fatal(err)
	}
	d.Exclude(ann)
	err = d.Commit(t.Context(), nil)
	if got, _ := s.Usage(t.Context(), bob); err != nil || got.Messages != 1 {
		t.Errorf("acknowledged with %v, and there are %d", err, got.Messages)
	}
}

// TestSizeThatLies: a message that is not as long as its name says is not sealed under that: it could not be opened any more.
func TestSizeThatLies(t *testing.T) {
	dir, keys := t.TempDir(), newRing(func(string) bool { return false })
	s := openStore(t, dir, keys)
	deliver(t, s, "", "Subject: x\r\n\r\nword\r\n", ann)
	name := files(t, dir, ann)[0]
	if err := os.WriteFile(name, []byte("Subject: x\n\nwords"), 0o600); err != nil { // as many octets, of fewer lines
		t.Fatal(err)
	}
	m := drop(t, s.inner, ann).(mailstore.SealedDrop)
	_, _, err := SealDrop(t.Context(), m, keys.of(ann).Recipient(), time.Time{})
	m.Close()
	if !errors.Is(err, mailstore.ErrDamaged) {
		t.Error(err)
	}
	after := drop(t, s, ann)
	if text, err := readAll(after, 0); err != nil || !strings.Contains(text, "words") {
		t.Errorf("%q, %v", text, err)
	}
}
