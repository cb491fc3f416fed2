package dmarc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

// maxSignatures is how many domains of good signatures are compared with the author's.
const maxSignatures = 8

// Checker evaluates messages. The fields are not to be changed while it works.
type Checker struct {
	Resolver Resolver      // needed; one that is a NameExister too knows np=
	Timeout  time.Duration // for all queries of an evaluation; 0 is 20 s
	Records  *Records      // that were read for other messages; nil: each is read anew
}

func (c *Checker) begin(ctx context.Context) (*evaluation, context.CancelFunc) {
	cancel := func() {}
	timeout := cmp.Or(c.Timeout, 20*time.Second)
	end, ok := ctx.Deadline()
	if !ok || time.Until(end) > timeout { // else it ends in time by itself
		ctx, cancel = context.WithTimeout(ctx, timeout)
		end, _ = ctx.Deadline()
	}
	return &evaluation{ctx: ctx, end: end, resolver: c.Resolver, records: c.Records, queries: make([]string, 0, 2), known: make([]answer, 0, 2)}, cancel
}

// CheckMessage evaluates a message by its From fields. If they do not show one domain
// (see Authors) the result is permerror, and the Policy is the strictest that one of
// the domains asks for. A message with more than four is in nobody's
// interest: its Policy is Reject, and nobody is asked.
func (c *Checker) CheckMessage(ctx context.Context, from []rfc2822.Field, p Passed) Outcome {
	list, err := Authors(from)
	if err == nil {
		return c.Check(ctx, list[0], p)
	}
	o := Outcome{Result: PermError, Err: err}
	if len(list) > maxAuthors {
		o.Policy = Reject
		return o
	}
	e, cancel := c.begin(ctx)
	defer cancel()
	all := e.ctx
	for i, domain := range list {
		stop := e.share(all, len(list)-i)
		o.Policy = o.Policy.atLeast(e.check(domain, Passed{}).Policy)
		stop()
	}
	o.Queries = e.queries
	return o
}

// share gives the next of n domains its share of the time that is left, so that one that
// does not answer keeps none of the others from being heard.
func (e *evaluation) share(all context.Context, n int) context.CancelFunc {
	left := time.Until(e.end) / time.Duration(n)
	ctx, stop := context.WithTimeout(all, left)
	e.ctx = ctx
	return stop
}

// Check evaluates a message of an author's domain.
func (c *Checker) Check(ctx context.Context, author string, p Passed) Outcome {
	domain := canonical(author)
	if domain == "" {
		return Outcome{Result: PermError, Err: ErrNoAuthor}
	}
	e, cancel := c.begin(ctx)
	defer cancel()
	o := e.check(domain, p)
	o.Queries = e.queries
	return o
}

// Organization returns the organizational domain of a domain (§4.10.2).
func (c *Checker) Organization(ctx context.Context, domain string) (string, error) {
	domain = canonical(domain)
	if domain == "" {
		return "", ErrNoAuthor
	}
	e, cancel := c.begin(ctx)
	defer cancel()
	return e.organization(domain)
}

func (e *evaluation) organization(domain string) (string, error) {
	walked, err := e.walk(domain)
	if err != nil {
		return "", err
	}
	return organization(domain, walked), nil
}

// check finds the policy, then who speaks for the domain, then what is asked.
func (e *evaluation) check(domain string, p Passed) Outcome {
	o := Outcome{Domain: domain, Organization: domain}
	if o.Err = e.discover(&o); o.Err != nil {
		o.Result = TempError
		if errors.Is(o.Err, ErrNoRecord) {
			o.Result = None
		}
		return o
	}
	a := aligner{evaluation: e, author: domain}
	o.DKIM = a.first(p.DKIM, o.Record.StrictDKIM)
	o.SPF = a.first([]string{p.SPF}, o.Record.StrictSPF)
	if a.organization != "" {
		o.Organization = a.organization
	}
	switch {
	case o.DKIM.Aligned || o.SPF.Aligned:
		o.Result = Pass
	case a.err != nil:
		o.Result, o.Err = TempError, a.err
	default:
		o.Result = Fail
	}
	if err := e.policy(&o); err != nil && o.Result == Fail {
		o.Result, o.Err = TempError, err
	}
	return o
}

// discover finds the record that applies (§4.10.1): the domain's own, its
// organization's or that of the public suffix above.
func (e *evaluation) discover(o *Outcome) error {
	own, err := e.record(o.Domain)
	if err != nil {
		return err
	}
	if own != nil {
		o.Record, o.RecordDomain = own, o.Domain
	} else {
		walked, err := e.walk(o.Domain)
		if err != nil {
			return err
		}
		o.Organization = organization(o.Domain, walked)
		for _, f := range walked {
			if f.domain == o.Organization || f.record.PSD == PSDYes {
				o.Record, o.RecordDomain = f.record, f.domain
				break
			}
		}
	}
	if o.Record == nil || !o.Record.Applies() {
		return ErrNoRecord
	}
	return nil
}

// policy finds out what is asked for if the message fails. Whether the name exists is
// asked only where it makes a difference.
func (e *evaluation) policy(o *Outcome) error {
	below := o.RecordDomain != o.Domain
	o.Policy = o.Record.asked(below, true)
	var err error
	if absent := o.Record.asked(below, false); absent != o.Policy && o.Result != Pass {
		if r, ok := e.resolver.(NameExister); ok {
			var exists bool
			if exists, err = r.NameExists(e.ctx, o.Domain+"."); err == nil && !exists {
				o.Policy = absent
			}
		}
	}
	if o.Record.Testing {
		published := o.Policy
		o.Policy = published.lowered()
		o.Tested = o.Policy != published
	}
	return err
}

// aligner compares domains with the author's (§4.10.2).
type aligner struct {
	*evaluation
	author       string
	organization string // of the author; "" until it is needed
	err          error  // of the DNS, the last one
}

// first returns the first of the domains that speaks for the author. The author's own
// costs no query and is looked for before the others; of these one outside of the
// author's organization costs none either.
func (a *aligner) first(list []string, strict bool) Alignment {
	var others []string
	for _, domain := range list {
		domain = canonical(domain)
		if domain == a.author {
			return Alignment{true, domain}
		}
		if domain != "" && !strict && len(others) < maxSignatures && shareTop(domain, a.author) && !slices.Contains(others, domain) {
			others = append(others, domain)
		}
	}
	for _, domain := range others {
		if a.aligned(domain) {
			return Alignment{true, domain}
		}
	}
	return Alignment{}
}

func (a *aligner) aligned(domain string) bool {
	if a.organization == "" {
		organization, err := a.evaluation.organization(a.author)
		if err != nil {
			a.err = err
			return false
		}
		a.organization = organization
	}
	if !isWithin(domain, a.organization) {
		return false
	}
	organization, err := a.evaluation.organization(domain)
	if err != nil {
		a.err = err
		return false
	}
	return organization == a.organization
}
