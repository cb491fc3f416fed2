package rules

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
)

// A rate is how many there were of somebody in a time that begins with his first, so that the number and the end
// can be told exactly to who is over it.

// What bounds the memory of rates: so many in a Set, each of so many holders. An entry takes about 40 octets.
const (
	mostRates = 100
	mostRated = 10_000
	longest   = 31 * 24 * time.Hour
)

// tally is a condition on how often the rest of its clause was true. It is asked last.
type tally interface {
	node
	// count counts once more, and says what comes of it. With peek it only says what would.
	count(f Facts, peek bool) (holds bool, over reached)
	// flip is "not".
	flip()
}

// reached is what a rate has come to; its rate is nil if there is nothing to tell.
type reached struct {
	rate  *rate
	n     uint32
	since time.Time
}

// ratedWords are whom a rate can be of, with what they are called in a reply and where they are known.
var ratedWords = []struct {
	word, called string
	from         Phase
}{
	{"user", "this user", AtFrom},
	{"ip", "this address", AtConnect},
	{"net", "this network", AtConnect},
	{"from", "this sender", AtFrom},
	{"domain", "this domain", AtFrom},
	{"to", "this recipient", AtTo},
	{"all", "all together", AtConnect},
}

// rate counts for each holder. It may be asked concurrently.
type rate struct {
	words       []string
	first, last int64 // it holds of these numbers, which count from 1
	period      time.Duration
	not         bool
	*ledger
}

// ledger is what was counted: what outlives a reload.
type ledger struct {
	seed maphash.Seed
	mu   sync.Mutex
	by   map[uint64]account
}

// account is what was counted for one holder.
type account struct {
	since int64 // in nanoseconds of Unix time
	n     uint32
}

// rateOf reads what stands behind "rate".
func rateOf(p *parser, args []token) (node, error) {
	r := &rate{words: strings.Split(args[0].text, "+"), ledger: &ledger{seed: maphash.MakeSeed(), by: make(map[uint64]account)}}
	names := make([]string, len(ratedWords))
	for i, w := range ratedWords {
		names[i] = w.word
	}
	for _, w := range r.words {
		i := slices.Index(names, w)
		if i < 0 {
			return nil, p.fail(args[0], "%w", unknownWord("is none of "+strings.Join(names, ", ")+`; "+" stands between two of them`, w, names))
		}
		p.needs(ratedWords[i].from, ratedWords[i].from)
	}
	much, per, ok := strings.Cut(args[1].text, "/")
	if !ok {
		return nil, fmt.Errorf("%q is no rate; write one like >100/h or >20/10m", args[1].text)
	}
	compared, err := number(Rcpts)(p, []token{{text: much}})
	if err != nil {
		return nil, err
	}
	n := compared.(numberIs)
	r.first, r.last = n.from, n.to
	if per != "" && strings.Trim(per, "0123456789") == per {
		per = "1" + per
	}
	if r.period, err = config.ParseDuration(per); err != nil {
		return nil, err
	}
	if r.period < time.Second || r.period > longest {
		return nil, errors.New("a rate is of a second at least, and of 31 days at most")
	}
	if p.rates++; p.rates > mostRates {
		return nil, fmt.Errorf("there are too many rates; at most %d, as each remembers who it counts", mostRates)
	}
	return r, nil
}

func (r *rate) flip() { r.not = !r.not }

// eval is for none but who explains.
func (r *rate) eval(f Facts) truth {
	holds, _ := r.count(f, true)
	return truthOf(holds, true)
}

// count implements tally. Who is not known is not counted, and over no rate nor under one.
func (r *rate) count(f Facts, peek bool) (holds bool, over reached) {
	now := f.Time()
	if now.IsZero() {
		return false, over
	}
	recipients, known := f.Texts(To, "")
	if !slices.Contains(r.words, "to") {
		recipients, known = unnamed[:], true
	}
	if !known {
		return false, over
	}
	for _, to := range recipients {
		key, ok := r.key(f, to)
		if !ok {
			return false, reached{}
		}
		a := r.add(key, now, peek)
		if in := int64(a.n) >= r.first && int64(a.n) <= r.last; in != r.not {
			holds, over = true, reached{r, a.n, time.Unix(0, a.since)}
		}
	}
	return holds, over
}

// unnamed is the one recipient of a rate that is of none.
var unnamed [1]string

// key is what stands for whom the rate is of.
func (r *rate) key(f Facts, to string) (key uint64, ok bool) {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, w := range r.words {
		switch w {
		case "user", "from", "domain":
			fact := From
			if w == "user" {
				fact = User
			}
			texts, known := f.Texts(fact, "")
			if !known || len(texts) == 0 {
				return 0, false
			}
			t := lower(texts[0])
			if w == "domain" {
				t = t[strings.LastIndexByte(t, '@')+1:]
			}
			h.WriteString(t)
		case "ip", "net":
			a := f.Addr(IP).Unmap()
			if !a.IsValid() {
				return 0, false
			}
			if w == "net" {
				bits := 64
				if a.Is4() {
					bits = 24
				}
				network, _ := a.Prefix(bits)
				a = network.Addr()
			}
			octets := a.As16()
			h.Write(octets[:])
		case "to":
			h.WriteString(lower(to))
		}
		h.WriteByte(0)
	}
	return h.Sum64(), true
}

// add counts one more of a holder.
func (r *rate) add(key uint64, now time.Time, peek bool) account {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now.UnixNano()
	a, there := r.by[key]
	switch {
	case !there || at-a.since >= int64(r.period):
		a = account{since: at}
	case a.since > at: // the clock was set back: what was counted stays
		a.since = at
	}
	if a.n < math.MaxUint32 {
		a.n++
	}
	if peek {
		return a
	}
	if !there && len(r.by) >= mostRated {
		r.makeRoom(at)
	}
	r.by[key] = a
	return a
}

// makeRoom forgets those whose time is over, and if that is not enough those of whom there was the least: who comes in many
// names has not himself forgotten under the one that he used most.
func (r *rate) makeRoom(at int64) {
	for key, a := range r.by {
		if at-a.since >= int64(r.period) {
			delete(r.by, key)
		}
	}
	const most = mostRated * 15 / 16
	if len(r.by) <= most {
		return
	}
	type holder struct {
		key uint64
		account
	}
	all := make([]holder, 0, len(r.by))
	for key, a := range r.by {
		all = append(all, holder{key, a})
	}
	slices.SortFunc(all, func(a, b holder) int { return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.since, b.since)) })
	for _, h := range all[:len(all)-most] {
		delete(r.by, h.key)
	}
}

// String tells who is over a rate what it is, and when it ends. Nothing is to be told of one that is no upper bound.
func (o reached) String() string {
	r := o.rate
	if r == nil || r.not || r.last != math.MaxInt64 {
		return ""
	}
	var whose []string
	for _, w := range ratedWords {
		if slices.Contains(r.words, w.word) {
			whose = append(whose, w.called)
		}
	}
	clock := "15:04:05"
	if r.period > 12*time.Hour {
		clock = "2006-01-02 15:04:05"
	}
	return "There may be " + strconv.FormatInt(r.first-1, 10) + " in " + config.FormatDuration(r.period) + " of " + strings.Join(whose, " and ") +
		", and this is number " + strconv.FormatUint(uint64(o.n), 10) + " since " + o.since.UTC().Format(clock) +
		"; try again at " + o.since.Add(r.period+time.Second-1).UTC().Format(clock+" MST")
}

// Resume has the rates of the rules go on from where those of old were, which stand in the same file and are written alike.
// It is to be called before the first Eval. What "first", "every" and "chance" count begins anew.
func (s *Set) Resume(old *Set) {
	if old == nil || old == s {
		return
	}
	had := make(map[string][]*ledger)
	old.eachRate(func(name string, r *rate) { had[name] = append(had[name], r.ledger) })
	s.eachRate(func(name string, r *rate) {
		if all := had[name]; len(all) > 0 {
			r.ledger, had[name] = all[0], all[1:]
		}
	})
}

// eachRate calls do for every rate, with what it is known by.
func (s *Set) eachRate(do func(name string, r *rate)) {
	for _, rule := range s.rules {
		for _, c := range rule.clauses {
			for i, n := range c.counters {
				if r, ok := n.tally.(*rate); ok {
					do(fmt.Sprintf("%s %d %s %s %s", c.at.File, i, c.first, rule.action, strings.ReplaceAll(c.text, " ", "")), r)
				}
			}
		}
	}
}
