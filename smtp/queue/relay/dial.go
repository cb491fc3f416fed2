package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// connect makes a connection to one target that meets the demands on it: TLS,
// certificate, authentication. Its errors are refusals.
func (a *transfer) connect(ctx context.Context, t target) (*conn, error) {
	d, err := a.r.demandOf(ctx, a.policy, t, a.d.Entry.Params.RequireTLS)
	switch {
	case err != nil && d.policy != nil:
		a.report(t, d, netip.Addr{}, "validation-failure", err)
	case err != nil && d.by == "dane":
		a.report(t, d, netip.Addr{}, "dnssec-invalid", err)
	}
	if (err != nil || d.needsTLS()) && a.waivesTLS() {
		d, err = demand{level: May, by: "waived by the sender", names: []string{t.host}, waived: true}, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := a.session(ctx, t, d)
	var failed *handshakeError
	if errors.As(err, &failed) && !d.needsTLS() {
		// Opportunistic: where TLS does not work, the mail goes without, as it
		// would have if it had not been offered (RFC 7435 §3).
		a.r.log().Info("TLS failed, going on without", "host", t.String(), "err", failed.err)
		d.level = None
		c, err = a.session(ctx, t, d)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// handshakeError is a TLS handshake that failed.
type handshakeError struct {
	*refusal
	err error
}

func (e *handshakeError) Unwrap() error { return e.refusal }

// session connects and speaks up to where MAIL can be said.
func (a *transfer) session(ctx context.Context, t target, d demand) (*conn, error) {
	src := a.source()
	nc, err := a.dial(ctx, t, src.Addr)
	if err != nil {
		return nil, &refusal{enhanced: "4.4.1", text: fmt.Sprintf("connect to %s: %v", t, dialCause(err)), unreachable: true}
	}
	// Encryption by STARTTLS is ours to do, as the demand wants it.
	dialer := &smtp.Dialer{Hello: src.Hello, TLS: smtp.TLSNever, Timeouts: a.r.Timeouts}
	if a.route != nil {
		dialer.LMTP = a.route.LMTP
		if a.route.ImplicitTLS {
			dialer.TLS, dialer.TLSConfig = smtp.TLSFromStart, a.r.tlsConfig(d)
		}
	}
	c := &conn{t: t, d: d, key: a.key()}
	if c.Client, err = dialer.Start(ctx, nc, t.host); err != nil {
		return nil, a.greeting(c, err)
	}
	if err := a.prepare(ctx, c, src.Hello); err != nil {
		c.end(ctx)
		return nil, err
	}
	return c, nil
}

// end says goodbye where that can be said.
func (c *conn) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = c.Quit(ctx) // which closes it in any case
}

// prepare encrypts and authenticates.
func (a *transfer) prepare(ctx context.Context, c *conn, hello string) error {
	if err := a.encrypt(ctx, c, hello); err != nil {
		return err
	}
	if a.route == nil || a.route.User == "" {
		return nil
	}
	if err := c.Login(ctx, a.route.User, a.route.Password, a.route.Mechanisms...); err != nil {
		return a.notLoggedIn(c, err)
	}
	return nil
}

// notLoggedIn is the refusal for a route's host that does not take its password. It is
// ours to put right, and no reason to bounce.
func (a *transfer) notLoggedIn(c *conn, err error) error {
	r := asRefusal(a.step(c, "authentication", err))
	said := r.text
	var step *smtp.ClientError
	var reply *smtp.Response
	if errors.As(err, &step) && errors.As(err, &reply) {
		said = fmt.Sprintf("authentication as %s by %s refused by %s: %s", a.route.User, strings.TrimPrefix(step.Op, "AUTH "), c.t.host, reply.Text)
	}
	r.text = fmt.Sprintf("%s (route %s: %s)", said, a.route.Name, wayOut(err, reply))
	r.permanent, r.unreachable, r.login = false, true, true
	if r.enhanced[0] == '5' {
		r.enhanced = "4.7.8"
	}
	return r
}

// wayOut is what an operator may do about a login that failed.
func wayOut(err error, reply *smtp.Response) string {
	switch {
	case errors.Is(err, smtp.ErrUnsupported):
		return "is its port one for submission?"
	case errors.Is(err, sasl.ErrNoMechanism) || reply != nil && (reply.Code == 504 || reply.Code == 534):
		return "look at its mechanisms"
	case reply != nil && reply.Permanent():
		return "look at its user and password"
	}
	return "it is tried again"
}

// encrypt does what the demand wants. Nothing is said about the message before
// it has returned nil.
func (a *transfer) encrypt(ctx context.Context, c *conn, hello string) error {
	d, t := c.d, c.t
	if d.level == None || t.socket != "" {
		return nil
	}
	local := localAddr(c)
	if c.TLS() == nil {
		if _, ok := c.Extension("STARTTLS"); !ok {
			if d.needsTLS() {
				err := refuse("4.7.4", "TLS policy (%s): %s does not offer STARTTLS", d.by, t.host)
				a.report(t, d, local, "starttls-not-supported", err)
				return err
			}
			a.report(t, d, local, "starttls-not-supported", nil)
			return nil
		}
		if err := c.StartTLS(ctx, a.r.tlsConfig(d)); err != nil {
			a.report(t, d, local, "validation-failure", err)
			if c.Usable() && !d.needsTLS() {
				return nil // refused, and unharmed
			}
			why := refuse("4.7.5", "TLS policy (%s): TLS with %s failed: %v", d.by, t.host, cause(err))
			return &handshakeError{why, err}
		}
		if err := c.Hello(ctx, hello); err != nil {
			return a.greeting(c, err)
		}
	}
	return a.certificate(ctx, c, local)
}

// certificate checks what the server showed, and remembers it.
func (a *transfer) certificate(ctx context.Context, c *conn, local netip.Addr) error {
	d, t, cs := c.d, c.t, c.TLS()
	verified, pki, err := a.r.check(d, t.host, cs)
	if err != nil {
		a.report(t, d, local, failureType(err), err)
		return refuse("4.7.5", "TLS policy (%s): certificate of %s: %v", d.by, t.host, err)
	}
	c.verified, c.tls = verified, describe(cs, d, verified)
	switch {
	case d.policy != nil && d.policy.Mode == STSTesting && !d.policy.Match(t.host):
		a.report(t, d, local, "certificate-host-mismatch", fmt.Errorf("%s is not among the hosts of the policy", t.host))
	case d.policy != nil && pki != nil:
		a.report(t, d, local, failureType(pki), pki)
	default:
		a.report(t, d, local, "", nil)
	}
	// What is remembered is what will be demanded: the public PKI. TLSA records
	// that go away, DNSSEC vouches for.
	if pki == nil && a.route == nil && !a.policy.explicit && !t.literal {
		if err := a.r.seen.note(ctx, a.domain.String()); err != nil {
			a.r.log().Warn("verified TLS cannot be remembered", "domain", a.domain, "err", err)
		}
	}
	return nil
}

// greeting is the refusal for a host that does not let us in. It is not final:
// the mail is not the reason (RFC 5321 §3.1, §4.2.1; another host or another
// day may do). Only 521 says that the host never takes mail (RFC 7504 §3); of
// a route it says that the route is wrong.
func (a *transfer) greeting(c *conn, err error) error {
	r := asRefusal(a.step(c, "greeting", err))
	if r.code == 521 && a.route == nil {
		return r
	}
	r.unreachable = r.code/100 == 5 || r.code == 0
	if r.permanent {
		r.permanent = false
		r.enhanced = "4" + strings.TrimLeft(r.enhanced, "5")
	}
	return r
}

// step names the step of the dialogue at which err came.
func (a *transfer) step(c *conn, step string, err error) error {
	var reply *smtp.Response
	if errors.As(err, &reply) && reply.Code != 0 {
		r := fromReply(reply)
		r.text = fmt.Sprintf("%s of %s refused: %s", step, c.t.host, reply.Text)
		return r
	}
	return &refusal{enhanced: "4.4.2", text: fmt.Sprintf("%s of %s failed: %s", step, c.t, cause(err)), unreachable: true}
}

func (a *transfer) dial(ctx context.Context, t target, source netip.Addr) (net.Conn, error) {
	timeout := a.r.Timeouts.Connect
	if timeout <= 0 {
		timeout = dialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	network, address := "tcp", t.addr.String()
	if t.socket != "" {
		network, address, source = "unix", t.socket, netip.Addr{}
	} else if source.IsValid() && source.Is4() != t.addr.Addr().Is4() {
		source = netip.Addr{}
	}
	if a.r.Dial != nil {
		return a.r.Dial(ctx, network, address, source)
	}
	dialer := &net.Dialer{}
	if source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return dialer.DialContext(ctx, network, address)
}

// dialCause leaves out of a dial error what we say ourselves.
func dialCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// source is how we present ourselves to the domain.
func (a *transfer) source() (s Source) {
	for d := range a.r.Domains.Each(a.domain) {
		if s = d.Source; s.set() {
			break
		}
	}
	if s.Hello == "" {
		s.Hello = a.r.Hostname
	}
	return s
}

func localAddr(c *conn) netip.Addr {
	if tcp, ok := c.LocalAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
