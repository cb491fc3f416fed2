package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	ldap3 "github.com/go-ldap/ldap/v3"
)

// as is who a connection belongs to. One that users bind on is never searched on: it would have a user's rights.
type as int

const (
	asService as = iota
	asUser
)

// pool keeps connections. Servers and firewalls end those that nobody uses, some without a word; so a connection is kept for a short time
// only, and a question that met a dead one is asked once more on a new one. Questions and binds may be repeated: they change nothing.
type pool struct {
	c         *Config
	network   string
	address   string
	tls       *tls.Config // for ldaps and StartTLS
	fromStart bool        // TLS from the first octet on
	places    chan struct{}

	mu     sync.Mutex
	idle   [2][]kept
	closed bool
}

type kept struct {
	conn  *ldap3.Conn
	since time.Time
}

// Unreachable is the error of a directory that is away: it cannot be connected to, does not let the service account in, does not answer in time,
// or says itself that it cannot now.
type Unreachable struct {
	what string
	err  error
}

func (u *Unreachable) Error() string { return "ldap: " + u.what + ": " + u.err.Error() }

// Unwrap is the error of the connection.
func (u *Unreachable) Unwrap() error { return u.err }

// place is where a URL leads: the network and address to dial, the name to verify, and whether TLS comes first.
func place(raw string) (network, address, host string, secure bool, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", "", "", false, fmt.Errorf("%q is no URL", raw)
	}
	port := u.Port()
	switch u.Scheme {
	case "ldapi":
		path := u.Path
		if u.Host != "" { // the path in the place of the host, escaped
			if path, err = url.PathUnescape(u.Host); err != nil {
				return "", "", "", false, fmt.Errorf("%q is no URL", raw)
			}
		}
		if path == "" || path[0] != '/' {
			return "", "", "", false, fmt.Errorf(`%q names no socket; write "ldapi:///path/of/the/socket"`, raw)
		}
		return "unix", path, "", false, nil
	case "ldap":
		if port == "" {
			port = "389"
		}
	case "ldaps":
		secure = true
		if port == "" {
			port = "636"
		}
	default:
		return "", "", "", false, fmt.Errorf(`%q is none of ldap://, ldaps:// and ldapi://`, raw)
	}
	if u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return "", "", "", false, fmt.Errorf(`%q is not just a host; write one like "ldap://ldap.example.com"`, raw)
	}
	return "tcp", net.JoinHostPort(u.Hostname(), port), u.Hostname(), secure, nil
}

// CheckURL says what is wrong with the URL of a directory; local is whether what is said to it does not leave this host.
func CheckURL(raw string) (secure, local bool, err error) {
	network, _, host, secure, err := place(raw)
	ip := net.ParseIP(host)
	return secure, network == "unix" || host == "localhost" || ip != nil && ip.IsLoopback(), err
}

func newPool(c *Config) (*pool, error) {
	network, address, host, secure, err := place(c.URL)
	if err != nil {
		return nil, err
	}
	p := &pool{c: c, network: network, address: address, fromStart: secure, places: make(chan struct{}, max(1, c.Connections))}
	if p.tls = c.TLS.Clone(); p.tls == nil {
		p.tls = &tls.Config{}
	}
	if p.tls.ServerName == "" {
		p.tls.ServerName = host
	}
	p.tls.MinVersion = max(p.tls.MinVersion, tls.VersionTLS12)
	return p, nil
}

// use asks something on a connection. One that was kept has a part of the time only: of a connection that a firewall
// has forgotten nothing comes back, not even that it has ended.
func (p *pool) use(ctx context.Context, who as, ask func(*ldap3.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.c.Timeout)
	defer cancel()
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	case <-ctx.Done():
		return errors.New("ldap: all connections are in use")
	}
	if conn := p.take(who); conn != nil {
		part, cancel := context.WithTimeout(ctx, p.c.Timeout/3)
		err := p.ask(part, who, conn, ask)
		cancel()
		if !isDead(err) {
			return err
		}
		p.forget() // those that are as old will be as dead
	}
	conn, err := p.open(ctx, who)
	if err != nil {
		return err
	}
	return p.ask(ctx, who, conn, ask)
}

// ask asks on a connection, and keeps it or closes it afterwards. Whatever the library waits for ends with the connection.
func (p *pool) ask(ctx context.Context, who as, conn *ldap3.Conn, ask func(*ldap3.Conn) error) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := ask(conn)
	if !stop() || isDead(err) {
		conn.Close()
		if err != nil && ctx.Err() != nil {
			return &Unreachable{"the directory does not answer", ctx.Err()}
		}
		return err
	}
	p.keep(who, conn)
	return err
}

// isDead reports whether an error is the connection's and no answer.
func isDead(err error) bool {
	var e *ldap3.Error
	var u *Unreachable
	if err == nil {
		return false
	}
	if errors.As(err, &u) || !errors.As(err, &e) {
		return true
	}
	// 51 and 52: a server that is going down says so, and then closes.
	return e.ResultCode >= ldap3.ErrorNetwork || e.ResultCode == ldap3.LDAPResultUnavailable || e.ResultCode == ldap3.LDAPResultBusy
}

func (p *pool) take(who as) *ldap3.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := len(p.idle[who]); n > 0; n = len(p.idle[who]) {
		k := p.idle[who][n-1]
		p.idle[who] = p.idle[who][:n-1]
		if !k.conn.IsClosing() && time.Since(k.since) < p.c.Idle {
			return k.conn
		}
		k.conn.Close()
	}
	return nil
}

func (p *pool) keep(who as, conn *ldap3.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[who]) >= cap(p.places) {
		conn.Close()
		return
	}
	p.idle[who] = append(p.idle[who], kept{conn, time.Now()})
}

// forget closes all connections that are not in use.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for who := range p.idle {
		for _, k := range p.idle[who] {
			k.conn.Close()
		}
		p.idle[who] = nil
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.forget()
}

// open connects, with TLS where it is wanted and never without it then, and logs in.
func (p *pool) open(ctx context.Context, who as) (*ldap3.Conn, error) {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	raw, err := dialer.DialContext(ctx, p.network, p.address)
	if err != nil {
		return nil, &Unreachable{"connect to " + p.address, err}
	}
	if p.fromStart {
		secured := tls.Client(raw, p.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, &Unreachable{"TLS with " + p.address, err}
		}
		raw = secured
	}
	conn := ldap3.NewConn(raw, p.fromStart)
	conn.Start()
	// The library waits without end for what is to be said before the first question.
	end, _ := ctx.Deadline()
	raw.SetDeadline(end)
	what, err := "StartTLS with "+p.address, error(nil)
	if p.c.StartTLS && !p.fromStart && p.network != "unix" {
		err = conn.StartTLS(p.tls)
	}
	if err == nil && who == asService && p.c.BindDN != "" {
		what = "log in as " + p.c.BindDN
		err = conn.Bind(p.c.BindDN, p.c.BindPassword)
	}
	if err != nil {
		conn.Close()
		return nil, &Unreachable{what, err}
	}
	raw.SetDeadline(time.Time{})
	return conn, nil
}
