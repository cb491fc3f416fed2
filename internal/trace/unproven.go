package trace

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// Unproven is the mail in the name of one domain that was refused for one and the same reason,
// because nothing showed that it was from there.
type Unproven struct {
	Author  string    `json:"author"` // the domain in From
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
	Ours    bool      `json:"ours,omitempty"` // From names a domain of this host
	Clients []string  `json:"clients"`        // that brought most of it: confirmed names, or addresses; each once, 5 at most
	Counts  []int     `json:"counts"`         // how many messages each of them brought
	Sources int       `json:"sources"`        // clients that were told apart
	To      []string  `json:"to"`             // of its recipients, the last, 5 at most
	Found   string    `json:"found"`          // what spoke for it
	Missing string    `json:"missing"`        // what would let it pass

	by map[string]int // messages of each client
}

// mostNamed is how many clients and recipients are named.
const mostNamed = 5

// mostUnproven is how many there are at most, and mostSources how many clients are told apart of all of them together: strangers choose the domains
// and the hosts.
const (
	mostUnproven = 10_000
	mostSources  = 50_000
)

// FindUnproven reads from the log what was refused because neither SPF nor DKIM spoke for it, and says
// what would have to change for it to pass: what many messages lack comes first. left is what was not looked at.
func FindUnproven(ctx context.Context, log Log, since time.Time) (found []*Unproven, left *Left, err error) {
	all := make(map[[2]string]*Unproven)
	sources := 0
	tooMany := &Left{Why: fmt.Sprintf("there are more than %d domains", mostUnproven)}
	err = log.Lines(ctx, Hint{{"refused", "author"}}, func(l Line) bool {
		if !l.Time.IsZero() && l.Time.Before(since) {
			return l.Time.After(since.Add(-disorder))
		}
		author := l.Facts["author"]
		if l.Event != "refused" || author == "" {
			return true
		}
		speaks, missing := judge(l.Facts)
		if l.Facts["ours"] != "" {
			missing += "; " + ofOurs
		}
		key := [2]string{author, speaks}
		u := all[key]
		if u == nil && len(all) == mostUnproven {
			left, tooMany.Before = tooMany, l.Time
			return false
		}
		if u == nil {
			u = &Unproven{Author: author, Found: speaks, Missing: missing, Ours: l.Facts["ours"] != "", by: make(map[string]int)}
			all[key] = u
		}
		u.Count++
		if l.Time.After(u.Last) {
			u.Last = l.Time
		}
		if client := clientOf(l.Facts); client != "" && (u.by[client] > 0 || sources < mostSources) {
			if u.by[client] == 0 {
				sources++
				u.Clients = append(u.Clients, client)
			}
			u.by[client]++
		}
		for to := range strings.SplitSeq(l.Facts["to"], ",") {
			u.To = name(u.To, to)
		}
		return true
	})
	not, err := unread(err)
	if err != nil {
		return nil, nil, err
	}
	if not != nil {
		left = not
	}
	for _, u := range all {
		u.mostClients()
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *Unproven) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), strings.Compare(a.Author+a.Found, b.Author+b.Found))
	}), left, nil
}

// mostClients leaves the clients that brought most of it; of those that brought as much, the last.
func (u *Unproven) mostClients() {
	u.Sources = len(u.Clients)
	slices.SortStableFunc(u.Clients, func(a, b string) int { return cmp.Compare(u.by[b], u.by[a]) })
	u.Clients = slices.Clone(u.Clients[:min(len(u.Clients), mostNamed)])
	for _, client := range u.Clients {
		u.Counts = append(u.Counts, u.by[client])
	}
	u.by = nil
}

func name(all []string, one string) []string {
	if one == "" || len(all) == mostNamed || slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}

// ofOurs is what else helps who writes in the name of a domain of the host that refused him.
const ofOurs = "if it is one of yours, it may log in as an account instead, or be in Verify.forwarders, and is marked then"

// clientOf is how the settings would name the client.
func clientOf(facts map[string]string) string {
	if facts["client"] != "" {
		return facts["client"]
	}
	host, _, err := net.SplitHostPort(facts["remote"])
	if err != nil {
		return facts["remote"]
	}
	return host
}

// judge says what spoke for a message, and what is missing. Of several reasons the one is told
// that is mended most easily.
func judge(facts map[string]string) (found, missing string) {
	author, spf := facts["author"], facts["spf_domain"]
	var signed, broken, unknown []string
	if facts["spf"] == "temperror" && spf != "" {
		unknown = append(unknown, spf)
	}
	for one := range strings.SplitSeq(facts["signers"], ",") {
		domain, status, _ := strings.Cut(one, ":")
		switch {
		case domain == "":
		case status == "pass":
			signed = append(signed, domain)
		case status == "temperror":
			unknown = append(unknown, domain)
		default:
			broken = append(broken, domain)
		}
	}
	switch {
	case slices.ContainsFunc(broken, func(d string) bool { return related(d, author) }):
		return "a signature of " + strings.Join(broken, ", ") + " that does not hold",
			"it was changed on its way, by a list or a forwarder: if you trust the host that brought it, name it in Verify.forwarders; or " + author + " publishes no key for it"
	case len(signed) > 0:
		return "a signature of " + strings.Join(signed, ", "),
			fmt.Sprintf("whoever sends it signs with a domain of his own: %s has to let him sign as %s", author, author)
	case facts["spf"] == "pass" && spf != "":
		return "SPF passes for " + spf,
			fmt.Sprintf("%s has to be signed by DKIM, or sent with an address of %s in MAIL FROM; a host that forwards it belongs into Verify.forwarders", author, author)
	case len(unknown) > 0:
		return "the DNS of " + strings.Join(unknown, ", ") + " did not answer", "its servers have to answer"
	case related(spf, author) && (facts["spf"] == "fail" || facts["spf"] == "softfail" || facts["spf"] == "neutral"):
		return "SPF of " + spf + " does not name the host", "the host has to be in the SPF record of " + spf + ", or sign by DKIM, if it is one of theirs"
	}
	return "nothing", "it is a forgery, or " + author + " has to sign by DKIM or publish an SPF record that names the host"
}

// related reports whether one name is the other, or below or above it.
func related(a, b string) bool { return domains.Within(a, b) || domains.Within(b, a) }
