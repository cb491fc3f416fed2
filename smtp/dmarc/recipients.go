package dmarc

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotPermitted says that a host has not agreed to get reports about a domain of
// another organization.
var ErrNotPermitted = errors.New("dmarc: its host does not take reports about the domain")

// ErrNotMailto says that reports cannot be sent to a URI: it is not a mailto.
var ErrNotMailto = errors.New("dmarc: not a mailto address")

// Recipients returns where a report about a domain may be sent, of the URIs that its
// record names (Record.RUA). A host of another organization must have agreed, by a
// record at <domain>._report._dmarc.<host>, which may name other mailboxes of its own
// (RFC 9990 §4); one that names none but others' gets nothing. The domain is the one where the record was found. The error joins what
// is wrong with the URIs that are left out: ErrNotPermitted, ErrNotMailto or, when one
// may try again, what the DNS did not answer. Of more than ten URIs the rest is left
// out.
func (c *Checker) Recipients(ctx context.Context, domain string, list []URI) ([]URI, error) {
	domain = canonical(domain)
	if domain == "" {
		return nil, ErrNoAuthor
	}
	e, cancel := c.begin(ctx)
	defer cancel()
	var out []URI
	var errs []error
	for _, u := range list[:min(len(list), 10)] {
		to, err := e.permitted(domain, u)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", u.Text, err))
		}
		out = append(out, to...)
	}
	return out, errors.Join(errs...)
}

func (e *evaluation) permitted(domain string, u URI) ([]URI, error) {
	if u.Address == "" {
		return nil, ErrNotMailto
	}
	host := u.Host()
	same, err := e.sameOrganization(domain, host)
	if err != nil {
		return nil, err
	}
	if same {
		return []URI{u}, nil
	}
	list, err := e.txt(domain + "._report._dmarc." + host)
	if err != nil {
		return nil, err
	}
	for _, txt := range list {
		r, err := Parse(txt)
		if err != nil {
			continue
		}
		var own []URI // what it names elsewhere would be a way to send reports round in circles
		for _, other := range r.RUA {
			if other.Address != "" && other.Host() == host {
				own = append(own, other)
			}
		}
		switch {
		case len(r.RUA) == 0:
			return []URI{u}, nil
		case len(own) > 0:
			return own, nil
		}
		break // neither there nor to the mailbox that was asked for
	}
	return nil, ErrNotPermitted
}

func (e *evaluation) sameOrganization(domain, host string) (bool, error) {
	if domain == host {
		return true, nil
	}
	a := aligner{evaluation: e, author: domain}
	return shareTop(domain, host) && a.aligned(host), a.err
}
