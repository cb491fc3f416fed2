package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/web"
)

// webListener is where HTTP is served. It stays open over reloads that do not move it, and
// what it says is by the settings of the moment.
type webListener struct {
	where   conf.Web // what of the settings it was made of
	socket  net.Listener
	server  *web.Server
	problem error // why it is not open
}

// openWeb opens what the settings ask for: old, if that has not changed, or nil. What goes
// wrong is said and keeps no mail from coming: problem of what is returned tells. d.reloading is held, or
// the daemon is being made.
func (d *Daemon) openWeb(s *conf.Settings, old *webListener) *webListener {
	where := conf.Web{Listen: s.Web.Listen, TLS: s.Web.TLS, MaxConnections: s.Web.MaxConnections, MaxConnectionsPerAddress: s.Web.MaxConnectionsPerAddress}
	if s.Web.Listen == "" {
		return nil
	}
	same := old != nil && old.where.Listen == where.Listen && old.where.TLS == where.TLS &&
		old.where.MaxConnections == where.MaxConnections && old.where.MaxConnectionsPerAddress == where.MaxConnectionsPerAddress
	if same && old.problem == nil {
		return old
	}
	old.close() // its address may be a part of the new one
	w := &webListener{where: where}
	w.server = &web.Server{
		Handler:  d.pages,
		MaxConns: webConnections(s), MaxConnsPerBlock: s.Web.MaxConnectionsPerAddress,
		Log: d.log.With("service", "web"),
	}
	var err error
	if w.socket, err = w.listen(d, s); err != nil {
		w.problem = fmt.Errorf("nothing is served over HTTP: %w", err)
		d.log.Error("nothing is served over HTTP, until the settings are read again and it can be", "addr", where.Listen, "err", err)
		return w
	}
	d.log.Info("listening", "addr", w.socket.Addr().String(), "protocol", "http", "tls", where.TLS)
	if d.running != nil {
		d.serveWeb(w)
	}
	return w
}

// serveWeb begins to answer; w may be nil.
func (d *Daemon) serveWeb(w *webListener) {
	if w == nil || w.problem != nil {
		return
	}
	d.serving.Go(func() {
		if err := w.server.Serve(w.socket); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			d.log.Error("listener ended", "addr", w.where.Listen, "err", err)
		}
	})
}

func (w *webListener) listen(d *Daemon, s *conf.Settings) (net.Listener, error) {
	if s.Web.Secure() {
		if w.server.TLSConfig = d.webTLS(); w.server.TLSConfig == nil {
			return nil, errNoCertificate
		}
	}
	return listenAt(s.Web.Listen)
}

// webTLS is the TLS of HTTPS. The authority that asks for proof on the same port (tls-alpn-01) gets
// it.
func (d *Daemon) webTLS() *tls.Config {
	c := d.tlsConfig(conf.Listener{TLS: conf.TLSImplicit})
	if c == nil {
		return nil
	}
	c.NextProtos = []string{"http/1.1"}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if d.state().settings.SharesALPN() && slices.Contains(hello.SupportedProtos, "acme-tls/1") {
			return d.alpnConfig(hello)
		}
		return nil, nil
	}
	return c
}

// close ends it, and everybody who is connected.
func (w *webListener) close() {
	if w == nil {
		return
	}
	w.server.Close()
	if w.socket != nil { // nobody may have served it yet
		w.socket.Close()
	}
}

// overHTTP serves what comes to port 80 beside the authority: mail programs ask there too, and
// who tells them by HTTPS alone sends them to a name that may have no certificate. It reports
// whether there was anything to serve it.
func (d *Daemon) overHTTP(w http.ResponseWriter, r *http.Request) bool {
	if d.state().site == nil {
		return false
	}
	d.pages.ServeHTTP(w, r)
	return true
}

// ready is nil while mail is taken.
func (d *Daemon) ready() error {
	switch {
	case d.stopping.Load():
		return errStopping
	case !d.began.Load():
		return errors.New("the server is starting")
	}
	return d.healthy()
}

// webStanding is the address in the settings that HTTP is served at, empty if it is not, and
// why it is not though the settings ask for it.
func (d *Daemon) webStanding() (address string, problem error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	switch {
	case d.web == nil:
		return "", nil
	case d.web.problem != nil:
		return "", d.web.problem
	}
	return d.web.where.Listen, nil
}
