package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// breaking is a store whose deliveries fail, or whose removals do, or in which one message cannot be opened.
type breaking struct {
	Store
	unread          error // of the message at place 1
	deliver, remove error
	closed          string           // a mailbox that cannot be opened
	asked           []mailstore.Meta // of deliveries
}

func (b *breaking) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	b.asked = append(b.asked, m)
	if b.deliver != nil {
		return nil, b.deliver
	}
	return b.Store.Create(ctx, m, users...)
}

func (b *breaking) Open(ctx context.Context, user string) (mailstore.Maildrop, error) {
	if user == b.closed {
		return nil, mailstore.ErrLocked
	}
	box, err := b.Store.Open(ctx, user)
	if err != nil || b.remove == nil && b.unread == nil {
		return box, err
	}
	return &stuck{box.(mailstore.Trash), box, b}, nil
}

type stuck struct {
	mailstore.Trash
	mailstore.Maildrop
	b *breaking
}

func (s *stuck) Remove(ctx context.Context, is []int) error {
	if s.b.remove != nil {
		return s.b.remove
	}
	return s.Maildrop.Remove(ctx, is)
}

func (s *stuck) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	if i == 1 && s.b.unread != nil {
		return nil, s.b.unread
	}
	return s.Maildrop.Open(ctx, i)
}

func put(t *testing.T, s Store, user, text string) { putAt(t, s, user, text, time.Time{}) }

func putAt(t *testing.T, s Store, user, text string, at time.Time) {
	t.Helper()
	d, err := s.Create(t.Context(), mailstore.Meta{Received: at}, user)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if _, err := io.WriteString(d, text); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, s Store, user string) (texts []string) {
	t.Helper()
	box, err := s.Open(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	return mailtest.Texts(t, box)
}

// TestUnsafe: what a scanner has found something in is released by who says so, and by no user for himself.
func TestUnsafe(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p := &Places{Store: store, Boxes: map[domains.Address]domains.Address{"junk@mail.test": "", "bob+junk@mail.test": "bob@mail.test"}}
	const text = "Return-Path: <x@far.test>\r\nX-Quarantine: unsafe; not ours\r\n\r\nvirus\r\n"
	notes := []string{Note(Unsafe("clamav: Eicar"), true, "bob@mail.test"), Note(Unsafe("two\r\nlines"), true, "bob@mail.test", "eve@mail.test"), Note(Unsafe("clamav: Eicar"), false)}
	for i, note := range notes {
		put(t, store, []string{"junk@mail.test", "junk@mail.test", "bob+junk@mail.test"}[i], note+text)
	}
	put(t, store, "junk@mail.test", Note("unsafely odd", true, "bob@mail.test")+text)
	list, err := p.List(t.Context())
	if err != nil || len(list) != len(notes)+1 {
		t.Fatal(list, err)
	}
	var ids []string
	for _, item := range list {
		ids = append(ids, item.ID)
		if odd := item.Why == "unsafely odd"; item.Unsafe == odd || !odd && item.Why != "clamav: Eicar" && item.Why != "see the log" {
			t.Errorf("%+v", item)
		}
		if item.Unsafe {
			if _, err := p.Release(t.Context(), item.ID, false); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), item.Why) {
				t.Errorf("%s: %v", item.Why, err)
			}
		}
	}
	own, err := p.ReleaseOwn(t.Context(), "bob@mail.test", ids)
	if !errors.Is(err, ErrUnsafe) || len(own) != 1 || own[0].Unsafe {
		t.Errorf("%+v, %v", own, err)
	}
	if got := all(t, store, "bob@mail.test"); len(got) != 1 || got[0] != text {
		t.Errorf("%q", got)
	}
	for _, item := range list {
		if item.Unsafe {
			if _, err := p.Release(t.Context(), item.ID, true); err != nil {
				t.Error(err)
			}
		}
	}
	if bob, eve := all(t, store, "bob@mail.test"), all(t, store, "eve@mail.test"); len(bob) != 4 || len(eve) != 1 || eve[0] != text {
		t.Errorf("%q, %q", bob, eve)
	}
}

// TestInterrupted: whatever a release dies of, the next one delivers the message if that has not happened, and not again if it has.
func TestInterrupted(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := &breaking{Store: store}
	p := &Places{Store: b, Boxes: map[domains.Address]domains.Address{"junk@mail.test": ""}}
	const text = "Return-Path: <x@far.test>\r\nSubject: s\r\n\r\nbody \x00\xff without an end"
	put(t, store, "junk@mail.test", Note("why: it is so", true, "alice@mail.test", "bob@mail.test")+text)
	list, err := p.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Why != "why: it is so" || list[0].Sender != "x@far.test" {
		t.Fatalf("%+v, %v", list, err)
	}
	id := list[0].ID
	boom := errors.New("boom")
	for _, c := range []struct {
		name            string
		deliver, remove error
	}{{"the mailbox is full", boom, nil}, {"it dies behind the delivery", nil, boom}, {"and again", nil, boom}} {
		name := c.name
		b.deliver, b.remove = c.deliver, c.remove
		if _, err := p.Release(t.Context(), id, false); !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(all(t, store, "junk@mail.test")); n != 1 {
			t.Fatalf("%s: %d messages are left", name, n)
		}
	}
	b.deliver, b.remove = nil, nil
	if item, err := p.Release(t.Context(), id, false); err != nil || len(item.For) != 2 {
		t.Errorf("%+v, %v", item, err)
	}
	if _, err := p.Release(t.Context(), id, false); !errors.Is(err, ErrUnknown) {
		t.Errorf("a second time: %v", err)
	}
	for _, user := range []string{"alice@mail.test", "bob@mail.test"} {
		if got := all(t, store, user); len(got) != 1 || got[0] != text {
			t.Errorf("%s: %q", user, got)
		}
	}
	if n := len(all(t, store, "junk@mail.test")); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// TestField: what stands in the field is read back, and only the first field of all counts.
func TestField(t *testing.T) {
	long := strings.Repeat("a reason; for x@y.test, ", 50)
	for _, c := range []struct {
		text, why string
		of        int
		ok        bool
	}{
		{Note("simple", false), "simple", 0, true}, {Note("simple", true, "a@b.test"), "simple", 1, true}, {Note("a; b", false), "a; b", 0, true}, {Note("a; b", true, "a@b.test", "c@d.test"), "a; b", 2, true},
		{Note(long, true, "a@b.test"), strings.TrimSpace(long), 1, true}, {Note("two\r\nX-Forged: lines", false), "see the log", 0, true}, {Note("see https://a.test/192.0.2.1", false), "see https://a.test/192.0.2.1", 0, true},
		{"Return-Path: <>\r\nX-Quarantine: for a@b.test; x\r\n", "", 0, false}, {"", "", 0, false},
	} {
		header, _, err := rfc2822.Peek(strings.NewReader(c.text+"\r\nbody"), 0)
		if err != nil {
			t.Fatal(err)
		}
		raw, why, of, ok := read(header)
		if why != c.why || len(of) != c.of || ok != c.ok || ok && raw != c.text {
			t.Errorf("%q: %q, %q, %v, %t", c.text, raw, why, of, ok)
		}
	}
}

// TestPlaces: what was put aside in several mailboxes is listed by its time, with whose it is and who sent it; a mailbox that cannot be
// opened hides no other.
func TestPlaces(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := &breaking{Store: store}
	p := &Places{Store: b, Boxes: map[domains.Address]domains.Address{"z@mail.test": "alice@mail.test", "junk@mail.test": "", "m@mail.test": "bob@mail.test"}}
	for i, c := range []struct{ box, text string }{
		{"z@mail.test", Note("one", false) + "Return-Path: <>\r\nSubject: =?utf-8?q?=C3=A4?=\r\nFrom: =?utf-8?q?=C3=B6?= <x@y.test>\r\n\r\n"},
		{"junk@mail.test", Note("two", true, "carol@mail.test") + "Return-Path: x@far.test\r\n\r\n"},
		{"m@mail.test", Note("three", true, "dan@mail.test") + "Return-Path: <a@b.test>\r\n\r\n"},
		{"z@mail.test", "Subject: no junk\r\n\r\n"},
		{"junk@mail.test", Note("four", false) + "Return-Path: <a@b.test\r\n\r\n"},
		{"z@mail.test", Note("five; for nobody", false) + "\r\nbody"},
	} {
		putAt(t, store, c.box, c.text, time.Now().Add(time.Duration(i-60)*time.Minute))
	}
	list, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range list {
		got = append(got, fmt.Sprintf("%s %s for %v from %q", i.Mailbox, i.Why, i.For, i.Sender))
		var text strings.Builder
		if err := p.Show(t.Context(), i.ID, &text); err != nil || int64(text.Len()) != i.Size || !strings.HasPrefix(text.String(), Field+": ") {
			t.Errorf("%q, %v", text.String(), err)
		}
	}
	if want := []string{
		`z@mail.test one for [alice@mail.test] from ""`, `junk@mail.test two for [carol@mail.test] from "x@far.test"`, `m@mail.test three for [dan@mail.test] from "a@b.test"`,
		`junk@mail.test four for [] from "<a@b.test"`, `z@mail.test five; for nobody for [alice@mail.test] from ""`,
	}; !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	if list[0].Subject != "ä" || list[0].From != "ö <x@y.test>" {
		t.Errorf("%+v", list[0])
	}
	if _, err := p.Release(t.Context(), list[3].ID, false); err == nil || !strings.Contains(err.Error(), "it does not say whose mail it is") {
		t.Error(err)
	}
	b.closed = "junk@mail.test"
	if some, err := p.List(t.Context()); !errors.Is(err, mailstore.ErrLocked) || len(some) != 3 {
		t.Errorf("%d, %v", len(some), err)
	}
	if err := p.Show(t.Context(), list[1].ID, io.Discard); errors.Is(err, ErrUnknown) || !errors.Is(err, mailstore.ErrLocked) {
		t.Error("what cannot be seen is said not to be there:", err)
	}
	if n, err := p.Expire(t.Context(), 2*time.Hour); n != 0 || err != nil { // who reads it keeps nothing from being done
		t.Error(n, err)
	}
	if n, err := p.Expire(t.Context(), time.Minute); n != 3 || err != nil {
		t.Error(n, err)
	}
	if texts := all(t, store, "z@mail.test"); len(texts) != 1 || !strings.HasPrefix(texts[0], "Subject: no junk") {
		t.Errorf("%q", texts)
	}
	b.closed = ""
	if n, err := p.Expire(t.Context(), time.Minute); n != 2 || err != nil {
		t.Error(n, err)
	}
}

// TestOneUnread: a message that cannot be read keeps nobody from the others, nor them there for ever; one that is gone meanwhile is nothing to tell.
func TestOneUnread(t *testing.T) {
	for _, unread := range []error{mailstore.ErrDamaged, mailstore.ErrGone} {
		store, err := maildir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		told := unread != mailstore.ErrGone
		b := &breaking{Store: store}
		p := &Places{Store: b, Boxes: map[domains.Address]domains.Address{"junk@mail.test": "", "more@mail.test": ""}}
		for range 3 {
			putAt(t, store, "junk@mail.test", Note("odd", true, "bob@mail.test")+"\r\nx\r\n", time.Now().Add(-time.Hour))
		}
		putAt(t, store, "more@mail.test", Note("odd", true, "bob@mail.test")+"\r\nx\r\n", time.Now().Add(-time.Hour))
		b.unread = unread
		list, err := p.List(t.Context())
		if len(list) != 3 || errors.Is(err, unread) != told {
			t.Errorf("%v: %d in the list, %v", unread, len(list), err)
		}
		if own, _, err := p.Own(t.Context(), "bob@mail.test", 10); len(own) != 3 || err != nil {
			t.Errorf("%v: the user sees %d, %v", unread, len(own), err)
		}
		for _, item := range list {
			if err := p.Show(t.Context(), item.ID, io.Discard); err != nil {
				t.Errorf("%v: %v", unread, err)
			}
		}
		b.remove = errors.New("cannot be removed")
		if n, err := p.Expire(t.Context(), time.Minute); n != 0 || !errors.Is(err, b.remove) {
			t.Errorf("%d removed, %v", n, err)
		}
		b.remove = nil
		if n, err := p.Expire(t.Context(), time.Minute); n != 3 || errors.Is(err, unread) != told {
			t.Errorf("%v: %d removed, %v", unread, n, err)
		}
		if n := len(all(t, store, "junk@mail.test")); n != 1 {
			t.Errorf("%v: %d left", unread, n)
		}
	}
}

// TestOwnAway: where messages cannot be read for now, a user's list is not one that looks complete.
func TestOwnAway(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	away := errors.New("the disk is away")
	p := &Places{Store: &breaking{Store: store, unread: away}, Boxes: map[domains.Address]domains.Address{"junk@mail.test": ""}}
	for range 2 {
		put(t, store, "junk@mail.test", Note("odd", true, "bob@mail.test")+"\r\nx\r\n")
	}
	if own, _, err := p.Own(t.Context(), "bob@mail.test", 10); len(own) != 0 || !errors.Is(err, away) {
		t.Errorf("%d, %v", len(own), err)
	}
}

// TestReleaseCloses: a release that fails leaves no file open.
func TestReleaseCloses(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := &breaking{Store: store, deliver: mailstore.ErrNoSpace}
	p := &Places{Store: b, Boxes: map[domains.Address]domains.Address{"junk@mail.test": ""}}
	put(t, store, "junk@mail.test", Note("odd", true, "bob@mail.test")+"\r\nx\r\n")
	list, err := p.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	mailtest.Descriptors(t, func() {
		if _, err := p.Release(t.Context(), list[0].ID, false); !errors.Is(err, mailstore.ErrNoSpace) {
			t.Error(err)
		}
	})
}

// TestBoxesInOrder: mailboxes are gone through in one order.
func TestBoxesInOrder(t *testing.T) {
	p := &Places{Boxes: make(map[domains.Address]domains.Address)}
	for c := 'a'; c <= 'z'; c++ {
		p.Boxes[domains.Address(string(c)+"@mail.test")] = ""
	}
	if all := p.boxes(); len(all) != 26 || !slices.IsSorted(all) {
		t.Errorf("%v", all)
	}
}

// TestOnlyWhoHasNot: a release that was interrupted goes on with those who have not got the message, whatever else has come to the others since;
// it asks for room for what it delivers, under its own id.
func TestOnlyWhoHasNot(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := &breaking{Store: store}
	p := &Places{Store: b, Boxes: map[domains.Address]domains.Address{"junk@mail.test": ""}}
	const text = "Subject: s\r\n\r\nbody\r\n"
	put(t, store, "junk@mail.test", Note("why", true, "alice@mail.test", "bob@mail.test")+text)
	list, err := p.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	b.remove = errors.New("boom")
	if _, err := p.Release(t.Context(), list[0].ID, false); !errors.Is(err, b.remove) {
		t.Error(err)
	}
	if len(b.asked) != 1 || b.asked[0].Size != int64(len(text)) || b.asked[0].UID != list[0].ID {
		t.Errorf("%+v", b.asked)
	}
	b.remove = nil
	put(t, store, "alice@mail.test", "Subject: another\r\n\r\n") // now it is not her last one
	box, err := store.Open(t.Context(), "bob@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(box.Remove(t.Context(), []int{0}), box.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Release(t.Context(), list[0].ID, false); err != nil {
		t.Error(err)
	}
	if a, b := all(t, store, "alice@mail.test"), all(t, store, "bob@mail.test"); len(a) != 2 || len(b) != 1 || b[0] != text {
		t.Errorf("%q, %q", a, b)
	}
	if n := len(all(t, store, "junk@mail.test")); n != 0 {
		t.Error(n)
	}
}

// TestOwn: a user sees and releases what is his, in a mailbox of his own and in one that all share, a hundred at once and each once; what is for others
// as well stays there for them.
func TestOwn(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const alice, bob = domains.Address("alice@mail.test"), domains.Address("bob@mail.test")
	for _, shared := range []bool{true, false} {
		box := "junk@mail.test"
		p := &Places{Store: store, Boxes: map[domains.Address]domains.Address{"junk@mail.test": ""}}
		of := func(a ...domains.Address) string { return Note("why", true, a...) }
		if !shared {
			box, p.Boxes = "alice+junk@mail.test", map[domains.Address]domains.Address{"alice+junk@mail.test": alice, "bob+junk@mail.test": bob}
		}
		for range 100 {
			put(t, store, box, of(alice)+"Subject: a\r\n\r\nhers")
		}
		put(t, store, box, of(bob)+"Subject: b\r\n\r\nhis")
		put(t, store, box, of(alice, bob)+"Subject: c\r\n\r\nof both")
		put(t, store, box, "Subject: d\r\n\r\nwhat came there by itself")
		before := len(all(t, store, alice.String()))

		items, more, err := p.Own(t.Context(), alice, 1000)
		if err != nil || more || len(items) != 101 {
			t.Fatalf("shared %t: %d, %t, %v", shared, len(items), more, err)
		}
		if few, more, err := p.Own(t.Context(), alice, 7); err != nil || !more || len(few) != 7 {
			t.Errorf("seven: %d, %t, %v", len(few), more, err)
		}
		var ids []string
		for _, item := range items {
			ids = append(ids, item.ID)
		}
		if others, err := p.ReleaseOwn(t.Context(), "carol@mail.test", ids); err != nil || len(others) != 0 {
			t.Fatalf("somebody else's: %d, %v", len(others), err)
		}
		for turn := range 2 {
			released, err := p.ReleaseOwn(t.Context(), alice, append(ids, "nonsense"))
			if err != nil || turn == 0 && len(released) != 101 || turn == 1 && len(released) > 0 {
				t.Fatal(len(released), err)
			}
			if got := all(t, store, alice.String()); len(got)-before != 101 || strings.Contains(strings.Join(got, ""), Field) {
				t.Errorf("turn %d: %d messages", turn, len(got)-before)
			}
		}
		if left := all(t, store, box); len(left) != 3 {
			t.Errorf("shared %t: %d are left", shared, len(left))
		}
		if shared {
			if his, _, err := p.Own(t.Context(), bob, 1000); err != nil || len(his) != 2 {
				t.Errorf("bob's: %d, %v", len(his), err)
			}
		}
	}
}

// TestOwnThenAll: what one of several has given himself he does not get again when it is given free for all.
func TestOwnThenAll(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p := &Places{Store: store, Boxes: map[domains.Address]domains.Address{"junk@mail.test": ""}}
	const text = "Return-Path: <x@far.test>\r\nSubject: s\r\n\r\nbody"
	put(t, store, "junk@mail.test", Note("why", true, "alice@mail.test", "bob@mail.test")+text)
	list, err := p.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if items, err := p.ReleaseOwn(t.Context(), "alice@mail.test", []string{list[0].ID}); err != nil || len(items) != 1 {
		t.Fatalf("%+v, %v", items, err)
	}
	if _, err := p.Release(t.Context(), list[0].ID, false); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice@mail.test", "bob@mail.test"} {
		if got := all(t, store, user); len(got) != 1 || got[0] != text {
			t.Errorf("%s: %q", user, got)
		}
	}
}

// TestNewest: of what was put aside the newest is seen first, of all or of an account, as much as is asked for; what is locked is counted, and what was asked no more ends
// the look. From a mailbox only what is in it is released.
func TestNewest(t *testing.T) {
	store, err := maildir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := &breaking{Store: store}
	p := &Places{Store: b, Boxes: map[domains.Address]domains.Address{"a+junk@mail.test": "a@mail.test", "b+junk@mail.test": "b@mail.test", "junk@mail.test": ""}}
	for i, box := range []string{"a+junk@mail.test", "b+junk@mail.test", "a+junk@mail.test", "b+junk@mail.test", "junk@mail.test"} {
		putAt(t, store, box, Note(fmt.Sprint("n", i), box == "junk@mail.test", "a@mail.test")+"\r\n", time.Now().Add(time.Duration(i-60)*time.Minute))
	}
	putAt(t, store, "a+junk@mail.test", "Subject: no junk\r\n\r\n", time.Now())
	why := func(s Some) string {
		var all []string
		for _, i := range s.Items {
			all = append(all, i.Why)
		}
		return fmt.Sprint(strings.Join(all, " "), " ", s.More, " ", s.Locked)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		ctx    context.Context
		of     domains.Address
		most   int
		closed string
		want   string
	}{
		{t.Context(), "", 9, "", "n4 n3 n2 n1 n0 false 0"}, {t.Context(), "", 5, "", "n4 n3 n2 n1 n0 false 0"}, {t.Context(), "", 4, "", "n4 n3 n2 n1 true 0"}, {t.Context(), "", 2, "", "n4 n3 true 0"}, {t.Context(), "a@mail.test", 9, "", "n4 n2 n0 false 0"},
		{t.Context(), "c@mail.test", 9, "", " false 0"}, {t.Context(), "", 9, "b+junk@mail.test", "n4 n2 n0 false 1"}, {gone, "", 9, "", " true 0"},
	} {
		b.closed = c.closed
		if got := p.Newest(c.ctx, c.of, c.most); why(got) != c.want || got.Unread != nil {
			t.Errorf("%q, %d: %q, %v", c.of, c.most, why(got), got.Unread)
		}
	}
	b.closed = ""
	one := p.Newest(t.Context(), "b@mail.test", 1).Items[0]
	for _, box := range []domains.Address{"a+junk@mail.test", "b@mail.test"} {
		if _, err := p.ReleaseFrom(t.Context(), box, one.ID, false); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", box, err)
		}
	}
	if _, err := p.ReleaseFrom(t.Context(), one.Mailbox, one.ID, false); err != nil || len(all(t, store, "b@mail.test")) != 1 {
		t.Error(err)
	}
}
