package fetch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/rfc2822"
)

// headMax is how much of a message tells it from others of its size.
const headMax = 64 << 10

// listed is a message as the server lists it.
type listed struct {
	number int
	size   int64
	uid    string // "" where none, or none of its own
	// When those around it in the list were received that have come, in Unix microseconds; 0 for none.
	after, before int64
	large         bool // larger than messages may be here: it is named, and not read
}

// record is a message that has come.
type record struct {
	sum      sum
	uid      string
	received time.Time
}

// source yields the messages of a session that have not come yet.
type source struct {
	c     *pop3.Client
	state *state
	pool  map[sum]int // what came before under no id, or another one
	name  func(listed) string

	want   []listed
	at     int
	next   func() (retrieved, bool)
	stop   func()
	broken error // the connection's end
	head   *bufio.Reader
	latest time.Time
	passed int64       // messages that came before, and were read in vain
	times  map[sum]int // how often a message without an id stood in the list

	mu      sync.Mutex
	coming  map[*archive.Message]coming
	stored  map[int]record // by number, if they are to be removed there
	changed int            // messages that have another id than when they came
	err     error          // the state could not be written
}

// coming is a message on its way into the mailbox.
type coming struct {
	number int
	record record
	id     string // that it is to have
}

// retrieved is an answer to RETR.
type retrieved struct {
	number int
	text   *pop3.Text
	err    error
}

var errStopped = errors.New("stopped")

func newSource(ctx context.Context, c *pop3.Client, s *state, want []listed, pool map[sum]int, name func(listed) string) *source {
	src := &source{c: c, state: s, pool: pool, want: want, name: name, latest: time.Unix(1, 0),
		head: bufio.NewReaderSize(nil, headMax), times: make(map[sum]int), coming: make(map[*archive.Message]coming)}
	numbers := make([]int, 0, len(want))
	for _, m := range want {
		if !m.large {
			numbers = append(numbers, m.number)
		}
	}
	// RetrAll calls, and Import asks: each goes on where the other waits.
	src.next, src.stop = iter.Pull(func(yield func(retrieved) bool) {
		err := c.RetrAll(ctx, numbers, func(number int, text *pop3.Text, err error) error {
			if !yield(retrieved{number, text, err}) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			src.broken = err
		}
	})
	return src
}

// Next implements archive.Source.
func (s *source) Next() (*archive.Message, error) {
	for {
		if s.err != nil {
			return nil, s.err
		}
		if s.at < len(s.want) && s.want[s.at].large {
			l := s.want[s.at]
			s.at++
			s.step(l)
			return nil, &archive.MessageError{Name: s.name(l), Err: archive.ErrTooLarge}
		}
		got, ok := s.next()
		if !ok {
			if s.broken != nil {
				return nil, s.broken
			}
			return nil, io.EOF
		}
		l := s.want[s.at]
		s.at++
		if got.err != nil {
			s.step(l) // its place is kept
			return nil, &archive.MessageError{Name: s.name(l), Err: got.err}
		}
		m, err := s.message(l, got.text)
		if m != nil || err != nil {
			return m, err
		}
	}
}

// message reads a message's beginning; it is nil if the message has come before.
func (s *source) message(l listed, text *pop3.Text) (*archive.Message, error) {
	s.head.Reset(text)
	start, err := s.head.Peek(headMax)
	if err != nil && err != io.EOF {
		s.broken = err
		return nil, err
	}
	r := record{sum: sumOf(strconv.FormatInt(l.size, 10) + "\n" + string(start)), uid: l.uid}
	id := l.uid
	switch {
	case id == "":
		s.times[r.sum]++
		id = fmt.Sprintf("%x-%d", r.sum[:], s.times[r.sum])
	case !validUID(id): // a client had no use for it either
		idSum := sumOf(id)
		id = fmt.Sprintf("%x", idSum[:])
	}
	r.received = s.received(l, start)
	if s.pool[r.sum] > 0 {
		// It came under no id or another one, and is written down as such.
		s.pool[r.sum]--
		s.passed++
		if l.uid != "" {
			s.changed++
		} else {
			s.mu.Lock()
			s.keep(l.number, r)
			s.mu.Unlock()
		}
		return nil, nil
	}
	m := &archive.Message{Name: s.name(l), UID: id, Received: r.received, Size: l.size, Body: archive.OnWire(&watched{s.head, s})}
	s.mu.Lock()
	s.coming[m] = coming{l.number, r, id}
	s.mu.Unlock()
	return m, nil
}

// watched notices the end of the connection, which is no fault of the message.
type watched struct {
	r io.Reader
	s *source
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.s.broken = err
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	return n, err
}

// errBroken: the connection ended within a message.
var errBroken = errors.New("the connection ended")

// received is when the server took the message, by what it wrote on top, and never before those
// that it lists earlier: so their order stays what it is there. It follows from the list alone, whatever of it
// came in runs before: what a kill has left out gets the place between that it would have had.
func (s *source) received(l listed, start []byte) time.Time {
	head := start
	if i := bytes.Index(head, []byte("\r\n\r\n")); i >= 0 {
		head = head[:i+2]
	}
	t := s.step(l)
	if m, err := rfc2822.Read(bytes.NewReader(head)); err == nil {
		trace, _ := rfc2822.ParseReceived(m.Header.Get("Received"))
		written := trace.Date
		if written.IsZero() {
			written, _ = rfc2822.ParseDate(m.Header.Get("Date"))
		}
		if written.After(t) && written.Before(time.Now()) {
			t = written
		}
	}
	if l.before > 0 && t.UnixMicro() >= l.before {
		return s.latest
	}
	s.latest = t
	return t
}

// step is the earliest time for a message: behind all before it. A store puts what has one time in an
// order of its own.
func (s *source) step(l listed) time.Time {
	if before := time.UnixMicro(l.after); before.After(s.latest) {
		s.latest = before
	}
	s.latest = s.latest.Add(time.Microsecond)
	return s.latest
}

// storedOne writes down what is on stable storage; Import calls it.
func (s *source) storedOne(m *archive.Message) (renamed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.coming[m]
	delete(s.coming, m)
	if err := s.state.came(c.record); err != nil && s.err == nil {
		s.err = fmt.Errorf("write down what has come: %w", err)
	}
	s.keep(c.number, c.record)
	return m.UID != c.id
}

// keep remembers what may be removed there.
func (s *source) keep(number int, r record) {
	if s.stored != nil {
		s.stored[number] = r
	}
}

// Close implements archive.Source. The client is the caller's.
func (s *source) Close() error {
	s.stop()
	return nil
}

// validUID is RFC 1939 §7's rule for a unique id.
func validUID(uid string) bool {
	return uid != "" && len(uid) <= 70 && strings.IndexFunc(uid, func(r rune) bool { return r < 0x21 || r > 0x7e }) < 0
}
