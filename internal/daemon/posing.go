package daemon

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// Posing is a source whose mail was refused because it is in the name of a domain of this host, and nothing shows that it is from there. Most are
// forgers; a shop, a printer or a newsletter service that writes as us is among them, and nobody here reads the refusal it gets.
type Posing struct {
	Source string    `json:"source"` // the confirmed name of a host, or an address or network: as Verify.forwarders takes it
	Domain string    `json:"domain"` // of this host
	Count  int       `json:"count"`
	Since  time.Time `json:"since"`
	Last   time.Time `json:"last"`
	// SpokenFor is the domain that stood for the last of it by SPF or DKIM, which is not ours; empty: nobody did.
	SpokenFor string `json:"spoken_for,omitempty"`
	PassesIf  string `json:"passes_if"` // a sentence: what would let it pass
}

// String says it in a sentence, without what would let it pass.
func (p *Posing) String() string {
	text := fmt.Sprintf("%s was refused %d times since %s as writing in the name of %s, the last time %s", p.Source, p.Count, clock(p.Since), p.Domain, clock(p.Last))
	if p.SpokenFor != "" {
		text += "; " + p.SpokenFor + " stands for its mail"
	}
	return text
}

const (
	// posingFor is how long after the last refusal a source is told of.
	posingFor = 7 * 24 * time.Hour
	// posers bounds the table: strangers choose the addresses and names.
	posers = 1 << 10
	// mostPosing bounds what is told.
	mostPosing = 20
)

// posing remembers the sources of the last days. The zero value knows of none.
type posing struct {
	mu      sync.Mutex
	all     map[poser]*Posing
	changed bool // since it was written down
}

type poser struct {
	source string
	domain domains.Name
}

// saw counts a verdict, if it is one of these.
func (p *posing) saw(v *verify.Verdict, now time.Time) {
	if v.Ours == "" || v.Action != verify.Refuse {
		return
	}
	who := poser{sourceOf(v), v.Ours}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.all[who]
	if w == nil || now.Sub(w.Last) >= posingFor {
		p.makeRoom()
		w = &Posing{Source: who.source, Domain: who.domain.String(), Since: now}
		p.all[who] = w
	}
	w.Count++
	w.Last, w.SpokenFor = now, speaker(v)
	p.changed = true
}

// memory is what the next run is to know; nil where nothing is new.
func (p *posing) memory(now time.Time) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.changed {
		return nil, nil
	}
	p.changed = false
	all := make([]*Posing, 0, len(p.all))
	for _, w := range p.all {
		if now.Sub(w.Last) < posingFor {
			all = append(all, w)
		}
	}
	return json.Marshal(all)
}

// lost says that what memory returned was not kept.
func (p *posing) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = true
}

// recall takes up what an earlier run knew, as far as it can be so: of domains that are of this host still, and of the last days.
func (p *posing) recall(memory []byte, isOwn func(domains.Name) bool, now time.Time) error {
	var all []*Posing
	if err := json.Unmarshal(memory, &all); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range all {
		if w == nil || w.Source == "" || w.Count <= 0 || w.Since.After(w.Last) || w.Last.After(now) || now.Sub(w.Last) >= posingFor || !isOwn(domains.Name(w.Domain)) {
			continue
		}
		p.makeRoom()
		p.all[poser{w.Source, domains.Name(w.Domain)}] = w
	}
	return nil
}

// makeRoom forgets those who were refused least where the table is full.
func (p *posing) makeRoom() {
	if p.all == nil {
		p.all = make(map[poser]*Posing)
	}
	if len(p.all) >= posers {
		accounts.Evict(p.all, func(_ poser, w *Posing) float64 { return float64(w.Count) })
	}
}

// list are the sources of the last days: those that somebody stands for first, as most forgers have nobody, and of these who was refused most. more is
// how many are left out.
func (p *posing) list(now time.Time) (all []Posing, more int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.all {
		if now.Sub(w.Last) < posingFor {
			all = append(all, *w)
		}
	}
	slices.SortFunc(all, func(a, b Posing) int {
		return cmp.Or(cmp.Compare(min(1, len(b.SpokenFor)), min(1, len(a.SpokenFor))), cmp.Compare(b.Count, a.Count), strings.Compare(a.Source+" "+a.Domain, b.Source+" "+b.Domain))
	})
	if len(all) > mostPosing {
		all, more = all[:mostPosing:mostPosing], len(all)-mostPosing
	}
	for i := range all {
		all[i].PassesIf = all[i].passesIf()
	}
	return all, more
}

// sourceOf is what the settings would name the client by. Whoever has an IPv6 network has as many addresses of it as he likes.
func sourceOf(v *verify.Verdict) string {
	if v.Client.Name != "" {
		return strings.TrimSuffix(v.Client.Name, ".")
	}
	if a, err := netip.ParseAddr(v.Client.Addr); err == nil && a.Is6() {
		if network, err := a.Prefix(64); err == nil {
			return network.String()
		}
	}
	return v.Client.Addr
}

// speaker is a domain that stood for the message though it is not the author's.
func speaker(v *verify.Verdict) string {
	for i := range v.DKIM {
		if v.DKIM[i].Status == dkim.Pass {
			return v.DKIM[i].Domain
		}
	}
	if v.SPF.Result == spf.Pass {
		return v.SPF.Domain
	}
	return ""
}

// passesIf says what would let it pass, the best first. It is what docs/trust.md says of the refusal.
func (p *Posing) passesIf() string {
	return fmt.Sprintf("it logs in as an account, signs as %s by DKIM, or sends with an address of %[1]s in MAIL FROM and is in its SPF record; or it is delivered with a mark, with %q in Verify.forwarders", p.Domain, p.Source)
}
