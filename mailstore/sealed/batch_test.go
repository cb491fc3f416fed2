package sealed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/mailstore"
)

// header is what a Sealer's file begins with before its nonce.
func header(s *sealedmail.Sealer) string { return string(s.Head()[:sealedmail.HeadSize-16]) }

// TestBatch: messages of a moment share a header; no others do.
func TestBatch(t *testing.T) {
	ann, bob := newRing(everybody).of(ann).Recipient(), newRing(everybody).of(bob).Recipient()
	synctest.Test(t, func(t *testing.T) {
		var b batches
		sealer := func(key string) *sealedmail.Sealer {
			s, err := b.sealer(key)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := sealer(ann)
		if header(sealer(bob)) == header(first) {
			t.Error("two mailboxes have one header")
		}
		for range batchMost - 1 {
			if s := sealer(ann); header(s) != header(first) || bytes.Equal(s.Head(), first.Head()) {
				t.Fatal("another header, or the same nonce")
			}
		}
		second := sealer(ann)
		if header(second) == header(first) {
			t.Errorf("%d messages have one header", batchMost+1)
		}
		kept := b.take(ann)
		<-time.After(batchTime + time.Millisecond)
		synctest.Wait()
		if header(sealer(ann)) == header(second) {
			t.Error("a header has outlived its moment")
		}
		if made, err := kept.make(); err != nil {
			t.Error(err)
		} else if _, err := made.Sealer(); !errors.Is(err, sealedmail.ErrForgotten) {
			t.Errorf("its key is still held: %v", err)
		}
		<-time.After(batchTime + time.Millisecond)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.of) != 0 {
			t.Errorf("%d batches are held", len(b.of))
		}
	})
}

// TestBatchExchange: of two files with one header none opens with a part of the other.
func TestBatchExchange(t *testing.T) {
	dir, keys := t.TempDir(), newRing(everybody)
	s := openStore(t, dir, keys)
	d := make([]mailstore.Delivery, 2)
	for i := range d { // at once, that they are of one moment however slow the machine
		var err error
		if d[i], err = s.Create(t.Context(), mailstore.Meta{}, ann); err != nil {
			t.Fatal(err)
		}
	}
	bodies := []string{long(200_000), "B" + long(199_999)}
	for i := range d {
		io.WriteString(d[i], bodies[i])
		if err := d[i].Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	paths := files(t, dir, ann)
	one, _ := os.ReadFile(paths[0])
	two, _ := os.ReadFile(paths[1])
	if len(one) != len(two) || !bytes.Equal(one[:sealedmail.HeadSize-16], two[:sealedmail.HeadSize-16]) {
		t.Fatal("the two were more than ten seconds apart, or share no header")
	}
	step := sealedmail.SealedChunkSize
	for name, from := range map[string]int{"header and nonce": 0, "nonce": sealedmail.HeadSize - 16, "first chunk": sealedmail.HeadSize, "second": sealedmail.HeadSize + step} {
		to := sealedmail.HeadSize + step
		switch name {
		case "header and nonce", "nonce":
			to = sealedmail.HeadSize
		case "second":
			to += step
		}
		mixed := bytes.Clone(one)
		copy(mixed[from:to], two[from:to])
		if err := os.WriteFile(paths[0], mixed, 0o600); err != nil {
			t.Fatal(err)
		}
		m := drop(t, s, ann)
		bad := 0
		for i := range m.Len() {
			if _, err := readAll(m, i); errors.Is(err, mailstore.ErrDamaged) {
				bad++
			}
		}
		m.Close()
		if bad != 1 {
			t.Errorf("%s of another: %d found", name, bad)
		}
	}
}

// onlyForward hides that a file can be read at any place.
type onlyForward struct{ io.ReadCloser }

// TestCheck finds damage behind the first chunk before any of a message is given out, of files that can be read at any place and of others.
func TestCheck(t *testing.T) {
	keys := newRing(everybody).of(ann)
	mark := newMark(keys.Recipient())
	body := long(500_000)
	var whole bytes.Buffer
	if err := SealFile(&whole, bytes.NewReader([]byte(body)), keys.Recipient(), mark); err != nil {
		t.Fatal(err)
	}
	for name, forward := range map[string]bool{"at": false, "forward": true} {
		for chunk := -1; chunk < 8; chunk++ {
			file := bytes.Clone(whole.Bytes())
			if chunk > 0 {
				file[sealedmail.HeadSize+chunk*sealedmail.SealedChunkSize-1] ^= 1 // the last of the chunk before
			}
			path := t.TempDir() + "/file"
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			reopen := func(context.Context) (io.ReadCloser, int64, error) {
				f, err := os.Open(path)
				if forward {
					return onlyForward{f}, int64(len(file)), err
				}
				return f, int64(len(file)), err
			}
			f, n, err := reopen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m, err := open(f, n, mark, int64(len(body)), keys)
			if chunk == 1 {
				if !errors.Is(err, mailstore.ErrDamaged) {
					t.Errorf("%s: the first chunk: %v", name, err)
				}
				f.Close()
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			m.reopen = reopen
			if err := m.Check(t.Context()); errors.Is(err, mailstore.ErrDamaged) != (chunk > 0) {
				t.Errorf("%s: chunk %d: %v", name, chunk, err)
			} else if got, err := io.ReadAll(m); (err == nil && string(got) == body) != (chunk <= 0) {
				t.Errorf("%s: chunk %d: %d octets, %v", name, chunk, len(got), err)
			}
			m.Close()
		}
	}
}
