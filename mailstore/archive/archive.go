// Package archive moves mail between a mail store and files: Maildirs, mbox
// files in their four flavours, and single messages (.eml). Messages are
// streamed one after the other, so memory does not depend on how many or how
// large they are, except for a few octets per message to tell which are there
// already.
//
// # Resuming
//
// Every message has a unique id: its own where the source has one (a Maildir, an
// mbox of a server, see [UIDL]), one computed from its header where it has none. A
// message whose id is in the mailbox already, and which begins as the one that has it
// there, is passed over, so an import that was interrupted is simply started again.
// Another message with that id gets a computed one.
//
// # What is kept
//
// The octets, line ends taken as CRLF on the wire; unique ids; the time of
// arrival; flags, from an mbox as well. An mbox file that is written cannot hold
// everything: see [MboxWriter].
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/mailstore"
)

// Message is one message of a source.
type Message struct {
	Name     string // where it came from, for messages to people
	UID      string // unique id, "" if the source has none
	Flags    string // Maildir info letters
	Received time.Time
	// Body streams the message until the next call of Source.Next. Line ends
	// may be LF or CRLF.
	Body io.Reader
	// Exact: the octets are as on the wire; line ends are left alone.
	Exact bool
	Size  int64 // octets if known, for quotas and progress

	start []byte // what was read of the body already, see head
}

// Source yields messages. Next returns io.EOF after the last, and a *MessageError
// for one that cannot be read, or where something is in doubt (ErrDoubtful); the next
// call goes on behind it.
type Source interface {
	Next() (*Message, error)
	Close() error
}

// MessageError: one message cannot be read, the others can.
type MessageError struct {
	Name string // where it is, as in Message.Name
	Err  error
}

// Error implements error.
func (e *MessageError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *MessageError) Unwrap() error { return e.Err }

// Stats counts what was done.
type Stats struct {
	Done    int64 // messages copied
	Skipped int64 // messages that were there already
	Failed  int64 // messages that could not be read or stored
	Doubts  int64 // places where nobody can tell; see ErrDoubtful
	Octets  int64 // of those copied
}

// Options of Import. The zero value works.
type Options struct {
	// Progress is told now and then; may be nil.
	Progress func(Stats)
	// Problem is told of each message that fails and of each doubt; the import goes
	// on. With nil the first of them ends it.
	Problem func(name string, err error)
	// Stored is told of each message once it is on stable storage, and of each that was
	// there already; may be nil. It is called by several goroutines at once.
	Stored func(m *Message)
	// Commits is how many messages may wait for the disk at once; they share
	// its syncs. 0 means 32.
	Commits int
	// MaxMessage is how large a message may be, in octets as they come; a larger one
	// fails with ErrTooLarge, and the disk does not have it. 0 means any size.
	MaxMessage int64
}

// ErrTooLarge: a message is larger than Options.MaxMessage.
var ErrTooLarge = errors.New("it is larger than messages may be here")

// bounded reads up to a number of octets, and then fails.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// Import copies every message of src into a mailbox. It returns when all of
// them are on stable storage.
func Import(ctx context.Context, dst mailstore.Store, user string, src Source, o Options) (Stats, error) {
	have, err := idsIn(ctx, dst, user)
	if err != nil {
		return Stats{}, fmt.Errorf("archive: import: %w", err)
	}
	if o.Commits <= 0 {
		o.Commits = 32
	}
	im := &importer{Options: o, ctx: ctx, dst: dst, user: user, have: have, slots: make(chan struct{}, o.Commits)}
	err = im.run(src)
	im.wg.Wait()
	if err == nil {
		err = im.err
	}
	if cerr := im.have.close(); err == nil {
		err = cerr
	}
	if o.Progress != nil {
		o.Progress(im.stats)
	}
	if err != nil {
		err = fmt.Errorf("archive: import: %w", err)
	}
	return im.stats, err
}

type importer struct {
	Options
	ctx      context.Context
	dst      mailstore.Store
	user     string
	have     *ids
	slots    chan struct{}
	wg       sync.WaitGroup
	reported time.Time

	mu    sync.Mutex
	stats Stats
	err   error
}

func (im *importer) run(src Source) error {
	for {
		if err := im.ctx.Err(); err != nil {
			return err
		}
		m, err := src.Next()
		if err == io.EOF {
			return nil
		}
		var bad *MessageError
		if errors.As(err, &bad) {
			if err := im.failed(bad.Name, bad.Err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := im.message(m); err != nil {
			return err
		}
		im.tell()
	}
}

// message copies one message; its commit goes on beside the next.
func (im *importer) message(m *Message) error {
	there, err := im.name(m)
	if err != nil {
		return im.failed(m.Name, err)
	}
	if there {
		im.mu.Lock()
		im.stats.Skipped++
		im.mu.Unlock()
		im.stored(m)
		return nil
	}
	if err := im.have.close(); err != nil {
		return im.failed(m.Name, err)
	}
	if im.MaxMessage > 0 && m.Size > im.MaxMessage {
		return im.failed(m.Name, ErrTooLarge)
	}
	body := m.Body
	if im.MaxMessage > 0 { // whatever was said of its size
		body = &bounded{body, im.MaxMessage}
	}
	d, err := im.dst.Create(im.ctx, mailstore.Meta{
		ID: m.Name, Size: m.Size, UID: m.UID, Flags: m.Flags, Received: m.Received, Exact: m.Exact}, im.user)
	if err != nil {
		return im.failed(m.Name, err)
	}
	var n int64
	if _, asOnWire := m.Body.(wire); asOnWire || m.Exact {
		n, err = io.Copy(d, body)
	} else {
		w := &crlfWriter{w: d}
		_, err = io.Copy(w, body)
		n = w.n
	}
	if err != nil {
		_ = d.Abort()
		return im.failed(m.Name, err)
	}
	im.slots <- struct{}{}
	im.wg.Go(func() {
		defer func() { <-im.slots }()
		if err := d.Commit(im.ctx, nil); err != nil {
			_ = d.Abort()
			_ = im.failed(m.Name, err)
			return
		}
		im.mu.Lock()
		im.stats.Done++
		im.stats.Octets += n
		im.mu.Unlock()
		im.stored(m)
	})
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.err
}

func (im *importer) stored(m *Message) {
	if im.Stored != nil {
		im.Stored(m)
	}
}

// failed notes a failure, or a doubt. What it returns ends the import.
func (im *importer) failed(name string, err error) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if errors.Is(err, ErrDoubtful) {
		im.stats.Doubts++
	} else {
		im.stats.Failed++
	}
	// Without a store there is no going on.
	fatal := im.Problem == nil || errors.Is(err, mailstore.ErrPoisoned) || errors.Is(err, mailstore.ErrNoSpace) ||
		errors.Is(err, mailstore.ErrReadOnly) || im.ctx.Err() != nil
	if !fatal {
		im.Problem(name, err)
		return nil
	}
	err = fmt.Errorf("%s: %w", name, err)
	if im.err == nil {
		im.err = err
	}
	return err
}

func (im *importer) tell() {
	if im.Progress == nil || time.Since(im.reported) < 200*time.Millisecond {
		return
	}
	im.reported = time.Now()
	im.mu.Lock()
	s := im.stats
	im.mu.Unlock()
	im.Progress(s)
}
