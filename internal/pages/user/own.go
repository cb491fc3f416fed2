package user

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
)

// What users may decide, as the settings call it (Web.user_may).
const (
	MayPassword     = "password"
	MayAppPasswords = "app_passwords"
	MayForward      = "forward"
	MayAbsence      = "absence"
	MayJunk         = "junk"
)

// Own is what users decide about their own accounts. Its methods may be called concurrently; who is the name that has logged in, from
// the address of his browser. Whatever opens the account or leads its mail elsewhere asks for the password once more: a browser
// that was left open is not enough. The errors are pages.ErrDenied for a wrong password, pages.ErrThrottled, *Refused, or what kept it from being
// done.
type Own interface {
	// May reports whether the settings let users decide something.
	May(what string) bool
	// Decided is what a user has decided.
	Decided(who string) (Decided, error)
	// SetPassword gives him another password, and with revoke ends his app passwords.
	SetPassword(ctx context.Context, who string, from netip.Addr, old, new string, revoke bool) error
	// AddApp makes an app password, which is shown once.
	AddApp(ctx context.Context, who string, from netip.Addr, password string, d Device) (app string, err error)
	// SetOnlyApps has mail programs log in by app passwords alone, or by the password as well. Where no device would fetch any more, or none send, it is a
	// *Refused about "sure" unless the user is.
	SetOnlyApps(ctx context.Context, who string, from netip.Addr, password string, only, sure bool) error
	// AskPhone begins with setting up a device that loads a profile by a link. Phone is what is waited for; nil: nothing. SetUp makes its password, once and before
	// Phone.Until, and returns the profile with it: ErrGone after that.
	AskPhone(ctx context.Context, who string, from netip.Addr, password, name, until string) error
	Phone(who string) *Phone
	SetUp(ctx context.Context, from netip.Addr, token string) (Profile, error)
	// RevokeApp ends one, and returns its name.
	RevokeApp(ctx context.Context, who, id string) (name string, err error)
	// AskForward sends a code to where mail is to go on to, and ConfirmForward has it go there. EndForward ends that, or the waiting for a code.
	AskForward(ctx context.Context, who string, from netip.Addr, password, to string, keep bool) error
	ConfirmForward(ctx context.Context, who string, from netip.Addr, code string) (to string, err error)
	EndForward(ctx context.Context, who string, from netip.Addr) error
	// SetAbsence says what senders hear while he is away; nil: nothing.
	SetAbsence(ctx context.Context, who string, a *Absence) error
	// Junk is the newest of the mail that was put aside for him, and Release has some of it come into his mailbox, by their ids, and counts them.
	Junk(ctx context.Context, who string) (Junk, error)
	Release(ctx context.Context, who string, ids []string) (int, error)
}

// Junk is mail that was put aside.
type Junk struct {
	Aside bool // mail is put aside here at all
	Mail  []Aside
	More  bool // there may be more than these
	Busy  bool // it cannot be seen now, as a mail program reads it
	Days  int  // after which it is removed
}

// Aside is a message that was put aside.
type Aside struct {
	ID, From, Sender, Subject, Why string
	Octets                         int64
	Since                          time.Time
}

// Decided is what a user has decided, as the pages show it.
type Decided struct {
	// Elsewhere: others keep the password, and it is changed at PasswordPage (empty: nobody knows where).
	Elsewhere    bool
	PasswordPage string
	Changed      time.Time // of the password, by the user; zero: it is the administrator's
	Apps         []App
	// OnlyApps: the password is for the pages alone.
	OnlyApps bool
	Forward  *Forward
	Pending  *Forward // waits for its code
	Absence  *Absence
}

// Away is what fills the form: that of now, or nothing.
func (d Decided) Away() Absence {
	if d.Absence == nil {
		return Absence{}
	}
	return *d.Absence
}

// Device is what an app password is for.
type Device struct {
	Name  string
	Until string // its last day; empty: it has none
	Only  string // "fetch" or "send": it does nothing else; empty: both
}

// App is an app password.
type App struct {
	ID string
	Device
	Made, Used    time.Time // Used is zero: never
	Service, From string    // of the last use
	Over          bool      // its last day has passed
}

// Phone is a device that is to load its profile.
type Phone struct {
	Name  string
	Token string // what the link has in it
	Until time.Time
}

// Profile is a file that sets a device up.
type Profile struct{ Name, Type, Text string }

// ErrGone: there is no such link, or not any more.
var ErrGone = errors.New("this link was used, or its time is over; make another one at the page for devices")

// Forward is where mail goes on to.
type Forward struct {
	To   string
	Keep bool
	When time.Time // since, or until when the code is good
}

// Absence is what senders hear. Days are as a date field of a form has them.
type Absence struct {
	Subject, Text, From, Until string
	Active, Over               bool
}

// Refused is an error in words for the user, about one field or (empty) the form.
type Refused struct{ Field, Why string }

// Error implements error.
func (r *Refused) Error() string { return r.Why }

// refuse puts an error beside the field it is about; password is the one that asks for it.
func refuse(r *pages.Request, err error, password string) error {
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		r.Form.Wrong(refused.Field, refused.Why)
	case errors.Is(err, pages.ErrDenied):
		r.Form.Wrong(password, "that is not the password of this account")
	case errors.Is(err, pages.ErrThrottled):
		r.Form.Wrong("", pages.ErrThrottled.Error())
	default:
		return err
	}
	return nil
}

// allowed wraps a page so that it is there only while the settings let users decide what it is about.
func (s Server) allowed(what string, p pages.Page) pages.Page {
	show := p.Show
	p.Show = func(r *pages.Request) (any, error) {
		if !s.Own.May(what) {
			return nil, pages.ErrForbidden
		}
		return show(r)
	}
	for name, do := range p.Do {
		p.Do[name] = func(r *pages.Request) error {
			if !s.Own.May(what) {
				return pages.ErrForbidden
			}
			return do(r)
		}
	}
	return p
}

// decided is what the pages below show.
func (s Server) decided(r *pages.Request) (any, error) { return s.Own.Decided(r.Who) }

func (s Server) setPassword(r *pages.Request) error {
	old, new := r.Form.Secret("old"), r.Form.Secret("new")
	switch {
	case old == "":
		r.Form.Wrong("old", "your password of now is needed")
	case new == "":
		r.Form.Wrong("new", "there is none")
	case new != r.Form.Secret("again"):
		r.Form.Wrong("again", "that is not the same")
	case new == old:
		r.Form.Wrong("new", "that is the one you have")
	}
	if !r.Form.OK() {
		return nil
	}
	revoke := r.Form.Ticked("revoke", false)
	if err := s.Own.SetPassword(r.Context(), r.Who, r.Visitor.Client, old, new, revoke); err != nil {
		return refuse(r, err, "old")
	}
	r.KeepSession()
	text := "The password is changed. Every other session at these pages has ended, and so have those of programs that were in by the old one."
	if revoke {
		text += " There are no app passwords any more."
	}
	r.Done(text, "apps_revoked", revoke)
	return nil
}

func (s Server) addApp(r *pages.Request) error {
	name := r.Form.Value("name")
	if name == "" {
		r.Form.Wrong("name", "say which device it is for")
		return nil
	}
	app, err := s.Own.AddApp(r.Context(), r.Who, r.Visitor.Client, r.Form.Secret("password"), Device{Name: name, Until: r.Form.Value("until"), Only: r.Form.Value("only")})
	if err != nil {
		return refuse(r, err, "password")
	}
	r.Done("The password for "+name+" is "+app+" – it is shown this once, and kept nowhere.", "app", name)
	return nil
}

func (s Server) revokeApp(r *pages.Request) error {
	name, err := s.Own.RevokeApp(r.Context(), r.Who, r.Form.Value("id"))
	if err != nil {
		return refuse(r, err, "")
	}
	r.Done(name+" can fetch and send no more, and is out if it was in.", "app", name)
	return nil
}

func (s Server) setOnlyApps(r *pages.Request) error {
	only := r.Form.Value("only") == "1"
	if err := s.Own.SetOnlyApps(r.Context(), r.Who, r.Visitor.Client, r.Form.Secret("proof"), only, r.Form.Value("sure") == "1"); err != nil {
		return refuse(r, err, "proof")
	}
	if only {
		r.Done("The password opens these pages alone. Programs that were in by it are out.")
		return nil
	}
	r.Done("Programs may log in by the password of this account as well.")
	return nil
}

func (s Server) askForward(r *pages.Request) error {
	to := r.Form.Value("to")
	if to == "" {
		r.Form.Wrong("to", "write the address that mail is to go on to")
		return nil
	}
	keep := r.Form.Ticked("keep", true)
	if err := s.Own.AskForward(r.Context(), r.Who, r.Visitor.Client, r.Form.Secret("password"), to, keep); err != nil {
		return refuse(r, err, "password")
	}
	r.Done("A code was sent to "+to+". Mail goes there once the code is written below.", "to", to, "keep", keep)
	return nil
}

func (s Server) confirmForward(r *pages.Request) error {
	to, err := s.Own.ConfirmForward(r.Context(), r.Who, r.Visitor.Client, r.Form.Value("code"))
	if err != nil {
		return refuse(r, err, "")
	}
	r.Done("Mail goes on to "+to+" from now on.", "to", to)
	return nil
}

func (s Server) endForward(r *pages.Request) error {
	if err := s.Own.EndForward(r.Context(), r.Who, r.Visitor.Client); err != nil {
		return refuse(r, err, "")
	}
	r.Done("Mail goes nowhere else.")
	return nil
}

func (s Server) setAbsence(r *pages.Request) error {
	a := &Absence{Subject: r.Form.Value("subject"), Text: r.Form.Value("text"), From: r.Form.Value("from"), Until: r.Form.Value("until")}
	if err := s.Own.SetAbsence(r.Context(), r.Who, a); err != nil {
		return refuse(r, err, "")
	}
	r.Done("Kept. Whoever has had an answer before gets this one as well.", "from", a.From, "until", a.Until)
	return nil
}

func (s Server) endAbsence(r *pages.Request) error {
	if err := s.Own.SetAbsence(r.Context(), r.Who, nil); err != nil {
		return refuse(r, err, "")
	}
	r.Done("Nobody is answered any more.")
	return nil
}
