package preferences

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Device is what an app password is for.
type Device struct {
	Name string `json:"name"`
	// Until is the last day that it counts, in the server's time zone ("2006-01-02"); empty: there is none.
	Until string `json:"until,omitempty"`
	// Only is what it does and nothing else, OnlyFetch or OnlySend; empty: both. A printer that sends what it has scanned is not to read mail.
	Only string `json:"only,omitempty"`
}

// What a device may be for alone.
const (
	OnlyFetch = "fetch"
	OnlySend  = "send"
)

// App is a password of one device, which fetches and sends mail and does nothing else. It has 130 random bits, so that no
// slow hash is needed to keep it from being guessed out of the file; and it is found by one sum, however many there are.
type App struct {
	ID string `json:"id"` // what forms and the log call it; says nothing about the password
	Device
	Made time.Time `json:"made"`
	Sum  []byte    `json:"sum"` // HMAC-SHA-256 of the password under Preferences.Key

	// What answers challenges: SCRAM-SHA-256 with the salt of the account's own keys, which is the one that clients
	// are told, and CRAM-MD5, sealed with the server's key. Empty: none.
	Scram string `json:"scram,omitempty"`
	CRAM  string `json:"cram,omitempty"`
}

// appLength is the characters of an app password: 26 of 32 letters and digits, 130 bits.
const appLength = 26

// Over reports whether the last day of an app password has passed, by the days of now's time zone.
func (a *App) Over(now time.Time) bool { return a.Until != "" && a.Until < now.Format(time.DateOnly) }

// For reports whether it does something, OnlyFetch or OnlySend.
func (a *App) For(what string) bool { return a.Only == "" || a.Only == what }

// NewApp makes an app password, which is told once, and adds what is kept of it.
func (p *Preferences) NewApp(d Device, now time.Time) (password string, app *App, err error) {
	d.Name = strings.TrimSpace(d.Name)
	if err := line("name", d.Name, MostName); err != nil {
		return "", nil, err
	}
	a := App{ID: strings.ToLower(rand.Text()[:10]), Device: d, Made: now.UTC().Truncate(time.Second)}
	if err := isDay("until", d.Until); err != nil {
		return "", nil, err
	}
	if d.Only != "" && d.Only != OnlyFetch && d.Only != OnlySend {
		return "", nil, &Invalid{"only", fmt.Sprintf("%.20q is neither %q nor %q", d.Only, OnlyFetch, OnlySend)}
	}
	if a.Over(now) {
		return "", nil, &Invalid{"until", "that day has passed"}
	}
	if len(p.Apps) >= MostApps {
		return "", nil, ErrTooManyApps
	}
	if slices.ContainsFunc(p.Apps, func(a App) bool { return strings.EqualFold(a.Name, d.Name) }) {
		return "", nil, ErrSameName
	}
	password = strings.ToLower(rand.Text())
	a.Sum = p.sum(password)
	p.Apps = append(p.Apps, a)
	return password, &p.Apps[len(p.Apps)-1], nil
}

// Find returns the app password that this is, or nil, as it is where its last day has passed. It takes as long for preferences that are nil.
func (p *Preferences) Find(password []byte, now time.Time) *App {
	if len(password) != appLength {
		return nil
	}
	if p == nil {
		p = &Preferences{}
	}
	sum := p.sum(string(password))
	for i := range p.Apps {
		if hmac.Equal(p.Apps[i].Sum, sum) && !p.Apps[i].Over(now) {
			return &p.Apps[i]
		}
	}
	return nil
}

// Has reports whether there is an app password of an id that counts now. p may be nil.
func (p *Preferences) Has(id string, now time.Time) bool {
	return p != nil && slices.ContainsFunc(p.Apps, func(a App) bool { return a.ID == id && !a.Over(now) })
}

// Does reports whether there is an app password that counts now for something, OnlyFetch or OnlySend.
func (p *Preferences) Does(what string, now time.Time) bool {
	return slices.ContainsFunc(p.Apps, func(a App) bool { return !a.Over(now) && a.For(what) })
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

// End takes the app password of a name away, or ("") all of them.
func (p *Preferences) End(name string) {
	p.Apps = slices.DeleteFunc(p.Apps, func(a App) bool { return name == "" || a.Name == name })
}

func (p *Preferences) sum(password string) []byte {
	h := hmac.New(sha256.New, p.Key)
	h.Write([]byte(password))
	return h.Sum(nil)
}
