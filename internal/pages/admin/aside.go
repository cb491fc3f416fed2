package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/quarantine"
)

// asideAtOnce is how many messages one form releases.
const asideAtOnce = 100

// Quarantine is mail that was put aside.
type Quarantine interface {
	// Aside is the newest of it, of an account or ("") of all. What takes too long is left out, and that is said.
	Aside(ctx context.Context, of string) (Aside, error)
	// Release delivers a message to those it was for, once, and returns these. It is quarantine.ErrUnsafe where a scanner has found something in it, unless it is
	// to be released anyway, and quarantine.ErrUnknown where it is there no more.
	Release(ctx context.Context, mailbox, id string, anyway bool) (to []string, err error)
}

// Aside is what is there.
type Aside struct {
	On     bool // mail is put aside here at all
	Days   int  // after which it is removed
	Mail   []AsideMail
	More   bool
	Locked int    // mailboxes that a mail program reads at this moment
	Unread string // why some cannot be seen
}

// AsideMail is one message of it.
type AsideMail struct {
	ID, Mailbox           string
	For                   []string
	Why                   string
	Unsafe                bool // a scanner has found something in it
	Sender, From, Subject string
	Octets                int64
	Since                 time.Time
}

// Mark is what the form calls it.
func (m AsideMail) Mark() string { return m.ID + " " + m.Mailbox }

func (s Server) quarantinePages() []pages.Page {
	return []pages.Page{{Path: "quarantine", Menu: "Junk", Title: "Put aside", Template: "quarantine.html", Show: s.aside, Do: map[string]pages.Action{"release": s.releaseAside}}}
}

// asideData is what the page shows.
type asideData struct {
	Aside
	Find   string
	Ticked map[string]bool
	Left   int // there was no room for
}

func (s Server) aside(r *pages.Request) (any, error) {
	d := asideData{Find: r.URL.Query().Get("find"), Ticked: make(map[string]bool)}
	ctx, cancel := context.WithTimeout(r.Context(), lookFor)
	defer cancel()
	var err error
	d.Aside, err = s.Quarantine.Aside(ctx, d.Find)
	words := budget(wordsOnPage)
	d.Mail, d.Left = fitting(d.Mail, &words, func(m AsideMail) string {
		// As the template has them, and what stands around them.
		return cut(m.From, 80) + cut(m.Sender, 80) + cut(m.Subject, 120) + cut(m.Subject, 60) + cut(m.From, 60) + cut(m.Why, 160) + strings.Join(m.For, "") + m.Mailbox + m.Mailbox + strings.Repeat(" ", 500)
	})
	if r.Form.Problem("sure") != "" {
		for _, mark := range r.Form.Values("id") {
			d.Ticked[mark] = true
		}
	}
	return d, err
}

// releaseAside delivers what was ticked. What a scanner has found something in is asked back.
func (s Server) releaseAside(r *pages.Request) error {
	marks := r.Form.Values("id")
	if len(marks) == 0 {
		r.Form.Wrong("", "No message is ticked.")
		return nil
	}
	released, unsafe, gone := 0, 0, 0
	for _, mark := range marks[:min(len(marks), asideAtOnce)] {
		id, mailbox, _ := strings.Cut(mark, " ")
		_, err := s.Quarantine.Release(r.Context(), mailbox, id, r.Form.Value("sure") != "")
		switch {
		case err == nil:
			released++
		case errors.Is(err, quarantine.ErrUnsafe):
			unsafe++
		case errors.Is(err, quarantine.ErrUnknown):
			gone++
		default:
			return fmt.Errorf("%s released; then: %w", wasHeld(released), err)
		}
	}
	switch {
	case unsafe > 0:
		r.Form.Wrong("sure", fmt.Sprintf("A scanner has found something in %s of these: whoever they are for has it as it came.", pages.Count(int64(unsafe), "message")))
		return nil
	case released == 0:
		r.Form.Wrong("", "These messages are there no more.")
		return nil
	}
	r.Done(wasHeld(released)+" released.", "messages", released)
	return nil
}
