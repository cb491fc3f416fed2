package selfservice

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/pages/user"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// DeviceRequest asks for something about the passwords of an account's devices, through the control socket.
type DeviceRequest struct {
	Account string             `json:"account"`
	Device  preferences.Device `json:"device,omitzero"` // of add, and its name of end; end without one is of all
}

// Devices is what is answered.
type Devices struct {
	Devices  []DeviceUse `json:"devices"`
	Password string      `json:"password,omitempty"` // of add, shown this once
	Ended    int         `json:"ended,omitempty"`
}

// DeviceUse is a device that has a password.
type DeviceUse struct {
	preferences.Device
	Made    time.Time `json:"made"`
	Used    time.Time `json:"used,omitzero"` // zero: never
	Service string    `json:"service,omitempty"`
	From    string    `json:"from,omitempty"`
	Over    bool      `json:"over,omitempty"` // its last day has passed
}

// Commands adds what can be asked about passwords for devices: by an administrator, who is not asked for the user's own.
func (o *Service) Commands(mux *http.ServeMux) {
	for name, act := range map[string]func(context.Context, domains.Address, preferences.Device) (Devices, error){
		"list": func(context.Context, domains.Address, preferences.Device) (Devices, error) { return Devices{}, nil },
		"add":  o.addDevice,
		"end":  o.endDevices,
	} {
		mux.HandleFunc("POST /devices/"+name, func(w http.ResponseWriter, req *http.Request) {
			var r DeviceRequest
			err := control.Read(w, req, &r)
			var out Devices
			if err == nil {
				ctx, who := context.WithoutCancel(req.Context()), domains.CanonicalAddress(r.Account)
				if kept, _ := o.Preferences.Of(who); kept == nil || name == "add" { // what there is is shown and ended also while a directory is away, or after it has removed the entry
					err = o.hasAccount(ctx, who)
				}
				if err == nil {
					out, err = act(ctx, who, r.Device)
				}
				if err == nil {
					out.Devices, err = o.devices(who)
				}
			}
			control.Answer(w, out, err)
		})
	}
}

// hasAccount says why there is no account of an address, of the settings or elsewhere.
func (o *Service) hasAccount(ctx context.Context, who domains.Address) error {
	st := o.Now()
	if st.Directory.Account(who) != nil {
		return nil
	}
	k, err := st.Credentials.FindElsewhere(ctx, who)
	switch {
	case err != nil:
		return err
	case k == nil:
		return fmt.Errorf("there is no account %s", who)
	case k.Address != who:
		return fmt.Errorf("that is a name of the account %s; say it so", k.Address)
	}
	return nil
}

func (o *Service) devices(who domains.Address) ([]DeviceUse, error) {
	all := []DeviceUse{}
	p, err := o.Preferences.Of(who)
	if err != nil || p == nil {
		return all, err
	}
	for _, a := range p.Apps {
		use := o.Now().Credentials.AppUse(who, a.ID)
		all = append(all, DeviceUse{Device: a.Device, Made: a.Made, Used: use.At, Service: use.Service, From: use.Address, Over: a.Over(time.Now())})
	}
	return all, nil
}

// addDevice makes a password for a device that a user is to be given ready: a printer, say.
func (o *Service) addDevice(ctx context.Context, who domains.Address, device preferences.Device) (out Devices, err error) {
	if !o.May(user.MayAppPasswords) {
		return out, errors.New("there are no passwords for devices by the settings (Web.user_may)")
	}
	if box, err := o.MailKeys.Of(who.String()); err != nil || box != nil {
		return out, errors.Join(err, errors.New("this mailbox is sealed: a password that its user has not made would not open its mail"))
	}
	err = o.Preferences.Change(ctx, who, func(p *preferences.Preferences) (err error) {
		out.Password, err = o.Now().Credentials.AddApp(who, p, device)
		return err
	})
	if err != nil {
		return Devices{}, err
	}
	o.Log.Info("a password for a device was made by command", "user", who.String(), "app", device.Name)
	o.tell(who.String(), "A password for a device was made", fmt.Sprintf("An administrator has made a password for %q, which %s mail of %s.", device.Name, does(device.Only), who))
	return out, nil
}

// endDevices ends the password of a device by its name, or all of an account.
func (o *Service) endDevices(ctx context.Context, who domains.Address, device preferences.Device) (out Devices, err error) {
	err = o.Preferences.Change(ctx, who, func(p *preferences.Preferences) error {
		for _, a := range p.Apps {
			if device.Name == "" || a.Name == device.Name {
				out.Ended++
			}
		}
		if out.Ended == 0 && device.Name != "" {
			return fmt.Errorf("%s has no device %q", who, device.Name)
		}
		p.End(device.Name)
		return nil
	})
	if err != nil {
		return Devices{}, err
	}
	o.dropApps(ctx, who.String())
	o.endSessions(who)
	o.Log.Info("passwords of devices were ended by command", "user", who.String(), "app", device.Name, "devices", out.Ended)
	return out, nil
}
