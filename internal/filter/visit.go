package filter

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
)

// visit is one session as rules see it: it implements rules.Facts, and finds out what they ask for when they
// do.
type visit struct {
	f     *Filter
	s     *smtp.Session
	set   *rules.Set
	ctx   context.Context // of the call at hand
	phase rules.Phase

	helo    string
	greeted bool

	from     *string // canonical; nil before MAIL
	written  string  // as the client wrote it
	trusted  bool
	rcpt     *smtp.Path // of the RCPT at hand
	look     *post.Look
	envelope *smtp.Envelope
	size     int64               // of the message; 0: it is not there yet
	to       []string            // what recipients returned, until the next phase
	fields   map[string][]string // what Texts returned of fields of the header

	memory rules.Memory
	texts  [3]string // what Texts returns of facts that have one, each in a place of its own

	reverse *reverse // nil: nobody has asked yet
	domains map[domains.Name]rules.Words
	listed  map[string]string // what DNS lists have said
	addr    netip.Addr        // whose reverse and listed are
}

// begin forgets one transaction for the next.
func (v *visit) begin(set *rules.Set, from smtp.Path, trusted bool) {
	canonical := canonicalOf(from)
	v.set, v.from, v.written, v.trusted = set, &canonical, from.String(), trusted
	v.look, v.envelope, v.size, v.domains, v.to = nil, nil, 0, nil, nil
	v.memory.Forget()
}

// Memory has rules that cannot become true any more be asked no more.
func (v *visit) Memory() *rules.Memory { return &v.memory }

// canonicalOf is an address as rules compare it.
func canonicalOf(p smtp.Path) string {
	if p.IsNull() {
		return ""
	}
	return p.Address().String()
}

// Addr implements rules.Facts.
func (v *visit) Addr(f rules.Fact) netip.Addr {
	if f == rules.LocalIP {
		here, _ := lineserver.IP(v.s.LocalAddr)
		return here
	}
	return v.addr
}

// Texts implements rules.Facts.
func (v *visit) Texts(f rules.Fact, name string) (texts []string, known bool) {
	switch f {
	case rules.Helo:
		v.texts[0] = strings.TrimSuffix(v.name(), ".")
		return v.texts[:1], v.hasGreeted()
	case rules.Host:
		return v.back().names, v.back().known
	case rules.From:
		if v.from == nil {
			return nil, false
		}
		v.texts[1] = *v.from
		return v.texts[1:2], true
	case rules.To:
		return v.recipients(), v.phase >= rules.AtTo
	case rules.User:
		if v.s.User == "" {
			return nil, true
		}
		v.texts[2] = v.s.User
		return v.texts[2:], true
	case rules.Author:
		return v.authors()
	case rules.Header:
		if v.look == nil {
			return nil, false
		}
		texts = v.named(name)
		return texts, len(texts) > 0 || !v.look.Header.Truncated()
	case rules.Signer:
		d := v.f.Verifier.VerdictOf(v.s)
		if d == nil {
			return nil, false
		}
		for i := range d.DKIM {
			if d.DKIM[i].Status == dkim.Pass {
				texts = append(texts, domains.Canonical(d.DKIM[i].Domain).String())
			}
		}
		return texts, true
	}
	return nil, false
}

// named are the fields of a name: rules ask for few names, and each for the same ones.
func (v *visit) named(name string) []string {
	texts, ok := v.fields[name]
	if ok {
		return texts
	}
	for _, field := range v.look.Header.Named(name) {
		texts = append(texts, strings.TrimSpace(field.Value()))
	}
	if v.fields == nil {
		v.fields = make(map[string][]string)
	}
	if len(v.fields) < mostFields {
		v.fields[name] = texts
	}
	return texts
}

// mostFields is how many names of fields are remembered.
const mostFields = 50

// name is what the client calls itself.
func (v *visit) name() string {
	if v.phase == rules.AtHelo {
		return v.helo
	}
	return v.s.Helo
}

func (v *visit) hasGreeted() bool { return v.greeted || v.s.Helo != "" }

// recipients are that of the moment, or all.
func (v *visit) recipients() (all []string) {
	if v.to != nil {
		return v.to
	}
	if v.rcpt != nil {
		v.to = []string{canonicalOf(*v.rcpt)}
		return v.to
	}
	for _, p := range v.paths() {
		all = append(all, canonicalOf(p))
	}
	v.to = all
	return all
}

func (v *visit) paths() (all []smtp.Path) {
	e := v.envelope
	if e == nil {
		e = v.s.Envelope
	}
	if e != nil {
		for i := range e.To {
			all = append(all, e.To[i].Path)
		}
	}
	return all
}

// authors are the addresses in From of the header. Who writes it so that it cannot be read has not hidden what can.
func (v *visit) authors() (all []string, known bool) {
	if v.look == nil {
		return nil, false
	}
	unread := v.look.Header.Truncated()
	for _, field := range v.look.From() {
		unread = unread || len(field.Bad) > 0
		for _, a := range field.Addresses {
			all = append(all, domains.At(a.Local, domains.Canonical(a.Domain)).String())
		}
	}
	return all, len(all) > 0 || !unread
}

// Words implements rules.Facts.
func (v *visit) Words(f rules.Fact, asked rules.Words) (hold, known rules.Words) {
	switch f {
	case rules.Helo:
		if !v.hasGreeted() {
			return 0, 0
		}
		return rules.HeloWords(v.name(), v.s.ESMTP, v.Addr(rules.IP), v.Addr(rules.LocalIP))
	case rules.Host:
		return v.back().words, v.back().knownWords
	case rules.From:
		if v.from == nil {
			return 0, 0
		}
		return v.addressWords(v.written, *v.from, asked)
	case rules.To:
		return v.recipientWords(asked)
	case rules.TLS:
		if v.s.TLS == nil {
			return rules.Word(f, "off"), rules.AllWords(f)
		}
		return rules.Word(f, "on", strings.TrimPrefix(tls.VersionName(v.s.TLS.Version), "TLS ")), rules.AllWords(f)
	case rules.SPF:
		if d := v.f.Verifier.VerdictOf(v.s); d != nil && v.phase == rules.AtMessage {
			return rules.Word(f, d.SPF.Result.String()), rules.AllWords(f)
		}
		if v.from == nil {
			return 0, 0
		}
		result, ok := v.f.Verifier.SPFOf(v.ctx, v.s)
		if !ok {
			return 0, 0
		}
		return rules.Word(f, result.String()), rules.AllWords(f)
	case rules.DKIM, rules.DMARC:
		d := v.f.Verifier.VerdictOf(v.s)
		if d == nil {
			return 0, 0
		}
		if f == rules.DKIM {
			return rules.Word(f, d.Best()), rules.AllWords(f)
		}
		return rules.Word(f, d.DMARC.Result.String()), rules.AllWords(f)
	case rules.Trusted:
		if v.from == nil {
			return 0, 0
		}
		return rules.Word(f, map[bool]string{true: "yes", false: "no"}[v.trusted]), rules.AllWords(f)
	}
	return 0, 0
}

// recipientWords are those of the recipient of the moment, or of any.
func (v *visit) recipientWords(asked rules.Words) (hold, known rules.Words) {
	paths := v.paths()
	if v.rcpt != nil {
		paths = []smtp.Path{*v.rcpt}
	}
	if len(paths) == 0 {
		return 0, 0
	}
	known = rules.AllWords(rules.To)
	for _, p := range paths {
		h, k := v.addressWords(p.String(), canonicalOf(p), asked)
		hold, known = hold|h, known&k
	}
	return hold, known
}

// wordsOfDNS are those of an address that the DNS knows; wordsOfWay those that are not left of it when it comes
// here.
var (
	wordsOfDNS = rules.Word(rules.From, "resolves", "unknown", "baddom")
	wordsOfWay = rules.Word(rules.From, "route")
)

func (v *visit) addressWords(written, canonical string, asked rules.Words) (hold, known rules.Words) {
	hold, known = rules.AddressWords(written)
	if canonical == "" {
		return hold, known
	}
	known &^= wordsOfWay
	i := strings.LastIndexByte(canonical, '@')
	if asked&wordsOfDNS == 0 || i < 0 || hold&rules.Word(rules.From, "unqualified", "garbage") != 0 {
		return hold, known
	}
	domain := domains.Name(canonical[i+1:])
	if domain.IsLiteral() {
		return hold | rules.Word(rules.From, "resolves"), known | wordsOfDNS
	}
	return hold | v.domain(domain), known | wordsOfDNS
}

// Number implements rules.Facts.
func (v *visit) Number(f rules.Fact) (n int64, known bool) {
	e := v.envelope
	if e == nil {
		e = v.s.Envelope
	}
	switch {
	case f == rules.Size && v.size > 0:
		return v.size, true
	case f == rules.Size && e != nil:
		return e.Params.Size, e.Params.Size > 0
	case f == rules.Rcpts && e != nil:
		n = int64(len(e.To))
		if v.rcpt != nil {
			n++
		}
		return n, true
	}
	return 0, false
}

// Time implements rules.Facts.
func (v *visit) Time() time.Time { return time.Now() }
