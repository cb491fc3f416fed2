package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/published"
)

// Reload reads the settings again and puts them in force: accounts, aliases,
// certificates and the log at once for everybody, limits and listeners for
// connections from now on. Sessions go on. On an error nothing has changed.
func (d *Daemon) Reload() error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if d.stopping.Load() {
		return errStopping
	}
	d.tell(d.manager.Reloading())
	err := d.reload()
	d.metrics.Reloaded(err)
	if err != nil {
		d.tell(d.manager.Ready("the new settings cannot be used, the old ones stay: " + brief(err)))
		d.log.Error("the new settings cannot be used; the old ones stay", "err", err)
		return err
	}
	d.log.Info("settings read again")
	d.tell(d.manager.Ready(d.serves()))
	return nil
}

var errStopping = errors.New("the server is stopping")

func (d *Daemon) reload() error {
	settings, err := d.load()
	if err != nil {
		return err
	}
	if err := errors.Join(settings.CheckWith(probes)...); err != nil {
		return err
	}
	old := d.state()
	if fixed := old.settings.NeedsRestart(settings); len(fixed) > 0 {
		return fmt.Errorf("nothing was changed: %w", errors.Join(fixed...))
	}
	if _, err := assign(d.passed, settings.Listeners); err != nil {
		return fmt.Errorf("%w; change the units, and restart", err)
	}
	st, err := newState(settings, d.preferences, d.together.certificates(), old, d.log)
	if err != nil {
		return err
	}
	put := false
	defer func() {
		if !put {
			st.elsewhere().CloseBut(old.elsewhere())
		}
	}()
	dns, err := published.DNS(settings)
	if err != nil {
		return err
	}
	var sending *post.Sending
	if d.post.Outbound != nil {
		if sending, err = d.newSending(settings, old.settings); err != nil {
			return err
		}
	}
	opened, err := d.openMissing(settings.Listeners)
	if err != nil {
		return err
	}
	challenge, err := d.openChallenge(settings, d.challenge)
	if err != nil {
		closeSockets(opened)
		return err
	}
	closeOpened := func() {
		closeSockets(opened)
		if challenge != d.challenge {
			challenge.close()
		}
	}
	if err := d.logFile.Open(settings.Log.File, d.stderr); err != nil {
		closeOpened()
		return err
	}
	// From here on nothing can fail.
	d.dns.Reconfigure(dns)
	d.keys.Configure(published.Signing(settings))
	if sending != nil {
		d.post.Outbound.Reconfigure(sending)
	}
	d.logLevel.Set(settings.Log.Level)
	d.recent.Bound(recentOctets(settings))
	d.now.Store(st)
	d.sealer.forget()
	put = true
	old.elsewhere().CloseBut(st.elsewhere())
	d.retirePreferences(st)
	d.endSessions("")
	d.exchange(settings.Listeners, opened)
	if challenge != d.challenge {
		d.challenge.close()
		d.challenge = challenge
	}
	before := d.web
	if d.web = d.openWeb(settings, before); before != d.web {
		before.close()
		if before != nil && before.problem == nil {
			d.log.Info("no longer listening", "addr", before.where.Listen)
		}
	}
	if st.issuer != old.issuer {
		old.issuer.close()
	}
	d.runIssuer()
	d.warn(settings)
	return nil
}

// openMissing opens the sockets that are not open yet, all or none.
func (d *Daemon) openMissing(want []conf.Listener) (map[string]*socket, error) {
	opened := make(map[string]*socket)
	for _, l := range want {
		if _, ok := d.listeners[l.Address]; ok {
			continue
		}
		s, err := openSocket(l.Address)
		if err != nil {
			closeSockets(opened)
			return nil, explainOwn(l.Address, err, maps.Keys(d.listeners))
		}
		opened[l.Address] = s
	}
	return opened, nil
}

func closeSockets(sockets map[string]*socket) {
	for _, s := range sockets {
		s.close()
	}
}

// exchange gives every socket a server made from the new settings. The old
// servers take no more connections and keep those they have.
func (d *Daemon) exchange(want []conf.Listener, opened map[string]*socket) {
	d.retired = slices.DeleteFunc(d.retired, func(s server) bool { return s.Sessions() == 0 })
	for address, l := range d.listeners {
		wanted := listensAt(want, address)
		if l.tap != nil {
			if !wanted {
				<-l.socket.refuse()
			}
			l.tap.Close()
			d.retired = append(d.retired, l.server)
		}
		if !wanted {
			l.socket.close()
			delete(d.listeners, address)
			d.forget(address)
			d.log.Info("no longer listening", "addr", address)
		}
	}
	for address, s := range opened {
		d.listeners[address] = &listener{socket: s}
	}
	d.keep(slices.Collect(maps.Keys(opened)))
	for _, w := range want {
		d.start(w, d.listeners[w.Address])
	}
}
