package smtp

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// ServeMux chooses a Handler for each recipient by its address. Patterns are
// "local@domain". The local part may be "*" for any, end in "*" for any with
// that beginning ("bounce-*@example.com"), and be quoted as in an address; an
// empty one is "*". The domain may be "*" for any, and begin with "*." or "."
// for every domain below another ("*@*.example.com", which example.com itself
// is not).
//
// The exact domain is looked at first, then the domains it is below, the
// longest first, then "*"; within it the exact local part first, then the
// longest beginning, then "*". Domains are compared as IDNA compares them, local
// parts octet for octet unless Canonical says otherwise. "<postmaster>" has no
// domain and matches patterns of domain "*" only.
//
// The choice is made at RCPT: a recipient no pattern matches is refused there
// with 550, and not after the message has crossed the wire.
//
// A message to recipients of several Handlers is given to each of them in
// turn, in the order of their first recipients, with an Envelope that holds its
// own recipients and the whole message, kept until then in Memory or a
// temporary file. Over SMTP there is one answer: the first refusal is it, and
// those whose turn would come behind it are not called. The client then tries
// again or gives up for everybody, so that a Handler that had accepted may see
// the message again; none is ever acknowledged that one of them refused. Over
// LMTP all are called, and every recipient hears its own Handler's answer.
type ServeMux struct {
	// Canonical, if not nil, maps a local part to the form in which it is
	// registered and looked up: strings.ToLower, or a function that cuts off
	// "+tag". It must be set before the first Handle. Local parts belong to
	// the receiving host (RFC 5321 §2.4), so that nothing is folded by default.
	Canonical func(local, domain string) string
	// Backtrack: when the most specific domain has no pattern for the local
	// part, try the next one.
	Backtrack bool
	// Memory is how many octets of a message for several Handlers are held in
	// memory before the rest goes to a temporary file in TempDir; 0 means 1 MiB.
	// A message for one Handler is neither held nor written.
	Memory int
	// TempDir is where those files are; "" means os.TempDir.
	TempDir string

	mu       sync.RWMutex
	byDomain domains.Map[*locals]
}

// locals are the patterns of one domain.
type locals struct {
	exact    map[string]entry // and "*"
	prefixes []prefixed       // the longest first
}

type prefixed struct {
	prefix string
	entry
}

type entry struct {
	pattern string
	h       Handler
}

// DefaultServeMux is the ServeMux of Handle, HandleFunc, and of ListenAndServe
// without a Handler, as in net/http.
var DefaultServeMux = NewServeMux()

// Handle registers h for pattern in DefaultServeMux.
func Handle(pattern string, h Handler) { DefaultServeMux.Handle(pattern, h) }

// HandleFunc registers f for pattern in DefaultServeMux.
func HandleFunc(pattern string, f func(ctx context.Context, e *Envelope) error) {
	DefaultServeMux.HandleFunc(pattern, f)
}

// NewServeMux returns a ServeMux without patterns.
func NewServeMux() *ServeMux { return new(ServeMux) }

// Handle registers h for pattern. Like net/http's it panics, and says why, if
// the pattern is malformed, could never match, or is registered already, and if
// h is nil.
func (m *ServeMux) Handle(pattern string, h Handler) {
	if h == nil {
		panic("smtp: no Handler for pattern " + pattern)
	}
	local, prefix, err := m.localPattern(pattern)
	if err == "" {
		err = m.add(pattern, local, prefix, h)
	}
	if err != "" {
		panic("smtp: pattern " + pattern + ": " + err)
	}
}

// HandleFunc registers f for pattern.
func (m *ServeMux) HandleFunc(pattern string, f func(ctx context.Context, e *Envelope) error) {
	if f == nil {
		panic("smtp: no function for pattern " + pattern)
	}
	m.Handle(pattern, HandlerFunc(f))
}

// domainPattern takes the domain's part of a pattern, and the domain in it: of
// "*.example.com" it is example.com.
func domainPattern(pattern string) (part, domain, err string) {
	i := strings.LastIndexByte(pattern, '@')
	if i < 0 {
		return "", "", `there is no "@"`
	}
	part = pattern[i+1:]
	if part == "*" {
		return part, part, ""
	}
	parent, below := domains.CutBelow(part)
	if !below {
		parent = part
	}
	if _, rest, e := cutDomain(parent, PathUTF8); e != nil || rest != "" || below && parent[0] == '[' {
		return "", "", "no domain can match " + part
	}
	return part, domains.Canonical(parent).String(), ""
}

// localPattern is the canonical local part of a pattern, or a prefix of it.
func (m *ServeMux) localPattern(pattern string) (local string, prefix bool, err string) {
	_, domain, err := domainPattern(pattern)
	local = pattern[:max(strings.LastIndexByte(pattern, '@'), 0)]
	switch {
	case err != "" || local == "" || local == "*":
		return "*", false, err
	case local[0] == '"':
		unquoted, rest, e := cutQuoted(local, PathUTF8)
		if e != nil || rest != "" {
			return "", false, "malformed quoted local part"
		}
		return m.canonical(unquoted, domain), false, ""
	}
	local, prefix = strings.CutSuffix(local, "*")
	if _, rest, e := cutDotString(local, PathUTF8|PathLenient); e != nil || rest != "" || strings.Contains(local, "*") {
		return "", false, "no local part can match (* stands at its end only, and quotes make any character an ordinary one)"
	}
	canonical := m.canonical(local, domain)
	if prefix && m.canonical(local+"x", domain) != canonical+"x" {
		return "", false, "the Canonical form of local parts does not keep this beginning"
	}
	return canonical, prefix, ""
}

func (m *ServeMux) add(pattern, local string, prefix bool, h Handler) (err string) {
	part, _, _ := domainPattern(pattern)
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.byDomain.Of(part)
	if !ok {
		l = &locals{exact: make(map[string]entry)}
		m.byDomain.Set(part, l)
	}
	if !prefix {
		if _, taken := l.exact[local]; taken {
			return "it is registered already"
		}
		l.exact[local] = entry{pattern, h}
		return ""
	}
	i, _ := slices.BinarySearchFunc(l.prefixes, len(local), func(p prefixed, n int) int { return n - len(p.prefix) })
	if slices.ContainsFunc(l.prefixes, func(p prefixed) bool { return p.prefix == local }) {
		return "it is registered already"
	}
	l.prefixes = slices.Insert(l.prefixes, i, prefixed{local, entry{pattern, h}})
	return ""
}

// find is the entry for a local part.
func (l *locals) find(local string) (entry, bool) {
	e, ok := l.exact[local]
	if ok && local != "*" { // <*@domain> is an address as well
		return e, true
	}
	for _, p := range l.prefixes {
		if strings.HasPrefix(local, p.prefix) {
			return p.entry, true
		}
	}
	e, ok = l.exact["*"]
	return e, ok
}

// Match returns the Handler for a recipient and the pattern that chose it, or
// nil and "".
func (m *ServeMux) Match(p Path) (h Handler, pattern string) {
	domain := domains.Canonical(p.Domain)
	local := m.canonical(p.Local, domain.String())
	m.mu.RLock()
	defer m.mu.RUnlock()
	for l := range m.byDomain.Each(domain) {
		e, ok := l.find(local)
		if ok || !m.Backtrack {
			return e.h, e.pattern
		}
	}
	return nil, ""
}

// ServeSMTP serves a message: it matches each recipient, and refuses if one of
// them has no Handler.
func (m *ServeMux) ServeSMTP(ctx context.Context, e *Envelope) error {
	split := m.split()
	for i := range e.To {
		h, pattern := m.Match(e.To[i].Path)
		if h == nil {
			return ErrNoSuchUser
		}
		split.add(h, pattern, i)
	}
	return split.ServeSMTP(ctx, e)
}

func (m *ServeMux) split() *groups { return &groups{memory: m.Memory, dir: m.TempDir} }

func (m *ServeMux) canonical(local, domain string) string {
	if m.Canonical == nil {
		return local
	}
	return m.Canonical(local, domain)
}
