package smtp

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// extension is a row of the table of extensions: all that the reply to EHLO, the
// parameters of MAIL and RCPT, Extensions.Hide, the client and whoever relays know
// about it. One more extension is one more row, a field of Params or RcptParams,
// and, if the application has to do its part, a field of Extensions.
type extension struct {
	keyword string
	offered func(c *setup) bool           // by this server; nil: always
	now     func(s *session) bool         // and to this client as it is now; nil: always
	says    func(s *session, k *keywords) // what stands behind the keyword
	params  []parameter
	// mail and rcpt report whether a message or a recipient must not go to a server
	// that lacks the extension, for a reason and with a code (RFC 3463); nil: it may.
	mail     func(c *Client, p *Params) bool
	rcpt     func(p *RcptParams) bool
	reason   string
	enhanced string
}

// verb is the command a parameter belongs to.
type verb uint8

const (
	ofMail verb = iota
	ofRcpt
)

// parameter is one of an extension's.
type parameter struct {
	name  string
	verb  verb
	bare  bool                                // it has no value
	known func(s *session, value string) bool // nil: if the extension is offered now
	parse func(s *session, p *given, value string) bool
	// write adds the parameter for the next hop, where it was given here and is
	// known there, or says why the message must not go there. nil: it is never
	// written.
	write func(t *Transaction, p *given, w *paramWriter) error
}

// given are the parameters of one command. For MAIL rcpt is nil, for RCPT mail.
type given struct {
	mail *Params
	rcpt *RcptParams
	at   time.Time // what durations count from
}

// table is every extension, in the order of the reply to EHLO.
var table = [...]extension{
	{keyword: "PIPELINING"}, // RFC 2920
	{ // RFC 1870
		keyword: "SIZE",
		says: func(s *session, k *keywords) {
			l := s.srv.limits.MessageSize
			k.number(l > 0, " ", l)
		},
		params: []parameter{{name: "SIZE", parse: parseSizeParam, write: writeSize}},
	},
	{ // RFC 6152
		keyword: "8BITMIME",
		params:  []parameter{{name: "BODY", known: bodyKnown, parse: parseBody, write: writeBody}},
		// A server that has not said it is able to carry 8-bit octets must not be
		// given any (RFC 6152 §3), though almost all are.
		mail:   func(c *Client, p *Params) bool { return p.Body == Body8BitMIME && !c.opt.send8Bit },
		reason: "the message has 8-bit data", enhanced: "5.6.3",
	},
	{ // RFC 6531
		keyword: "SMTPUTF8",
		params: []parameter{{
			name: "SMTPUTF8", bare: true,
			parse: func(_ *session, p *given, _ string) bool { p.mail.SMTPUTF8 = true; return true },
			write: writeUTF8,
		}},
		mail:   func(_ *Client, p *Params) bool { return p.SMTPUTF8 },
		reason: "the message needs SMTPUTF8", enhanced: "5.6.7",
	},
	{ // RFC 3030
		keyword: "CHUNKING", now: speaksCRLF,
		mail: isBinary, reason: "the message is BINARYMIME", enhanced: "5.6.3",
	},
	{ // RFC 3030 §3: a value of BODY
		keyword: "BINARYMIME", now: speaksCRLF,
		offered: func(c *setup) bool { return c.Extensions.BinaryMIME && !c.hidden("CHUNKING") },
		mail:    isBinary, reason: "the message is BINARYMIME", enhanced: "5.6.3",
	},
	{keyword: "ENHANCEDSTATUSCODES"}, // RFC 2034
	{ // RFC 3461
		keyword: "DSN",
		offered: func(c *setup) bool { return c.Extensions.DSN },
		params: []parameter{
			{name: "RET", parse: parseRet, write: writeRet},
			{name: "ENVID", parse: parseEnvID, write: writeEnvID},
			{name: "NOTIFY", verb: ofRcpt, parse: parseNotifyParam, write: writeNotify},
			{name: "ORCPT", verb: ofRcpt, parse: func(_ *session, p *given, value string) bool { return p.rcpt.orcpt(value) }, write: writeORcpt},
		},
	},
	{ // RFC 8689
		keyword: "REQUIRETLS",
		offered: func(c *setup) bool { return c.Extensions.RequireTLS },
		now:     func(s *session) bool { return s.pub.TLS != nil },
		params: []parameter{{
			name: "REQUIRETLS", bare: true,
			parse: func(_ *session, p *given, _ string) bool { p.mail.RequireTLS = true; return true },
			write: writeRequireTLS,
		}},
		mail:   func(_ *Client, p *Params) bool { return p.RequireTLS }, // RFC 8689 §4.2.1
		reason: "the message requires TLS all the way", enhanced: "5.7.30",
	},
	{ // RFC 4865
		keyword: "FUTURERELEASE",
		offered: func(c *setup) bool { return c.Extensions.FutureRelease > 0 },
		now:     func(s *session) bool { return s.pub.User != "" || s.srv.hooks.creds == nil },
		says: func(s *session, k *keywords) {
			d := s.srv.Extensions.FutureRelease
			k.words(strconv.Itoa(int(d/time.Second)), time.Now().Add(d).UTC().Format(time.RFC3339))
		},
		params: []parameter{{name: "HOLDFOR", parse: parseHoldFor}, {name: "HOLDUNTIL", parse: parseHoldUntil, write: writeHold}},
		mail:   func(_ *Client, p *Params) bool { return !p.HoldUntil.IsZero() },
		reason: "the message is to be held", enhanced: "5.3.3",
	},
	{ // RFC 2852
		keyword: "DELIVERBY",
		offered: func(c *setup) bool { return c.Extensions.DeliverBy },
		says: func(s *session, k *keywords) {
			least := int64(s.srv.Extensions.DeliverByMin / time.Second)
			k.number(least > 0, " ", least)
		},
		params: []parameter{{name: "BY", parse: parseBy, write: writeBy}},
		// Mode N can be left out towards a server that does not know it (RFC 2852 §4).
		mail:   func(_ *Client, p *Params) bool { return p.By != nil && p.By.Return },
		reason: "the message is to be returned if it is late", enhanced: "5.3.3",
	},
	{ // RFC 6710
		keyword: "MT-PRIORITY",
		offered: func(c *setup) bool { return c.Extensions.Priority },
		says:    func(s *session, k *keywords) { k.words(s.srv.Extensions.PriorityPolicy) },
		params:  []parameter{{name: "MT-PRIORITY", parse: parsePriority, write: writePriority}},
	},
	{ // RFC 7293
		keyword: "RRVS",
		offered: func(c *setup) bool { return c.Extensions.RRVS },
		params:  []parameter{{name: "RRVS", verb: ofRcpt, parse: func(_ *session, p *given, value string) bool { return p.rcpt.rrvs(value) }, write: writeRRVS}},
		rcpt:    func(p *RcptParams) bool { return !p.RRVS.IsZero() && p.RRVSReject },
		reason:  "the recipient is to be refused unless the mailbox has had its owner for long", enhanced: "5.7.19",
	},
	{ // RFC 9422
		keyword: "LIMITS",
		offered: func(c *setup) bool { return c.limits.Recipients > 0 || c.limits.Messages > 0 },
		says: func(s *session, k *keywords) {
			l := &s.srv.limits
			k.number(l.Messages > 0, " MAILMAX=", int64(l.Messages))
			k.number(l.Recipients > 0, " RCPTMAX=", int64(l.Recipients))
		},
	},
	{ // RFC 3207
		keyword: "STARTTLS",
		offered: func(c *setup) bool { return c.TLSConfig != nil && c.TLSMode != ImplicitTLS },
		now:     func(s *session) bool { return s.pub.TLS == nil && !s.pub.NoTLS },
	},
	{ // RFC 4954; AUTH= is understood whoever gives it (§5)
		keyword: "AUTH",
		offered: func(c *setup) bool { return c.hooks.creds != nil },
		now:     func(s *session) bool { s.offerAuth(); return len(s.announce) > 0 },
		says: func(s *session, k *keywords) {
			for _, m := range s.announce {
				k.words(m.Name)
			}
		},
		params: []parameter{{name: "AUTH", known: func(*session, string) bool { return true }, parse: parseAuth, write: writeAuth}},
	},
	{ // Postfix's
		keyword: "XCLIENT",
		now:     func(s *session) bool { return s.trusted(s.srv.XClient) },
		says:    func(_ *session, k *keywords) { k.words("NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT") },
	},
	{
		keyword: "XFORWARD",
		now:     func(s *session) bool { return s.trusted(s.srv.XForward) },
		says:    func(_ *session, k *keywords) { k.words("NAME ADDR PORT PROTO HELO IDENT SOURCE") },
	},
}

// Extensions are what the server announces beyond what this package does by
// itself, because the application has to do its part.
type Extensions struct {
	// DSN (RFC 3461): the Handler reads Ret, EnvID, Notify and ORcpt, and
	// sends or passes on the reports they ask for.
	DSN bool
	// RequireTLS (RFC 8689): the Handler passes on a message with
	// Params.RequireTLS over verified TLS only. Announced under TLS.
	RequireTLS bool
	// BinaryMIME (RFC 3030): the Handler stores any octets, also CR and LF
	// alone, and knows from Params.Body when to expect them.
	BinaryMIME bool
	// FutureRelease (RFC 4865) is the longest time a message may be held; the
	// Handler keeps it until Params.HoldUntil. 0: not offered. Announced to
	// authenticated clients, or to all if AUTH is not possible.
	FutureRelease time.Duration
	// DeliverBy (RFC 2852): the Handler obeys Params.By. DeliverByMin is the
	// shortest time for mode R that is not refused.
	DeliverBy    bool
	DeliverByMin time.Duration
	// Priority (RFC 6710): the Handler obeys Params.Priority; PriorityPolicy
	// names the assignment ("MIXER", "STANAG4406", "NSEP"; may be empty).
	Priority       bool
	PriorityPolicy string
	// RRVS (RFC 7293): CheckRcpt obeys RcptParams.RRVS.
	RRVS bool
	// Announce are further lines for the reply to EHLO.
	Announce []string
	// Hide are keywords not to announce and not to honour, such as
	// "CHUNKING" or "SMTPUTF8": their parameters are 555, their commands 500.
	Hide []string
}

func speaksCRLF(s *session) bool { return !s.speaksLF }

func isBinary(_ *Client, p *Params) bool { return p.Body == BodyBinaryMIME }

// hidden reports whether Hide takes the keyword away.
func (s *setup) hidden(keyword string) bool {
	return slices.ContainsFunc(s.Extensions.Hide, func(h string) bool { return strings.EqualFold(h, keyword) })
}

// chooseExtensions notes which extensions this server offers at all.
func (s *setup) chooseExtensions() {
	s.offers, s.offered = make([]bool, len(table)), make(map[string]bool)
	for i := range table {
		x := &table[i]
		s.offers[i] = !s.hidden(x.keyword) && (x.offered == nil || x.offered(s))
		s.offered[x.keyword] = s.offers[i]
	}
}

// offersNow reports whether the i-th extension works for this client now.
func (s *session) offersNow(i int) bool {
	return s.srv.offers[i] && (table[i].now == nil || table[i].now(s))
}

// keywords is the text of the reply to EHLO: what works now, in this session.
func (s *session) keywords() string {
	k := keywords{b: append(make([]byte, 0, 384), s.srv.hostname...)}
	for i := range table {
		if !s.offersNow(i) {
			continue
		}
		k.b = append(append(k.b, '\n'), table[i].keyword...)
		if table[i].says != nil {
			table[i].says(s, &k)
		}
	}
	for _, more := range s.srv.Extensions.Announce {
		k.b = append(append(k.b, '\n'), more...)
	}
	return string(k.b)
}

// keywords gathers the lines of the reply to EHLO.
type keywords struct{ b []byte }

// words adds what is not empty, each behind a space.
func (k *keywords) words(words ...string) {
	for _, w := range words {
		if w != "" {
			k.b = append(append(k.b, ' '), w...)
		}
	}
}

func (k *keywords) number(on bool, before string, n int64) {
	if on {
		k.b = strconv.AppendInt(append(k.b, before...), n, 10)
	}
}

// parseParams reads the parameters of MAIL or RCPT:
//
//	esmtp-param = esmtp-keyword ["=" esmtp-value]     (RFC 5321 §4.1.2)
func (s *session) parseParams(v verb, text string, p *given) *Reply {
	var seen uint64
	for {
		keyword, value, hasValue, rest, more := nextParam(text)
		if !more {
			return nil
		}
		text = rest
		x, param, bit := findParam(v, keyword)
		switch {
		case param == nil:
			return errUnknownParam
		case seen&bit != 0:
			return errParamTwice
		case param.bare == hasValue || hasValue && value == "":
			return errParamValue
		}
		seen |= bit
		ok := param.parse(s, p, value)
		known := param.known
		switch {
		case known == nil && !s.offersNow(x), known != nil && !known(s, value):
			return errUnknownParam
		case !ok:
			return errParamValue
		}
	}
}

// findParam finds a parameter by its keyword, with the place of its extension
// and a bit of its own.
func findParam(v verb, keyword string) (x int, p *parameter, bit uint64) {
	bit = 1
	for x := range table {
		for i := range table[x].params {
			if p := &table[x].params[i]; p.verb == v && is(keyword, p.name) {
				return x, p, bit
			}
			bit <<= 1
		}
	}
	return 0, nil, 0
}

// writeParams writes the parameters for the next hop as that server understands
// them.
func (t *Transaction) writeParams(v verb, p *given) (string, error) {
	if err := t.c.Missing(p.mail, p.rcpt); err != nil {
		return "", err
	}
	var w paramWriter
	for x := range table {
		for i := range table[x].params {
			param := &table[x].params[i]
			if param.verb != v || param.write == nil {
				continue
			}
			w.of, w.name, w.offered = &table[x], param.name, t.c.has(table[x].keyword)
			if err := param.write(t, p, &w); err != nil {
				return "", err
			}
		}
	}
	return w.b.String(), nil
}

// paramWriter gathers parameters. of, name and offered are about the one at hand.
type paramWriter struct {
	b       strings.Builder
	of      *extension
	name    string
	offered bool
}

// add adds the parameter at hand with the value in parts; without parts, bare.
func (w *paramWriter) add(parts ...string) {
	w.b.WriteString(" " + w.name)
	for i, p := range parts {
		if i == 0 {
			w.b.WriteByte('=')
		}
		w.b.WriteString(p)
	}
}
