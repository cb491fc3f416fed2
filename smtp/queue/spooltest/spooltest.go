// Package spooltest is the suite that every queue.Spool must pass. Whoever
// writes one calls Run from a test.
package spooltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Run checks every promise of queue.Spool. open opens the same spool again
// each time it is called within one subtest, as a process does that starts
// anew, and an empty one in each new subtest: t tells them apart.
func Run(t *testing.T, open func(t *testing.T) queue.Spool) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, func(*testing.T) queue.Spool)
	}{
		{"RoundTrip", roundTrip}, {"Invisible", invisible}, {"Abort", abort},
		{"Exists", exists}, {"Refuse", refuse}, {"Save", save}, {"Remove", remove},
		{"OpenOutlives", openOutlives}, {"NotFound", notFound}, {"Scan", scan},
		{"Concurrent", concurrent}, {"Hostile", hostile}, {"Top", top}, {"Room", room}, {"Cancelled", cancelled},
		{"Together", together},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// Entry is a complete entry with the given id.
func Entry(id string) *queue.Entry {
	return &queue.Entry{
		ID: id, Queued: time.Date(2026, 3, 1, 8, 15, 0, 250e6, time.UTC),
		From: smtp.Path{Local: "ann", Domain: "example.org"},
		Params: smtp.Params{
			EnvID: "QQ314159+=", Ret: smtp.RetHeaders, Body: smtp.Body8BitMIME, SMTPUTF8: true, RequireTLS: true,
			HoldUntil: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), Priority: -3,
			By: &smtp.DeliverBy{By: time.Date(2026, 3, 2, 9, 0, 0, 5e8, time.UTC), Return: true, Trace: true},
		},
		Session: "7f3a01", User: "ann@example.org",
		To: []queue.Recipient{
			{
				Path:   smtp.Path{Local: "bob", Domain: "example.net"},
				Params: smtp.RcptParams{Notify: smtp.NotifySuccess | smtp.NotifyFailure, ORcptType: "rfc822", ORcpt: "bob+@example.net"},
			},
			{Path: smtp.Path{Local: "odd: one", Domain: "[192.0.2.1]"}, Params: smtp.RcptParams{Notify: smtp.NotifyNever, RRVS: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), RRVSReject: true}},
			{Path: smtp.Path{Local: "žofie", Domain: "příklad.example"}},
		},
	}
}

// Body is a message with everything a store could spoil: bare line ends,
// leading dots, NUL, octets above 127, no line end at the end.
var Body = []byte("Subject: x\r\n\r\n.\r\n..two\r\nbare\nbare\r\x00\xff\xfe end")

func put(t *testing.T, s queue.Spool, e *queue.Entry, body []byte) {
	t.Helper()
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	defer w.Abort()
	for chunk := range slices.Chunk(body, 7) {
		if n, err := w.Write(chunk); err != nil || n != len(chunk) {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if err := w.Commit(t.Context(), nil); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func read(t *testing.T, s queue.Spool, id string) []byte {
	t.Helper()
	if several, ok := s.(queue.Shared); ok {
		several.Take(t.Context(), id) // whatever its answer: who has it already may read it
	}
	r, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return b
}

func ids(t *testing.T, s queue.Spool) []string {
	t.Helper()
	var found []string
	err := s.Scan(t.Context(), func(id string, _ *queue.State) error {
		found = append(found, id)
		return nil
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	slices.Sort(found)
	return found
}

func want(t *testing.T, err, is error) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Errorf("error %v, want one that is %q", err, is)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func roundTrip(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	e := Entry("a-1")
	put(t, s, e, Body)
	put(t, s, &queue.Entry{ID: "null", Queued: e.Queued, To: e.To[:1]}, nil)
	for range 2 {
		got, st, err := s.Load(t.Context(), "a-1")
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		got.Head = nil // a spool may have it at hand
		w := e.Clone()
		w.Params.Size = int64(len(Body))
		same(t, got, w)
		ws := queue.NewState(e)
		ws.Size = w.Params.Size
		same(t, st, ws)
		if b := read(t, s, "a-1"); !bytes.Equal(b, Body) {
			t.Errorf("body %q, want %q", b, Body)
		}
		if b := read(t, s, "null"); len(b) != 0 {
			t.Errorf("empty body came back as %q", b)
		}
		s = open(t)
	}
}

// top checks that what Commit is given stands on top, octet for octet, however large
// the body is and whatever was expected.
func top(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	var want []string
	tops := []string{"", "Received: x\r\n", strings.Repeat("Received: from a by b\r\n", 400), strings.Repeat("X: y\r\n", 10000)}
	for _, expected := range []int{0, len(tops[1]), len(tops[2]), len(tops[3]), -1} {
		for _, size := range []int{0, 8 << 10, 8<<10 + 1, 200_000} {
			for _, text := range tops {
				e := Entry(fmt.Sprint("top-", len(want)))
				e.Top = expected
				w, err := s.Begin(t.Context(), e, queue.NewState(e))
				if err != nil {
					t.Fatal(err)
				}
				body := bytes.Repeat([]byte("0123456789\r\n"), size/12+1)[:size]
				for chunk := range slices.Chunk(body, 5000) {
					if n, err := w.Write(chunk); err != nil || n != len(chunk) {
						t.Fatalf("Write: %d, %v", n, err)
					}
				}
				if err := w.Commit(t.Context(), []byte(text)); err != nil {
					t.Fatalf("Commit: %v", err)
				}
				want = append(want, text+string(body))
			}
		}
	}
	s = open(t)
	for i, message := range want {
		id := fmt.Sprint("top-", i)
		e, st, err := s.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(len(message)); e.Params.Size != n || st.Size != n || string(read(t, s, id)) != message {
			t.Fatalf("%s: size %d and %d, want %d octets: %.80q", id, e.Params.Size, st.Size, n, message)
		}
	}
}

func invisible(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	e := Entry("a")
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(Body)
	_, _, err = s.Load(t.Context(), "a")
	want(t, err, queue.ErrNotFound)
	same(t, ids(t, s), []string(nil))
	// What was not committed does not exist for the next process either.
	s = open(t)
	same(t, ids(t, s), []string(nil))
	put(t, s, e, Body)
}

func abort(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	e := Entry("a")
	w, err := s.Begin(t.Context(), e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	w.Write(Body)
	if err := w.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("second Abort: %v", err)
	}
	if err := w.Commit(t.Context(), nil); err == nil {
		t.Error("Commit after Abort succeeds")
	}
	same(t, ids(t, s), []string(nil))
	put(t, s, e, Body) // the id is free again; put defers Abort after Commit
	same(t, ids(t, s), []string{"a"})
}

func exists(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	e := Entry("a")
	put(t, s, e, Body)
	again := func() (err error) {
		w, err := s.Begin(t.Context(), e, queue.NewState(e))
		if _, several := s.(queue.Shared); several && err == nil {
			defer w.Abort()
			err = w.Commit(t.Context(), nil)
		}
		return err
	}
	want(t, again(), queue.ErrExists)
	s = open(t)
	want(t, again(), queue.ErrExists)
	if b := read(t, s, "a"); !bytes.Equal(b, Body) {
		t.Errorf("body is now %q", b)
	}
}

func refuse(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a\x00", "a\n", "ü", string(make([]byte, 65))} {
		e := Entry(id)
		if w, err := s.Begin(t.Context(), e, queue.NewState(e)); err == nil {
			w.Abort()
			t.Errorf("id %q is taken", id)
		}
		_, _, err := s.Load(t.Context(), id)
		want(t, err, queue.ErrNotFound)
		want(t, s.Remove(t.Context(), id), queue.ErrNotFound)
	}
	const line = "b\nto: x@y"
	for _, spoil := range []func(e *queue.Entry){
		func(e *queue.Entry) { e.From.Local = line }, func(e *queue.Entry) { e.From.Domain = line },
		func(e *queue.Entry) { e.To[0].Path.Local = line }, func(e *queue.Entry) { e.To[0].Path.Domain = line },
		func(e *queue.Entry) { e.To[0].Params.ORcptType = line }, func(e *queue.Entry) { e.User = line },
		func(e *queue.Entry) { e.Session = line }, func(e *queue.Entry) { e.Params.Ret = line }, func(e *queue.Entry) { e.Params.Body = line },
	} {
		e := Entry("a")
		spoil(e)
		if w, err := s.Begin(t.Context(), e, queue.NewState(e)); err == nil {
			w.Abort()
			t.Errorf("an envelope with a line end is taken: %+v", e)
		}
	}
	same(t, ids(t, s), []string(nil))
}

func save(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	e := Entry("a")
	put(t, s, e, Body)
	st := queue.NewState(e)
	st.Held, st.Cause, st.Route = true, "sent too much", "smarthost"
	st.To[0] = queue.RcptState{Status: queue.Delivered, Attempts: 2, Next: e.Queued.Add(time.Hour), Reported: true,
		Last: queue.Result{Time: e.Queued.Add(time.Minute), Status: queue.Delivered, Code: 250, Enhanced: "2.0.0",
			Text: "ok: queued as 17", Host: "mx.example.net [192.0.2.7]:25", TLS: "TLS1.3 verified by dane", Relayed: true, Final: true}}
	st.To[1].Status, st.To[1].Warned, st.To[1].Expire = queue.Expired, true, true
	if err := s.Save(t.Context(), "a", st); err != nil {
		t.Fatalf("Save: %v", err)
	}
	for range 2 {
		_, got, err := s.Load(t.Context(), "a")
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		same(t, got, st)
		err = s.Scan(t.Context(), func(id string, got *queue.State) error { same(t, got, st); return nil })
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		s = open(t)
	}
}

func remove(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	put(t, s, Entry("a"), Body)
	put(t, s, Entry("b"), Body)
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	for range 2 {
		same(t, ids(t, s), []string{"b"})
		want(t, s.Remove(t.Context(), "a"), queue.ErrNotFound)
		_, err := s.Open(t.Context(), "a")
		want(t, err, queue.ErrNotFound)
		s = open(t)
	}
	put(t, s, Entry("a"), Body)
}

func openOutlives(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	put(t, s, Entry("a"), Body)
	r, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, Body) {
		t.Errorf("after Remove: %q, %v", b, err)
	}
}

func notFound(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	_, _, err := s.Load(t.Context(), "none")
	want(t, err, queue.ErrNotFound)
	_, err = s.Open(t.Context(), "none")
	want(t, err, queue.ErrNotFound)
	want(t, s.Save(t.Context(), "none", queue.NewState(Entry("none"))), queue.ErrNotFound)
	want(t, s.Remove(t.Context(), "none"), queue.ErrNotFound)
	same(t, ids(t, s), []string(nil))
}

func scan(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	var all []string
	for i := range 300 {
		id := fmt.Sprintf("e%03d", i)
		put(t, s, Entry(id), []byte(id))
		all = append(all, id)
	}
	same(t, ids(t, s), all)
	stop := errors.New("stop")
	n := 0
	err := s.Scan(t.Context(), func(string, *queue.State) error { n++; return stop })
	want(t, err, stop)
	if n != 1 {
		t.Errorf("called %d times after an error", n)
	}
}

func concurrent(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 5 {
				id := fmt.Sprintf("e-%d-%d", i, j)
				put(t, s, Entry(id), []byte(id))
				st := queue.NewState(Entry(id))
				st.To[0].Attempts = j + 1
				if err := s.Save(t.Context(), id, st); err != nil {
					t.Errorf("Save: %v", err)
				}
				if b := read(t, s, id); string(b) != id {
					t.Errorf("body of %s is %q", id, b)
				}
				if j%2 == 0 {
					if err := s.Remove(t.Context(), id); err != nil {
						t.Errorf("Remove: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := len(ids(t, open(t))); n != 32 {
		t.Errorf("%d entries are left, want 32", n)
	}
}

// hostile: a reply is what another host says, and may say anything.
func hostile(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	e := Entry("a")
	put(t, s, e, Body)
	for _, text := range []string{"two\r\nto: delivered\nend", "\x00\x7f\xff", "end", " ", string(make([]byte, 1<<20)), "a: b"} {
		st := queue.NewState(e)
		st.Route = text
		st.To[0].Last = queue.Result{Text: text, Host: text, TLS: text, Enhanced: text, Status: queue.Pending}
		if err := s.Save(t.Context(), "a", st); err != nil {
			t.Fatalf("Save with %.20q: %v", text, err)
		}
		_, got, err := s.Load(t.Context(), "a")
		if err != nil {
			t.Fatalf("Load with %.20q: %v", text, err)
		}
		if len(got.To) != 3 || got.To[0].Status != queue.Pending || got.To[1].Status != queue.Pending || len(got.To[0].Last.Text) > 64<<10 {
			t.Errorf("text %.20q became %+v", text, got)
		}
	}
}

func room(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	if err := s.Room(t.Context(), 0); err != nil && !errors.Is(err, queue.ErrFull) {
		t.Errorf("Room: %v", err)
	}
	want(t, s.Room(t.Context(), 1<<60), queue.ErrFull)
}

func cancelled(t *testing.T, open func(*testing.T) queue.Spool) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	e := Entry("a")
	w, err := s.Begin(ctx, e, queue.NewState(e))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.Commit(ctx, nil); err == nil {
		t.Error("Commit with a context that has ended succeeds")
	}
	w.Abort()
	same(t, ids(t, s), []string(nil))
}
