package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/web"
)

// issuer obtains certificates from an ACME authority and renews them, for as
// long as the settings about it stay the same.
type issuer struct {
	*acme.Manager
	settings conf.ACME
	stop     context.CancelFunc
	leads    func(ctx context.Context, name string) error // whether the DNS leads a name here; set before run
	logged   map[string]time.Time                         // by name, the end of the certificate last told of
}

// newIssuer makes the issuer that the settings ask for: old, if nothing has
// changed for it, or nil. It asks nobody anything yet. store is what servers have together; nil where this one is alone.
func newIssuer(s *conf.Settings, old *issuer, store acme.Store, log *slog.Logger) (*issuer, error) {
	a := s.TLS.ACME
	switch {
	case !a.AcceptTerms:
		return nil, nil
	case old != nil && reflect.DeepEqual(a, old.settings):
		return old, nil
	}
	client := &http.Client{Timeout: time.Minute}
	var err error
	if a.DirectoryCAFile != "" {
		pem, err := os.ReadFile(a.DirectoryCAFile)
		roots := x509.NewCertPool()
		if err == nil && !roots.AppendCertsFromPEM(pem) {
			err = errors.New("no certificate in it")
		}
		if err != nil {
			return nil, fmt.Errorf("TLS.ACME.directory_ca_file: %w", err)
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		client.Transport = transport
	}
	i := &issuer{settings: a, logged: make(map[string]time.Time)}
	i.Manager, err = acme.New(acme.Options{
		Names: a.Names, Folder: a.Folder, Store: store, AcceptTerms: true, Email: a.Email,
		Directory: a.Directory, Challenge: acme.Challenge(a.Challenge), HTTPClient: client, Log: log,
		Leads: func(ctx context.Context, name string) error { return i.leads(ctx, name) },
	})
	if err != nil {
		return nil, fmt.Errorf("TLS.ACME: %w", err)
	}
	return i, nil
}

// runIssuer obtains what is missing by the settings of the moment, in the background. d.reloading is held.
func (d *Daemon) runIssuer() {
	st := d.state()
	i := st.issuer
	if i == nil || d.running == nil {
		return
	}
	i.SetMore(st.askedOverHTTPS())
	if i.stop != nil {
		return // it runs
	}
	i.leads = d.leadsHere
	ctx, stop := context.WithCancel(d.running)
	i.stop = stop
	d.serving.Go(func() { i.Run(ctx) }) // it lets go of what servers have together
}

// askedOverHTTPS are the names below our domains that others ask for something over HTTPS, and that no certificate of
// a file is for.
func (st *state) askedOverHTTPS() (names []string) {
	s := st.settings
	if st.site == nil || !s.Web.Secure() {
		return nil
	}
	for _, domain := range s.Book().Domains() {
		if st.site.Domains[domain].Policy != "" {
			names = append(names, "mta-sts."+domain.String())
		}
		if s.Web.Autoconfig {
			names = append(names, "autoconfig."+domain.String(), "autodiscover."+domain.String())
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return ownCertificates(s) && st.tls.Covers(name) })
}

// longestLead is how long it may take to find out where a name leads.
const longestLead = 10 * time.Second

// leadsHere says why a name does not lead to this host, as far as the DNS knows: an authority that comes by that
// name would come to another. This host is where server_name leads, and what it knows of itself.
func (d *Daemon) leadsHere(ctx context.Context, name string) error {
	ctx, stop := context.WithTimeout(ctx, longestLead)
	defer stop()
	s := d.state().settings
	theirs, err := d.dns.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return err
	}
	here := published.Addresses(s)
	if named, err := d.dns.LookupNetIP(ctx, "ip", canonical(s.ServerName)); err == nil {
		here = published.Union(here, named)
	}
	for _, a := range theirs {
		if !slices.Contains(here, a.Unmap()) {
			return fmt.Errorf("%s leads to %s, which is not this host", name, a)
		}
	}
	return nil
}

func (i *issuer) close() {
	if i == nil {
		return
	}
	if i.stop != nil {
		i.stop()
	}
	i.Stop()
}

// report writes down what has come of renewals, which happen by themselves.
func (i *issuer) report(log *slog.Logger) {
	for _, s := range i.Standings() {
		before := i.logged[s.Name]
		if s.NotAfter.IsZero() || s.NotAfter.Equal(before) {
			continue
		}
		i.logged[s.Name] = s.NotAfter
		if before.IsZero() {
			log.Info("certificate in use", "name", s.Name, "not_after", s.NotAfter)
		} else {
			log.Info("certificate renewed", "name", s.Name, "not_after", s.NotAfter)
		}
	}
}

// How many connections the challenge server takes at a time, and how many of one address: an
// authority comes from several at once, and nobody is to keep it out.
const (
	maxChallengeConns         = 100
	maxChallengeConnsPerBlock = 20
)

// challengeServer is where the authority comes to see whose a name is. It stays open over
// reloads that do not move it, and asks whichever issuer is there.
type challengeServer struct {
	challenge, listen string
	listener          net.Listener
	server            *web.Server
}

// openChallenge listens where the settings say: old, if that has not changed, or nil.
func (d *Daemon) openChallenge(s *conf.Settings, old *challengeServer) (*challengeServer, error) {
	a := s.TLS.ACME
	switch {
	case !a.AcceptTerms, s.SharesALPN():
		return nil, nil
	case old != nil && old.challenge == a.Challenge && old.listen == a.Listen:
		return old, nil
	}
	l, err := net.Listen("tcp", a.Listen)
	if err != nil {
		return nil, fmt.Errorf("TLS.ACME.listen: %w", err)
	}
	o := &challengeServer{challenge: a.Challenge, listen: a.Listen, listener: l}
	o.server = &web.Server{
		Handler:  http.HandlerFunc(d.serveChallenge),
		MaxConns: maxChallengeConns, MaxConnsPerBlock: maxChallengeConnsPerBlock,
		Log: d.log.With("service", "acme"),
	}
	if a.Challenge == conf.ChallengeALPN {
		// The handshake is all there is to it (RFC 8737 §3).
		o.server.TLSConfig = &tls.Config{GetConfigForClient: d.alpnConfig}
	}
	d.log.Info("listening", "addr", o.listener.Addr().String(), "protocol", a.Challenge)
	d.serving.Go(func() { o.server.Serve(l) })
	return o, nil
}

func (o *challengeServer) close() {
	if o != nil {
		o.server.Close()
	}
}

func (d *Daemon) serveChallenge(w http.ResponseWriter, r *http.Request) {
	st := d.state()
	switch path := r.URL.Path; {
	case !strings.HasPrefix(path, "/.well-known/acme-challenge/") && d.overHTTP(w, r):
	case st.issuer == nil:
		http.NotFound(w, r)
	default:
		st.issuer.HTTPHandler().ServeHTTP(w, r)
	}
}

func (d *Daemon) alpnConfig(*tls.ClientHelloInfo) (*tls.Config, error) {
	if i := d.state().issuer; i != nil {
		return i.ALPNConfig(), nil
	}
	return nil, acme.ErrNotYet
}
