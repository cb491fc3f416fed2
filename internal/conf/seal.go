package conf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// ErrNoRoute: there is no route of this name.
var ErrNoRoute = errors.New("no such route")

// IsSealed reports whether the secret is of no use without the server's key.
func (s Secret) IsSealed() bool { return strings.HasPrefix(string(s), "sealed:") }

// Subject is whose password a sealed one is: it opens for no other route, so
// that nobody who can write to the configuration has it sent elsewhere by
// moving it. A route keeps its subject wherever it stands in the list.
func (r *Route) Subject() string {
	if r.Name != "" {
		return "route:name:" + r.Name
	}
	return "route:domain:" + canonicalPattern(r.Domain)
}

// title is what an operator may call a route on a command line.
func (r *Route) title() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Domain
}

// FindRoute returns the route that has this name, label or domain, and its
// position in the list.
func (s *Settings) FindRoute(which string) (*Route, int, error) {
	var titles []string
	for i := range s.Queue.Routes {
		r := &s.Queue.Routes[i]
		if which == r.Label(i) || r.Name == "" && r.Domain != "" && canonicalPattern(which) == canonicalPattern(r.Domain) {
			return r, i, nil
		}
		titles = append(titles, fmt.Sprintf("%q", r.title()))
	}
	if len(titles) == 0 {
		return nil, 0, fmt.Errorf("%q: %w; there is none at all", which, ErrNoRoute)
	}
	return nil, 0, fmt.Errorf("%q: %w; there are %s", which, ErrNoRoute, strings.Join(titles, ", "))
}

// SetRoutePassword writes the password of a route, sealed for its Subject, into
// the file that the route stands in. Comments and layout of the file stay.
func (s *Settings) SetRoutePassword(which, sealed string) (*Edit, error) {
	r, i, err := s.FindRoute(which)
	if err != nil {
		return nil, err
	}
	if note := s.notes[config.Path("Queue", "Routes", i, "password")]; note != "" {
		return nil, fmt.Errorf("the password of route %q comes from the %s; take that out of the configuration first", r.title(), note)
	}
	if r.User == "" {
		return nil, fmt.Errorf("route %q has no user that a password could be for", r.title())
	}
	at, ok := s.text().Where("Queue", "Routes", i)
	if !ok {
		return nil, fmt.Errorf("route %q stands in no file", r.title())
	}
	return s.edit(at.File, func(text []byte) ([]byte, error) {
		return config.Set(text, sealed, "Queue", "Routes", fmt.Sprint(i), "password")
	})
}

// InClear names the passwords that stand in the configuration for everybody to
// read who gets to see the file, or a copy of it.
func (s *Settings) InClear() []error {
	c := newChecker(s, Probes{})
	c.errs = nil
	c.adviseSecrets()
	return sorted(c.errs)
}

func (c *checker) adviseSecrets() {
	for i := range c.Queue.Routes {
		r := &c.Queue.Routes[i]
		steps := at("Queue", "Routes", i, "password")
		if r.Password == "" || r.Password.IsSealed() || c.notes[config.Path(steps...)] != "" {
			continue
		}
		c.failSecret(steps, "stands here in clear; to seal it, run: postrider conf seal %s", shellWord(r.title()))
	}
}

// sealedRoute checks that a sealed password can be opened.
func (c *checker) sealedRoute(r *Route, i int) {
	if !r.Password.IsSealed() || c.probes.Sealed == nil {
		return
	}
	if err := c.probes.Sealed(c.SecretKeyFile, string(r.Password), r.Subject()); err != nil {
		c.failSecret(at("Queue", "Routes", i, "password"), "%w; to seal it anew, run: postrider conf seal %s", err, shellWord(r.title()))
	}
}

// shellWord is a word as a shell takes it.
func shellWord(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-:@", r))
	}) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
