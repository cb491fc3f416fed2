package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Devices are those that users have made passwords for. Its methods may be called concurrently.
type Devices interface {
	// Devices are those of an account.
	Devices(address string) ([]Device, error)
	// EndDevice ends the password of one, and whatever session was opened by it. It returns the device's name, or pages.ErrNotFound where it is gone.
	EndDevice(ctx context.Context, address, id string) (name string, err error)
}

// Device is what fetches and sends mail of an account by a password of its own.
type Device struct {
	ID, Name string
	Only     string // "fetch" or "send" where it does nothing else
	Until    string // its last day; empty: there is none
	Over     bool   // that has passed
	Made     time.Time
	Used     time.Time // zero: never, as far as is remembered
	Service  string    // what it used then
	From     string    // from where
}

// accountData is an account with its devices.
type accountData struct {
	Account
	Apps   []Device
	NoApps string // why they are not known
}

func (s Server) account(r *pages.Request) (any, error) {
	a, err := s.Accounts.Account(r.Context(), r.PathValue("address"))
	d := accountData{Account: a}
	if err == nil && a.Devices > 0 && s.Devices != nil {
		var unread error
		if d.Apps, unread = s.Devices.Devices(a.Address); unread != nil {
			d.NoApps = unread.Error()
		}
	}
	return d, err
}

// endDevice ends the password of a device that was lost: its user may not get to his own pages.
func (s Server) endDevice(r *pages.Request) error {
	if s.Devices == nil {
		return pages.ErrNotFound
	}
	address, _ := target(r)
	name, err := s.Devices.EndDevice(r.Context(), address, r.Form.Value("id"))
	if err != nil {
		return refused(r, err)
	}
	r.Done(fmt.Sprintf("The password of %s is ended. Whoever was in by it is out.", name), "account", address, "app", name)
	return nil
}
