package fetch

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"os"

	"github.com/postrider-mail/postrider/pop3"
)

// listing is a session's list. It stands in two files, so that a million messages take as much memory as a hundred: one has what the
// server says, a record for each message in its order, and one a mark for each, of one length.
type listing struct {
	list, marks *os.File
	n           int
	known       int // messages that have come
	doubled     int // messages that share their ids with others
}

// What a mark says of a message.
const (
	isNew        = iota // it has not come
	isKnown             // it had come when the session began
	isDoubled           // it shares its id with others, and is as one without
	isStored            // it has come in this session
	isStoredBare        // so has it, and has no id of its own
)

// removable reports whether it may be removed there.
func (m *mark) removable() bool {
	return m.kind == isKnown || m.kind == isStored || m.kind == isStoredBare
}

// mark is its kind and, of one that has come, what is known of it.
type mark struct {
	kind byte
	known
}

const markSize = 1 + len(sum{}) + 8

func newListing(dir string) (l *listing, err error) {
	l = &listing{}
	for _, f := range []**os.File{&l.list, &l.marks} {
		if *f, err = os.CreateTemp(dir, ".listing-"); err != nil {
			l.close()
			return nil, err
		}
		_ = os.Remove((*f).Name()) // where an open file can be; else close does
	}
	return l, nil
}

func (l *listing) close() {
	for _, f := range []*os.File{l.list, l.marks} {
		if f != nil {
			f.Close()
			_ = os.Remove(f.Name())
		}
	}
}

// listingWriter appends records.
type listingWriter struct {
	l   *listing
	w   *bufio.Writer
	buf []byte
}

func (l *listing) writer() *listingWriter {
	return &listingWriter{l: l, w: bufio.NewWriter(io.NewOffsetWriter(l.list, 0))}
}

func (w *listingWriter) add(number int, size int64, uid string) error {
	w.buf = binary.AppendUvarint(w.buf[:0], uint64(number))
	w.buf = binary.AppendUvarint(w.buf, uint64(size))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(uid)))
	w.buf = append(w.buf, uid...)
	w.l.n++
	_, err := w.w.Write(w.buf)
	return err
}

// errOrder: UIDL lists messages in another order than LIST.
var errOrder = errors.New("another order")

// readList has the server's two lists in one. noIDs is its refusal to give ids.
func readList(ctx context.Context, c *pop3.Client, dir string) (l *listing, noIDs *pop3.Error, err error) {
	sizes, err := newListing(dir)
	if err != nil {
		return nil, nil, permanent{err}
	}
	w := sizes.writer()
	err = c.ListEach(ctx, func(m pop3.Message) error { return w.add(m.Number, m.Size, "") })
	if err == nil {
		err = w.w.Flush()
	}
	if err != nil {
		sizes.close()
		return nil, nil, err
	}
	if l, err = newListing(dir); err != nil {
		sizes.close()
		return nil, nil, permanent{err}
	}
	err = l.join(ctx, c, sizes)
	if errors.Is(err, errOrder) {
		err = l.joinAnyOrder(ctx, c, sizes)
	}
	if errors.As(err, &noIDs) && !worthRetrying(err) {
		l.close()
		return sizes, noIDs, nil
	}
	sizes.close()
	if err != nil {
		l.close()
		return nil, nil, err
	}
	return l, nil, nil
}

// join writes what LIST and UIDL say of each message, where both have one order, as almost everywhere.
func (l *listing) join(ctx context.Context, c *pop3.Client, sizes *listing) error {
	w := l.writer()
	next, stop := iter.Pull2(sizes.records())
	defer stop()
	disordered := false
	err := c.UIDLEach(ctx, func(m pop3.Message) error {
		for !disordered {
			s, err, ok := next()
			switch {
			case err != nil:
				return err
			case !ok:
				disordered = true // or it is not in LIST: the rest passes unread
			case s.number == m.Number:
				return w.add(s.number, s.size, m.UID)
			default:
				if err := w.add(s.number, s.size, ""); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && disordered {
		err = errOrder
	}
	for err == nil {
		s, rerr, ok := next()
		if err = rerr; err != nil || !ok {
			break
		}
		err = w.add(s.number, s.size, "")
	}
	if err != nil {
		return err
	}
	return w.w.Flush()
}

// joinAnyOrder is join for a server whose lists have several orders. It takes memory for its ids.
func (l *listing) joinAnyOrder(ctx context.Context, c *pop3.Client, sizes *listing) error {
	ids, err := c.UIDL(ctx)
	if err != nil {
		return err
	}
	of := make(map[int]string, len(ids))
	for _, m := range ids {
		of[m.Number] = m.UID
	}
	l.n = 0
	w := l.writer()
	for s, err := range sizes.records() {
		if err == nil {
			err = w.add(s.number, s.size, of[s.number])
		}
		if err != nil {
			return err
		}
		delete(of, s.number)
	}
	for number := range of {
		return permanent{fmt.Errorf("%w: UIDL has a message %d that LIST has not", pop3.ErrMalformed, number)}
	}
	return w.w.Flush()
}

// records are what the server says of each message.
func (l *listing) records() iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		r := bufio.NewReader(io.NewSectionReader(l.list, 0, 1<<62))
		var uid []byte
		for pos := range l.n {
			number, err := binary.ReadUvarint(r)
			size, serr := binary.ReadUvarint(r)
			length, lerr := binary.ReadUvarint(r)
			if err = errors.Join(err, serr, lerr); err == nil && length > uint64(cap(uid)) {
				uid = make([]byte, length)
			}
			if err == nil {
				uid = uid[:length]
				_, err = io.ReadFull(r, uid)
			}
			if err != nil {
				yield(listed{}, permanent{fmt.Errorf("the list of messages: %w", err)})
				return
			}
			if !yield(listed{pos: pos, number: int(number), size: int64(size), uid: string(uid)}, nil) {
				return
			}
		}
	}
}

// marked are records with their marks. Those that share an id have none.
func (l *listing) marked() iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		marks := bufio.NewReader(io.NewSectionReader(l.marks, 0, 1<<62))
		var b [markSize]byte
		for r, err := range l.records() {
			if err == nil {
				if _, err = io.ReadFull(marks, b[:]); err != nil {
					err = permanent{fmt.Errorf("the list of messages: %w", err)}
				}
			}
			r.mark.kind = b[0]
			copy(r.mark.sum[:], b[1:])
			r.mark.micros = int64(binary.BigEndian.Uint64(b[1+len(sum{}):]))
			if r.mark.kind == isDoubled || r.mark.kind == isStoredBare {
				r.uid = ""
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func (l *listing) setMark(pos int, m mark) error {
	var b [markSize]byte
	b[0] = m.kind
	copy(b[1:], m.sum[:])
	binary.BigEndian.PutUint64(b[1+len(sum{}):], uint64(m.micros))
	_, err := l.marks.WriteAt(b[:], int64(pos)*int64(markSize))
	return err
}

// usualPortion is how many ids are compared at once; they take about 150 octets each.
const usualPortion = 1 << 16

// compare marks what has come, by events of about so many octets, and counts what has come under ids that are not in the list. Where there are
// many ids it reads both several times, each time for some of them.
func (l *listing) compare(events iter.Seq2[event, error], octets int64, portion int) (pool map[sum]int, err error) {
	pool = make(map[sum]int)
	parts := 1 + (uint64(l.n)+uint64(octets)/64)/uint64(orDefault(portion, usualPortion))
	seed := maphash.MakeSeed()
	if err := l.marks.Truncate(int64(l.n) * int64(markSize)); err != nil {
		return nil, permanent{err}
	}
	for part := range parts {
		ours := func(uid string) bool { return uid != "" && maphash.String(seed, uid)%parts == part }
		came, times := make(map[sum]known), make(map[sum]byte)
		for e, err := range events {
			switch {
			case err != nil:
				return nil, permanent{err}
			case !ours(e.uid):
			case e.by > 0:
				came[sumOf(e.uid)] = e.known
			default:
				delete(came, sumOf(e.uid))
			}
		}
		for r, err := range l.records() {
			if err != nil {
				return nil, err
			}
			if ours(r.uid) {
				id := sumOf(r.uid)
				times[id] = min(times[id]+1, 2)
			}
		}
		for r, err := range l.records() {
			if err != nil {
				return nil, err
			}
			if !ours(r.uid) {
				continue
			}
			id := sumOf(r.uid)
			k, has := came[id]
			m := mark{isKnown, k}
			switch {
			case times[id] > 1:
				m = mark{kind: isDoubled}
				l.doubled++
			case !has:
				continue
			default:
				l.known++
			}
			if err := l.setMark(r.pos, m); err != nil {
				return nil, permanent{err}
			}
		}
		for id, k := range came {
			if times[id] != 1 {
				pool[k.sum]++
			}
		}
	}
	return pool, nil
}

// wanted are the messages that have not come, each with the times of those around it that have.
func (l *listing) wanted(most int64) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		ahead, stop := iter.Pull2(l.marked())
		defer stop()
		var latest, before, max64 int64
		at := -1 // of the next one that has come; before is its time
		for r, err := range l.marked() {
			if err != nil {
				yield(r, err)
				return
			}
			if r.mark.kind == isKnown {
				latest = max(latest, r.mark.micros)
				continue
			}
			for at < r.pos {
				next, err, ok := ahead()
				if err != nil {
					yield(next, err)
					return
				}
				if !ok {
					at, before = l.n, 0
					break
				}
				if next.mark.kind == isKnown {
					max64 = max(max64, next.mark.micros)
					at, before = next.pos, max64
				}
			}
			r.after, r.before = latest, before
			// What has no id has to be read all the same, to know whether it has come.
			r.large = most > 0 && r.size > most && r.uid != ""
			if !yield(r, nil) {
				return
			}
		}
	}
}
