package admin

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Accounts sees and changes those who have mail here. What a change cannot do is a *Wrong about a field of its form, named as
// in NewAccount in lower case; pages.ErrNotFound; or ErrOutdated, where a stamp is no longer the account's.
type Accounts interface {
	// Accounts is a part of the list, in the order of the addresses; next is empty at its end. Of those that others keep it has whom it has seen, and whoever has
	// the whole address that is looked for.
	Accounts(ctx context.Context, s Slice) (part []Account, next string, err error)
	// Account is one of them, with all that is known.
	Account(ctx context.Context, address string) (Account, error)
	// AddAccount adds one, and returns its whole address and its password.
	AddAccount(ctx context.Context, a NewAccount) (address, password string, err error)
	// SetPassword gives an account another password, or an empty one stands for a random one, which it returns.
	SetPassword(ctx context.Context, address, stamp, password string) (string, error)
	// SetQuota says what the mailbox may hold: a size, "none", or empty for what holds in its domain.
	SetQuota(ctx context.Context, address, stamp, quota string) error
	// Block keeps everybody from logging in, or lets them in again.
	Block(ctx context.Context, address, stamp string, block bool) error
	// LiftLimits lifts the limits of what an account may send until then, and releases what is held for them, which it counts; RestoreLimits has them hold again, with
	// nothing counted; DiscardHeld throws away what is held, and counts it.
	LiftLimits(ctx context.Context, address string, until time.Time) (int, error)
	RestoreLimits(ctx context.Context, address string) error
	DiscardHeld(ctx context.Context, address string) (int, error)
	// RemoveAccount removes one of the settings, and its mail for good, or leaves that in the store.
	RemoveAccount(ctx context.Context, address, stamp string, mail bool) error
}

// Account is somebody who has mail here.
type Account struct {
	Address string
	Stamp   string // changes with the account
	// Blocked: nobody can log in; ByDomain: because of its domain.
	Blocked, ByDomain bool
	Password          string    // how it is stored; empty: there is none, and nobody can log in
	PasswordFrom      string    // where it comes from, if it cannot be changed here
	Keys              []string  // mechanisms that there are secrets for
	Locked            time.Time // until when guesses are not checked; zero: they are
	LastLogin         time.Time // zero: none is remembered
	LastFrom          string    // the network it came from
	Messages, Octets  int64     // what its mailbox holds
	Unread            string    // why that is not known
	Most              int64     // what it may hold; 0: there is no limit
	Quota             string    // as it is written for this account; empty: as in its domain
	Aliases           []Alias   // that lead to it, without their targets
	From              string    // where it stands
	Devices           int       // that its user has made passwords for
	Forward           string    // where he has his mail forwarded to; empty: nowhere
	Absence           bool      // senders are told that he is away, now or from some day on

	// Kept is who keeps the account, where that is not the settings; then no password, limit or entry is changed here.
	Kept         string
	Said         string // what he says of it
	Unknown      string // why he does not say it now, or why nobody can log in
	Gone         bool   // he knows it no more
	Unasked      bool   // he was not asked lately
	ClosedThere  bool   // he lets nobody log in
	PasswordPage string // where its user changes the password

	Sent Sent
}

// Sent is what an account has sent, and may. An amount of 0 that it may is any.
type Sent struct {
	Hour, HourMost, Day, DayMost int       // messages
	To, ToMost                   int       // recipients of a day
	Full                         string    // the limit it has met; empty: none
	Until                        time.Time // when more is taken
	Lifted                       time.Time // there is no limit until then; zero: there is one
	Held                         int       // messages in the queue that are held for a limit
}

// Full is how much of what there may be there is, in percent.
func (a Account) Full() int64 {
	if a.Most <= 0 {
		return 0
	}
	return a.Octets * 100 / a.Most
}

// NewAccount is one that is to be.
type NewAccount struct {
	Address  string
	Password string // empty: a random one
	Quota    string
	// Mail says what becomes of the mail of an account of that name that was removed: "keep", "delete", or empty
	// where nobody has been asked.
	Mail string
}

func (s Server) accountPages() []pages.Page {
	return []pages.Page{
		{Path: "accounts", Menu: "Accounts", Title: "Accounts", Template: "accounts.html", Show: s.accounts},
		{Path: "accounts/add", Title: "New account", Template: "newaccount.html", Show: nothing, Do: map[string]pages.Action{"add": s.addAccount}},
		{Path: "accounts/{address}", Title: "Account", Template: "account.html", Show: s.account, Do: map[string]pages.Action{
			"password": s.setPassword, "random": s.setRandom, "quota": s.setQuota, "remove": s.removeAccount, "unlock": s.unlockAccount, "end": s.endDevice,
			"lift": s.liftLimits, "restore": s.restoreLimits, "discard": s.discardHeld,
			"block":   func(r *pages.Request) error { return s.block(r, true) },
			"unblock": func(r *pages.Request) error { return s.block(r, false) },
		}},
	}
}

// nothing is what a page shows that is a form alone.
func nothing(*pages.Request) (any, error) { return nil, nil }

// accountsData is what the list shows.
type accountsData struct {
	Slice
	Rows      []Account
	Elsewhere bool // some are kept by others
	Pager     pages.Pager
}

func (s Server) accounts(r *pages.Request) (any, error) {
	d := accountsData{Slice: slice(r)}
	rows, next, err := s.Accounts.Accounts(r.Context(), d.Slice)
	d.Rows, d.Pager = rows, r.Pager(next, "")
	d.Elsewhere = slices.ContainsFunc(rows, func(a Account) bool { return a.Kept != "" })
	return d, err
}

func (s Server) addAccount(r *pages.Request) error {
	a := NewAccount{Address: r.Form.Value("address"), Password: r.Form.Secret("password"), Quota: r.Form.Value("quota"), Mail: r.Form.Value("mail")}
	at, password, err := s.Accounts.AddAccount(r.Context(), a)
	if err != nil {
		return refused(r, err)
	}
	said := fmt.Sprintf("%s is added. The user name is the whole address.", at)
	if a.Password == "" {
		said += fmt.Sprintf(" The password is %s – it is not shown again.", password)
	}
	r.Done(said, "account", at)
	r.Next = "accounts/" + url.PathEscape(at)
	return nil
}

// target is the account of a page, and the stamp that the page was shown with.
func target(r *pages.Request) (address, stamp string) {
	return r.PathValue("address"), r.Form.Value("stamp")
}

func (s Server) setPassword(r *pages.Request) error {
	password := r.Form.Secret("password")
	if password == "" {
		r.Form.Wrong("password", "an empty password is no password")
		return nil
	}
	return s.givePassword(r, password)
}

func (s Server) setRandom(r *pages.Request) error { return s.givePassword(r, "") }

func (s Server) givePassword(r *pages.Request, password string) error {
	address, stamp := target(r)
	is, err := s.Accounts.SetPassword(r.Context(), address, stamp, password)
	if err != nil {
		return refused(r, err)
	}
	said := "The password is another one. Whoever was in by the old one is out."
	if password == "" {
		said = fmt.Sprintf("The password is %s – it is not shown again. Whoever was in by the old one is out.", is)
	}
	r.Done(said, "account", address)
	return nil
}

func (s Server) setQuota(r *pages.Request) error {
	address, stamp := target(r)
	quota := r.Form.Value("quota")
	if err := s.Accounts.SetQuota(r.Context(), address, stamp, quota); err != nil {
		return refused(r, err)
	}
	r.Done("The mailbox has another limit.", "account", address, "quota", quota)
	return nil
}

func (s Server) block(r *pages.Request, block bool) error {
	address, stamp := target(r)
	if err := s.Accounts.Block(r.Context(), address, stamp, block); err != nil {
		return refused(r, err)
	}
	said := "Who has the password can log in again."
	if block {
		said = "Nobody can log in any more. Mail still comes, and stays."
	}
	r.Done(said, "account", address)
	return nil
}

// removeAccount asks first, and what is to become of the mail.
func (s Server) removeAccount(r *pages.Request) error {
	address, stamp := target(r)
	if r.Form.Value("sure") == "" {
		r.Form.Wrong("sure", "Remove "+address+"? Mail to it is refused then.")
		return nil
	}
	mail := r.Form.Value("mail")
	if mail != "keep" && mail != "delete" {
		r.Form.Wrong("sure", "Remove "+address+"? Say what is to become of its mail.")
		return nil
	}
	if err := s.Accounts.RemoveAccount(r.Context(), address, stamp, mail == "delete"); err != nil {
		return refused(r, err)
	}
	said := address + " is removed. Its mail stays in the store, and can be given to a new account of that name."
	if mail == "delete" {
		said = address + " is removed, and its mail is deleted."
	}
	r.Done(said, "account", address, "mail", mail)
	r.Next = "accounts"
	return nil
}

// lifted is for how long limits are lifted by the page; the command has any time.
const lifted = 24 * time.Hour

func (s Server) liftLimits(r *pages.Request) error {
	address, _ := target(r)
	n, err := s.Accounts.LiftLimits(r.Context(), address, time.Now().Add(lifted))
	if err != nil {
		return refused(r, err)
	}
	r.Done(fmt.Sprintf("%s may send without limits for 24 hours; %s released.", address, wasHeld(n)), "account", address, "messages", n)
	return nil
}

func (s Server) restoreLimits(r *pages.Request) error {
	address, _ := target(r)
	if err := s.Accounts.RestoreLimits(r.Context(), address); err != nil {
		return refused(r, err)
	}
	r.Done("The limits of "+address+" hold again, with nothing counted yet.", "account", address)
	return nil
}

// discardHeld asks first: nobody is told of mail that is thrown away.
func (s Server) discardHeld(r *pages.Request) error {
	address, _ := target(r)
	if r.Form.Value("surely") == "" {
		r.Form.Wrong("surely", "Throw away the mail of "+address+" that is held? Neither it nor anybody else is told.")
		return nil
	}
	n, err := s.Accounts.DiscardHeld(r.Context(), address)
	if err != nil {
		return refused(r, err)
	}
	r.Done(wasHeld(n)+" thrown away.", "account", address, "messages", n)
	return nil
}

// wasHeld is how many messages were, with the verb.
func wasHeld(n int) string {
	if n == 1 {
		return "1 message was"
	}
	return fmt.Sprintf("%d messages were", n)
}

// unlockAccount forgets the failed logins at the account of the page.
func (s Server) unlockAccount(r *pages.Request) error {
	address, _ := target(r)
	if s.Lockouts == nil {
		return pages.ErrNotFound
	}
	return s.lift(r, address)
}
