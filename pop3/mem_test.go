package pop3_test

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// memory is a Backend of mailboxes in memory, with faults to order.
type memory struct {
	mu     sync.Mutex
	boxes  map[string][]message
	locked map[string]bool
	seen   []string // unique ids of what Retrieved was told

	openErr      error  // what Open returns
	removeErr    error  // what Remove returns
	breakAfter   int    // octets after which reading a message fails; 0: never
	breakErr     error  // how
	knowsNothing bool   // drops are plain: not Internationalized, not Retriever
	panicAt      string // open, read, remove, close, uid
	oddUID       string // the unique id of the first message
	policy       *pop3.Policy
	onClose      func()
	pieces       func(io.Reader) io.Reader // how a message is read; nil: as it comes
}

type message struct{ uid, text string }

var errDisk = errors.New("the disk sighs")

func newMemory() *memory {
	return &memory{boxes: make(map[string][]message), locked: make(map[string]bool)}
}

// deliver puts messages into a mailbox; their unique ids count on.
func (m *memory) deliver(user string, texts ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, text := range texts {
		m.boxes[user] = append(m.boxes[user], message{fmt.Sprintf("uid-%d", len(m.boxes[user])+1), text})
	}
}

func (m *memory) uids(user string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for _, msg := range m.boxes[user] {
		ids = append(ids, msg.uid)
	}
	return strings.Join(ids, " ")
}

func (m *memory) isLocked(user string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.locked[user]
}

// Open implements pop3.Backend.
func (m *memory) Open(_ context.Context, s *pop3.Session, account string) (pop3.Drop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.panicAt == "open":
		panic("at open")
	case m.openErr != nil:
		return nil, m.openErr
	case s.User != account:
		return nil, fmt.Errorf("session says %q, account is %q", s.User, account)
	case m.locked[account]:
		return nil, fmt.Errorf("opening %s: %w", account, pop3.ErrInUse)
	}
	m.locked[account] = true
	d := &drop{m: m, user: account, list: append([]message(nil), m.boxes[account]...)}
	switch {
	case m.policy != nil:
		return ownPolicy{d, *m.policy}, nil
	case m.breakAfter == 0 && m.panicAt == "" && !m.knowsNothing:
		return noticing{d}, nil
	}
	return d, nil
}

type drop struct {
	m    *memory
	user string
	list []message
}

func (d *drop) Len() int         { return len(d.list) }
func (d *drop) Size(i int) int64 { return int64(len(d.list[i].text)) }

func (d *drop) UID(i int) string {
	if i == 0 && d.m.oddUID != "" {
		return d.m.oddUID
	}
	return d.list[i].uid
}

func (d *drop) Open(_ context.Context, i int) (io.ReadCloser, error) {
	if d.list[i].text == "gone" {
		return nil, errDisk
	}
	var r io.Reader = strings.NewReader(d.list[i].text)
	if d.m.pieces != nil {
		r = d.m.pieces(r)
	}
	if n := d.m.breakAfter; n > 0 {
		r = io.MultiReader(io.LimitReader(r, int64(n)), failing{d.m.breakErr})
	}
	if d.m.panicAt == "read" {
		r = failing{nil}
	}
	return io.NopCloser(r), nil
}

// failing fails, or panics if it has no error to fail with.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		panic("at read")
	}
	return 0, f.err
}

func (d *drop) Remove(_ context.Context, is []int) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if d.m.panicAt == "remove" {
		panic("at remove")
	}
	if d.m.removeErr != nil {
		return d.m.removeErr
	}
	gone := make(map[string]bool)
	for _, i := range is {
		gone[d.list[i].uid] = true
	}
	var left []message
	for _, msg := range d.m.boxes[d.user] {
		if !gone[msg.uid] {
			left = append(left, msg)
		}
	}
	d.m.boxes[d.user] = left
	return nil
}

func (d *drop) Close() error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if !d.m.locked[d.user] {
		panic("closed twice")
	}
	d.m.locked[d.user] = false
	if d.m.onClose != nil {
		d.m.onClose()
	}
	if d.m.panicAt == "close" {
		panic("at close")
	}
	return nil
}

// noticing is a drop with the optional methods.
type noticing struct{ *drop }

func (d noticing) Retrieved(_ context.Context, is []int) error {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	for _, i := range is {
		d.m.seen = append(d.m.seen, d.list[i].uid)
	}
	return nil
}

func (d noticing) UTF8(_ context.Context, i int) bool {
	return strings.HasPrefix(d.list[i].text, "Subject: é")
}

type ownPolicy struct {
	*drop
	p pop3.Policy
}

func (d ownPolicy) Policy() pop3.Policy { return d.p }

// book is a Credentials of one password per account.
type book struct {
	passwords map[string]string
	decoy     *sasl.Decoy
	err       error // what everything fails with
	panics    bool
}

func newBook() *book {
	return &book{
		passwords: map[string]string{"alice": "open  sesame ", "bob": "sesame", "jürgen": "sésame"},
		decoy:     sasl.NewDecoy([]byte("0123456789abcdef")),
	}
}

func (b *book) Offers(sasl.Kind) bool { return true }

func (b *book) Verify(_ context.Context, authzid, user string, password []byte) (string, error) {
	if b.panics {
		panic("at verify")
	}
	if b.err != nil {
		return "", b.err
	}
	if p, ok := b.passwords[user]; ok && subtle.ConstantTimeCompare([]byte(p), password) == 1 {
		return user, nil
	}
	return "", sasl.ErrDenied
}

func (b *book) Secret(_ context.Context, kind sasl.Kind, user string) (sasl.Secret, string, error) {
	password, ok := b.passwords[user]
	switch {
	case b.err != nil:
		return sasl.Secret{}, "", b.err
	case !ok:
		return b.decoy.Secret(kind, user), "", nil
	case kind == sasl.CRAMMD5:
		return sasl.Secret{CRAM: sasl.MakeCRAM([]byte(password))}, user, nil
	case kind == sasl.APOP:
		return sasl.Secret{APOP: []byte(password)}, user, nil
	}
	keys, err := sasl.MakeScram(kind, []byte(password), 4096)
	return sasl.Secret{SCRAM: keys}, user, err
}

// The messages of the standard mailbox.
const (
	mailOne   = "Subject: one\r\n\r\nHello.\r\n"
	mailDots  = "Subject: dots\r\n\r\n.\r\n..\r\n.dot\r\nend\r\n"
	mailThree = "Subject: three\r\nTo: you\r\n\r\n1\r\n2\r\n3\r\n"
)

// mailOf makes a message of exactly n octets, at least 5, without a header.
func mailOf(n int) string {
	var b strings.Builder
	b.WriteString("\r\n")
	for left := n - 2; left > 0; left = n - b.Len() {
		line := min(left, 72)
		if left == 73 {
			line = 71 // one octet could not be a line
		}
		b.WriteString(strings.Repeat("x", line-2) + "\r\n")
	}
	return b.String()
}
