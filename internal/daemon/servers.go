package daemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/smtp"
)

// isStopped reports whether err is what Serve returns when its server was shut
// down.
func isStopped(err error) bool {
	return errors.Is(err, smtp.ErrServerClosed) || errors.Is(err, pop3.ErrServerClosed)
}

// newServer makes the server of one listener from the present settings.
func (d *Daemon) newServer(l conf.Listener) server {
	if l.Protocol == conf.ProtocolPOP3 {
		return d.newPOP3(l)
	}
	return d.newSMTP(l)
}

func (d *Daemon) newSMTP(l conf.Listener) *smtp.Server {
	st := d.state()
	c := st.settings.SMTP
	r := &post.Receiver{Post: d.post, Submission: l.Protocol == conf.ProtocolSubmission}
	s := &smtp.Server{
		Hostname:    st.settings.ServerName,
		Banner:      cmp.Or(l.Greeting, c.Greeting),
		Handler:     r,
		CheckConn:   d.filter.Connect,
		CheckHelo:   d.filter.Helo,
		CheckData:   d.filter.Data,
		CheckSender: r.CheckSender,
		CheckRcpt:   r.CheckRcpt,
		CheckVrfy:   r.Vrfy,
		TLSConfig:   d.tlsConfig(l),
		TLSMode:     tlsMode(l.TLS),
		LMTP:        l.Protocol == conf.ProtocolLMTP,
		Limits:      smtpLimits(c, st.settings.Auth.LoginTimeout, l.Limits),
		Extensions:  smtp.Extensions{BinaryMIME: true, RequireTLS: d.post.Outbound != nil, DSN: d.post.Outbound != nil},
		Tolerate:    tolerate(c),
		XClient:     c.XclientFrom,
		XForward:    c.XclientFrom,
		Tarpit:      c.Tarpit,
		Pool:        d.pool,
		Log:         d.log.With("service", string(l.Protocol)),
		Refused:     d.refused(string(l.Protocol), r.Refused),
		Done:        both(d.metrics.SMTPDone(string(l.Protocol)), r.Done),
	}
	r.Wishes(&s.Extensions)
	if l.Protocol == conf.ProtocolSubmission {
		s.Credentials = d.live()
		s.Mechanisms = d.knowing(st.mechanisms)
		s.RequireAuth = true
		s.CleartextAuth = c.CleartextAuth
		open, check, done := st.credentials.Sessions(), s.CheckConn, s.Done
		s.CheckConn = func(ctx context.Context, s *smtp.Session) error {
			open.Begin(s.ID, s.End)
			return check(ctx, s)
		}
		s.Done = func(s *smtp.Session, sum *smtp.Summary) {
			open.Done(s.ID)
			done(s, sum)
		}
	}
	return s
}

// both tells of a session's end the metrics, and who counts what it has sent.
func both(count func(*smtp.Session, *smtp.Summary), done func(*smtp.Session)) func(*smtp.Session, *smtp.Summary) {
	return func(s *smtp.Session, sum *smtp.Summary) {
		count(s, sum)
		done(s)
	}
}

// tolerate forgives old machines in the house what they do wrong, clients that
// are known addresses without angle brackets, and the rest nothing but what the
// settings say.
func tolerate(c conf.SMTP) func(*smtp.Session) smtp.Tolerance {
	old := smtp.TolerateFrom(smtp.TolerateAll, c.NormaliseFrom...)
	own := smtp.TolerateFrom(smtp.ToleratePaths, c.RelayFrom...)
	return func(s *smtp.Session) smtp.Tolerance {
		t := old(s) | own(s)
		if s.User != "" {
			t |= smtp.ToleratePaths
		}
		if c.BareNewline == conf.BareNormalise {
			t |= smtp.TolerateBareNewlines
		}
		return t
	}
}

func smtpLimits(c conf.SMTP, login time.Duration, own *conf.ListenerLimits) smtp.Limits {
	if own == nil {
		own = &conf.ListenerLimits{}
	}
	return smtp.Limits{
		MessageSize:   int64(cmp.Or(own.MaxMessageSize, c.MaxMessageSize)),
		Recipients:    cmp.Or(own.MaxRecipients, c.MaxRecipients),
		Errors:        c.MaxErrors,
		AuthErrors:    c.MaxAuthFailures,
		Command:       c.IdleTimeout,
		Session:       c.SessionTimeout,
		Conns:         cmp.Or(own.MaxConnections, c.MaxConnections),
		ConnsPerBlock: cmp.Or(own.MaxConnectionsPerAddress, c.MaxConnectionsPerAddress),

		ConnsPerMinute: cmp.Or(c.MaxConnectionsPerMinute, -1),
		FreeFrom:       c.RelayFrom,
		Login:          login,
	}
}

// tlsMode is a listener's, whatever it speaks. Without TLS there is no TLSConfig,
// and StartTLS offers nothing.
func tlsMode(m conf.TLSMode) lineserver.TLSMode {
	switch m {
	case conf.TLSRequired:
		return lineserver.RequireTLS
	case conf.TLSImplicit:
		return lineserver.ImplicitTLS
	}
	return lineserver.StartTLS
}

// tlsConfig is the TLS of a listener; nil if it has none. Its certificates are
// those of the settings in force when a handshake begins, also in a session
// that was there before them.
func (d *Daemon) tlsConfig(l conf.Listener) *tls.Config {
	st := d.state()
	if st.tls == nil && st.issuer == nil || l.TLS == conf.TLSOff {
		return nil
	}
	var options []certs.Option
	if l.Protocol == conf.ProtocolSMTP {
		options = append(options, certs.WithoutTickets)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, o := range options {
		o(c)
	}
	c.GetCertificate = certs.Noting(func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := d.state().certificate(hello)
		if err != nil { // a reload took all of them away from sessions that are there
			return st.certificate(hello)
		}
		return cert, nil
	})
	if roots := st.credentials.ClientAuthorities(); roots != nil && (l.Protocol == conf.ProtocolSubmission || l.Protocol == conf.ProtocolPOP3) {
		// Whether it counts is seen when somebody logs in by it: a certificate that has ended is to cost nobody his connection.
		certs.AskClientCertificate(c)
		c.ClientCAs = roots
	}
	if st.settings.TLS.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	return c
}
