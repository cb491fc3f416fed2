package conf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// NewRoute is a route from another program's table.
type NewRoute struct {
	// Where says where it stands there, for words about it.
	Where string
	// Domain is whom it is for, as in Route.
	Domain string
	// Hosts, MX, Port, TLS and LMTP are as in Route. Without Hosts, mail goes where the DNS of its domain says,
	// whatever a wider route says.
	Hosts []string
	MX    bool
	Port  int
	TLS   string
	LMTP  bool
	// Here: mail for the domain does not leave that host.
	Here bool
}

// writtenRoute is a route as it is written into a file.
type writtenRoute struct {
	Domain   string `json:"domain"`
	Host     any    `json:"host"`
	MX       bool   `json:"mx,omitempty"`
	Port     int    `json:"port,omitempty"`
	TLS      string `json:"tls,omitempty"`
	Protocol string `json:"protocol,omitempty"`
}

// AddRoutes adds the routes that can be added behind those that there are, and says why each of the others cannot. What
// is for a domain of this server, and is to stay there, needs none.
func (s *Settings) AddRoutes(path string, all []NewRoute) (edits []*Edit, added int, refused []error, err error) {
	was := s.Queue.Routes
	defer func() { s.Queue.Routes = was }()
	s.Queue.Routes = slices.Clone(was)
	c := newChecker(s, Probes{})
	var fresh []writtenRoute
	// The narrow ones are looked at last: what is wider decides whether they are needed.
	for _, n := range slices.SortedStableFunc(slices.Values(all), byWidth) {
		needed, err := c.newRoute(n)
		if err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", n.Where, err))
		} else if needed {
			fresh = append(fresh, s.Queue.Routes[len(s.Queue.Routes)-1].written())
		}
	}
	if len(fresh) == 0 {
		return nil, 0, refused, nil
	}
	at, ok := s.text().Where("Queue", "Routes")
	if !ok && len(was) > 0 {
		return nil, 0, nil, errors.New("the routes that there are stand in no file; add these where those come from")
	}
	d, file := newDraft(s), newFile(path, "routes.conf")
	if ok {
		file = at.File
	}
	if was == nil || !ok {
		err = d.set(file, fresh, []string{"Queue", "Routes"})
	} else {
		for i, r := range fresh {
			err = errors.Join(err, d.set(file, r, []string{"Queue", "Routes", strconv.Itoa(len(was) + i)}))
		}
	}
	if err != nil {
		return nil, 0, nil, err
	}
	return d.edits(), len(fresh), refused, nil
}

// byWidth sorts routes, the widest first: that for all, those for what is below a domain, those for one.
func byWidth(a, b NewRoute) int {
	rank := func(domain string) int {
		switch {
		case domain == "*":
			return 0
		case strings.HasPrefix(domain, "."):
			return 1
		}
		return 2
	}
	return cmp.Or(rank(a.Domain)-rank(b.Domain), strings.Count(a.Domain, ".")-strings.Count(b.Domain, "."))
}

// newRoute appends a route to the settings, where one is needed and can be.
func (c *checker) newRoute(n NewRoute) (needed bool, err error) {
	local := c.book.IsLocal(domains.Canonical(n.Domain))
	switch {
	case n.Here && local, len(n.Hosts) == 0 && local:
		return false, nil
	case n.Here:
		return false, fmt.Errorf("mail for %s stays on that host; for it to come here: postrider domain add %[1]s", n.Domain)
	}
	r := Route{Domain: n.Domain, Host: n.Hosts, MX: n.MX, Port: n.Port, TLS: n.TLS}
	if n.LMTP {
		r.Protocol = "lmtp"
	}
	if len(n.Hosts) == 0 {
		over := c.routeOver(n.Domain)
		if over == "" {
			return false, nil
		}
		if n.Domain == "*" || strings.HasPrefix(n.Domain, ".") {
			return false, fmt.Errorf("mail for %s would go where the DNS of each domain says, and no route says that while there is one for %s", n.Domain, over)
		}
		r.Host, r.MX = Targets{n.Domain}, true
	}
	before, i := len(c.errs), len(c.Queue.Routes)
	for j := range c.Queue.Routes {
		if canonicalPattern(c.Queue.Routes[j].Domain) == canonicalPattern(n.Domain) {
			return false, fmt.Errorf("there is a route for %s already", n.Domain)
		}
	}
	c.Queue.Routes = append(c.Queue.Routes, r)
	if c.route(&r, i); len(c.errs) > before {
		c.Queue.Routes = c.Queue.Routes[:i]
		err, c.errs = c.errs[before].is, c.errs[:before]
		_, why, _ := strings.Cut(err.Error(), fmt.Sprintf("Queue.Routes[%d].", i))
		why, _, _ = strings.Cut(why, "\n") // below it stands a line of the settings, which it is not about
		return false, errors.New(why)
	}
	return true, nil
}

// routeOver is the domain of a route that is for more than this one, and for it too; "" if there is none.
func (c *checker) routeOver(domain string) string {
	for i := range c.Queue.Routes {
		switch d := canonicalPattern(c.Queue.Routes[i].Domain); {
		case d == "*" && domain != "*", strings.HasPrefix(d, ".") && domain != d && strings.HasSuffix(canonicalPattern(domain), d):
			return c.Queue.Routes[i].Domain
		}
	}
	return ""
}

func (r *Route) written() writtenRoute {
	return writtenRoute{r.Domain, asWritten(r.Host), r.MX, r.Port, r.TLS, r.Protocol}
}
