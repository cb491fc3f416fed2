package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"io"
	"strconv"

	"github.com/postrider-mail/postrider/mailstore"
)

// headMax is how much of a message tells it from others: for mail that is mostly
// its header. Received fields, Date and Message-ID are different in every message
// worth keeping apart.
const headMax = 64 << 10

// name sees to it that a message has an id of its own, and reports whether it is in
// the mailbox already. An id that is another message's, there or in this source,
// gives way to one computed from the message's beginning; the same message twice in
// one source gets two.
func (im *importer) name(m *Message) (there bool, err error) {
	for n := -1; ; n++ { // the n-th computed id; before them the message's own
		if m.UID == "" || n >= 0 {
			head, err := m.head()
			if err != nil {
				return false, err
			}
			n = max(n, 0)
			m.UID = computedUID(head, n)
		}
		there, other := im.have.find(m.UID)
		if there && !other {
			head, err := m.head()
			if err == nil {
				other, err = im.have.differs(im.ctx, m.UID, head)
			}
			if err != nil {
				return false, err
			}
		}
		if !other {
			im.have.add(m.UID)
			return there, nil
		}
	}
}

// head is the beginning of the message, which stays to be read.
func (m *Message) head() ([]byte, error) {
	if m.start != nil {
		return m.start, nil
	}
	start := make([]byte, headMax)
	n, err := io.ReadFull(m.Body, start)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	m.start = start[:n]
	rest := io.MultiReader(bytes.NewReader(m.start), m.Body)
	if _, asOnWire := m.Body.(wire); asOnWire {
		rest = wire{rest}
	}
	m.Body = rest
	return m.start, nil
}

// computedUID is an id for a message that has none: 40 hexadecimal digits of a
// hash of its beginning, whatever its line ends, and a number if it is not the
// first of its kind.
func computedUID(head []byte, copyNo int) string {
	h := sha256.New()
	for {
		line, rest, more := bytes.Cut(head, []byte{'\n'})
		h.Write(bytes.TrimSuffix(line, []byte{'\r'}))
		h.Write([]byte{'\n'})
		if !more {
			break
		}
		head = rest
	}
	uid := hex.EncodeToString(h.Sum(nil)[:20])
	if copyNo > 0 {
		uid += "-" + strconv.Itoa(copyNo+1)
	}
	return uid
}

// ids is which unique ids are taken, as hashes: a hundred thousand cost a few
// megabytes. The maildrop that had them is opened again to compare a message, and
// stays open, and locked, until a message has to be stored.
type ids struct {
	store mailstore.Store
	user  string
	seed  maphash.Seed
	m     map[uint64]bool // true: came in this run
	drop  mailstore.Maildrop
	at    map[string]int // of the ids in drop
}

func idsIn(ctx context.Context, store mailstore.Store, user string) (*ids, error) {
	s := &ids{store: store, user: user, seed: maphash.MakeSeed(), m: make(map[uint64]bool)}
	m, err := store.Open(ctx, user)
	if err != nil {
		return nil, err
	}
	for i := range m.Len() {
		s.m[maphash.String(s.seed, m.UID(i))] = false
	}
	return s, m.Close()
}

// find reports whether an id is taken, and whether it was in this run: then it is
// another message's.
func (s *ids) find(uid string) (taken, thisRun bool) {
	thisRun, taken = s.m[maphash.String(s.seed, uid)]
	return taken, thisRun
}

func (s *ids) add(uid string) { s.m[maphash.String(s.seed, uid)] = true }

// differs reports whether the message in the mailbox that has this id begins in
// another way than head, line ends apart. One that is gone by now does not.
func (s *ids) differs(ctx context.Context, uid string, head []byte) (bool, error) {
	if s.drop == nil {
		var err error
		if s.drop, err = s.store.Open(ctx, s.user); err != nil {
			return false, err
		}
		s.at = make(map[string]int, s.drop.Len())
		for i := range s.drop.Len() {
			s.at[s.drop.UID(i)] = i
		}
	}
	i, ok := s.at[uid]
	if !ok {
		return false, nil
	}
	r, err := s.drop.Open(ctx, i)
	if errors.Is(err, mailstore.ErrGone) || errors.Is(err, mailstore.ErrSealed) { // nobody can look into a sealed one here: its id says that it came
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	want, err := io.ReadAll(&lfReader{r: bytes.NewReader(head)})
	if err != nil {
		return false, err
	}
	got, err := io.ReadAll(io.LimitReader(&lfReader{r: r}, headMax))
	if err != nil {
		return false, err
	}
	if len(head) == headMax { // both may go on, and an LF may follow a CR at the end
		want = bytes.TrimSuffix(want, []byte{'\r'})
		n := min(len(want), len(got))
		want, got = want[:n], got[:n]
	}
	return !bytes.Equal(want, got), nil
}

// close lets go of the maildrop, if it is open.
func (s *ids) close() error {
	if s.drop == nil {
		return nil
	}
	err := s.drop.Close()
	s.drop, s.at = nil, nil
	return err
}
