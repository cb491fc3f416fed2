package preferences

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Preferences are what one user has decided. What Of returns is shared and must not be changed.
type Preferences struct {
	// Account is whose they are: a file that was copied to another account's name is nobody's.
	Account domains.Address `json:"account"`
	// Key is random, and made with the file: the sums of Apps are under it.
	Key []byte `json:"key"`
	// KnownAs is the name by which whoever keeps the account knows it, where that is not Account; empty: it is.
	KnownAs domains.Address `json:"known_as,omitempty"`
	// Password takes the place of the one in the settings; nil: that one counts.
	Password *Password `json:"password,omitempty"`
	Apps     []App     `json:"apps,omitempty"`
	// OnlyApps: mail programs log in by Apps alone, and the password is for the pages.
	OnlyApps bool     `json:"only_apps,omitempty"`
	Forward  *Forward `json:"forward,omitempty"`
	Pending  *Pending `json:"pending,omitempty"`
	Absence  *Absence `json:"absence,omitempty"`
}

// Password is the user's own.
type Password struct {
	// Replaces names the password of the settings that it took the place of (its SHA-256, in hex). Once another
	// one stands there, an administrator has set it, and this one counts no more.
	Replaces string    `json:"replaces"`
	Changed  time.Time `json:"changed"`
	// Hash, Scram and CRAM are as the settings have them; CRAM and APOP are sealed with the server's key.
	Hash  string `json:"hash"`
	Scram string `json:"scram,omitempty"`
	CRAM  string `json:"cram,omitempty"`
	APOP  string `json:"apop,omitempty"`
}

// Forward is where mail goes on to.
type Forward struct {
	To   string    `json:"to"`   // an address of another host
	Keep bool      `json:"keep"` // a copy stays in the mailbox
	Set  time.Time `json:"set"`
}

// Pending is where mail will go on to once somebody who reads mail there has told the code that was sent to it: an address that
// is mistyped is somebody else's.
type Pending struct {
	Forward
	Sum   []byte    `json:"sum"` // of the code, under Preferences.Key
	Until time.Time `json:"until"`
	Tries int       `json:"tries,omitempty"` // that were wrong
}

// Errors of codes, in words for the user.
var (
	ErrWrongCode = errors.New("that is not the code that was sent")
	ErrNoCode    = errors.New("no code is waited for any more; ask for another one")
)

// How long a code is good, and how many may be tried.
const (
	codeLife   = 24 * time.Hour
	codeLength = 8 // of 32 letters and digits
	mostTries  = 5
)

// Ask begins with forwarding and returns the code that the other address has to be sent.
func (p *Preferences) Ask(to string, keep bool, now time.Time) (code string) {
	code = strings.ToLower(rand.Text()[:codeLength])
	p.Pending = &Pending{Forward: Forward{To: to, Keep: keep}, Sum: p.sum("forward " + to + " " + code), Until: now.Add(codeLife).UTC().Truncate(time.Second)}
	return code
}

// Confirm has mail forwarded if the code is right. A wrong one is to be kept, with its error: only some may be tried.
func (p *Preferences) Confirm(code string, now time.Time) error {
	q := p.Pending
	if q == nil || now.After(q.Until) || q.Tries >= mostTries {
		p.Pending = nil
		return ErrNoCode
	}
	if !hmac.Equal(q.Sum, p.sum("forward "+q.To+" "+strings.ToLower(strings.TrimSpace(code)))) {
		q.Tries++
		return ErrWrongCode
	}
	p.Forward, p.Pending = &Forward{To: q.To, Keep: q.Keep, Set: now.UTC().Truncate(time.Second)}, nil
	return nil
}

// Absence is what senders hear while the user is away.
type Absence struct {
	Subject string `json:"subject,omitempty"` // empty: made of the sender's
	Text    string `json:"text"`
	// From and Until are the first and the last day, in the server's time zone ("2006-01-02"); empty: there is none.
	From  string    `json:"from,omitempty"`
	Until string    `json:"until,omitempty"`
	Set   time.Time `json:"set"`
}

// Active reports whether senders are answered now, by the days of now's time zone.
func (a *Absence) Active(now time.Time) bool {
	if a == nil {
		return false
	}
	day := now.Format(time.DateOnly)
	return (a.From == "" || a.From <= day) && (a.Until == "" || day <= a.Until)
}

// Over reports whether the last day has passed.
func (a *Absence) Over(now time.Time) bool {
	return a != nil && a.Until != "" && a.Until < now.Format(time.DateOnly)
}

// The bounds of what an account may keep: a file has fileOctets at most.
const (
	MostApps    = 20
	MostName    = 60   // characters of the name of a device
	MostSubject = 200  // characters
	MostText    = 4000 // characters

	fileOctets = 64 << 10
)

// Errors of what cannot be kept, in words for the user.
var (
	ErrTooManyApps = fmt.Errorf("there are %d app passwords already, which is as many as there may be", MostApps)
	ErrSameName    = errors.New("there is an app password of that name already")
)

// Invalid is something that cannot be kept. What is "text", "subject", "from", "until" or "name"; empty: it is about several.
type Invalid struct{ What, Why string }

// Error implements error.
func (i *Invalid) Error() string { return i.Why }

// check says what is wrong with preferences that are to be kept.
func (p *Preferences) check() error {
	if len(p.Apps) > MostApps {
		return ErrTooManyApps
	}
	for _, a := range p.Apps {
		if err := line("name", a.Name, MostName); err != nil {
			return err
		}
	}
	if f := p.Forward; f != nil && !f.ok() || p.Pending != nil && !p.Pending.ok() {
		return errors.New("that is no address to forward to")
	}
	return p.Absence.check()
}

func (f *Forward) ok() bool { return f.To != "" && len(f.To) <= 320 }

func (a *Absence) check() error {
	if a == nil {
		return nil
	}
	if err := line("subject", a.Subject, MostSubject); err != nil && a.Subject != "" {
		return err
	}
	if !utf8.ValidString(a.Text) || strings.ContainsFunc(a.Text, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }) {
		return &Invalid{"text", "the text holds what cannot be written in a mail"}
	}
	if n := utf8.RuneCountInString(a.Text); n > MostText {
		return &Invalid{"text", fmt.Sprintf("the text has %d characters; %d is the most", n, MostText)}
	}
	if strings.TrimSpace(a.Text) == "" {
		return &Invalid{"text", "there is no text"}
	}
	for what, day := range map[string]string{"from": a.From, "until": a.Until} {
		if err := isDay(what, day); err != nil {
			return err
		}
	}
	if a.From != "" && a.Until != "" && a.Until < a.From {
		return &Invalid{"until", "the last day is before the first"}
	}
	return nil
}

// isDay checks a day, or none.
func isDay(what, day string) error {
	if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
		return &Invalid{what, fmt.Sprintf("%.20q is no day, as 2030-12-24 is", day)}
	}
	return nil
}

// line checks a text of one line.
func line(what, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return &Invalid{what, fmt.Sprintf("the %s is empty", what)}
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return &Invalid{what, fmt.Sprintf("the %s holds what cannot be written in a line", what)}
	case utf8.RuneCountInString(text) > most:
		return &Invalid{what, fmt.Sprintf("the %s has more than %d characters", what, most)}
	}
	return nil
}

// empty reports whether nothing is decided.
func (p *Preferences) empty() bool {
	return p.Password == nil && len(p.Apps) == 0 && p.Forward == nil && p.Pending == nil && p.Absence == nil && !p.OnlyApps
}
