package rules

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// operator is a word that begins a condition.
type operator struct {
	name string
	// phase is the first at which there is anything to be known; starts, if later, is where a rule begins that
	// names no phase.
	phase, starts Phase
	args          int    // words behind it
	form          string // what they are, for an error
	make          func(p *parser, args []token) (node, error)
}

// operators returns them all. It is a function because some refer to what refers to them.
func operators() []operator {
	return []operator{
		{"all", AtConnect, 0, 0, "", func(*parser, []token) (node, error) { return always{}, nil }},
		{"from", AtFrom, 0, 1, addressArg, text(From, addressForm)},
		{"to", AtTo, 0, 1, addressArg, text(To, addressForm)},
		{"helo", AtHelo, 0, 1, hostArg, text(Helo, hostForm)},
		{"ehlo", AtHelo, 0, 1, hostArg, text(Helo, hostForm)},
		{"host", AtConnect, 0, 1, hostArg, text(Host, hostForm)},
		{"source", AtFrom, 0, 1, hostArg, source},
		{"ip", AtConnect, 0, 1, "an address, a network, a range or a file", ip},
		// Who is in a list may be a user, who has logged in by RCPT.
		{"dnsbl", AtConnect, AtTo, 1, "the domain of a DNS list", list(IP)},
		{"dbl", AtConnect, AtTo, 2, "host, helo, from or any, and the domain of a DNS list", nameList},
		{"tls", AtHelo, AtFrom, 1, "", words(TLS)}, // before STARTTLS every client is without
		{"from-has", AtFrom, 0, 1, "", words(From)},
		{"to-has", AtTo, 0, 1, "", words(To)},
		{"helo-has", AtHelo, 0, 1, "", words(Helo)},
		{"dns", AtConnect, 0, 1, "", words(Host)},
		{"spf", AtFrom, AtTo, 1, "", words(SPF)}, // by RCPT the DNS has answered without anybody having waited
		{"dkim", AtMessage, 0, 1, "", words(DKIM)},
		{"dmarc", AtMessage, 0, 1, "", words(DMARC)},
		{"signer", AtMessage, 0, 1, hostArg, text(Signer, hostForm)},
		{"trusted", AtFrom, 0, 1, "", words(Trusted)},
		{"user", AtFrom, 0, 1, addressArg, text(User, addressForm)},
		{"author", AtHeader, 0, 1, addressArg, text(Author, addressForm)},
		{"header", AtHeader, 0, 2, "the name of a field, and a text with * and ?", header},
		{"size", AtFrom, 0, 1, "a comparison like >10MB", number(Size)},
		{"rcpts", AtTo, 0, 1, "a comparison like >50", number(Rcpts)},
		{"time", AtConnect, 0, 1, "hours like 22:00-06:00", timeOfDay},
		{"day", AtConnect, 0, 1, "days like mon-fri or sat,sun", weekday},
		{"first", AtConnect, 0, 1, "a number", counting(firstOf)},
		{"every", AtConnect, 0, 1, "a number", counting(everyOf)},
		{"chance", AtConnect, 0, 1, "a percentage like 20%", chance},
		{"rate", AtConnect, 0, 2, "whom it is of, and how many in which time, like user >100/h", rateOf},
	}
}

const (
	addressArg = `an address pattern (a@b, a@, @b, @.b, @ or <>) or a file`
	hostArg    = `a host pattern (b.com or .b.com) or a file`
)

// text is an operator on patterns.
func text(fact Fact, form syntaxOf) func(*parser, []token) (node, error) {
	return func(p *parser, args []token) (node, error) {
		set, err := p.patterns(args[0], fact, form)
		return textIs{fact: fact, set: set}, err
	}
}

func source(p *parser, args []token) (node, error) {
	set, err := p.patterns(args[0], Host, hostForm)
	return sourceIs{set}, err
}

func ip(p *parser, args []token) (node, error) {
	set, err := p.addresses(args[0])
	return addrIs{set}, err
}

// words is an operator on what is said of a fact.
func words(fact Fact) func(*parser, []token) (node, error) {
	return func(_ *parser, args []token) (node, error) {
		var want Words
		for _, w := range strings.Split(strings.TrimSuffix(args[0].text, ","), ",") {
			w = strings.TrimSpace(w)
			one := Word(fact, w)
			if one == 0 {
				return nil, unknownWord("is none of "+strings.Join(WordsOf(fact), ", "), w, WordsOf(fact))
			}
			want |= one
		}
		return wordsAre{fact, want}, nil
	}
}

// unknownWord says what was probably meant.
func unknownWord(what, word string, all []string) error {
	if near := config.Nearest(word, all); near != "" {
		return fmt.Errorf("%q %s; did you mean %q?", word, what, near)
	}
	return fmt.Errorf("%q %s", word, what)
}

func listName(text string) (string, error) {
	name := domains.Canonical(text).String()
	if _, err := domains.HostName(name); err != nil || !strings.Contains(name, ".") {
		return "", fmt.Errorf("%q is not the domain of a DNS list; write one like %q", text, "list.example.org")
	}
	return name, nil
}

func list(fact Fact) func(*parser, []token) (node, error) {
	return func(_ *parser, args []token) (node, error) {
		name, err := listName(args[0].text)
		return listedIn{name, []Fact{fact}}, err
	}
}

func nameList(p *parser, args []token) (node, error) {
	sources := map[string][]Fact{"host": {Host}, "helo": {Helo}, "ehlo": {Helo}, "from": {From}, "any": {Host, Helo, From}}
	n := listedIn{}
	for _, s := range strings.Split(args[0].text, ",") {
		facts, ok := sources[s]
		if !ok {
			return nil, p.fail(args[0], "%w", unknownWord("is none of host, helo, ehlo, from and any", s, []string{"host", "helo", "ehlo", "from", "any"}))
		}
		n.facts = append(n.facts, facts...)
	}
	for _, f := range n.facts {
		p.needs(map[Fact]Phase{Host: AtConnect, Helo: AtHelo, From: AtFrom}[f], 0)
	}
	var err error
	n.list, err = listName(args[1].text)
	return n, err
}

func header(p *parser, args []token) (node, error) {
	name := args[0].text
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
		return nil, p.fail(args[0], "%q is not the name of a header field; it stands without a colon", name)
	}
	if len(args[1].text) > longestGlob {
		return nil, fmt.Errorf("the text is too long; at most %d octets", longestGlob)
	}
	return headerIs{strings.ToLower(name), glob(strings.ToLower(args[1].text))}, nil
}

// longestGlob is how long a text with stars may be, in octets: looking for it takes
// time in proportion.
const longestGlob = 256

// number compares with a size or a count.
func number(fact Fact) func(*parser, []token) (node, error) {
	return func(_ *parser, args []token) (node, error) {
		value := strings.TrimLeft(args[0].text, "<>=")
		compare := args[0].text[:len(args[0].text)-len(value)]
		n, err := int64(0), error(nil)
		if fact == Size {
			var size config.Size
			size, err = config.ParseSize(value)
			n = int64(size)
		} else if n, err = strconv.ParseInt(value, 10, 64); err != nil {
			err = fmt.Errorf("%q is no number", value)
		}
		if err != nil {
			return nil, err
		}
		switch compare {
		case ">":
			return numberIs{fact, min(n, math.MaxInt64-1) + 1, math.MaxInt64}, nil
		case ">=":
			return numberIs{fact, n, math.MaxInt64}, nil
		case "<":
			return numberIs{fact, math.MinInt64, n - 1}, nil
		case "<=":
			return numberIs{fact, math.MinInt64, n}, nil
		case "", "=":
			return numberIs{fact, n, n}, nil
		}
		return nil, fmt.Errorf("%q does not compare; write >, >=, <, <= or = before the number", compare)
	}
}

var errHours = errors.New("hours are written like 22:00-06:00")

func timeOfDay(_ *parser, args []token) (node, error) {
	first, last, ok := strings.Cut(args[0].text, "-")
	from, ok1 := clock(first)
	to, ok2 := clock(last)
	if !ok || !ok1 || !ok2 {
		return nil, errHours
	}
	if from == to {
		return nil, errors.New("these hours begin where they end")
	}
	return timeIs{from, to}, nil
}

// clock is "7:30" or "07:30" or "24:00" in minutes.
func clock(s string) (minutes int, ok bool) {
	h, m, ok := strings.Cut(s, ":")
	hours, err1 := strconv.ParseUint(h, 10, 8)
	mins, err2 := strconv.ParseUint(m, 10, 8)
	minutes = int(hours)*60 + int(mins)
	return minutes, ok && err1 == nil && err2 == nil && mins < 60 && len(m) == 2 && minutes <= 24*60
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func weekday(_ *parser, args []token) (node, error) {
	var n dayIs
	number := func(name string) (int, error) {
		for i, d := range dayNames {
			if strings.EqualFold(d, name) || strings.EqualFold(time.Weekday(i).String(), name) {
				return i, nil
			}
		}
		return 0, unknownWord("is no day", name, dayNames)
	}
	for _, part := range strings.Split(args[0].text, ",") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		from, err1 := number(first)
		to, err2 := number(last)
		if err := errors.Join(err1, err2); err != nil {
			if err1 != nil {
				err = err1
			}
			return nil, err
		}
		for d := from; ; d = (d + 1) % 7 {
			n.days[d] = true
			if d == to {
				break
			}
		}
	}
	return n, nil
}

func counting(holds func(uint64) func(uint64) bool) func(*parser, []token) (node, error) {
	return func(_ *parser, args []token) (node, error) {
		n, err := strconv.ParseUint(args[0].text, 10, 63)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no number from 1 on", args[0].text)
		}
		return &counter{n: new(atomic.Uint64), holds: holds(n)}, nil
	}
}

func chance(p *parser, args []token) (node, error) {
	number, ok := strings.CutSuffix(args[0].text, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(percent >= 0 && percent <= 100) {
		return nil, fmt.Errorf("%q is no percentage; write one like 20%% or 0.5%%", args[0].text)
	}
	seed := anySeed()
	if p.token().is("seed") {
		p.at++
		arg, err := p.argument("seed", "a number")
		if err != nil {
			return nil, err
		}
		if seed, err = strconv.ParseUint(arg.text, 10, 64); err != nil {
			p.failAt(arg.at, fmt.Errorf("%q is no number", arg.text))
		}
	}
	return &counter{n: new(atomic.Uint64), holds: chanceOf(uint64(math.Round(percent*1e4)), seed)}, nil
}
