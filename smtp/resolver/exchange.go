package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/miekg/dns"
)

// udpSize is announced by EDNS: what no network cuts into fragments. More is
// read if a server sends it all the same.
const udpSize, readSize = 1232, 4096

// exchange asks one server after the other: first over UDP and, for an answer that
// does not fit, over TCP; then those that said nothing over TCP and without EDNS, for
// there are networks that lose UDP and servers that EDNS makes silent.
func (u *upstream) exchange(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.RecursionDesired = !u.direct
	m.AuthenticatedData = u.Trusted // RFC 6840 §5.7: the AD bit is wanted, with EDNS or without
	err := errors.New("no DNS server is configured")
	select {
	case u.places <- struct{}{}:
		defer func() { <-u.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	first := int(u.first.Load())
	for round := range 2 {
		for i := range u.Servers {
			n := (first + i) % len(u.Servers)
			var reply *dns.Msg
			if reply, err = u.askServer(ctx, n, m, round); err == nil {
				err = u.definite(reply)
			}
			if err == nil {
				u.first.Store(int32(n))
				return reply, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	return nil, err
}

// askServer asks one server in the manner of a round.
func (u *upstream) askServer(ctx context.Context, n int, m *dns.Msg, round int) (*dns.Msg, error) {
	server, now := u.Servers[n], time.Now().Unix()
	if round > 0 || now < u.mute[n].Load() {
		reply, err := u.one(ctx, "tcp", server, m)
		if err != nil && !isTimeout(err) {
			reply, err = u.overUDP(ctx, server, m) // a server without TCP, and a datagram that was lost
		}
		return reply, err
	}
	edns := m.Copy()
	edns.SetEdns0(udpSize, u.Trusted)
	reply, err := u.overUDP(ctx, server, edns)
	if isTimeout(err) && ctx.Err() == nil {
		u.mute[n].Store(now + muteFor)
	}
	if err == nil && (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented || reply.Rcode == dns.RcodeBadVers) {
		return u.overUDP(ctx, server, m) // RFC 6891 §6.2.2
	}
	return reply, err
}

func (u *upstream) overUDP(ctx context.Context, server string, m *dns.Msg) (*dns.Msg, error) {
	reply, err := u.one(ctx, "udp", server, m)
	if err == nil && reply.Truncated {
		return u.one(ctx, "tcp", server, m)
	}
	return reply, err
}

// definite reports as an error what is no answer.
func (u *upstream) definite(reply *dns.Msg) error {
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return fmt.Errorf("server says %s", rcode(reply.Rcode))
	}
	switch {
	case reply.Truncated:
		return errors.New("server cuts its answer off")
	case u.direct && !reply.Authoritative:
		return errors.New("server is not authoritative for the name")
	case !u.direct && reply.Rcode == dns.RcodeSuccess && isReferral(reply):
		return errors.New("server refers to others: it is no resolver")
	}
	return nil
}

// isReferral: instead of an answer there are the servers that have it (RFC 2308 §2.2).
func isReferral(m *dns.Msg) bool {
	if m.Authoritative || m.RecursionAvailable || len(m.Answer) > 0 {
		return false
	}
	ns := false
	for _, rr := range m.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeSOA:
			return false
		case dns.TypeNS:
			ns = true
		}
	}
	return ns
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("RCODE %d", code)
}

// one sends one query and reads the reply to it.
func (u *upstream) one(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	u.counts.queries.Add(1)
	if network == "tcp" {
		u.counts.tcp.Add(1)
	}
	reply, err := u.converse(ctx, network, server, m)
	if isTimeout(err) {
		u.counts.timeouts.Add(1)
	}
	return reply, err
}

func (u *upstream) converse(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, u.timeout())
	defer cancel()
	dial := u.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })() // nobody waits any more
	q := m.Copy()
	q.Id = dns.Id()
	c := &dns.Conn{Conn: conn, UDPSize: readSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		reply, err := c.ReadMsg()
		switch {
		case reply == nil && !isGarbage(err):
			return nil, err
		case network == "udp" && (reply == nil || reply.Id != q.Id):
			continue // from a forger, or too late: the answer is waited for
		case err != nil:
			return nil, fmt.Errorf("server says what cannot be read: %w", err)
		case !answers(reply, q):
			return nil, errors.New("server answers what was not asked")
		}
		return reply, nil
	}
}

// answers: a reply repeats the question (RFC 5452 §4.2), which is one thing more
// that a forger has to know.
func answers(reply, q *dns.Msg) bool {
	if !reply.Response || reply.Id != q.Id {
		return false
	}
	if len(reply.Question) == 0 { // a server that cannot read the query, for its EDNS perhaps
		return reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented
	}
	if reply.Opcode != dns.OpcodeQuery || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], q.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && dns.CanonicalName(got.Name) == dns.CanonicalName(want.Name)
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// isGarbage: the error is about what came, and not about the connection.
func isGarbage(err error) bool {
	var d *dns.Error
	return errors.As(err, &d)
}
