package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/database"
)

// maildrop is a mailbox that is open.
type maildrop struct {
	s      *Store
	lock   *lock
	list   []entry
	gone   []bool         // removed or moved in this session
	flags  map[int]string // changed in this session
	closed atomic.Bool
}

var _ interface {
	mailstore.Maildrop
	mailstore.Trash
} = (*maildrop)(nil)

// Open implements mailstore.Store.
func (s *Store) Open(ctx context.Context, user string) (mailstore.Maildrop, error) {
	return s.open(ctx, user, s.entries)
}

// OpenFolder is Open for a folder of the mailbox, which is locked as a whole. Messages are read from it, or sealed
// and unsealed, and no more: nothing is removed, flagged or moved.
func (s *Store) OpenFolder(ctx context.Context, user, folder string) (mailstore.Maildrop, error) {
	m, err := s.open(ctx, user, func(ctx context.Context, k *lock) ([]entry, error) {
		return s.readList(ctx, `join $.folder f on f.box = m.box and f.id = m.folder where m.box = $1 and f.name = $2`, k.box, folder)
	})
	if err != nil {
		return nil, err
	}
	return struct {
		mailstore.SealedDrop
		mailstore.Details
	}{readOnly{m.(*maildrop)}, m.(*maildrop)}, nil
}

// readOnly is a maildrop that nothing is removed from.
type readOnly struct{ mailstore.SealedDrop }

// Remove implements mailstore.Maildrop.
func (readOnly) Remove(context.Context, []int) error { return mailstore.ErrReadOnly }

func (s *Store) open(ctx context.Context, user string, read func(ctx context.Context, k *lock) ([]entry, error)) (mailstore.Maildrop, error) {
	name, domain, err := canonical(user)
	if err != nil {
		return nil, err
	}
	k, err := s.lockOrMake(ctx, name, domain)
	if err != nil {
		return nil, err
	}
	var entries []entry
	err = s.reading(ctx, func(ctx context.Context) (err error) {
		entries, err = read(ctx, k)
		return err
	})
	if err != nil {
		err = errors.Join(err, s.release(context.WithoutCancel(ctx), k))
		return nil, unavailable("list maildrop", err)
	}
	return &maildrop{s: s, lock: k, list: entries, gone: make([]bool, len(entries))}, nil
}

// lockOrMake locks a mailbox. One that is not there is made, for the lock needs something to hold.
func (s *Store) lockOrMake(ctx context.Context, name, domain string) (*lock, error) {
	ctx, cancel, err := s.within(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	for attempt := 1; ; attempt++ {
		k, err := s.take(ctx, name)
		switch {
		case errors.Is(err, mailstore.ErrLocked), err == nil && k != nil:
			return k, err
		case err == nil:
			_, err = s.pool.Exec(ctx, s.in(`insert into $.box (name, domain) values ($1, $2) on conflict do nothing`), name, domain)
		case database.Broken(err): // it may have been locked all the same: then it stays so until the lease is over
		default:
			return nil, unavailable("lock maildrop", err)
		}
		if attempt == database.Attempts || err != nil && !database.Broken(err) {
			return nil, unavailable("lock maildrop", err)
		}
	}
}

// entries lists a mailbox, from memory if it has not changed. The version was read first: what has come since is in the list then, under
// the older number, and read again the next time.
func (s *Store) entries(ctx context.Context, k *lock) ([]entry, error) {
	if is := s.lists.get(k); is != nil {
		return is.entries, nil
	}
	entries, err := s.readList(ctx, `where m.box = $1 and m.folder = 0`, k.box)
	if err != nil {
		return nil, err
	}
	s.lists.put(k.box, &list{k.version, k.server, entries})
	return entries, nil
}

// Len implements mailstore.Maildrop.
func (m *maildrop) Len() int { return len(m.list) }

// Size implements mailstore.Maildrop.
func (m *maildrop) Size(i int) int64 { return m.list[i].size }

// UID implements mailstore.Maildrop.
func (m *maildrop) UID(i int) string { return m.list[i].id() }

// Received implements mailstore.Details.
func (m *maildrop) Received(i int) time.Time { return time.UnixMicro(m.list[i].received) }

// Changed implements mailstore.Trash.
func (m *maildrop) Changed(i int) time.Time {
	if m.list[i].changed == 0 {
		return time.Time{}
	}
	return time.UnixMicro(m.list[i].changed)
}

// Flags implements mailstore.Details.
func (m *maildrop) Flags(i int) string {
	if flags, ok := m.flags[i]; ok {
		return flags
	}
	return m.list[i].flags
}

var errClosed = errors.New("postgres: the maildrop is closed")

// Open implements mailstore.Maildrop. A large message is read a piece at a time, and no connection is kept in between.
func (m *maildrop) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	r, _, err := m.open(ctx, i)
	switch {
	case err != nil:
		return nil, err
	case m.list[i].mark != "":
		return nil, mailstore.ErrSealed
	}
	return r, nil
}

// open opens the text of a message, and says how many octets were written of one that is sealed.
func (m *maildrop) open(ctx context.Context, i int) (r *reader, octets *int64, err error) {
	switch {
	case m.closed.Load():
		return nil, nil, errClosed
	case i < 0 || i >= len(m.list):
		return nil, nil, fmt.Errorf("postgres: there is no message %d", i)
	case m.gone[i]:
		return nil, nil, mailstore.ErrGone
	}
	r = &reader{ctx: ctx, s: m.s, body: m.list[i].body, left: m.list[i].size}
	var data []byte
	var object pgtype.UUID
	err = m.s.reading(ctx, func(ctx context.Context) error {
		return m.s.pool.QueryRow(ctx, m.s.in(`select top, data, chunks, octets, object, hashes from $.body where id = $1`), r.body).Scan(&r.piece, &data, &r.chunks, &octets, &object, &r.hashes)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, mailstore.ErrGone
	}
	if err != nil {
		return nil, nil, unavailable("open message", err)
	}
	r.piece = append(r.piece, data...)
	if object.Valid {
		r.object, r.chunks = object.Bytes, len(r.hashes)/sha256.Size
	}
	return r, octets, nil
}

// reader streams one message.
type reader struct {
	ctx    context.Context
	s      *Store
	body   database.ID
	piece  []byte // read and not yet given out
	next   int    // chunk
	chunks int
	hashes []byte // of chunks that are outside of the database, under
	object objectID
	ahead  []byte // the first of them, if Check has read it
	left   int64  // octets that are still to come
	failed error
}

// Read implements io.Reader. A message that ends too early is an error, never a short message.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.piece) == 0 {
		switch {
		case r.failed != nil:
			return 0, r.failed
		case r.next < r.chunks:
			r.piece, r.failed = r.chunk()
			r.next++
		case r.left != 0:
			r.failed = fmt.Errorf("postgres: message %v: %d octets are missing: %w", r.body, r.left, io.ErrUnexpectedEOF)
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	if r.left -= int64(n); r.left < 0 {
		r.failed = fmt.Errorf("postgres: message %v has more octets than its size", r.body)
		return 0, r.failed
	}
	return n, nil
}

func (r *reader) chunk() (data []byte, err error) {
	if data = r.ahead; data != nil {
		r.ahead = nil
		return data, nil
	}
	if len(r.hashes) > 0 {
		return r.outside()
	}
	if r.s.closed.Load() {
		return nil, mailstore.ErrClosed
	}
	data, err = r.s.pieces.Read(r.ctx, r.body, r.next)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("postgres: message %v: piece %d of %d is not there: %w", r.body, r.next, r.chunks, mailstore.ErrGone)
	}
	return data, unavailable("read message", err)
}

// outside reads a piece that is not in the database. It may have been removed with its message, by who has the maildrop since; else
// that it is not to be had as it was stored is loud.
func (r *reader) outside() ([]byte, error) {
	data, err := r.s.piece(r.ctx, r.object, r.next, r.hashes[r.next*sha256.Size:][:sha256.Size])
	if err == nil || r.ctx.Err() != nil {
		return data, err
	}
	if r.body == (database.ID{}) { // read again on its way in: nobody has removed it
		r.s.objects.trouble(r.s.log, err)
		return nil, unavailable("write message", err)
	}
	var there bool
	asked := r.s.reading(r.ctx, func(ctx context.Context) error {
		return r.s.pool.QueryRow(ctx, r.s.in(`select exists(select from $.body where id = $1)`), r.body).Scan(&there)
	})
	if asked == nil && !there {
		return nil, fmt.Errorf("postgres: message %v: %w", r.body, mailstore.ErrGone)
	}
	r.s.log.Error("a large message cannot be read", "text", r.body.String(), "err", err)
	return nil, unavailable("read message", err)
}

// Check finds out whether what is outside of the database can be had, before any of the message is given out (pop3.Whole). It reads the
// first piece, once: that storage is away, or has lost the message, is an answer then and no connection that breaks.
func (r *reader) Check(context.Context) error {
	if len(r.hashes) == 0 || r.next > 0 || r.failed != nil {
		return nil
	}
	r.ahead, r.failed = r.outside()
	return r.failed
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.piece, r.ahead, r.failed = nil, nil, errClosed
	return nil
}

// numbers are the uids of those messages that are not gone in this session, each once and in order.
func (m *maildrop) numbers(is []int) ([]int64, error) {
	if m.closed.Load() {
		if m.s.closed.Load() {
			return nil, mailstore.ErrClosed
		}
		return nil, errClosed
	}
	if m.s.closed.Load() {
		return nil, mailstore.ErrClosed
	}
	var uids []int64
	for _, i := range is {
		if i < 0 || i >= len(m.list) {
			return nil, fmt.Errorf("postgres: there is no message %d", i)
		}
		if !m.gone[i] {
			uids = append(uids, m.list[i].uid)
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// removal deletes messages of the maildrop, or all that the mailbox has if none are named, and the texts that no other mailbox has. Rows of texts are locked in one order, so that two who
// remove the same messages from two mailboxes cannot wait for each other.
const removal = `with gone as (delete from $.msg where box = $1 and (folder = 0 and uid = any($2) or $2 is null) returning body),
	of as (select body, count(*)::int n from gone group by body),
	held as (select b.id, b.refs, of.n from $.body b join of on of.body = b.id order by b.id for update of b),
	less as (update $.body b set refs = b.refs - held.n from held where b.id = held.id and held.refs > held.n),
	last as (delete from $.body b using held where b.id = held.id and held.refs <= held.n returning b.id, b.chunks)
	delete from $.chunk c using last where c.body = last.id and last.chunks > 0`

// Remove implements mailstore.Maildrop.
func (m *maildrop) Remove(ctx context.Context, is []int) error {
	uids, err := m.numbers(is)
	if err != nil || len(uids) == 0 {
		return err
	}
	err = m.s.fenced(ctx, m.lock, func(tx pgx.Tx) error {
		if err := m.lockBox(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, m.s.in(removal), m.lock.box, uids)
		return err
	})
	if err == nil {
		m.forget(is)
	}
	return err
}

// lockBox locks the mailbox's own row before anything that stands in it, as deliveries do.
func (m *maildrop) lockBox(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, m.s.in(`select from $.box where id = $1 for update`), m.lock.box)
	return err
}

func (m *maildrop) forget(is []int) {
	for _, i := range is {
		m.gone[i] = true
	}
}

// Close implements mailstore.Maildrop. A lock that could not be given free ends by itself.
func (m *maildrop) Close() error {
	if m.closed.Swap(true) || m.s.closed.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.s.timeout)
	defer cancel()
	return unavailable("unlock maildrop", m.s.release(ctx, m.lock))
}
