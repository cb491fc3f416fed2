package rules

import (
	"net/netip"
	"strings"
	"time"
)

// Fact is something that rules ask about.
type Fact uint8

// The facts, and which methods of Facts give them.
const (
	IP      Fact = iota // Addr: the client's
	LocalIP             // Addr: ours, that the client has reached
	Helo                // Texts: the name it gave, one; Words: what is to be said of it (see HeloWords)
	Host                // Texts: its names by the reverse DNS that are confirmed by the forward DNS; Words: of the reverse DNS
	From                // Texts: the envelope's sender, "" if it is the null one; Words: see AddressWords
	To                  // Texts: the recipient of the moment, later all; Words: see AddressWords
	User                // Texts: who has logged in, none if nobody has
	Author              // Texts: the addresses in From of the header
	Header              // Texts, by the name of a field: the values of those fields
	Signer              // Texts: the domains of signatures that pass (DKIM)
	TLS                 // Words
	SPF                 // Words: the result for the envelope's sender
	DKIM                // Words: the best result of the signatures
	DMARC               // Words: the result for the author's domain
	Trusted             // Words: whether the client may send to other hosts
	Size                // Number: octets; until the message is there, what was announced
	Rcpts               // Number: recipients so far, with that of the moment
	facts
)

// Facts is what a program knows of one session or message. Whatever it does not know
// it says so of: to a rule that is neither true nor false. The methods are asked
// for what rules need only, perhaps several times for one thing, and one after another.
//
// Texts are compared without regard to the case of ASCII letters. Domains are to be in A-labels
// without a dot at the end, and addresses without the quotes of their local parts, as
// domains.Name and domains.Address have them.
type Facts interface {
	// Addr is that of IP or LocalIP; the zero Addr: it is not known.
	Addr(f Fact) netip.Addr
	// Texts are those of a fact; known with none says that there is none. name is a field's, of Header.
	// They are not changed, and not kept beyond the call of Eval.
	Texts(f Fact, name string) (texts []string, known bool)
	// Words are what can be said of a fact: those that hold, and those of which it is known
	// whether they do. Word makes them. Others than those that are asked for need not be found out.
	Words(f Fact, asked Words) (hold, known Words)
	// Number is that of Size or Rcpts.
	Number(f Fact) (n int64, known bool)
	// Listed asks whether a DNS list has the client's address (f is IP) or one of the names of Host, Helo or
	// From.
	Listed(list string, f Fact) (listed, known bool)
	// Time is now, in the zone that rules speak of; the zero Time: it is not known.
	Time() time.Time
}

// Words is a set of the words that a Fact may have.
type Words uint32

// vocabulary is the words of each fact, a bit each. The last ones may stand for several.
var vocabulary = [facts][]string{
	Helo:    {"none", "helo", "ehlo", "nodots", "bareip", "properip", "myip", "remip", "otherip"},
	Host:    {"nodns", "noforward", "inconsistent", "exists", "good"},
	From:    {"route", "noat", "quoted", "unqualified", "garbage", "resolves", "unknown", "baddom"},
	To:      {"route", "noat", "quoted", "unqualified", "garbage", "resolves", "unknown", "baddom"},
	TLS:     {"on", "off", "1.0", "1.1", "1.2", "1.3"},
	SPF:     {"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"},
	DKIM:    {"pass", "fail", "policy", "neutral", "none", "temperror", "permerror"},
	DMARC:   {"pass", "fail", "none", "temperror", "permerror"},
	Trusted: {"yes", "no"},
}

// joined are words that stand for several.
var joined = [facts]map[string]string{
	Helo: {"remoteip": "remip", "ip": "bareip properip", "bogus": "none nodots bareip myip otherip"},
	From: {"bad": "noat unqualified garbage baddom"},
	To:   {"bad": "noat unqualified garbage baddom"},
}

// Word is the set of these words of a fact, or of what they stand for. It leaves out what is none.
func Word(f Fact, words ...string) (set Words) {
	for _, w := range words {
		for i, known := range vocabulary[f] {
			if w == known {
				set |= 1 << i
			}
		}
		if all, ok := joined[f][w]; ok {
			set |= Word(f, strings.Fields(all)...)
		}
	}
	return set
}

// AllWords is the set of all words of a fact: what is known where everything is.
func AllWords(f Fact) Words { return 1<<len(vocabulary[f]) - 1 }

// WordsOf are all words that may be asked of a fact: those that Word knows.
func WordsOf(f Fact) []string {
	all := append([]string(nil), vocabulary[f]...)
	for _, w := range []string{"remoteip", "ip", "bogus", "bad"} {
		if _, ok := joined[f][w]; ok {
			all = append(all, w)
		}
	}
	return all
}

// syntax are the words of an address that can be read off it.
var syntax = Word(From, "route", "noat", "quoted", "unqualified", "garbage")

// AddressWords are the words of From and To that can be read off an address as the client
// wrote it, without the angle brackets: "route" if a way is before it, "noat" if it has no domain, "quoted" if its local
// part is, "unqualified" if its domain has no dot, "garbage" if it cannot be one. The words resolves,
// unknown and baddom are the DNS's, and not among those known. The null sender has none.
func AddressWords(written string) (hold, known Words) {
	if written == "" {
		return 0, AllWords(From)
	}
	if written[0] == '@' {
		if _, rest, ok := strings.Cut(written, ":"); ok {
			hold |= Word(From, "route")
			written = rest
		}
	}
	at := strings.LastIndexByte(written, '@')
	local, domain := written, ""
	if at >= 0 {
		local, domain = written[:at], written[at+1:]
	}
	if len(local) >= 2 && local[0] == '"' && local[len(local)-1] == '"' {
		hold |= Word(From, "quoted")
		local = "q"
	}
	switch {
	case at < 0:
		hold |= Word(From, "noat")
	case !strings.Contains(domain, ".") && !strings.HasPrefix(domain, "["):
		hold |= Word(From, "unqualified")
	}
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`<>()[]\,;:"@`, r) }
	literal := strings.HasPrefix(domain, "[") && strings.HasSuffix(domain, "]") && !strings.ContainsAny(domain[1:len(domain)-1], "[]<> ")
	dots := strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, "..")
	if local == "" || strings.ContainsFunc(local, bad) || at >= 0 && (domain == "" || dots) || !literal && strings.ContainsFunc(domain, bad) {
		hold |= Word(From, "garbage")
	}
	return hold, syntax
}

// HeloWords are the words of Helo: of the name as the client wrote it, which of the two commands it used, and
// the addresses that its name may show.
func HeloWords(name string, extended bool, remote, local netip.Addr) (hold, known Words) {
	hold = Word(Helo, "helo")
	if extended {
		hold = Word(Helo, "ehlo")
	}
	known = AllWords(Helo)
	if name == "" {
		return hold | Word(Helo, "none"), known
	}
	inner, proper := strings.CutPrefix(name, "[")
	if proper {
		if inner, proper = strings.CutSuffix(inner, "]"); !proper {
			inner = name
		} else if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
			inner = inner[5:]
		}
	}
	addr, err := netip.ParseAddr(inner)
	if err != nil {
		if !strings.Contains(name, ".") {
			hold |= Word(Helo, "nodots")
		}
		return hold, known
	}
	hold |= Word(Helo, map[bool]string{true: "properip", false: "bareip"}[proper])
	switch addr.Unmap() {
	case remote.Unmap():
		hold |= Word(Helo, "remip")
		if addr.Unmap() == local.Unmap() {
			hold |= Word(Helo, "myip")
		}
	case local.Unmap():
		hold |= Word(Helo, "myip")
	default:
		if !remote.IsValid() || !local.IsValid() {
			return hold, known &^ Word(Helo, "myip", "remip", "otherip")
		}
		hold |= Word(Helo, "otherip")
	}
	return hold, known
}

// Case is Facts of values: for tests, and for programs that know all beforehand. What it has no
// value of is not known.
type Case struct {
	Addrs   map[Fact]netip.Addr
	Text    map[Fact][]string   // not of Header
	Fields  map[string][]string // of the header, by names in lower case; nil: there is none yet
	Said    map[Fact]string     // words, such as "pass" or "nodns noforward"; all others do not hold
	Numbers map[Fact]int64
	Lists   map[string]bool // DNS lists, and whether they have the client
	Now     time.Time
}

// Addr implements Facts.
func (c *Case) Addr(f Fact) netip.Addr { return c.Addrs[f] }

// Texts implements Facts.
func (c *Case) Texts(f Fact, name string) (texts []string, known bool) {
	if f == Header {
		return c.Fields[strings.ToLower(name)], c.Fields != nil
	}
	texts, known = c.Text[f]
	return texts, known
}

// Words implements Facts. What can be read off an address or HELO is known with it, unless Said
// says something.
func (c *Case) Words(f Fact, _ Words) (hold, known Words) {
	if said, ok := c.Said[f]; ok {
		return Word(f, strings.Fields(said)...), AllWords(f)
	}
	texts, ok := c.Text[f]
	switch {
	case !ok:
		return 0, 0
	case f == From || f == To:
		known = AllWords(f)
		for _, t := range texts {
			h, k := AddressWords(t)
			hold, known = hold|h, known&k
		}
	case f == Helo:
		return HeloWords(first(texts), true, c.Addrs[IP], c.Addrs[LocalIP])
	}
	return hold, known
}

func first(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return texts[0]
}

// Number implements Facts.
func (c *Case) Number(f Fact) (n int64, known bool) {
	n, known = c.Numbers[f]
	return n, known
}

// Listed implements Facts.
func (c *Case) Listed(list string, _ Fact) (listed, known bool) {
	listed, known = c.Lists[list]
	return listed, known
}

// Time implements Facts.
func (c *Case) Time() time.Time { return c.Now }
