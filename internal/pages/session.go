package pages

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// The limits of sessions.
const (
	sessionIdle = time.Hour      // without a request
	sessionLife = 12 * time.Hour // in all
	sessionsOf  = 10             // of one name at a time
	sessionsAll = 5000           // of all
)

// Session is somebody who has logged in.
type Session struct {
	Who   string
	Began time.Time

	used  time.Time
	stamp string // of the password it began with
	flash string // what the next page is to say
}

// sessions are those of one area, in memory: a restart ends them.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*Session // by the hash of the cookie
}

// open begins a session and returns its cookie. Where there are as many as there may be, the
// one longest unused ends: first of the same name.
func (s *sessions) open(who, stamp string) (token string) {
	token = rand.Text() + rand.Text()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[[sha256.Size]byte]*Session)
	}
	s.expire(now)
	s.makeRoom(sessionsOf, func(o *Session) bool { return o.Who == who })
	s.makeRoom(sessionsAll, func(*Session) bool { return true })
	s.all[sha256.Sum256([]byte(token))] = &Session{Who: who, Began: now, used: now, stamp: stamp}
	return token
}

// expire ends what is over. s.mu is held.
func (s *sessions) expire(now time.Time) {
	for k, o := range s.all {
		if o.over(now) {
			delete(s.all, k)
		}
	}
}

func (o *Session) over(now time.Time) bool {
	return now.Sub(o.used) >= sessionIdle || now.Sub(o.Began) >= sessionLife
}

// makeRoom ends the one longest unused of those that count, if there are as many as there may
// be. s.mu is held.
func (s *sessions) makeRoom(most int, counts func(*Session) bool) {
	n := 0
	var oldest [sha256.Size]byte
	var last *Session
	for k, o := range s.all {
		if !counts(o) {
			continue
		}
		if n++; last == nil || o.used.Before(last.used) {
			oldest, last = k, o
		}
	}
	if n >= most {
		delete(s.all, oldest)
	}
}

// use counts a session as used.
func (s *sessions) use(o *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.used = time.Now()
}

// find returns the session of a cookie, if it is not over and its password is still the one of
// now. stamp is asked without the lock: it may have to ask others, who may be away for seconds.
func (s *sessions) find(token string, stamp func(who string) string) *Session {
	k := sha256.Sum256([]byte(token))
	s.mu.Lock()
	o, was := s.all[k], ""
	if o != nil {
		was = o.stamp
	}
	s.mu.Unlock()
	if o == nil {
		return nil
	}
	is := stamp(o.Who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k] != o { // it has ended meanwhile
		return nil
	}
	if o.over(time.Now()) || is == "" || is != was && is != o.stamp { // it may have got another one meanwhile
		delete(s.all, k)
		return nil
	}
	return o
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(token)))
}

// stamp gives a session the stamp of the secrets of now.
func (s *sessions) stamp(o *Session, stamp string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.stamp = stamp
}

// say leaves a word for the session's next page.
func (s *sessions) say(o *Session, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.flash = text
}

// heard takes the word.
func (s *sessions) heard(o *Session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := o.flash
	o.flash = ""
	return text
}

// cookieName: over TLS it is one that no other host of the domain can set, and that goes over TLS only.
func (a *Area) cookieName(v Visitor) string {
	if v.Secure {
		return "__Host-postrider-" + a.Name
	}
	return "postrider-" + a.Name
}

// cookie is what the browser keeps; an empty token has it forgotten.
func (a *Area) cookie(v Visitor, token string) *http.Cookie {
	c := &http.Cookie{
		Name: a.cookieName(v), Value: token, Path: "/", HttpOnly: true, Secure: v.Secure, SameSite: http.SameSiteStrictMode,
	}
	if !v.Secure {
		c.Path = a.root()
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// session finds who asks; nil: nobody who has logged in.
func (a *Area) session(r *http.Request) (*Session, string) {
	c, err := r.Cookie(a.cookieName(VisitorOf(r.Context())))
	if err != nil {
		return nil, ""
	}
	return a.sessions.find(c.Value, a.Logins.Stamp), c.Value
}
