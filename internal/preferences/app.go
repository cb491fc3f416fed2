package preferences

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// App is a password of one device, which fetches and sends mail and does nothing else. It has 130 random bits, so that no
// slow hash is needed to keep it from being guessed out of the file; and it is found by one sum, however many there are.
type App struct {
	ID   string    `json:"id"` // what forms and the log call it; says nothing about the password
	Name string    `json:"name"`
	Made time.Time `json:"made"`
	Sum  []byte    `json:"sum"` // HMAC-SHA-256 of the password under Preferences.Key

	// What answers challenges: SCRAM-SHA-256 with the salt of the account's own keys, which is the one that clients
	// are told, and CRAM-MD5, sealed with the server's key. Empty: none.
	Scram string `json:"scram,omitempty"`
	CRAM  string `json:"cram,omitempty"`
}

// appLength is the characters of an app password: 26 of 32 letters and digits, 130 bits.
const appLength = 26

// NewApp makes an app password, which is told once, and adds what is kept of it.
func (p *Preferences) NewApp(name string, now time.Time) (password string, app *App, err error) {
	name = strings.TrimSpace(name)
	if err := line("name", name, MostName); err != nil {
		return "", nil, err
	}
	if len(p.Apps) >= MostApps {
		return "", nil, ErrTooManyApps
	}
	if slices.ContainsFunc(p.Apps, func(a App) bool { return strings.EqualFold(a.Name, name) }) {
		return "", nil, ErrSameName
	}
	password = strings.ToLower(rand.Text())
	p.Apps = append(p.Apps, App{ID: strings.ToLower(rand.Text()[:10]), Name: name, Made: now.UTC().Truncate(time.Second), Sum: p.sum(password)})
	return password, &p.Apps[len(p.Apps)-1], nil
}

// Find returns the app password that this is, or nil. It takes as long for preferences that are nil.
func (p *Preferences) Find(password []byte) *App {
	if len(password) != appLength {
		return nil
	}
	if p == nil {
		p = &Preferences{}
	}
	sum := p.sum(string(password))
	for i := range p.Apps {
		if hmac.Equal(p.Apps[i].Sum, sum) {
			return &p.Apps[i]
		}
	}
	return nil
}

// Revoke takes an app password away. It returns its name, empty if there is none of that id.
func (p *Preferences) Revoke(id string) (name string) {
	p.Apps = slices.DeleteFunc(p.Apps, func(a App) bool {
		if a.ID == id {
			name = a.Name
		}
		return a.ID == id
	})
	return name
}

func (p *Preferences) sum(password string) []byte {
	h := hmac.New(sha256.New, p.Key)
	h.Write([]byte(password))
	return h.Sum(nil)
}

// Has reports whether there is an app password of this id; nil has none.
func (p *Preferences) Has(id string) bool {
	return p != nil && slices.ContainsFunc(p.Apps, func(a App) bool { return a.ID == id })
}
