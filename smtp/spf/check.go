package spf

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Query says who wants to send in whose name.
type Query struct {
	IP       netip.Addr // the client's address; an IPv4-mapped one is IPv4
	Helo     string     // what it said in HELO or EHLO
	MailFrom string     // the reverse-path without its brackets; "" is the null one, and Helo is judged (§2.4)
}

// Checker evaluates SPF records. The fields are not to be changed while it works.
type Checker struct {
	Resolver    Resolver      // asks the DNS; needed
	Receiver    string        // the name of this host, for explanations (the macro r)
	Explanation string        // of a fail whose domain has none
	Timeout     time.Duration // for all queries of an evaluation; 0 is 20 s (§4.6.4)
}

// Check evaluates with a Checker that has nothing but r.
func Check(ctx context.Context, q Query, r Resolver) Outcome {
	return (&Checker{Resolver: r}).Check(ctx, q)
}

// Check finds out whether the client may send in the name of the sender's domain, or
// in that of its HELO if the sender is null. It makes at most 123 queries, one after
// the other, and returns when they are done, Timeout is over or ctx has ended.
func (c *Checker) Check(ctx context.Context, q Query) Outcome {
	e := c.begin(q)
	o := Outcome{Identity: e.identity, Domain: e.domain}
	if err := e.fault(); err != nil {
		o.Err = err
		return o
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	e.ctx = ctx
	d, f := e.host(e.domain, 0)
	o.Result, o.Mechanism = d.result, d.mechanism
	switch {
	case f != nil:
		o.Result, o.Mechanism, o.Err = f.result, "", f.err
	case o.Result == None:
		o.Err = &Error{Domain: e.domain, Err: ErrNoRecord}
	case o.Result == Fail:
		o.Explanation = e.explain(d)
	}
	o.Bill = e.bill
	return o
}

// Bill evaluates the record for the client of a Query to its end, no matter which
// term matches: what the record costs a host that hears from an address it does
// not name. What Check would refuse stands in the Steps and ends nothing, until 50
// terms have asked the DNS: that is ErrLookups. Any other error is of the first record.
func (c *Checker) Bill(ctx context.Context, q Query) (Bill, error) {
	e := c.begin(q)
	if err := e.fault(); err != nil {
		return Bill{}, err
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	e.ctx, e.toTheEnd = ctx, true
	d, f := e.host(e.domain, 0)
	switch {
	case f != nil:
		return e.bill, f.err
	case d.result == None:
		return e.bill, &Error{Domain: e.domain, Err: ErrNoRecord}
	}
	return e.bill, nil
}

func (c *Checker) within(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= timeout {
		return ctx, func() {} // which ends in time by itself
	}
	return context.WithTimeout(ctx, timeout)
}

// begin finds out whom a query is about (§4.1, §4.3).
func (c *Checker) begin(q Query) *evaluation {
	e := &evaluation{checker: c, ip: q.IP.Unmap().WithZone(""), helo: strings.TrimSuffix(q.Helo, "."), local: "postmaster"}
	domain := q.MailFrom
	if domain == "" {
		e.identity, domain = Helo, q.Helo
	} else if at := strings.LastIndexByte(domain, '@'); at >= 0 {
		if at > 0 {
			e.local = domain[:at]
		}
		domain = domain[at+1:]
	}
	domain = strings.TrimSuffix(domain, ".")
	if !isPrintable(domain) {
		ascii, err := domains.ToASCII(domain)
		if err != nil {
			ascii = ""
		}
		domain = ascii
	}
	if isDomain(domain) {
		e.domain = domain
	}
	return e
}

// fault says why there is nothing to evaluate.
func (e *evaluation) fault() error {
	switch {
	case !e.ip.IsValid():
		return ErrNoAddress
	case e.domain == "":
		return ErrBadDomain
	}
	return nil
}

// isDomain reports whether what a client says can be a domain that has a record: no
// address, with brackets or without, and nothing that a host's name cannot have.
func isDomain(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return isName(s) && isTopLabel(s[strings.LastIndexByte(s, '.')+1:])
}

const maxName = 253 // octets of a name without its last dot

// isName reports whether there can be an answer to a question for a name: it has
// several labels of 1 to 63 octets (§4.3) and nothing in it that a resolver could
// take for something else.
func isName(s string) bool {
	if len(s) > maxName || strings.IndexByte(s, '\\') >= 0 || !isPrintable(s) {
		return false
	}
	labels, start := 0, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			continue
		}
		if i == start || i-start > 63 {
			return false
		}
		labels++
		start = i + 1
	}
	return labels > 1
}
