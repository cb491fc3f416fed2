package smtp

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Replies about parameters.
var (
	errUnknownParam = &Reply{Code: 555, Enhanced: "5.5.4", Text: "Parameter is not known or not offered"}
	errParamValue   = &Reply{Code: 501, Enhanced: "5.5.4", Text: "Malformed parameter"}
	errParamTwice   = &Reply{Code: 501, Enhanced: "5.5.4", Text: "Parameter given twice"}
)

// offer says which parameters are known in a session's present state.
type offer struct {
	size, eightBit, smtputf8, requireTLS, binaryMIME, dsn bool
	futureRelease                                         time.Duration
	deliverBy, priority, rrvs                             bool
	deliverByMin                                          time.Duration
}

// nextParam splits the first parameter off s:
//
//	esmtp-param = esmtp-keyword ["=" esmtp-value]     (RFC 5321 §4.1.2)
//
// more is false when none was left.
func nextParam(s string) (keyword, value string, hasValue bool, rest string, more bool) {
	s = strings.TrimLeft(s, " \t")
	if s == "" {
		return "", "", false, "", false
	}
	word := s
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		word, rest = s[:i], s[i:]
	}
	keyword, value, hasValue = strings.Cut(word, "=")
	return keyword, value, hasValue, rest, true
}

// mailParams are the keywords of MAIL, in the order of the bits that notice
// one given twice.
var mailParams = [...]string{"SIZE", "BODY", "SMTPUTF8", "REQUIRETLS", "RET", "ENVID", "AUTH", "HOLDFOR", "HOLDUNTIL", "BY", "MT-PRIORITY"}

var rcptParams = [...]string{"NOTIFY", "ORCPT", "RRVS"}

// keywordBit finds keyword in names and notes it in seen.
func keywordBit(names []string, keyword string, seen *uint) (string, *Reply) {
	for i, name := range names {
		if is(keyword, name) {
			if *seen&(1<<i) != 0 {
				return "", errParamTwice
			}
			*seen |= 1 << i
			return name, nil
		}
	}
	return "", errUnknownParam
}

// parse reads the parameters of MAIL. now is what durations count from.
func (p *Params) parse(s string, o *offer, now time.Time) *Reply {
	var seen uint
	for {
		keyword, value, hasValue, rest, more := nextParam(s)
		if !more {
			return nil
		}
		s = rest
		name, r := keywordBit(mailParams[:], keyword, &seen)
		if r != nil {
			return r
		}
		if bare := name == "SMTPUTF8" || name == "REQUIRETLS"; bare == hasValue || hasValue && value == "" {
			return errParamValue
		}
		if r := p.set(name, value, o, now); r != nil {
			return r
		}
	}
}

func (p *Params) set(name, value string, o *offer, now time.Time) *Reply {
	ok, known := true, true
	switch name {
	case "SIZE":
		p.Size, ok = parseSize(value)
		known = o.size
	case "BODY":
		p.Body = oneOf(value, "7BIT", "8BITMIME", "BINARYMIME")
		ok = p.Body != ""
		known = o.eightBit
		if p.Body == "BINARYMIME" {
			known = o.binaryMIME
		}
	case "SMTPUTF8":
		p.SMTPUTF8, known = true, o.smtputf8
	case "REQUIRETLS":
		p.RequireTLS, known = true, o.requireTLS
	case "RET":
		p.Ret, known = oneOf(value, "FULL", "HDRS"), o.dsn
		ok = p.Ret != ""
	case "ENVID":
		p.EnvID, ok = decodeXtext(value)
		ok, known = ok && len(p.EnvID) <= 100 && isPrintable(p.EnvID), o.dsn
	case "AUTH":
		p.Auth, ok = decodeXtext(value)
		ok = ok && p.Auth != "" && isPrintable(p.Auth)
	case "HOLDFOR", "HOLDUNTIL":
		ok, known = p.hold(name, value, o, now), o.futureRelease > 0
	case "BY":
		ok, known = p.by(value, o, now), o.deliverBy
	case "MT-PRIORITY":
		n, err := strconv.Atoi(value)
		p.Priority, known = n, o.priority
		ok = err == nil && -9 <= n && n <= 9 && value[0] != '+'
	}
	return paramReply(ok, known)
}

func paramReply(ok, known bool) *Reply {
	switch {
	case !known:
		return errUnknownParam
	case !ok:
		return errParamValue
	}
	return nil
}

// hold reads HOLDFOR and HOLDUNTIL, of which there may be one (RFC 4865 §4).
func (p *Params) hold(name, value string, o *offer, now time.Time) bool {
	if !p.HoldUntil.IsZero() {
		return false
	}
	if name == "HOLDFOR" {
		n, ok := parseDigits(value, 9)
		p.HoldUntil = now.Add(time.Duration(n) * time.Second)
		return ok && n > 0 && time.Duration(n)*time.Second <= o.futureRelease
	}
	t, err := time.Parse(time.RFC3339, value)
	p.HoldUntil = t
	return err == nil && !t.After(now.Add(o.futureRelease))
}

// by reads by-time ";" by-mode [ "T" ], in seconds from now (RFC 2852 §4).
func (p *Params) by(value string, o *offer, now time.Time) bool {
	secs, mode, _ := strings.Cut(value, ";")
	digits, negative := strings.CutPrefix(secs, "-")
	if !negative {
		digits = strings.TrimPrefix(secs, "+")
	}
	n, ok := parseDigits(digits, 9)
	if negative {
		n = -n
	}
	mode = strings.ToUpper(mode)
	after := time.Duration(n) * time.Second
	p.By = &DeliverBy{By: now.Add(after), Return: strings.HasPrefix(mode, "R"), Trace: strings.HasSuffix(mode, "T")}
	// A deadline that has passed can only be noted, not returned for.
	return ok && oneOf(mode, "R", "RT", "N", "NT") != "" && (!p.By.Return || after > 0 && after >= o.deliverByMin)
}

// parse reads the parameters of RCPT.
func (p *RcptParams) parse(s string, o *offer) *Reply {
	var seen uint
	for {
		keyword, value, _, rest, more := nextParam(s)
		if !more {
			return nil
		}
		s = rest
		name, r := keywordBit(rcptParams[:], keyword, &seen)
		if r != nil {
			return r
		}
		ok, known := true, o.dsn
		switch name {
		case "NOTIFY":
			p.Notify, ok = parseNotify(value)
		case "ORCPT":
			ok = p.orcpt(value)
		case "RRVS":
			ok, known = p.rrvs(value), o.rrvs
		}
		if r := paramReply(ok, known); r != nil {
			return r
		}
	}
}

func parseNotify(value string) (n Notify, ok bool) {
	for word := range strings.SplitSeq(value, ",") {
		bit := Notify(0)
		switch oneOf(word, "SUCCESS", "FAILURE", "DELAY", "NEVER") {
		case "SUCCESS":
			bit = NotifySuccess
		case "FAILURE":
			bit = NotifyFailure
		case "DELAY":
			bit = NotifyDelay
		case "NEVER":
			bit = NotifyNever
		}
		if bit == 0 || n&bit != 0 || n&NotifyNever != 0 {
			return 0, false
		}
		n |= bit
	}
	return n, n == NotifyNever || n&NotifyNever == 0
}

// orcpt reads addr-type ";" xtext (RFC 3461 §4.2). The type utf-8 may write
// characters as \x{HEX} and as they are (RFC 6533 §3).
func (p *RcptParams) orcpt(value string) bool {
	typ, addr, found := strings.Cut(value, ";")
	if !found || typ == "" || addr == "" || len(value) > 500 {
		return false
	}
	for i := 0; i < len(typ); i++ {
		if !isLetDig(typ[i]) && typ[i] != '-' {
			return false
		}
	}
	p.ORcptType = strings.ToLower(typ)
	var ok bool
	if p.ORcptType == "utf-8" {
		p.ORcpt, ok = decodeUnitext(addr)
	} else {
		p.ORcpt, ok = decodeXtext(addr)
	}
	return ok && isPrintable(p.ORcpt) && checkUTF8(p.ORcpt, PathUTF8) == nil
}

// rrvs reads date-time [";" ("C" / "R")] (RFC 7293 §3.1).
func (p *RcptParams) rrvs(value string) bool {
	date, action, given := strings.Cut(value, ";")
	t, err := time.Parse(time.RFC3339, date)
	p.RRVS = t
	p.RRVSReject = !given || is(action, "R")
	return err == nil && (!given || oneOf(action, "R", "C") != "")
}

// parseSize reads up to 20 digits (RFC 1870 §4), more than an int64 holds.
func parseSize(s string) (int64, bool) {
	if s == "" || len(s) > 20 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}

func parseDigits(s string, max int) (int64, bool) {
	if len(s) == 0 || len(s) > max || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// is says whether s is the keyword in any case. Only ASCII letters have case
// (RFC 5321 §2.4): Unicode folds U+017F to an S, too.
func is(s, keyword string) bool { return strings.EqualFold(s, keyword) && isASCII(s) }

// oneOf is the word that s is in any case, or "".
func oneOf(s string, words ...string) string {
	for _, w := range words {
		if is(s, w) {
			return w
		}
	}
	return ""
}

// isPrintable says whether s can be written into a header field or a log
// without harm.
func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
