package maildir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider-mail/postrider/internal/crashtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// replayed is a store whose every operation is on record.
type replayed struct {
	t    *testing.T
	root string
	rec  *crashtest.Recorder
	s    *maildir.Store

	mu   sync.Mutex
	sent map[string]string // body -> key
}

// syncing is how the disk is asked: as it comes, file by file, or for everything.
type syncing string

const (
	asItComes syncing = "as it comes"
	each      syncing = "each"
	whole     syncing = "whole"
)

// onRecord is an empty store.
func onRecord(t *testing.T, how syncing, named bool, forget func(what, name string) bool, more ...maildir.Option) *replayed {
	t.Helper()
	root := crashtest.Scratch(t)
	rec, err := crashtest.NewRecorder(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close() })
	rec.Forget, rec.Refuse, rec.Each, rec.Whole = forget, named, how == each, how == whole
	r := &replayed{t: t, root: root, rec: rec, sent: make(map[string]string)}
	r.s = open(t, root, append(more, maildir.WithDisk(durable.New(rec)))...)
	return r
}

// crashes shows check the disk as each crash from an operation on may leave it.
func (r *replayed) crashes(t *testing.T, from int, check func(when, dir string, marks []string)) {
	t.Helper()
	dir := filepath.Join(crashtest.Scratch(t), "disk")
	for n := from; n <= r.rec.Len() && !t.Failed(); n++ {
		for _, how := range crashtest.Outcomes(uint64(n)) {
			if err := r.rec.Crash(r.root, n, how, dir); err != nil {
				t.Fatal(err)
			}
			check(fmt.Sprintf("after %d operations, %s", n, how.Name), dir, r.rec.Marks(n))
			os.RemoveAll(dir)
		}
	}
}

func record(t *testing.T, how syncing, named bool, forget func(what, name string) bool) *replayed {
	t.Helper()
	r := onRecord(t, how, named, forget, maildir.WithQuota(func(user string) maildir.Quota {
		if user == "tiny@x" {
			return maildir.Quota{Octets: 10}
		}
		return maildir.Quota{}
	}))
	r.script()
	return r
}

func (r *replayed) deliver(key, body string, users ...string) {
	top := []byte("Top: " + key + "\r\n")
	r.mu.Lock()
	r.sent[string(top)+body] = key
	m := mailstore.Meta{Top: top}
	switch {
	case strings.Contains(key, "unforeseen"):
		m.Top = nil
	case strings.Contains(key, "late"): // less than there is room for, as results of senders' checks are
		m.Top = append([]byte(strings.Repeat("X: room for what comes late\r\n", 80)), top...)
		lf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) } // as it stands on the disk
		padded, ok := mailstore.Pad(lf(top), len(lf(m.Top))-len(lf(top)))
		if !ok {
			r.t.Error("there is no padding")
		}
		r.sent[strings.ReplaceAll(string(padded), "\n", "\r\n")+body] = key
	}
	r.mu.Unlock()
	d, err := r.s.Create(context.Background(), m, users...)
	if err != nil {
		r.t.Error(err)
		return
	}
	io.WriteString(d, body)
	err = d.Commit(context.Background(), top)
	if refused := (*mailstore.Refused)(nil); errors.As(err, &refused) {
		d.Exclude("tiny@x")
		users = slices.DeleteFunc(users, func(u string) bool { return u == "tiny@x" })
		err = d.Commit(context.Background(), top)
	}
	if err != nil {
		r.t.Error(err)
		return
	}
	for _, u := range users {
		r.rec.Mark("delivered " + key + " " + u)
	}
}

func (r *replayed) removeOne(user string) {
	m, err := r.s.Open(context.Background(), user)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer m.Close()
	rd, err := m.Open(context.Background(), 0)
	if err != nil {
		r.t.Error(err)
		return
	}
	b, _ := io.ReadAll(rd)
	rd.Close()
	key := r.sent[string(b)]
	r.rec.Mark("removing " + key + " " + user)
	if err := m.Remove(context.Background(), []int{0}); err != nil {
		r.t.Error(err)
		return
	}
	r.rec.Mark("removed " + key + " " + user)
}

// script delivers alone and at once, to one and to several, small, large and
// inconvenient messages, and removes some.
func (r *replayed) script() {
	r.deliver("small", "small\r\n", "a@x")
	r.deliver("three", "three\r\n", "a@x", "b@x", "c@y")
	r.deliver("spilled", strings.Repeat("0123456789abcde\r\n", 5000), "b@x")
	r.deliver("exact", strings.Repeat("0123456789abcde\r\n", 5000)+"bare\n", "c@y")
	r.deliver("full", "some are full\r\n", "tiny@x", "a@x", "b@x")
	r.deliver("full and spilled", strings.Repeat("0123456789abcdef\r\n", 5000), "tiny@x", "c@y", "b@x")
	r.deliver("unforeseen top", strings.Repeat("0123456789abcde \r\n", 5000), "a@x", "b@x")
	r.deliver("late", "late results\r\n", "a@x")
	r.deliver("late and spilled", strings.Repeat("0123456789abc\r\n", 5000), "a@x", "c@y")
	r.removeOne("a@x")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			key := fmt.Sprint("at once ", i)
			r.deliver(key, key+"\r\n", fmt.Sprintf("%c@x", 'a'+i), "new@z")
		})
	}
	wg.Wait()
	r.removeOne("b@x")
	r.removeOne("new@z")
}

// crash looks at every cut and outcome and returns what was broken.
func (r *replayed) crash(first bool) []string {
	var found []string
	base := crashtest.Scratch(r.t)
	for n := range r.rec.Len() + 1 {
		for _, how := range crashtest.Outcomes(uint64(n)) {
			dir := filepath.Join(base, "disk")
			if err := r.rec.Crash(r.root, n, how, dir); err != nil {
				r.t.Fatal(err)
			}
			if err := r.check(dir, r.rec.Marks(n)); err != nil {
				found = append(found, fmt.Sprintf("after %d operations, %s: %v", n, how.Name, err))
				if first {
					return found
				}
			}
			os.RemoveAll(dir)
		}
	}
	return found
}

// check reopens what the crash left and compares it with what was promised.
func (r *replayed) check(dir string, marks []string) error {
	rec, err := crashtest.NewRecorder(dir) // whose syncs cost nothing
	if err != nil {
		return err
	}
	defer rec.Close()
	s, err := maildir.Open(dir, maildir.WithReserve(0), maildir.WithDisk(durable.New(rec)))
	if err != nil {
		return err
	}
	defer s.Close()
	there := make(map[string]int)
	for u, err := range s.Users(context.Background()) {
		if err != nil {
			return err
		}
		if err := r.count(s, u, there); err != nil {
			return err
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*", "*", "tmp", "*")); len(left) > 0 {
			return fmt.Errorf("left in tmp: %q", left)
		}
	}
	for copied := range there {
		if strings.HasSuffix(copied, " tiny@x") {
			return fmt.Errorf("%s: has no room for it", copied)
		}
	}
	removing := make(map[string]bool)
	for _, m := range marks {
		if id, ok := strings.CutPrefix(m, "removing "); ok {
			removing[id] = true
		}
	}
	for _, m := range marks {
		if id, ok := strings.CutPrefix(m, "delivered "); ok && !removing[id] && there[id] != 1 {
			return fmt.Errorf("%s: there %d times", m, there[id])
		}
		if id, ok := strings.CutPrefix(m, "removed "); ok && there[id] != 0 {
			return fmt.Errorf("%s: is back", m)
		}
	}
	return nil
}

// count reads a mailbox; anything that is not a whole message is an error.
func (r *replayed) count(s *maildir.Store, user string, there map[string]int) error {
	m, err := s.Open(context.Background(), user)
	if err != nil {
		return err
	}
	defer m.Close()
	for i := range m.Len() {
		rd, err := m.Open(context.Background(), i)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(rd)
		rd.Close()
		if err != nil {
			return err
		}
		key, ok := r.sent[string(b)]
		if !ok {
			return fmt.Errorf("%s: half a message: %.40q (%d octets)", user, b, len(b))
		}
		if m.Size(i) != int64(len(b)) {
			return fmt.Errorf("%s: size %d, %d octets", user, m.Size(i), len(b))
		}
		there[key+" "+user]++
	}
	return nil
}

func TestCrash(t *testing.T) {
	for _, how := range []syncing{asItComes, each, whole} {
		for _, named := range []bool{false, true} {
			if named && how != asItComes {
				continue // the way of syncing does not ask what is synced
			}
			if how != each && (testing.Short() || os.Getenv("CI") != "true") {
				continue // CI has all of them, each of which takes its time
			}
			t.Run(fmt.Sprintf("%s/named=%v", how, named), func(t *testing.T) {
				r := record(t, how, named, nil)
				if found := r.crash(false); len(found) > 0 {
					t.Errorf("%d failures, first: %s", len(found), found[0])
				}
			})
		}
	}
}

// TestCrashNoticesMissingSync leaves out one kind of sync at a time. If the
// check above did not turn red, it would prove nothing.
func TestCrashNoticesMissingSync(t *testing.T) {
	for name, forget := range map[string]func(what, name string) bool{
		"contents": func(what, _ string) bool { return what == "file" },
		"new":      func(what, name string) bool { return filepath.Base(name) == "new" },
		"mailbox":  func(what, name string) bool { return what == "dir" && filepath.Base(name) == "a" },
		"domain":   func(what, name string) bool { return what == "dir" && filepath.Base(name) == "x" },
		"store": func(what, name string) bool {
			return what == "dir" && strings.HasPrefix(filepath.Base(name), "crashtest-")
		},
	} {
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/named=%v", name, named), func(t *testing.T) {
				if found := record(t, each, named, forget).crash(true); len(found) == 0 {
					t.Error("nothing noticed")
				} else {
					t.Log(found[0])
				}
			})
		}
	}
	t.Run("whole", func(t *testing.T) {
		forget := func(what, _ string) bool { return what == "all" }
		if found := record(t, whole, false, forget).crash(true); len(found) == 0 {
			t.Error("nothing noticed")
		}
	})
}
