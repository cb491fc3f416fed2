package sink

import (
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

// Envelope is what was said about a message outside of it.
type Envelope struct {
	From       string    // without angle brackets; "" is the null sender
	To         []string  // accepted recipients, in the client's order
	Helo, User string    // of the session
	Client     string    // its address
	TLS        bool      // it came under TLS
	Protocol   string    // as a Received field says it: "ESMTPSA"
	Received   time.Time // when the message was complete
	Session    string    // the id of the session it came by
	Host       string    // who took it: the server's own name
}

// Person is one address as a header field shows it.
type Person struct {
	Name, Address string
}

// Message is one message with what lists and searches need of it. Once it is in a Box, nothing that it
// refers to changes: Inboxes and Tags are replaced as a whole, so that a copy stays as it was.
type Message struct {
	ID string // as in the reply to DATA: 22 letters and digits
	Envelope

	Subject     string
	MessageID   string // without angle brackets
	Author      Person // the first of From
	To, Cc, Bcc []Person
	ReplyTo     []Person
	Date        time.Time // of the Date field, in its zone; zero if there is none that can be read
	Size        int64     // octets, as sent
	Attachments int
	Inline      int
	Snippet     string // how the text begins
	Defects     []string
	Inboxes     []string // those it was put into
	Read        bool
	Tags        []string
	serial      uint64 // grows with each message
	given       bool   // the Message-ID is ours
	searched    searched
	cost        int64  // what it counts for in Limits.Octets
	raw         []byte // nil where it is in a folder
}

// searched are the texts that a search looks through, in one case. They are pieces of one string, so that a word that
// may stand in any of them is looked for once.
type searched struct {
	all                                                  string
	from, to, cc, bcc, replyTo, subject, messageID, text string // messageID is not in all
	sketch                                               sketch // of all
}

// searchedOf puts texts together, in the order of the fields, each but the first behind a NUL that no word has.
func searchedOf(messageID string, texts ...string) (s searched) {
	s.all, s.messageID = folded(strings.Join(texts, "\x00")), folded(messageID)
	s.sketch = sketchOf(s.all)
	rest := s.all
	for _, field := range []*string{&s.from, &s.to, &s.cc, &s.bcc, &s.replyTo, &s.subject} {
		*field, rest, _ = strings.Cut(rest, "\x00")
	}
	s.text = rest
	return s
}

func (s *searched) size() int { return len(s.all) + len(s.messageID) + len(s.sketch)*8 }

// mostText bounds what is kept of a message for searches, and mostShown the
// beginning that a list shows, both in octets.
const (
	mostText  = 1 << 20
	mostShown = 200
)

// newMessage reads raw as far as it can be read. What is wrong with it is a defect
// with its name, never an error.
func newMessage(id string, e Envelope, raw []byte) *Message {
	m := &Message{ID: id, Envelope: e, Size: int64(len(raw)), raw: raw}
	read, err := rfc2822.ReadString(string(raw))
	if err != nil {
		m.Defects = append(m.Defects, err.Error())
		return m
	}
	h := &read.Header
	m.Subject, m.MessageID = strings.Clone(h.Text("Subject")), strings.Clone(strings.Trim(read.MessageID(), "<>"))
	if m.MessageID == "" {
		m.MessageID, m.given = id+"@"+e.Host, true
	}
	if from := people(h, "From"); len(from) > 0 {
		m.Author = from[0]
	} else {
		// What is no address is shown as it stands there.
		m.Author.Name = strings.Clone(cutTo(mostShown, strings.TrimSpace(h.Text("From"))))
	}
	m.To, m.Cc, m.Bcc, m.ReplyTo = people(h, "To"), people(h, "Cc"), people(h, "Bcc"), people(h, "Reply-To")
	m.Bcc = append(m.Bcc, m.hidden()...)
	if date, err := rfc2822.ParseDate(h.Get("Date")); err == nil {
		m.Date = date
	}
	m.Tags = tagsOf(h, m)
	content, err := read.Content(rfc2822.Limits{}, mostText)
	if err != nil {
		m.Defects = append(m.Defects, err.Error())
		content = &rfc2822.Content{}
	}
	m.describe(content)
	for _, d := range read.Defects {
		m.Defects = append(m.Defects, strings.TrimPrefix(d.Error(), "rfc2822: ")) // people know no packages
	}
	return m
}

// describe takes out of the content what lists and searches need.
func (m *Message) describe(c *rfc2822.Content) {
	seen := TextOf(c.HTML)
	m.Snippet = snippet(seen)
	if m.Snippet == "" {
		m.Snippet = snippet(c.Text)
	}
	names := make([]string, 0, len(c.Attachments))
	for _, a := range c.Attachments {
		names = append(names, a.Name)
		if a.Inline {
			m.Inline++
		} else {
			m.Attachments++
		}
	}
	plain := func(s string) string { return strings.ReplaceAll(s, "\x00", " ") }
	m.searched = searchedOf(m.MessageID, plain(persons(m.Author)), plain(persons(m.To...)), plain(persons(m.Cc...)), plain(persons(m.Bcc...)), plain(persons(m.ReplyTo...)), plain(m.Subject),
		strings.Join([]string{seen, c.Text, strings.Join(names, "\n"), m.From}, "\n"))
}

// hidden are the recipients of the envelope who stand in no field of the header.
func (m *Message) hidden() (hidden []Person) {
	named := make(map[string]bool)
	for _, list := range [][]Person{m.To, m.Cc, m.Bcc} {
		for _, p := range list {
			named[folded(p.Address)] = true
		}
	}
	for _, to := range m.Envelope.To {
		if !named[folded(to)] {
			named[folded(to)] = true
			hidden = append(hidden, Person{Address: to})
		}
	}
	return hidden
}

// What is kept of a message beside its octets, about: of itself, of an address in its
// header, and of a recipient with its place in an inbox.
const (
	costOfMessage   = 1 << 10
	costOfPerson    = 64
	costOfRecipient = 256
)

// weigh says what a message costs. A header that is nothing but addresses takes several times
// its octets.
func (m *Message) weigh() int64 {
	n := m.Size + int64(m.searched.size()) + costOfMessage + int64(len(m.Envelope.To)+len(m.Inboxes))*costOfRecipient
	for _, list := range [][]Person{m.To, m.Cc, m.Bcc, m.ReplyTo} {
		for _, p := range list {
			n += costOfPerson + int64(len(p.Name)+len(p.Address))
		}
	}
	for _, name := range m.Inboxes {
		n += int64(len(name))
	}
	return n
}

// people are the addresses of all fields of a name.
func people(h *rfc2822.Section, name string) (all []Person) {
	for _, f := range h.Named(name) {
		list, _ := rfc2822.ReadAddressList(f.Value())
		for _, a := range list {
			all = append(all, Person{Name: strings.Clone(a.Name), Address: strings.Clone(a.Addr())})
		}
	}
	return all
}

// persons is how addresses are searched: each with its name.
func persons(list ...Person) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString(p.Name)
		b.WriteString(" <")
		b.WriteString(p.Address)
		b.WriteString(">\n")
	}
	return b.String()
}

// Traced is the message with the lines that other test servers put on top: who it
// came from and for, the Message-ID it lacks, and a Bcc with the recipients of the
// envelope who stand in no field.
func (m *Message) Traced(raw []byte) []byte {
	var top []byte
	add := func(f rfc2822.Field, err error) {
		if err == nil {
			top = append(top, f.Raw()...)
		}
	}
	add(rfc2822.ReturnPath(m.From))
	only := ""
	if len(m.Envelope.To) == 1 {
		only = m.Envelope.To[0]
	}
	add(rfc2822.Received{From: m.Helo, FromIP: addressOf(m.Client), By: m.Host, With: m.Protocol, ID: m.ID, For: only, Date: m.Received}.Field(), nil)
	if m.given {
		add(rfc2822.NewField("Message-ID", "<"+m.MessageID+">"))
	}
	var hidden []rfc2822.Address
	for _, p := range m.Bcc {
		if a, err := rfc2822.ParseAddrSpec(p.Address); err == nil && slices.Contains(m.Envelope.To, p.Address) {
			hidden = append(hidden, a)
		}
	}
	if len(hidden) > 0 {
		add(rfc2822.NewField("Bcc", rfc2822.FormatAddressList(hidden)))
	}
	return append(top, raw...)
}

// Created is when the message was taken, for lists.
func (m *Message) Created() time.Time { return m.Received.UTC() }

// Mark is its place in the order of arrival, for Box.After.
func (m *Message) Mark() uint64 { return m.serial }
