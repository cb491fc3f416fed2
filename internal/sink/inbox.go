package sink

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
)

// Sorting says what makes an inbox.
type Sorting struct {
	By    By
	Field string // of ByField
}

// By is what a message is sorted into inboxes by.
type By int

// What messages are sorted by.
const (
	ByRecipient By = iota // the addresses of its envelope
	ByLogin               // the user that sent it
	ByField               // the values of a header field
)

// ParseSorting reads "recipient", "login" or "header:NAME".
func ParseSorting(s string) (Sorting, error) {
	switch name, ok := strings.CutPrefix(s, "header:"); {
	case s == "recipient":
		return Sorting{By: ByRecipient}, nil
	case s == "login":
		return Sorting{By: ByLogin}, nil
	case ok:
		if _, err := rfc2822.NewField(name, "x"); err != nil {
			return Sorting{}, fmt.Errorf("header:%s: %w", name, err)
		}
		return Sorting{By: ByField, Field: name}, nil
	}
	return Sorting{}, fmt.Errorf("%q is none of recipient, login, header:NAME", s)
}

// Made is an inbox that a test has made for itself: what is sent to its address or with
// its login is in it, and it is there while it is empty.
type Made struct {
	Name     string // also the login
	Address  string
	Password string
	Created  time.Time
}

// ErrTaken says that an inbox of this name is there already.
var ErrTaken = errors.New("an inbox of this name is there already")

// ErrBadName refuses a name that no address could have.
var ErrBadName = errors.New("a name has letters, digits and \"-_.\" only, and at most 64 of them")

// ErrTooMany refuses another inbox.
var ErrTooMany = errors.New("there are too many inboxes that nobody has thrown away")

// mostMade bounds the inboxes that tests make and forget.
const mostMade = 100_000

// madeDomain is where the addresses of made inboxes are. Nobody can own it
// (RFC 6761 §6.2).
const madeDomain = "sink.test"

// Make makes an inbox; name "" means any.
func (b *Box) Make(name string) (Made, error) {
	switch {
	case name == "":
		name = strings.ToLower(rand.Text()[:16])
	case !goodName(name):
		return Made{}, ErrBadName
	}
	m := &Made{Name: strings.ToLower(name), Password: rand.Text(), Created: time.Now().UTC()}
	m.Address = m.Name + "@" + madeDomain
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.made[m.Name] != nil:
		return Made{}, ErrTaken
	case len(b.made) >= mostMade:
		return Made{}, ErrTooMany
	}
	b.made[m.Name] = m
	if err := b.keep.noteMade(b.made); err != nil {
		delete(b.made, m.Name)
		return Made{}, err
	}
	return *m, nil
}

func goodName(name string) bool {
	return len(name) <= 64 && strings.Trim(name, ".") == name && !strings.Contains(name, "..") && strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}) < 0
}

// Discard throws an inbox away, with what only it holds. ErrNotFound says that there is
// none.
func (b *Box) Discard(name string) error {
	name = b.name(name)
	b.mu.Lock()
	if b.made[name] == nil && b.inboxes[name] == nil {
		b.mu.Unlock()
		return ErrNotFound
	}
	delete(b.made, name)
	kept := b.keep.noteMade(b.made)
	return errors.Join(kept, b.deleteThese(name, slices.Clone(b.inboxes[name])))
}

// Inbox is what a list of inboxes shows.
type Inbox struct {
	Name     string
	Address  string // "" where a login or a field makes it
	Messages int
	Unread   int
	Made     bool
	Last     time.Time // when the newest message came
}

// Inboxes lists them by name.
func (b *Box) Inboxes() []Inbox {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := make([]Inbox, 0, len(b.inboxes)+len(b.made))
	for name := range b.inboxes {
		list = append(list, b.inbox(name))
	}
	for name := range b.made {
		if b.inboxes[name] == nil {
			list = append(list, b.inbox(name))
		}
	}
	slices.SortFunc(list, func(x, y Inbox) int { return strings.Compare(x.Name, y.Name) })
	return list
}

func (b *Box) inbox(name string) Inbox {
	in := Inbox{Name: name, Messages: len(b.inboxes[name])}
	for _, m := range b.inboxes[name] {
		if !m.Read {
			in.Unread++
		}
		in.Last = m.Received
	}
	if made := b.made[name]; made != nil {
		in.Made, in.Address = true, made.Address
	} else if b.by.By == ByRecipient {
		in.Address = name
	}
	return in
}

// Name is the inbox that a person or program means by a name or an address.
func (b *Box) Name(name string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.name(name)
}

func (b *Box) name(name string) string {
	name = inboxName(name)
	if local, ok := strings.CutSuffix(name, "@"+madeDomain); ok && b.made[local] != nil {
		return local
	}
	return name
}

// inboxName is a name in the form that is compared. What a path would not take for a name is one in
// quotes: "." and "..", and "-", which is all messages.
func inboxName(s string) string {
	switch s {
	case "-", ".", "..":
		return `"` + s + `"`
	}
	return string(domains.CanonicalAddress(s))
}

// Login reports whether the password opens the inbox by POP3: that of a made one, and
// any other where nobody made it.
func (b *Box) Login(name, password string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m := b.made[b.name(name)]
	return m == nil || subtle.ConstantTimeCompare([]byte(m.Password), []byte(password)) == 1
}

// sort is which inboxes a message goes into.
func (b *Box) sort(m *Message, raw []byte) (names []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, to := range m.Envelope.To {
		if name := b.name(to); b.by.By == ByRecipient || b.made[name] != nil {
			add(name)
		}
	}
	if user := b.name(m.User); b.by.By == ByLogin || b.made[user] != nil {
		add(user)
	}
	if b.by.By == ByField {
		for _, value := range fieldValues(raw, b.by.Field) {
			add(inboxName(value))
		}
	}
	return names
}

// mostNames bounds the inboxes that one message's header can name, and mostName
// the octets of such a name.
const (
	mostNames = 100
	mostName  = 256
)

func fieldValues(raw []byte, name string) (values []string) {
	read, err := rfc2822.ReadString(string(raw))
	if err != nil {
		return nil
	}
	for _, f := range read.Header.Named(name) {
		if v := strings.TrimSpace(f.Text()); len(v) <= mostName && len(values) < mostNames {
			values = append(values, strings.Clone(v))
		}
	}
	return values
}
