// Package catch puts the parts of a sink together and runs them: SMTP, POP3 and HTTP over
// one Box.
package catch

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/internal/sink/web"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
)

// Options say what a sink is to be.
type Options struct {
	SMTP, HTTP, POP3 string // where to listen, "host:port"; "" is not at all
	Dir              string // where messages are kept; "" is in memory
	Limits           sink.Limits
	Sorting          sink.Sorting
	Hostname         string
	Version, Label   string

	Logins      map[string]string // of SMTP; nil: any
	POP3Logins  map[string]string // who sees everything; nil: any login is an inbox
	RequireAuth bool
	TagLogins   bool
	MessageSize int64
	Recipients  int
	Allowed     *regexp.Regexp
	IgnoreOther bool

	SelfSigned bool          // TLS with a certificate made now
	Cert, Key  string        // files of one, or of several with commas between them
	SMTPMode   smtp.TLSMode  // of the SMTP listener, where there is a certificate
	Chaos      bool          // whether refusing by chance can be switched on
	Triggers   sink.Triggers // what is refused by chance from the start
	RuleFiles  []string      // files of rules by which mail fails on purpose, read again when they change
	Rules      string        // rules behind those of the files
	MoreSMTP   []string      // where to listen besides
	ConnConfig string        // a file that says which name and certificate a local address has; "" is none
	Slow       bool          // answers come slowly
	Save       *sink.Saver   // where messages are saved besides; nil: where rules say so
	Yakkers    *sink.Yakkers // who does nothing; nil: whom rules name
	RefuseAll  bool          // every message is refused when it has come
	Heard      smtp.Tracer   // is told of all that is said; nil: nobody is
	Relay      *sink.Relay
	Webhook    string
	// DNS is whom pages and API ask what SPF, DKIM and DMARC would say, when somebody wants to know: "system", or servers
	// between commas; "" is nobody.
	DNS     string
	Leaving netip.Addr // the address that mail leaves from in production, for SPF
	Web     web.Server // what pages and API may do; Box and the like are set here
	Log     *slog.Logger
}

// Sink is one that listens.
type Sink struct {
	Box              *sink.Box
	SMTP, HTTP, POP3 string // where it listens; "" is not at all
	MoreSMTP         []string

	smtp  *locals
	saver *sink.Saver
	pop3  *pop3.Server
	http  *http.Server
	hook  *sink.Webhook
	// stopAsking ends the requests that wait for something to come.
	stopAsking context.CancelFunc

	lines []net.Listener
	serve []func() error
	log   *slog.Logger
}

// Open listens, and fails if it cannot everywhere. Serve begins to answer.
func Open(o Options) (*Sink, error) {
	box, err := open(o)
	if err != nil {
		return nil, err
	}
	s, err := o.sink(box)
	if err != nil {
		box.Close()
	}
	return s, err
}

func (o *Options) sink(box *sink.Box) (*Sink, error) {
	tlsConfig, err := o.tls()
	if err != nil {
		return nil, err
	}
	s := &Sink{Box: box, log: o.Log}
	sessions := &sink.Sessions{}
	var chaos *sink.Chaos
	if o.Chaos {
		chaos = &sink.Chaos{}
		if err := chaos.Set(o.Triggers); err != nil {
			return nil, err
		}
	}
	faults := &sink.Faults{}
	if err := errors.Join(faults.Follow(o.Log, o.RuleFiles, rules.Source{Name: "rules", Text: o.Rules}), faults.KeepIn(box)); err != nil {
		return nil, err
	}
	if s.saver = o.Save; s.saver == nil {
		s.saver = &sink.Saver{}
	}
	usual := o.receiving(s)
	usual.TLSConfig, usual.Chaos, usual.Faults, usual.Sessions = tlsConfig, chaos, faults, sessions
	if usual.Yakkers == nil {
		usual.Yakkers = &sink.Yakkers{}
	}
	s.smtp, err = openLocals(&locals{file: o.ConnConfig, log: o.Log, usual: box.Receiver(usual), make: func(hostname string, pairs []certs.Keypair) (*smtp.Server, error) {
		own := usual
		if hostname != "" {
			own.Hostname = hostname
		}
		if pairs != nil {
			set, err := certs.LoadTLS(pairs...)
			if err != nil {
				return nil, err
			}
			own.TLSConfig = set.Config()
		}
		return box.Receiver(own), nil
	}})
	if err != nil {
		return nil, err
	}
	s.pop3 = box.Fetcher(sink.Fetching{Hostname: o.Hostname, Logins: o.POP3Logins, TLSConfig: tlsConfig, Log: o.Log})
	if o.Webhook != "" {
		s.hook = &sink.Webhook{URL: o.Webhook, Label: o.Label, Log: o.Log, Summary: func(m *sink.Message) ([]byte, error) { return json.Marshal(web.Summary(m)) }}
	}
	judge, err := o.judge()
	if err != nil {
		return nil, err
	}
	w := o.Web
	w.Box, w.Chaos, w.Faults, w.Sessions, w.Relay, w.Webhook, w.Judge = box, chaos, faults, sessions, o.Relay, s.hook, judge
	w.Hostname, w.Version, w.Label, w.MessageSize, w.Log = o.Hostname, o.Version, o.Label, o.MessageSize, o.Log
	asking, stopAsking := context.WithCancel(context.Background())
	s.stopAsking = stopAsking
	s.http = &http.Server{BaseContext: func(net.Listener) context.Context { return asking }, Handler: w.Handler(), ReadHeaderTimeout: time.Minute, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
	if err := s.listen(*o); err != nil {
		stopAsking()
		s.close()
		return nil, err
	}
	return s, nil
}

func open(o Options) (*sink.Box, error) {
	if o.Dir == "" {
		return sink.NewBox(o.Limits, o.Sorting), nil
	}
	return sink.OpenBox(o.Dir, o.Limits, o.Sorting)
}

func (o *Options) tls() (*tls.Config, error) {
	var set *certs.TLS
	switch {
	case o.Cert != "" || o.Key != "":
		cert, key := strings.Split(o.Cert, ","), strings.Split(o.Key, ",")
		if len(cert) != len(key) {
			return nil, fmt.Errorf("there are %d files of certificates and %d of keys", len(cert), len(key))
		}
		var pairs []certs.Keypair
		for i := range cert {
			pairs = append(pairs, certs.Keypair{Cert: cert[i], Key: key[i]})
		}
		var err error
		if set, err = certs.LoadTLS(pairs...); err != nil {
			return nil, err
		}
	case o.SelfSigned:
		cert, key, err := certs.SelfSigned(o.Hostname, "localhost", "127.0.0.1", "::1")
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		if set, err = certs.NewTLS(pair); err != nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	return set.Config(), nil
}

// mostAsking is how many connections of HTTP there are at a time, those that wait included. SMTP and POP3 have
// limits of their own.
const mostAsking = 1000

func (s *Sink) listen(o Options) error {
	type listening struct {
		name, addr string
		into       *string
		serve      func(net.Listener) error
	}
	all := []listening{{"SMTP", o.SMTP, &s.SMTP, s.smtp.serve}, {"POP3", o.POP3, &s.POP3, s.pop3.Serve}, {"HTTP", o.HTTP, &s.HTTP, s.http.Serve}}
	s.MoreSMTP = make([]string, len(o.MoreSMTP))
	for i, addr := range o.MoreSMTP {
		all = append(all, listening{"SMTP", addr, &s.MoreSMTP[i], s.smtp.serve})
	}
	for _, l := range all {
		if l.addr == "" {
			continue
		}
		line, err := net.Listen("tcp", l.addr)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		if l.into == &s.HTTP {
			line = netutil.LimitListener(line, mostAsking)
		}
		if o.Slow && l.name == "SMTP" {
			line = sink.Slow{Listener: line}
		}
		s.lines = append(s.lines, line)
		*l.into = line.Addr().String()
		s.serve = append(s.serve, func() error { return l.serve(line) })
	}
	return nil
}

func (s *Sink) close() {
	for _, l := range s.lines {
		l.Close()
	}
}

// expireEvery is how often messages that are too old are looked for.
const expireEvery = time.Minute

// stopWithin is how long a stop waits for what is being said.
const stopWithin = 5 * time.Second

// Serve answers until ctx ends, or one of the servers fails.
func (s *Sink) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, serve := range s.serve {
		go func() {
			if err := serve(); !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, pop3.ErrServerClosed) && !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		}()
	}
	if s.hook != nil {
		go s.hook.Serve(ctx, s.Box)
	}
	s.expire(ctx)
	s.stop()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// expire drops what has become too old, until ctx ends.
func (s *Sink) expire(ctx context.Context) {
	t := time.NewTicker(expireEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if err := s.Box.Expire(now); err != nil {
				s.log.Warn("old messages cannot be removed", "error", err)
			}
		}
	}
}

func (s *Sink) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	s.smtp.shutdown(ctx)
	s.pop3.Shutdown(ctx)
	s.stopAsking()
	s.http.Shutdown(ctx)
	s.http.Close()
	s.saver.Close()
	s.Box.Close()
}
