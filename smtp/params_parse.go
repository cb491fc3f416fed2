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

func parseSizeParam(_ *session, p *given, value string) (ok bool) {
	p.mail.Size, ok = parseSize(value)
	return ok
}

func parseBody(_ *session, p *given, value string) bool {
	p.mail.Body = Body(oneOf(value, string(Body7Bit), string(Body8BitMIME), string(BodyBinaryMIME)))
	return p.mail.Body != ""
}

// bodyKnown: a value of BODY belongs to one extension, another to another.
func bodyKnown(s *session, value string) bool {
	keyword := string(Body8BitMIME)
	if is(value, string(BodyBinaryMIME)) {
		keyword = string(BodyBinaryMIME)
	}
	return s.srv.offered[keyword]
}

func parseRet(_ *session, p *given, value string) bool {
	p.mail.Ret = Ret(oneOf(value, string(RetFull), string(RetHeaders)))
	return p.mail.Ret != ""
}

func parseEnvID(_ *session, p *given, value string) (ok bool) {
	p.mail.EnvID, ok = DecodeXtext(value)
	return ok && len(p.mail.EnvID) <= 100 && isPrintable(p.mail.EnvID)
}

func parseAuth(_ *session, p *given, value string) (ok bool) {
	p.mail.Auth, ok = DecodeXtext(value)
	return ok && p.mail.Auth != "" && isPrintable(p.mail.Auth)
}

func parsePriority(_ *session, p *given, value string) bool {
	n, err := strconv.Atoi(value)
	p.mail.Priority = n
	return err == nil && -9 <= n && n <= 9 && value[0] != '+'
}

// parseHoldFor and parseHoldUntil: of both there may be one (RFC 4865 §4).
func parseHoldFor(s *session, p *given, value string) bool {
	if !p.mail.HoldUntil.IsZero() {
		return false
	}
	n, ok := parseDigits(value, 9)
	p.mail.HoldUntil = p.at.Add(time.Duration(n) * time.Second)
	return ok && n > 0 && time.Duration(n)*time.Second <= s.srv.Extensions.FutureRelease
}

func parseHoldUntil(s *session, p *given, value string) bool {
	if !p.mail.HoldUntil.IsZero() {
		return false
	}
	t, err := time.Parse(time.RFC3339, value)
	p.mail.HoldUntil = t
	return err == nil && !t.After(p.at.Add(s.srv.Extensions.FutureRelease))
}

// parseBy reads by-time ";" by-mode [ "T" ], in seconds from now (RFC 2852 §4).
func parseBy(s *session, p *given, value string) bool {
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
	by := &DeliverBy{By: p.at.Add(after), Return: strings.HasPrefix(mode, "R"), Trace: strings.HasSuffix(mode, "T")}
	p.mail.By = by
	// A deadline that has passed can only be noted, not returned for.
	return ok && oneOf(mode, "R", "RT", "N", "NT") != "" && (!by.Return || after > 0 && after >= s.srv.Extensions.DeliverByMin)
}

func parseNotifyParam(_ *session, p *given, value string) (ok bool) {
	p.rcpt.Notify, ok = ParseNotify(value)
	return ok
}

// ParseNotify reads the value of NOTIFY (RFC 3461 §4.1), in any case: NEVER stands
// alone, and nothing twice.
func ParseNotify(value string) (n Notify, ok bool) {
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
		p.ORcpt, ok = DecodeXtext(addr)
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

// is reports whether s is the keyword in any case. Only ASCII letters have case
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

// isPrintable reports whether s can be written into a header field or a log
// without harm.
func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
