package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"
)

// Errors of logins.
var (
	ErrDenied    = errors.New("wrong name or password, or wrong code where there is one")
	ErrThrottled = errors.New("too many wrong logins; try again later")
)

// ClockError is ErrDenied for somebody whose code is right at another time: the clock that makes the codes, or this host's, is wrong by Off;
// Off is negative where the codes are late.
type ClockError struct{ Off time.Duration }

// Error says what to do, with the time that it is here.
func (e *ClockError) Error() string { return e.at(time.Now()) }

func (e *ClockError) at(now time.Time) string {
	way := "ahead of"
	if e.Off < 0 {
		way = "behind"
	}
	return fmt.Sprintf("that code is of a clock about %v %s this server's, where it is %s UTC; set the one that is wrong, and try the next code", e.Off.Abs(), way, now.UTC().Format("15:04:05"))
}

// Is has it be ErrDenied.
func (*ClockError) Is(err error) bool { return err == ErrDenied }

// Logins say who may come in. They may be asked concurrently.
type Logins interface {
	// Login checks a name with its password and, if the area asks for one, a code. It returns the name that
	// the session is of, ErrDenied, a *ClockError, ErrThrottled, or what kept it from looking. It must not tell names
	// that exist from others.
	Login(ctx context.Context, v Visitor, name, password, code string) (who string, err error)
	// Stamp is something that changes with the secrets of a name, and with nothing else; empty if
	// it may not log in any more.
	Stamp(who string) string
}

// loginData is what the page for logging in shows.
type loginData struct {
	Code   bool   // it asks for a code
	Nobody string // why nobody can log in
	Next   string // where to go then
	Ended  bool   // something was posted without a session
}

// login shows the form for logging in and takes what is posted by it.
func (a *Area) login(w http.ResponseWriter, r *http.Request) {
	v := VisitorOf(r.Context())
	f := &Form{values: r.URL.Query()}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, bodyOctets)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the form cannot be read", http.StatusBadRequest)
			return
		}
		f.values = r.PostForm
	}
	d := loginData{Code: a.Codes, Next: a.local(f.Value("next")), Ended: f.Value("ended") != ""}
	if a.Nobody != nil {
		d.Nobody = a.Nobody()
	}
	if r.Method != http.MethodPost || d.Nobody != "" {
		a.render(w, http.StatusOK, "login.html", &view{Title: "Log in", Form: f, Data: d})
		return
	}
	who, err := a.Logins.Login(r.Context(), v, f.Value("name"), f.values.Get("password"), f.Value("code"))
	stamp := ""
	if err == nil {
		stamp = a.Logins.Stamp(who)
	}
	if err == nil && stamp != "" {
		if _, before := a.session(r); before != "" {
			a.sessions.end(before) // its cookie is about to be lost
		}
		token := a.sessions.open(who, stamp)
		http.SetCookie(w, a.cookie(v, token))
		a.Log.Info("logged in to the pages", "area", a.Name, "user", who, "remote", v.Client.String())
		http.Redirect(w, r, d.Next, http.StatusSeeOther)
		return
	}
	if err != nil && r.Context().Err() != nil {
		return // the browser has gone: nobody reads an answer, and it is no fault of ours to tell of
	}
	status := http.StatusUnprocessableEntity
	var clock *ClockError
	switch {
	case errors.Is(err, ErrThrottled):
		status = http.StatusTooManyRequests
		f.Wrong("", ErrThrottled.Error())
	case errors.As(err, &clock):
		f.Wrong("", clock.Error())
	case err == nil, errors.Is(err, ErrDenied):
		f.Wrong("", ErrDenied.Error())
	default:
		status = http.StatusServiceUnavailable
		a.Log.Warn("a login to the pages could not be checked", "area", a.Name, "err", err)
		f.Wrong("", "that could not be checked now; try again later")
	}
	f.values.Del("password")
	f.values.Del("code")
	a.render(w, status, "login.html", &view{Title: "Log in", Form: f, Data: d})
}

// logout ends a session.
func (a *Area) logout(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Redirect(w, r, a.root(), http.StatusSeeOther)
		return
	}
	v := VisitorOf(r.Context())
	if s, token := a.session(r); s != nil {
		a.sessions.end(token)
		a.Log.Info("logged out of the pages", "area", a.Name, "user", s.Who, "remote", v.Client.String())
	}
	http.SetCookie(w, a.cookie(v, ""))
	http.Redirect(w, r, a.root()+"login", http.StatusSeeOther)
}

// local is where to go after the login: a page of this area, whatever a link says.
func (a *Area) local(next string) string {
	p, query, _ := strings.Cut(next, "?")
	clean := path.Clean(p)
	if !strings.HasPrefix(clean, a.root()) || clean != p || strings.Contains(p, "\\") || strings.ContainsFunc(next, unicode.IsControl) || p == a.root()+"login" || p == a.root()+"logout" {
		return a.root()
	}
	if query != "" {
		return clean + "?" + query
	}
	return clean
}
