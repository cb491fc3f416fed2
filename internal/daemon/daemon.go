package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/internal/filter"
	"github.com/postrider-mail/postrider/internal/logs"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/scan"
	"github.com/postrider-mail/postrider/internal/selfservice"
	"github.com/postrider-mail/postrider/internal/service"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/internal/trace"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/internal/web"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/postgres"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	pgqueue "github.com/postrider-mail/postrider/smtp/queue/postgres"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// shutdownGrace is how long messages on their way in or out may take to
// finish after a stop was asked for.
const shutdownGrace = 30 * time.Second

// Daemon is one running mail system.
type Daemon struct {
	// Version is what the program calls itself in the status; set it before Run.
	Version string
	// Configuration is the folder of the *.conf files, or the one file, that load reads: administrators change
	// accounts in it through the pages. Empty: they cannot. Set it before Run.
	Configuration string

	now         atomic.Pointer[state]
	store       mailstore.Store
	boxes       Boxes           // those of store, whose messages can be sealed and unsealed
	database    *postgres.Store // what store keeps mail in, where the settings say so; else Maildirs
	together    together
	mailKeys    *mailkeys.Store // of sealed mailboxes
	keyTurns    mailkeys.Turns
	shared      *pgqueue.Spool // the queue that is in the database; nil: it is not
	keyMissed   string         // where the server's key was not at the start; empty: it was there
	nodes       nodes
	sealer      sealer
	preferences *preferences.Store // what users have decided
	healthy     func() error       // nil: mail can be stored
	closers     []io.Closer        // what is closed at the end, last first
	disks       []*durable.Disk    // those of closers, each to be shared
	dns         *resolver.Resolver // all that is asked of the DNS, and what is known of it
	post        *post.Post
	keys        *sign.Ring
	service     *selfservice.Service // what users decide of their accounts
	fullness    fullness
	policies    *zone.Ripening
	verifier    *verify.Verifier
	filter      *filter.Filter
	scanner     *scan.Scanner
	milters     *scan.Milters
	doubted     disbelief // of mail from here, by others
	posing      posing    // others in the name of a domain of this host
	own         ownEntries
	reports     *reports.Reader
	// reporting counts what verifies mail finds (Sender.Count); nil: nobody is told
	reporting *reports.Sender
	logins    loginTimes
	// keepingSent is locked while it is written down what users have sent.
	keepingSent sync.Mutex
	pool        *lineserver.Pool // of all connections

	manager *service.Manager // nil: none

	log      *slog.Logger
	logFile  *logs.File
	logLevel slog.LevelVar
	recent   *trace.Ring // the newest lines
	desk     *desk.Desk  // what administrators see and change
	unnamed  nameless    // addresses that mail leaves from
	stderr   io.Writer

	remembering sync.Mutex // of who has logged in

	reloading sync.Mutex // guards the fields below
	load      func() (*conf.Settings, error)
	listeners map[string]*listener // by address in the settings
	passed    []service.Socket     // of socket units
	retired   []server             // replaced by a reload; their sessions live on
	challenge *challengeServer     // nil: no authority comes
	web       *webListener         // nil: nothing is served over HTTP
	pages     *web.Handler         // what is
	metrics   *web.Metrics
	history   *web.History
	running   context.Context // of Run; nil before it
	warned    map[string]bool // what was warned of, of the settings in force

	born            time.Time   // when it was made
	began, stopping atomic.Bool // Run has, and no socket for mail is open any more

	serving    sync.WaitGroup
	control    *http.Server
	submission *http.Server // nil: only through control
}

// probes are the checks of settings that package conf leaves to others.
var probes = conf.Probes{Sealed: accounts.CheckSealed}

// listener is a socket with the server that takes its connections now.
type listener struct {
	socket *socket
	tap    *tap
	server server
	spoken spoken
}

// spoken is what a listener speaks; none before it has begun.
type spoken struct {
	protocol conf.Protocol
	tls      conf.TLSMode
}

// server is what smtp.Server and pop3.Server have in common.
type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
	Sessions() int
}

func (d *Daemon) state() *state { return d.now.Load() }

// live are the credentials of the moment.
func (d *Daemon) live() accounts.Live {
	return func() *accounts.Credentials { return d.state().credentials }
}

// NewUnder makes a daemon of the settings that load returns, and opens everything:
// log, store, queue, certificates, sockets. load is called again at every
// Reload. Log lines go to stderr unless the settings name a file. Nothing is
// served before Run. On an error everything is closed again. If a service manager has
// started it, it takes over the sockets that were passed, and says how it is; nil: none has.
func NewUnder(manager *service.Manager, load func() (*conf.Settings, error), stderr io.Writer) (_ *Daemon, err error) {
	settings, err := load()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(settings.CheckWith(probes)...); err != nil {
		return nil, err
	}
	d := &Daemon{manager: manager, load: load, stderr: stderr, logFile: logs.NewFile(stderr), listeners: make(map[string]*listener), born: time.Now()}
	defer func() {
		if err != nil {
			d.closeAll()
		}
	}()
	if err := os.MkdirAll(settings.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d.recent = trace.NewRing(recentOctets(settings))
	d.logFile.Also(d.recent)
	if err := d.logFile.Open(settings.Log.File, stderr); err != nil {
		return nil, err
	}
	d.metrics = web.NewMetrics(d.moment)
	d.metrics.Reloaded(nil)
	d.history = &web.History{Totals: d.metrics.Traffic}
	d.log = slog.New(d.metrics.Lines(logs.New(d.logFile, settings.Log, &d.logLevel).Handler()))
	d.pool = &lineserver.Pool{MaxConns: mostConnections(settings)}
	d.warn(settings)
	d.welcome(settings)
	if err := d.openStore(settings); err != nil {
		return nil, err
	}
	if err := d.openPreferences(settings); err != nil {
		return nil, err
	}
	if err := d.missKey(settings); err != nil {
		return nil, err
	}
	if err := d.openTogether(settings); err != nil {
		return nil, err
	}
	d.sharePreferences()
	st, err := newState(settings, d.preferences, d.together.certificates(), nil, d.log)
	if err != nil {
		return nil, err
	}
	d.now.Store(st)
	d.retirePreferences(st)
	d.tendSessions()
	d.recallLogins()
	st.credentials.CountWith(d.together.tally)
	d.logins.countWith(d.together.tally)
	dns, err := published.DNS(settings)
	if err != nil {
		return nil, err
	}
	d.dns = resolver.New(dns)
	d.openTrust(settings)
	if err := d.openPost(settings); err != nil {
		return nil, err
	}
	d.tellOfKey()
	d.recallSent()
	d.post.CountWith(d.together.tally)
	d.recallPosing()
	d.recallFull()
	if err := d.openReports(settings); err != nil {
		return nil, err
	}
	if err := d.openPolicies(settings); err != nil {
		return nil, err
	}
	if err := d.openListeners(settings.Listeners); err != nil {
		return nil, err
	}
	d.pages = &web.Handler{Site: func() *web.Site { return d.state().site }, Healthy: d.ready, Metrics: d.metrics, Log: d.log}
	d.pages.Admin, d.pages.Account = d.adminPages(), d.userPages()
	if d.challenge, err = d.openChallenge(settings, nil); err != nil {
		return nil, err
	}
	d.web = d.openWeb(settings, nil)
	if err := d.openControl(settings); err != nil {
		return nil, err
	}
	return d, d.openSubmission(settings)
}

// openListeners takes over the sockets that are there, and opens the others.
func (d *Daemon) openListeners(want []conf.Listener) error {
	inherited, err := d.inherit(want)
	if err != nil {
		return err
	}
	for address, s := range inherited {
		d.listeners[address] = &listener{socket: s}
	}
	opened, err := d.openMissing(want)
	for address, s := range opened {
		d.listeners[address] = &listener{socket: s}
	}
	return err
}

// Addrs returns the address each listener of the settings is bound to, by the
// address as the settings have it ("127.0.0.1:0" becomes a real port).
func (d *Daemon) Addrs() map[string]net.Addr {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	addrs := make(map[string]net.Addr)
	for name, l := range d.listeners {
		addrs[name] = l.socket.listener.Addr()
	}
	return addrs
}

// Run serves until ctx ends, then stops: nothing new is accepted, idle
// sessions are told so, messages on their way may finish within half a
// minute. It returns nil after a stop that was asked for.
func (d *Daemon) Run(ctx context.Context) error {
	d.reloading.Lock()
	for _, l := range d.state().settings.Listeners {
		if w := d.listeners[l.Address]; w.server == nil { // a reload may have been quicker
			d.start(l, w)
		}
	}
	d.serveWeb(d.web)
	d.running = ctx
	d.keep(slices.Collect(maps.Keys(d.listeners)))
	d.runIssuer()
	d.reloading.Unlock()
	d.serving.Go(func() { every(ctx, sealEvery, func() { d.sealOld(ctx) }) })
	d.serving.Go(func() {
		told := make(keyNotices)
		every(ctx, tellEvery, func() {
			d.tellOfKeys(ctx, told, time.Now())
			d.tellOfQueueKey(ctx)
		})
	})
	if o := d.post.Outbound; o != nil {
		d.serving.Go(func() { o.Run(ctx) })
	}
	d.runReports(ctx)
	d.serving.Go(func() { d.keys.Run(ctx) })
	d.runTogether(ctx)
	d.serving.Go(func() { d.policies.Run(ctx) })
	d.serving.Go(func() { d.tendLists(ctx) })
	d.serving.Go(func() { every(ctx, time.Hour, func() { d.emptyQuarantine(ctx) }) })
	var leavers leavers
	d.serving.Go(func() { every(ctx, time.Hour, func() { d.retireLeavers(ctx, &leavers) }) })
	d.serving.Go(func() { every(ctx, time.Minute, d.history.Turn) })
	d.serving.Go(func() { every(ctx, time.Minute, func() { d.revisitSessions(ctx) }) })
	d.serving.Go(func() { every(ctx, time.Minute, func() { d.tellFull(ctx) }) })
	d.serving.Go(func() { d.runRecords(ctx) })
	d.serving.Go(func() { d.announce(ctx) })
	if os.Geteuid() == 0 && !d.state().settings.OnlyHere() {
		d.log.Warn("serving as root", "advice", "what it makes belongs to root, and a hole in it would be one in the whole host; docs/install.md gives it a user of its own")
	}
	d.began.Store(true)
	d.log.Info("serving", "name", d.state().settings.ServerName, "data_dir", d.state().settings.DataDir)
	d.tell(d.manager.Ready(d.serves()))
	d.serving.Go(func() { d.stayAlive(ctx) })
	d.serving.Go(func() { every(ctx, loginsKept, d.keepLogins) })
	d.serving.Go(func() { d.post.Run(ctx) })
	d.serving.Go(func() { every(ctx, sentKept, d.keepSent) })
	d.serving.Go(func() { every(ctx, sentKept, d.keepPosing) })
	d.watchCertificates(ctx)
	d.refuse()
	d.log.Info("stopping", "sessions", d.sessions())
	d.tell(d.manager.Stopping(fmt.Sprintf("waiting for %d sessions to end", d.sessions())))
	return d.stop()
}

// start gives a listener a fresh server made from the present settings.
// d.reloading is held.
func (d *Daemon) start(settings conf.Listener, l *listener) {
	l.tap = l.socket.tap()
	l.server = d.newServer(settings)
	tap, server := l.tap, l.server
	if is := (spoken{settings.Protocol, settings.TLS}); l.spoken != is { // a reload changes nothing, mostly
		l.spoken = is
		d.log.Info("listening", "addr", l.socket.listener.Addr().String(), "protocol", string(settings.Protocol), "tls", string(settings.TLS))
	}
	d.serving.Go(func() {
		err := server.Serve(behindProxy(tap, settings))
		if err != nil && !errors.Is(err, net.ErrClosed) && !isStopped(err) {
			d.log.Error("listener ended", "addr", settings.Address, "err", err)
		}
	})
}

func (d *Daemon) sessions() int {
	n := 0
	d.eachServer(func(s server) { n += s.Sessions() })
	return n
}

func (d *Daemon) eachServer(f func(server)) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	for _, l := range d.listeners {
		if l.server != nil {
			f(l.server)
		}
	}
	for _, s := range d.retired {
		f(s)
	}
}

// refuse closes the listening sockets before any session is asked to end: from
// here on a connection is refused, or waits for the next process where the
// service manager holds the socket too. It returns when the servers have those
// that were accepted before.
func (d *Daemon) refuse() {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.stopping.Store(true)
	for _, l := range d.listeners {
		<-l.socket.refuse()
	}
}

// stop shuts all servers down at the same time and closes what is open.
func (d *Daemon) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	var down sync.WaitGroup
	d.eachServer(func(s server) {
		down.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				d.log.Warn("sessions were cut off", "err", err)
			}
		})
	})
	down.Wait()
	d.post.Settle()
	d.challenge.close()
	d.recent.Close()
	if d.web != nil { // it told until now that the server is stopping
		d.web.server.Shutdown(ctx)
	}
	d.state().issuer.close()
	d.control.Shutdown(ctx)
	if d.submission != nil {
		d.submission.Shutdown(ctx)
	}
	d.serving.Wait()
	d.keepLogins()
	d.keepSent()
	d.keepPosing()
	d.log.Info("stopped")
	return d.closeAll()
}

// closeAll closes everything that is open, in reverse order of opening.
func (d *Daemon) closeAll() error {
	var problems []error
	for _, s := range []*http.Server{d.control, d.submission} {
		if s != nil {
			s.Close()
		}
	}
	for _, l := range d.listeners {
		l.socket.close()
	}
	d.challenge.close()
	d.web.close()
	if st := d.state(); st != nil {
		st.elsewhere().CloseBut(nil)
	}
	for i := len(d.closers) - 1; i >= 0; i-- {
		problems = append(problems, d.closers[i].Close())
	}
	d.logFile.Close()
	return errors.Join(problems...)
}

// openControl opens the socket for the command line. That of another daemon
// with the same data stays untouched: the store's lock has refused us before.
func (d *Daemon) openControl(s *conf.Settings) error {
	l, err := control.Listen(s.Admin.Socket)
	if err != nil {
		return err
	}
	d.control = control.NewServer(d.commands())
	d.control.ErrorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelWarn)
	d.serving.Go(func() { d.control.Serve(l) })
	return nil
}
