package smtp

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/net/idna"
)

// ServeMux chooses a Handler for each recipient by its address. Patterns are
// "local@domain" with "*" for anything on either side: "*@*", "info@*",
// "*@example.com", "info@example.com". An empty local part is "*".
//
// The exact domain is looked at first, then "*"; within it the exact local
// part first, then "*". Domains are compared as IDNA compares them, local
// parts octet for octet unless Canonical says otherwise. "<postmaster>" has no
// domain and matches the patterns of domain "*" and the first pattern with
// local part "postmaster".
//
// The choice is made at RCPT: a recipient no pattern matches is refused there
// with 550, and not after the message has crossed the wire. One message goes
// to one Handler, whose answer is the answer; a recipient of another Handler
// gets 452 4.5.3, upon which clients send it in a transaction of its own.
type ServeMux struct {
	// Canonical, if not nil, maps a local part to the form in which it is
	// registered and looked up: strings.ToLower, or a function that cuts off
	// "+tag". It must be set before the first Handle. Local parts belong to
	// the receiving host (RFC 5321 §2.4), so that nothing is folded by default.
	Canonical func(local, domain string) string
	// Backtrack: when the exact domain has no pattern for the local part, try
	// the domain "*" too.
	Backtrack bool

	mu      sync.RWMutex
	domains map[string]map[string]entry
}

type entry struct {
	pattern string
	h       Handler
}

// NewServeMux returns a ServeMux without patterns.
func NewServeMux() *ServeMux { return new(ServeMux) }

// Handle registers h for pattern. It panics if the pattern is malformed or
// registered already, like net/http's.
func (m *ServeMux) Handle(pattern string, h Handler) {
	i := strings.LastIndexByte(pattern, '@')
	if i < 0 || i == len(pattern)-1 || h == nil {
		panic("smtp: invalid pattern " + pattern)
	}
	local, domain := pattern[:i], canonicalDomain(pattern[i+1:])
	if local == "" {
		local = "*"
	} else if local != "*" {
		local = m.canonical(local, domain)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.domains[domain][local]; taken {
		panic("smtp: pattern " + pattern + " is registered twice")
	}
	if m.domains == nil {
		m.domains = make(map[string]map[string]entry)
	}
	if m.domains[domain] == nil {
		m.domains[domain] = make(map[string]entry)
	}
	m.domains[domain][local] = entry{pattern, h}
}

// HandleFunc registers f for pattern.
func (m *ServeMux) HandleFunc(pattern string, f func(ctx context.Context, e *Envelope) error) {
	m.Handle(pattern, HandlerFunc(f))
}

// Match returns the Handler for a recipient and the pattern that chose it, or
// nil and "".
func (m *ServeMux) Match(p Path) (h Handler, pattern string) {
	domain := canonicalDomain(p.Domain)
	local := m.canonical(p.Local, domain)
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, d := range [2]string{domain, "*"} {
		locals, ok := m.domains[d]
		if !ok {
			continue
		}
		for _, l := range [2]string{local, "*"} {
			if e, ok := locals[l]; ok {
				return e.h, e.pattern
			}
		}
		if !m.Backtrack {
			break
		}
	}
	return nil, ""
}

// ServeSMTP serves a message whose recipients were matched at RCPT. Called on
// its own it matches them itself, and refuses when they have no Handler or
// different ones.
func (m *ServeMux) ServeSMTP(ctx context.Context, e *Envelope) error {
	var pattern string
	var h Handler
	for i := range e.To {
		next, p := m.Match(e.To[i].Path)
		switch {
		case next == nil:
			return ErrNoSuchUser
		case h != nil && p != pattern:
			return ErrTooManyRecipients
		}
		h, pattern = next, p
	}
	if h == nil {
		return ErrNoSuchUser
	}
	return h.ServeSMTP(ctx, e)
}

func (m *ServeMux) canonical(local, domain string) string {
	if m.Canonical == nil {
		return local
	}
	return m.Canonical(local, domain)
}

// canonicalDomain is the form domains are compared in: lower-case A-labels.
// What is no domain name is compared in lower case.
func canonicalDomain(d string) string {
	for i := 0; i < len(d); i++ {
		if d[i] >= 0x80 {
			if a, err := idna.Lookup.ToASCII(d); err == nil {
				return a
			}
			break
		}
	}
	return strings.ToLower(d)
}
