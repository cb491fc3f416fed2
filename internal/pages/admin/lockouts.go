package admin

import (
	"strconv"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Lockouts sees and lifts what keeps guesses from being checked.
type Lockouts interface {
	// Lockouts are those that are now, those for longest first.
	Lockouts() []Lockout
	// Lift forgets the failed logins at an account or from a network, and reports whether there were any.
	Lift(who string) bool
}

// Lockout is a network, an account, or an account from one network, where too many logins have failed.
type Lockout struct {
	Network, Account string
	Until            time.Time
}

// Who is what Lift takes.
func (l Lockout) Who() string {
	if l.Account != "" {
		return l.Account
	}
	return l.Network
}

// lockoutsData is what the page shows.
type lockoutsData struct {
	Rows  []Lockout
	All   int
	Pager pages.Pager
}

func (s Server) lockouts(r *pages.Request) (any, error) {
	all := s.Lockouts.Lockouts()
	from, _ := strconv.Atoi(r.URL.Query().Get("after"))
	from = max(0, min(from, len(all)))
	to, next := min(from+rowsOnPage, len(all)), ""
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return lockoutsData{all[from:to], len(all), r.Pager(next, "")}, nil
}

func (s Server) liftOne(r *pages.Request) error { return s.lift(r, r.Form.Value("who")) }

func (s Server) lift(r *pages.Request, who string) error {
	if who == "" || !s.Lockouts.Lift(who) {
		r.Form.Wrong("", "No failed logins are remembered there any more.")
		return nil
	}
	r.Done("The failed logins of "+who+" are forgotten; logins are checked again.", "whose", who)
	return nil
}
