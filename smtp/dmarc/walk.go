package dmarc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Resolver asks the DNS; *net.Resolver is one. Names are fully qualified, with a dot
// at the end; the strings of a record are joined. What does not exist is a
// *net.DNSError with IsNotFound; every other error is temporary.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// NameExister is a Resolver that can tell a name that does not exist (NXDOMAIN) from
// one that has no records of some type, as np= needs it. With a Resolver that cannot,
// every name exists.
type NameExister interface {
	NameExists(ctx context.Context, name string) (bool, error)
}

// evaluation asks for each name once.
type evaluation struct {
	ctx      context.Context
	end      time.Time // of the time for all
	resolver Resolver
	records  *Records
	queries  []string
	known    []answer
}

type answer struct {
	domain string
	record *Record
	err    error
}

// found is a record with its place.
type found struct {
	domain string
	record *Record
}

// record asks for the record of a domain. Of several there is none (§4.10, step 2).
func (e *evaluation) record(domain string) (*Record, error) {
	for i := range e.known { // few enough to be looked through
		if a := &e.known[i]; a.domain == domain {
			return a.record, a.err
		}
	}
	a := answer{domain: domain}
	list, err := e.txt("_dmarc." + domain)
	for _, txt := range list {
		r := e.records.parse(txt)
		if r == nil {
			continue
		}
		if a.record != nil {
			a.record = nil
			break
		}
		a.record = r
	}
	a.err = err
	e.known = append(e.known, a)
	return a.record, a.err
}

// txt asks for TXT records; a name that has none is no error, nor is one that there
// cannot be.
func (e *evaluation) txt(name string) ([]string, error) {
	if len(name) > 253 {
		return nil, nil
	}
	e.queries = append(e.queries, name)
	list, err := e.resolver.LookupTXT(e.ctx, name+".")
	var dns *net.DNSError
	if len(list) > 0 || err == nil || errors.As(err, &dns) && dns.IsNotFound {
		return list, nil
	}
	return nil, fmt.Errorf("dmarc: %s: %w", name, err)
}

// walk goes from a domain to the top (§4.10) and returns the records on its way.
func (e *evaluation) walk(domain string) ([]found, error) {
	var list []found
	for at := domain; at != ""; at = next(at) {
		r, err := e.record(at)
		if err != nil {
			return nil, err
		}
		if r == nil {
			continue
		}
		list = append(list, found{at, r})
		if r.PSD != PSDUnknown {
			break
		}
	}
	return list, nil
}

// next is where a walk goes on: one label up, and from a domain of eight labels or
// more to the one of seven, so that nobody has us ask more than eight times (§4.10).
func next(at string) string {
	most := 7
	for {
		_, rest, _ := strings.Cut(at, ".")
		at = rest
		if strings.Count(at, ".") < most || at == "" {
			return at
		}
	}
}

// organization picks the organizational domain from a walk (§4.10.2), whose records
// stand from the longest name to the shortest.
func organization(domain string, walked []found) string {
	for _, f := range walked {
		switch {
		case f.record.PSD == PSDNo:
			return f.domain
		case f.record.PSD == PSDYes && f.domain != domain:
			below := domain[:len(domain)-len(f.domain)-1]
			return domain[strings.LastIndexByte(below, '.')+1:]
		}
	}
	if len(walked) > 0 {
		return walked[len(walked)-1].domain
	}
	return domain
}

// isWithin reports whether a name is the domain or one below it.
func isWithin(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}

// shareTop reports whether two names have their last label in common: names that do
// not are of two organizations, and nobody has to be asked.
func shareTop(a, b string) bool {
	return a[strings.LastIndexByte(a, '.')+1:] == b[strings.LastIndexByte(b, '.')+1:]
}
