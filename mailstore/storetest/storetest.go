// Package storetest is the suite every mail store must pass. A store's own
// tests call [Run] with a way to make a fresh store and to open it again:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, dir string) mailstore.Store { ... })
//	}
//
// Each check is one promise of the interfaces' comments.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/postrider-mail/postrider/mailstore"
)

// Opener opens the store kept in dir, which is empty the first time. It is
// called again with the same dir to see what survived; the store before is
// closed through its Close method, if it has one. The store must have no
// quotas.
type Opener func(t *testing.T, dir string) mailstore.Store

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		fn   func(*suite)
	}{
		{"Octets", octets},
		{"OctetsInPieces", octetsInPieces},
		{"Large", large},
		{"Recipients", recipients},
		{"NothingBeforeCommit", nothingBeforeCommit},
		{"Order", order},
		{"Frozen", frozen},
		{"Locked", locked},
		{"Remove", remove},
		{"RemoveTwice", removeTwice},
		{"UIDsLast", uidsLast},
		{"UIDAskedFor", uidAskedFor},
		{"BadNames", badNames},
		{"Names", names},
		{"Usage", usage},
		{"Users", users},
		{"Canceled", canceled},
		{"Concurrent", concurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, open: open, dir: t.TempDir(), ctx: t.Context()}
			s.reopen()
			t.Cleanup(s.close)
			c.fn(s)
		})
	}
}

const alice, bob, carol = "alice@example.org", "bob@example.org", "carol@example.net"

type suite struct {
	*testing.T
	open  Opener
	dir   string
	ctx   context.Context
	store mailstore.Store
}

func (s *suite) close() {
	if c, ok := s.store.(io.Closer); ok {
		if err := c.Close(); err != nil {
			s.Errorf("close store: %v", err)
		}
	}
	s.store = nil
}

func (s *suite) reopen() {
	s.Helper()
	if s.store != nil {
		s.close()
	}
	s.store = s.open(s.T, s.dir)
}

func (s *suite) deliver(msg string, users ...string) {
	s.Helper()
	s.deliverMeta(mailstore.Meta{ID: s.Name()}, msg, users...)
}

func (s *suite) deliverMeta(m mailstore.Meta, msg string, users ...string) {
	s.Helper()
	d, err := s.store.Create(s.ctx, m, users...)
	if err != nil {
		s.Fatalf("Create: %v", err)
	}
	if n, err := io.WriteString(d, msg); n != len(msg) || err != nil {
		s.Fatalf("Write = %d, %v", n, err)
	}
	if err := d.Commit(s.ctx); err != nil {
		s.Fatalf("Commit: %v", err)
	}
	if err := d.Abort(); err != nil {
		s.Errorf("Abort after Commit: %v", err)
	}
}

func (s *suite) drop(user string) mailstore.Maildrop {
	s.Helper()
	m, err := s.store.Open(s.ctx, user)
	if err != nil {
		s.Fatalf("Open(%s): %v", user, err)
	}
	s.Cleanup(func() { m.Close() })
	return m
}

// want checks a mailbox's messages, in any order, and each size and id.
func (s *suite) want(user string, msgs ...string) {
	s.Helper()
	m := s.drop(user)
	defer m.Close()
	var got []string
	uids := make(map[string]bool)
	for i := range m.Len() {
		body := s.read(m, i)
		if m.Size(i) != int64(len(body)) {
			s.Errorf("%s: Size(%d) = %d, Open gave %d octets", user, i, m.Size(i), len(body))
		}
		checkUID(s.T, m.UID(i))
		if uids[m.UID(i)] {
			s.Errorf("%s: UID %q twice", user, m.UID(i))
		}
		uids[m.UID(i)] = true
		got = append(got, body)
	}
	slices.Sort(got)
	msgs = slices.Sorted(slices.Values(msgs))
	if !slices.Equal(got, msgs) {
		s.Errorf("%s holds %s\nwant %s", user, brief(got), brief(msgs))
	}
}

func brief(msgs []string) string {
	var b strings.Builder
	for _, m := range msgs {
		fmt.Fprintf(&b, "\n\t%.60q (%d octets)", m, len(m))
	}
	return fmt.Sprintf("%d messages:%s", len(msgs), b.String())
}

func checkUID(t *testing.T, uid string) {
	t.Helper()
	bad := func(r rune) bool { return r < 0x21 || r > 0x7e }
	if len(uid) < 1 || len(uid) > 70 || strings.ContainsFunc(uid, bad) {
		t.Errorf("UID %q is not as RFC 1939 §7 wants it", uid)
	}
}

func (s *suite) read(m mailstore.Maildrop, i int) string {
	s.Helper()
	r, err := m.Open(i)
	if err != nil {
		s.Fatalf("Open(%d): %v", i, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		s.Fatalf("read message %d: %v", i, err)
	}
	return string(b)
}

const plainMsg = "Subject: x\r\n\r\nhello\r\n"

// Messages whose octets a store is tempted to change.
var samples = []string{
	plainMsg,
	"",
	"\r\n",
	"no line end",
	"ends in CR\r",
	"a\r\nends in CR\r",
	"\r",
	"\n",
	"bare\nLF\n",
	"bare\rCR\r\n",
	"CR CR LF\r\r\n",
	"\r\r\n",
	"\r\r\r\n\r\n",
	"a\r\n\nb\r\n",
	"first line fine\r\nthen bare\nthen fine\r\n",
	".\r\n..\r\n.dots\r\n",
	"From here\r\n>From there\r\n",
	"trailing space \r\n\t\r\n",
	"\x00\x01\xff\xfe\r\n\x1a\r\n",
	"long " + strings.Repeat("x", 5000) + "\r\n",
	strings.Repeat("line\r\n", 20000),
	strings.Repeat("line\r\n", 20000) + "and now\nbare\r\n",
	strings.Repeat("\r", 70000),
	strings.Repeat("\n", 70000),
	strings.Repeat("\r\n", 70000) + "\r",
}

func octets(s *suite) {
	for _, exact := range []bool{false, true} {
		for _, msg := range samples {
			s.deliverMeta(mailstore.Meta{Exact: exact}, msg, alice)
		}
	}
	s.want(alice, append(slices.Clone(samples), samples...)...)
	s.reopen()
	s.want(alice, append(slices.Clone(samples), samples...)...)
}

// octetsInPieces writes and reads in pieces of every awkward size.
func octetsInPieces(s *suite) {
	var want []string
	for _, msg := range samples {
		if len(msg) > 1000 {
			continue
		}
		for _, n := range []int{1, 2, 3, 7} {
			d, err := s.store.Create(s.ctx, mailstore.Meta{}, bob)
			if err != nil {
				s.Fatal(err)
			}
			for p := []byte(msg); len(p) > 0; {
				piece := p[:min(n, len(p))]
				if _, err := d.Write(piece); err != nil {
					s.Fatal(err)
				}
				p = p[len(piece):]
			}
			if err := d.Commit(s.ctx); err != nil {
				s.Fatal(err)
			}
			want = append(want, msg)
		}
	}
	s.want(bob, want...)
	m := s.drop(bob)
	for i := range m.Len() {
		r, err := m.Open(i)
		if err != nil {
			s.Fatal(err)
		}
		b, err := io.ReadAll(iotest.OneByteReader(r))
		r.Close()
		if err != nil || !slices.Contains(want, string(b)) {
			s.Errorf("read octet by octet: %q, %v", b, err)
		}
	}
}

// large checks a message of many buffers, with line ends on every border.
func large(s *suite) {
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice)
	if err != nil {
		s.Fatal(err)
	}
	var sent bytes.Buffer
	for i := range 40000 {
		line := fmt.Sprintf("%d %s\r\n", i, strings.Repeat("y", i%101))
		sent.WriteString(line)
		if _, err := io.WriteString(d, line); err != nil {
			s.Fatal(err)
		}
	}
	if err := d.Commit(s.ctx); err != nil {
		s.Fatal(err)
	}
	s.want(alice, sent.String())
}

func recipients(s *suite) {
	s.deliver(plainMsg, alice, bob, carol, alice)
	for _, u := range []string{alice, bob, carol} {
		s.want(u, plainMsg)
	}
	// The copies are independent.
	m := s.drop(bob)
	if err := m.Remove(s.ctx, []int{0}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.want(bob)
	s.want(alice, plainMsg)
	s.want(carol, plainMsg)
}

func nothingBeforeCommit(s *suite) {
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice, bob)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(d, strings.Repeat("x\r\n", 100000)); err != nil {
		s.Fatal(err)
	}
	s.want(alice)
	if err := d.Abort(); err != nil {
		s.Errorf("Abort: %v", err)
	}
	if err := d.Abort(); err != nil {
		s.Errorf("second Abort: %v", err)
	}
	if err := d.Commit(s.ctx); err == nil {
		s.Error("Commit after Abort succeeded")
	}
	s.want(alice)
	s.want(bob)
	// One that is never finished leaves nothing behind either.
	if d, err = s.store.Create(s.ctx, mailstore.Meta{}, alice); err != nil {
		s.Fatal(err)
	}
	if _, err := io.WriteString(d, strings.Repeat("x\r\n", 100000)); err != nil {
		s.Fatal(err)
	}
	s.reopen()
	s.want(alice)
}

func order(s *suite) {
	var want []string
	for i := range 20 {
		msg := fmt.Sprintf("message %d\r\n", i)
		s.deliver(msg, alice)
		want = append(want, msg)
	}
	m := s.drop(alice)
	for i := range m.Len() {
		if got := s.read(m, i); got != want[i] {
			s.Errorf("message %d is %q", i, got)
		}
	}
}

func frozen(s *suite) {
	s.deliver("one\r\n", alice)
	m := s.drop(alice)
	s.deliver("two\r\n", alice)
	if m.Len() != 1 || s.read(m, 0) != "one\r\n" {
		s.Error("the list changed while the maildrop was open")
	}
	if err := m.Remove(s.ctx, []int{0}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.want(alice, "two\r\n")
}

func locked(s *suite) {
	m := s.drop(alice)
	if _, err := s.store.Open(s.ctx, alice); !errors.Is(err, mailstore.ErrLocked) {
		s.Errorf("second Open: %v, want ErrLocked", err)
	}
	s.drop(bob).Close() // another mailbox is free
	if err := m.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	if err := m.Close(); err != nil {
		s.Errorf("second Close: %v", err)
	}
	s.drop(alice).Close()
	if _, err := m.Open(0); err == nil {
		s.Error("a closed maildrop still opens messages")
	}
	if err := m.Remove(s.ctx, []int{0}); err == nil {
		s.Error("a closed maildrop still removes messages")
	}
}

func remove(s *suite) {
	for i := range 5 {
		s.deliver(fmt.Sprintf("%d\r\n", i), alice)
	}
	m := s.drop(alice)
	if err := m.Remove(s.ctx, nil); err != nil {
		s.Errorf("Remove of nothing: %v", err)
	}
	if err := m.Remove(s.ctx, []int{99}); err == nil {
		s.Error("Remove of a number out of range succeeded")
	}
	var want []string
	var is []int
	for i := range 5 {
		body := s.read(m, i)
		if body == "1\r\n" || body == "3\r\n" {
			is = append(is, i)
		} else {
			want = append(want, body)
		}
	}
	if err := m.Remove(s.ctx, is); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.want(alice, want...)
	s.reopen()
	s.want(alice, want...)
}

func removeTwice(s *suite) {
	s.deliver("a\r\n", alice)
	m := s.drop(alice)
	for range 2 {
		if err := m.Remove(s.ctx, []int{0, 0}); err != nil {
			s.Errorf("Remove: %v", err)
		}
	}
	if _, err := m.Open(0); !errors.Is(err, mailstore.ErrGone) {
		s.Errorf("Open of a removed message: %v, want ErrGone", err)
	}
}

func (s *suite) uids(user string) map[string]string {
	m := s.drop(user)
	defer m.Close()
	out := make(map[string]string)
	for i := range m.Len() {
		out[s.read(m, i)] = m.UID(i)
	}
	return out
}

func uidsLast(s *suite) {
	for i := range 10 {
		s.deliver(fmt.Sprintf("%d\r\n", i), alice)
	}
	before := s.uids(alice)
	m := s.drop(alice)
	if err := m.Remove(s.ctx, []int{0, 4}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	s.deliver("new\r\n", alice)
	s.reopen()
	after := s.uids(alice)
	if len(after) != 9 {
		s.Fatalf("%d messages, want 9", len(after))
	}
	seen := make(map[string]bool)
	for _, uid := range before {
		seen[uid] = true
	}
	for body, uid := range after {
		if body == "new\r\n" {
			if seen[uid] {
				s.Error("a UID was used again")
			}
		} else if before[body] != uid {
			s.Errorf("UID of %q changed from %q to %q", body, before[body], uid)
		}
	}
}

func uidAskedFor(s *suite) {
	asked := []string{"old-1", "a/b:c,d%e", strings.Repeat("z", 70), "000000014a3b2c1d"}
	for _, uid := range asked {
		s.deliverMeta(mailstore.Meta{UID: uid}, uid+"\r\n", alice)
	}
	// Taken, too long, not printable: the store finds another.
	for _, uid := range []string{"old-1", strings.Repeat("z", 71), "with space"} {
		s.deliverMeta(mailstore.Meta{UID: uid}, "again "+uid+"\r\n", alice)
	}
	for range 2 {
		got := s.uids(alice)
		if len(got) != 7 {
			s.Fatalf("%d messages, want 7", len(got))
		}
		for _, uid := range asked {
			if got[uid+"\r\n"] != uid {
				s.Errorf("asked for UID %q, got %q", uid, got[uid+"\r\n"])
			}
		}
		seen := make(map[string]bool)
		for _, uid := range got {
			checkUID(s.T, uid)
			if seen[uid] {
				s.Errorf("UID %q twice", uid)
			}
			seen[uid] = true
		}
		s.reopen()
	}
}

func badNames(s *suite) {
	for _, name := range []string{"", "alice", "@example.org", "alice@", "a\x00b@example.org", "a@b\nc", "\xff@example.org"} {
		if _, err := s.store.Open(s.ctx, name); !errors.Is(err, mailstore.ErrBadName) {
			s.Errorf("Open(%q): %v, want ErrBadName", name, err)
		}
		if _, err := s.store.Create(s.ctx, mailstore.Meta{}, alice, name); !errors.Is(err, mailstore.ErrBadName) {
			s.Errorf("Create(%q): %v, want ErrBadName", name, err)
		}
		if err := s.store.Room(s.ctx, name, 1); !errors.Is(err, mailstore.ErrBadName) {
			s.Errorf("Room(%q): %v, want ErrBadName", name, err)
		}
	}
	if _, err := s.store.Create(s.ctx, mailstore.Meta{}); err == nil {
		s.Error("Create without recipients succeeded")
	}
}

// names are mailboxes that must neither meet nor leave the store.
func names(s *suite) {
	list := []string{
		"../../etc@example.org", "..@..", ".@example.org", "a/b@example.org", "a@x/../y",
		"new@example.org", "cur@cur", "tmp@tmp", "-rf@example.org", "a%2fb@example.org",
		".hidden@example.org", "dots.@example.org", "sp ace@example.org", `"q@q"@example.org`,
		"grüße@example.org", "gru\u0308ße@example.org", "用户@例え.jp", "con@example.org",
		"a+tag@example.org", "it's@example.org", "x:2,S@example.org", "root@[127.0.0.1]",
		strings.Repeat("l", 64) + "@" + strings.Repeat("d", 63) + ".example.org",
	}
	for _, n := range list {
		s.deliver("for "+n+"\r\n", n)
	}
	for _, n := range list {
		s.want(n, "for "+n+"\r\n")
	}
	got := make(map[string]bool)
	for u, err := range s.store.Users(s.ctx) {
		if err != nil {
			s.Fatal(err)
		}
		got[strings.ToLower(u)] = true
	}
	for _, n := range list {
		if !got[strings.ToLower(n)] {
			s.Errorf("Users does not know %q", n)
		}
	}
	if len(got) != len(list) {
		s.Errorf("Users yields %d names, want %d", len(got), len(list))
	}
}

func usage(s *suite) {
	if u, err := s.store.Usage(s.ctx, alice); err != nil || u != (mailstore.Usage{}) {
		s.Errorf("Usage of an empty mailbox = %+v, %v", u, err)
	}
	if err := s.store.Room(s.ctx, alice, 1000); err != nil {
		s.Errorf("Room: %v", err)
	}
	s.deliver("12345\r\n", alice)
	s.deliver("bare\nLF", alice)
	if u, err := s.store.Usage(s.ctx, alice); err != nil || u != (mailstore.Usage{Messages: 2, Octets: 14}) {
		s.Errorf("Usage = %+v, %v; want 2 messages, 14 octets", u, err)
	}
	m := s.drop(alice)
	if err := m.Remove(s.ctx, []int{0, 1}); err != nil {
		s.Fatal(err)
	}
	m.Close()
	if u, err := s.store.Usage(s.ctx, alice); err != nil || u != (mailstore.Usage{}) {
		s.Errorf("Usage of an emptied mailbox = %+v, %v", u, err)
	}
}

func users(s *suite) {
	s.deliver("x\r\n", alice, carol)
	s.drop(bob).Close()
	var got []string
	for u, err := range s.store.Users(s.ctx) {
		if err != nil {
			s.Fatal(err)
		}
		got = append(got, u)
	}
	for _, u := range []string{alice, carol} {
		if !slices.Contains(got, u) {
			s.Errorf("Users = %q, without %s", got, u)
		}
	}
	for range s.store.Users(s.ctx) {
		break // stopping early is allowed
	}
}

func canceled(s *suite) {
	d, err := s.store.Create(s.ctx, mailstore.Meta{}, alice)
	if err != nil {
		s.Fatal(err)
	}
	io.WriteString(d, plainMsg)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := d.Commit(ctx); err == nil {
		s.want(alice, plainMsg)
	} else {
		s.want(alice)
	}
	if d, err := s.store.Create(s.ctx, mailstore.Meta{}, bob); err != nil {
		s.Errorf("after a canceled commit: %v", err)
	} else {
		d.Abort()
	}
}

// concurrent delivers to and removes from the same mailboxes at once, and then
// accounts for every message.
func concurrent(s *suite) {
	const writers, each = 8, 25
	boxes := []string{alice, bob, carol}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				msg := fmt.Sprintf("%d/%d\r\n", w, i)
				d, err := s.store.Create(s.ctx, mailstore.Meta{}, boxes[i%3], boxes[(i+1)%3])
				if err != nil {
					s.Error(err)
					return
				}
				io.WriteString(d, msg)
				if err := d.Commit(s.ctx); err != nil {
					s.Error(err)
				}
			}
		})
	}
	count := make([]map[string]int, 3)
	for k, u := range boxes {
		count[k] = make(map[string]int)
		wg.Go(func() {
			for range 20 {
				s.collect(u, count[k])
			}
		})
	}
	wg.Wait()
	for k, u := range boxes {
		s.collect(u, count[k])
		want := 0
		for i := range each {
			if i%3 == k || (i+1)%3 == k {
				want += writers
			}
		}
		if len(count[k]) != want {
			s.Errorf("%s: %d different messages, want %d", u, len(count[k]), want)
		}
		for msg, n := range count[k] {
			if n != 1 {
				s.Errorf("%s: %q came %d times", u, msg, n)
			}
		}
	}
}

// collect takes all messages out of a mailbox and counts them.
func (s *suite) collect(user string, count map[string]int) {
	m, err := s.store.Open(s.ctx, user)
	if err != nil {
		s.Error(err)
		return
	}
	defer m.Close()
	var is []int
	for i := range m.Len() {
		r, err := m.Open(i)
		if err != nil {
			s.Errorf("%s: open message: %v", user, err)
			return
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			s.Error(err)
		}
		count[string(b)]++
		is = append(is, i)
	}
	if err := m.Remove(s.ctx, is); err != nil {
		s.Error(err)
	}
}
