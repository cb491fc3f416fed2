package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postrider-mail/postrider/mailstore/database"
)

// Objects keeps pieces of large messages outside of the database: a bucket, say (mailstore/s3). It is safe for concurrent use.
type Objects interface {
	// Put stores an object under a key that was never used before, and returns nil once it will not be lost any more. After an
	// error it may be there, then or later.
	Put(ctx context.Context, key string, data []byte) error
	// Get returns an object of at most so many octets, and fs.ErrNotExist if there is none.
	Get(ctx context.Context, key string, most int) ([]byte, error)
	// Delete removes an object, and returns nil if there is none any more.
	Delete(ctx context.Context, key string) error
	// List are the keys that begin so, of all objects that were stored before it was called.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}

const (
	headSize   = 16 << 10  // octets of a large message that stay in its row: its header, and TOP, ask nobody else
	largePiece = 1 << 20   // octets of a piece, which are in memory while it is made
	smallPiece = 128 << 10 // of one while largeAtOnce messages with larger ones are on their way in
	// largeAtOnce bounds the memory that strangers can have us use.
	largeAtOnce = 32

	// triesOfSweep is how many texts in a row cannot be removed until a sweep leaves the others to the next: one that nobody can remove
	// does not keep those behind it, and storage that is away is not asked about each.
	triesOfSweep = 3

	leastAbove, mostAbove = mostInRow, 1 << 20

	// onItsWay is for how long nobody takes the pieces of a message for unused of which nothing is heard, and renewAfter when it is
	// heard of again. A piece is written within the store's time-out, which is far less than what is between them.
	onItsWay   = 24 * time.Hour
	renewAfter = 6 * time.Hour
)

// objects are those of a store.
type objects struct {
	Objects
	above  int
	keep   time.Duration
	prefix string        // of all keys
	large  chan struct{} // who makes large pieces

	mu   sync.Mutex
	told time.Time // when there was trouble last that the log has
}

// key is that of a piece.
func (o *objects) key(id objectID, n int) string { return fmt.Sprintf("%s%d", o.of(id), n) }

// of is what the keys of all pieces begin with.
func (o *objects) of(id objectID) string { return o.prefix + id.String() + "/" }

// trouble says so loudly, but not for each message.
func (o *objects) trouble(log *slog.Logger, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.told) < time.Minute || errors.Is(err, context.Canceled) {
		return
	}
	o.told = time.Now()
	log.Error("the storage of large messages fails: these are neither taken nor given out, others are", "err", err)
}

// tryObjects says so early where storage is not to be had. Nothing else waits for it.
func (s *Store) tryObjects() {
	ctx, cancel := context.WithTimeout(s.ends, s.timeout)
	defer cancel()
	for _, err := range s.objects.List(ctx, s.objects.prefix) {
		if err != nil && s.ends.Err() == nil {
			s.objects.trouble(s.log, err)
		}
		return
	}
}

// objectID names what one message has outside. It tells nothing, and is not made of what a client gets to know.
type objectID [16]byte

func (id objectID) String() string { return hex.EncodeToString(id[:]) }

// outside is what a message on its way has outside of the database, or will have if it becomes large.
type outside struct {
	s       *Store
	id      objectID
	begun   bool // it is large
	head    []byte
	buf     []byte
	size    int   // of its pieces
	octets  int64 // all that was written
	hashes  []byte
	ended   bool
	doubt   bool      // a piece may be there of which nothing was heard
	renewed time.Time // when the database was told last
}

// write takes the next octets.
func (o *outside) write(ctx context.Context, p []byte) error {
	o.octets += int64(len(p))
	if !o.begun {
		n := min(len(p), o.s.objects.above-len(o.buf))
		o.buf = append(o.buf, p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return nil
		}
		if err := o.begin(ctx); err != nil {
			return err
		}
	}
	for {
		n := min(len(p), o.size-len(o.buf))
		o.buf = append(o.buf, p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return nil
		}
		if err := o.put(ctx, o.buf); err != nil {
			return err
		}
		o.buf = o.buf[:0]
	}
}

// begin makes a message one with pieces outside. The row comes first, so that whatever happens somebody knows of the pieces.
func (o *outside) begin(ctx context.Context) error {
	rand.Read(o.id[:]) // never fails
	if err := o.expect(ctx, `insert into $.object (id, until) values ($1, clock_timestamp() + $2::interval) on conflict (id) do update set until = excluded.until where object.dead is null`); err != nil {
		return err
	}
	o.begun, o.size = true, smallPiece
	select {
	case o.s.objects.large <- struct{}{}:
		o.size = largePiece
	default:
	}
	o.head = slices.Clone(o.buf[:headSize])
	rest := o.buf[headSize:]
	o.buf = make([]byte, 0, o.size)
	for len(rest) > o.size {
		if err := o.put(ctx, rest[:o.size]); err != nil {
			return err
		}
		rest = rest[o.size:]
	}
	o.buf = append(o.buf, rest...)
	return nil
}

// expect tells the database that pieces are to be expected, for onItsWay from now on.
func (o *outside) expect(ctx context.Context, statement string) error {
	now := time.Now()
	err := o.s.reading(ctx, func(ctx context.Context) error { // it does no harm to say it twice
		tag, err := o.s.pool.Exec(ctx, o.s.in(statement), o.id, onItsWay)
		if err == nil && tag.RowsAffected() == 0 {
			err = errUnused
		}
		return err
	})
	if err != nil {
		return unavailable("write message", err)
	}
	o.renewed = now
	return nil
}

// errUnused: it took so long that the pieces of a message were taken for what somebody left.
var errUnused = errors.New("its pieces outside of the database were taken for unused")

// put stores a piece and returns when it will not be lost any more.
func (o *outside) put(ctx context.Context, data []byte) error {
	if time.Since(o.renewed) > renewAfter {
		if err := o.expect(ctx, `update $.object set until = clock_timestamp() + $2::interval where id = $1 and dead is null`); err != nil {
			return err
		}
	}
	within, cancel, err := o.s.within(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err := o.s.objects.Put(within, o.s.objects.key(o.id, len(o.hashes)/sha256.Size), data); err != nil {
		o.doubt = true
		if ctx.Err() == nil {
			o.s.objects.trouble(o.s.log, err)
		}
		return unavailable("write message", err)
	}
	sum := sha256.Sum256(data)
	o.hashes = append(o.hashes, sum[:]...)
	return nil
}

// end stores what is left, and puts into the database what belongs there: all of the text, or its beginning. What is committed again,
// as somebody cannot take it, has ended already.
func (o *outside) end(ctx context.Context, text *database.Text) error {
	if o.ended {
		return nil
	}
	o.ended = true
	defer o.leave()
	inside := o.buf
	if o.begun {
		if err := o.put(ctx, o.buf); err != nil {
			return err
		}
		inside = o.head
	}
	_, err := o.s.pieces.Write(ctx, text, inside)
	text.Octets = o.octets
	return err
}

// name makes its pieces what is named, in a transaction that stores a message: see sweepObjects.
func (o *outside) name(ctx context.Context, tx pgx.Tx) error {
	id := o.uuid()
	if !id.Valid {
		return nil
	}
	tag, err := tx.Exec(ctx, o.s.in(nameObjects+` and until < 'infinity' and dead is null`), [][16]byte{o.id})
	if err == nil && tag.RowsAffected() == 0 {
		err = errUnused
	}
	return err
}

// reread reads what was written so far, before its end.
func (o *outside) reread(ctx context.Context) io.ReadCloser {
	r := &reader{ctx: ctx, s: o.s, object: o.id, piece: slices.Clone(o.head), hashes: o.hashes, chunks: len(o.hashes) / sha256.Size, left: o.octets}
	return &rereader{reader: r, rest: slices.Clone(o.buf)}
}

// leave gives free what the message holds while it is on its way.
func (o *outside) leave() {
	if o.size == largePiece {
		<-o.s.objects.large
	}
	o.buf, o.size = nil, 0
}

// drop removes the pieces of a message that was given up: nobody can commit it any more. Where it does not succeed, or something may
// still be on its way, the row stays, and Sweep comes to it in its time.
func (o *outside) drop() {
	o.leave()
	if !o.begun || o.s.closed.Load() {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(o.s.ends, o.s.timeout)
		defer cancel()
		for n := range len(o.hashes) / sha256.Size {
			if err := o.s.objects.Delete(ctx, o.s.objects.key(o.id, n)); err != nil {
				o.s.log.Info("pieces of a message that was given up stay for now", "text", o.id.String(), "err", err)
				return
			}
		}
		if o.doubt {
			return
		}
		if _, err := o.s.relaxed(ctx, `delete from $.object where id = $1 and until < 'infinity'`, o.id); err != nil {
			o.s.log.Info("pieces of a message that was given up stay for now", "text", o.id.String(), "err", err)
		}
	}()
}

// uuid is what the database has for it: null where nothing is outside.
func (o *outside) uuid() pgtype.UUID {
	if o == nil || !o.begun {
		return pgtype.UUID{}
	}
	return pgtype.UUID{Bytes: o.id, Valid: true}
}

// sums are the hashes of its pieces.
func (o *outside) sums() []byte {
	if o == nil {
		return []byte{}
	}
	return orEmpty(o.hashes)
}

// missObjects refuses messages whose pieces outside somebody has taken for unused meanwhile. It locks the rows of the others: nobody
// takes them for that any more until the transaction is over, and afterwards they are named.
func (s *Store) missObjects(ctx context.Context, conn *pgxpool.Conn, group []*commit) error {
	var large [][16]byte
	for _, c := range group {
		if id := c.d.out.uuid(); !c.answered && id.Valid {
			large = append(large, id.Bytes)
		}
	}
	if len(large) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, s.in(`select id from $.object where id = any($1) and until < 'infinity' and dead is null order by id for update`), large)
	if err != nil {
		return err
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return err
	}
	for _, c := range group {
		if id := c.d.out.uuid(); !c.answered && id.Valid && !slices.Contains(there, id.Bytes) {
			c.answer(unavailable("store message", errUnused))
		}
	}
	return nil
}

// nameObjects makes the pieces of messages what is named, together with the rows that name them.
const nameObjects = `update $.object set until = 'infinity' where id = any($1)`

// piece reads a piece and compares it with what was stored. Nothing of it is given out before.
func (s *Store) piece(ctx context.Context, id objectID, n int, sum []byte) ([]byte, error) {
	if s.objects == nil {
		return nil, errElsewhere // another has begun with it
	}
	var err error
	for range 2 { // what went wrong on the way may not again
		var data []byte
		within, cancel, closed := s.within(ctx)
		if closed != nil {
			return nil, closed
		}
		data, err = s.objects.Get(within, s.objects.key(id, n), largePiece)
		cancel()
		if is := sha256.Sum256(data); err == nil && string(is[:]) == string(sum) {
			return data, nil
		} else if err == nil {
			err = fmt.Errorf("it is not what was stored (%d octets)", len(data))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("it is not there")
	}
	return nil, fmt.Errorf("object %s: %w", s.objects.key(id, n), err)
}

// sweepObjects removes what no message names. That a message in the store or on its way never loses its pieces:
//
//  1. A row stands before the first piece is written, and its end (until) is put off while pieces are being written. Only rows whose
//     end is over are declared dead; rows that a transaction has locked, which may be the commit of their message, are passed over, also
//     where that commit's outcome is in doubt to whoever sent it: the database knows whether the transaction still runs.
//  2. A commit locks the row, refuses the message if it is dead, and else sets the end to infinity in the transaction that stores the
//     message. Both change one row, so one comes first: either it is named and never dead by its end, or it is dead and never named.
//  3. A row of a stored message is declared dead by the transaction that deletes the last message that names it, and by nothing else.
//     No message names it ever again, for its id goes with its one delivery.
//  4. So nothing makes a dead row alive but the loss of the transaction that declared it dead, in a failover. Pieces are therefore
//     removed only after something was written and confirmed after the row was seen dead (Proven), and keep after it died: a
//     database that is restored to a moment not longer ago than that finds all it names.
//  5. The row goes after its pieces. Who is at it at the same time does the same, and a server that dies in between leaves the
//     row to the next.
//
// A request to write that arrives so late (a day after its sender gave it up) leaves an object without a row, which costs room and
// nothing else; VerifyObjects finds it.
func (s *Store) sweepObjects(ctx context.Context) (swept int64, err error) {
	if s.objects == nil {
		return 0, nil
	}
	if _, err := s.relaxed(ctx, `update $.object set dead = clock_timestamp() where id in (select id from $.object where until < clock_timestamp() and dead is null for update skip locked)`); err != nil {
		return 0, unavailable("sweep", err)
	}
	var failed error // the last of those that failed, which the next hour finds again
	for after, inRow := (objectID{}), 0; ; {
		dead, err := s.deadObjects(ctx, after)
		if err != nil || len(dead) == 0 {
			return swept, unavailable("sweep", errors.Join(failed, err))
		}
		var gone [][16]byte
		for _, id := range dead {
			after = id
			if err := s.deleteObject(ctx, id); err != nil {
				if failed = err; ctx.Err() == nil { // else it had more to do than time, which the next hour has again
					s.objects.trouble(s.log, err)
				}
				if inRow++; inRow == triesOfSweep {
					break
				}
				continue
			}
			inRow = 0
			gone = append(gone, id)
		}
		tag, err := s.relaxed(ctx, `delete from $.object where id = any($1) and dead is not null`, gone)
		swept += tag.RowsAffected()
		if err != nil || inRow == triesOfSweep {
			return swept, unavailable("sweep", errors.Join(failed, err))
		}
	}
}

// deadObjects are the next of those that are dead for long enough, and stay so.
func (s *Store) deadObjects(ctx context.Context, after objectID) (dead []objectID, err error) {
	within, cancel, err := s.within(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	err = s.db.Proven(within, barrier, func(tx pgx.Tx) error {
		rows, err := tx.Query(within, s.in(`select id from $.object where dead < clock_timestamp() - $1::interval and id > $2 order by id limit 1000`), s.objects.keep, after)
		if err == nil {
			dead, err = pgx.CollectRows(rows, pgx.RowTo[objectID])
		}
		return err
	})
	return dead, err
}

// deleteObject deletes all pieces that there are.
func (s *Store) deleteObject(ctx context.Context, id objectID) error {
	var keys []string
	for key, err := range s.objects.List(ctx, s.objects.of(id)) {
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		within, cancel, err := s.within(ctx)
		if err != nil {
			return err
		}
		err = s.objects.Delete(within, key)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// errElsewhere: who opens the store could give out no large message.
var errElsewhere = errors.New("large messages of this database are outside of it, and it is not said where")

// nameKeys learns what the keys of the store begin with.
func (s *Store) nameKeys(ctx context.Context, tx pgx.Tx) error {
	if s.objects == nil {
		var there bool
		err := tx.QueryRow(ctx, s.in(`select exists(select from $.object where until = 'infinity' and dead is null)`)).Scan(&there)
		if there {
			err = errElsewhere
		}
		return err
	}
	var id objectID
	err := tx.QueryRow(ctx, s.in(`select objects from $.store`)).Scan(&id)
	s.objects.prefix = id.String() + "/"
	return err
}
