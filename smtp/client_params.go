package smtp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mailParams writes the parameters of MAIL as this server understands them.
func (t *Transaction) mailParams() (string, error) {
	c, p := t.c, &t.m.Params
	if limit, ok := sizeLimit(c.ext["SIZE"]); ok && p.Size > limit {
		return "", fmt.Errorf("%w: %d octets, the server takes %d", ErrTooBigForServer, p.Size, limit)
	}
	var b strings.Builder
	add := func(s ...string) {
		b.WriteByte(' ')
		for _, s := range s {
			b.WriteString(s)
		}
	}
	if p.Size > 0 && c.has("SIZE") {
		add("SIZE=", strconv.FormatInt(p.Size, 10))
	}
	if err := t.bodyParam(add); err != nil {
		return "", err
	}
	if err := t.demands(add); err != nil {
		return "", err
	}
	if c.has("DSN") {
		if p.Ret != "" {
			add("RET=", p.Ret)
		}
		if p.EnvID != "" {
			add("ENVID=", EncodeXtext(p.EnvID))
		}
	}
	if p.Auth != "" && c.has("AUTH") {
		add("AUTH=", EncodeXtext(p.Auth))
	}
	if p.Priority != 0 && c.has("MT-PRIORITY") {
		add("MT-PRIORITY=", strconv.Itoa(p.Priority))
	}
	return b.String(), nil
}

// sizeLimit is the largest message the server takes; none if the parameter of
// SIZE is missing or 0 (RFC 1870 §4).
func sizeLimit(param string) (int64, bool) {
	if param == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(param, 10, 64)
	return n, err == nil && n > 0
}

// bodyParam writes BODY. A server that has not said it is able to carry 8-bit
// octets must not be given any (RFC 6152 §3), though almost all are.
func (t *Transaction) bodyParam(add func(...string)) error {
	c := t.c
	switch body := t.m.Params.Body; {
	case body == "BINARYMIME" && !(c.has("BINARYMIME") && c.has("CHUNKING")):
		return fmt.Errorf("%w: BINARYMIME", ErrUnsupported)
	case body == "8BITMIME" && !c.has("8BITMIME"):
		if !c.opt.send8Bit {
			return fmt.Errorf("%w: 8BITMIME", ErrUnsupported)
		}
	case body == "7BIT" && !c.has("8BITMIME"):
	case body != "":
		add("BODY=", body)
	}
	return nil
}

// demands writes what the message must not travel without.
func (t *Transaction) demands(add func(...string)) error {
	c, p := t.c, &t.m.Params
	need := func(keyword string) error {
		if c.has(keyword) {
			return nil
		}
		return fmt.Errorf("%w: %s", ErrUnsupported, keyword)
	}
	_, utf8, _ := path(t.m.From)
	if utf8 = utf8 || p.SMTPUTF8; utf8 {
		if err := need("SMTPUTF8"); err != nil {
			return err
		}
	}
	for i := 0; i < len(t.m.To) && !utf8 && c.has("SMTPUTF8"); i++ {
		_, utf8, _ = path(t.m.To[i].Path)
	}
	if t.utf8 = utf8; utf8 {
		add("SMTPUTF8")
	}
	if p.RequireTLS {
		if err := need("REQUIRETLS"); err != nil {
			return err
		}
		if c.tls == nil {
			return fmt.Errorf("%w: TLS, which REQUIRETLS demands", ErrUnsupported)
		}
		add("REQUIRETLS")
	}
	if !p.HoldUntil.IsZero() {
		if err := need("FUTURERELEASE"); err != nil {
			return err
		}
		add("HOLDUNTIL=", p.HoldUntil.UTC().Format(time.RFC3339))
	}
	return t.deliverBy(add, need)
}

// deliverBy writes BY in whole seconds from now (RFC 2852 §4). Mode N can be
// left out towards a server that does not know it, mode R cannot.
func (t *Transaction) deliverBy(add func(...string), need func(string) error) error {
	by := t.m.Params.By
	if by == nil {
		return nil
	}
	if err := need("DELIVERBY"); err != nil {
		if by.Return {
			return err
		}
		return nil
	}
	add("BY=", strconv.FormatInt(int64(time.Until(by.By).Round(time.Second)/time.Second), 10), ";", by.mode())
	return nil
}

// rcptParams writes the parameters of RCPT as this server understands them.
func (t *Transaction) rcptParams(p *RcptParams) string {
	var s string
	if t.c.has("DSN") {
		if p.Notify != 0 {
			s += " NOTIFY=" + p.Notify.String()
		}
		if p.ORcpt != "" {
			s += " ORCPT=" + t.orcpt(p)
		}
	}
	if !p.RRVS.IsZero() && t.c.has("RRVS") {
		s += " RRVS=" + p.RRVS.UTC().Format(time.RFC3339)
		if p.RRVSReject {
			s += ";R"
		} else {
			s += ";C"
		}
	}
	return s
}

// orcpt writes ORCPT: as utf-8-addr-xtext where the address or the server
// needs it (RFC 6533 §3), as xtext otherwise.
func (t *Transaction) orcpt(p *RcptParams) string {
	typ := p.ORcptType
	if typ == "" {
		typ = "rfc822"
	}
	if isASCII(p.ORcpt) && typ != "utf-8" {
		return typ + ";" + EncodeXtext(p.ORcpt)
	}
	var b strings.Builder
	b.WriteString("utf-8;")
	for _, r := range p.ORcpt {
		switch {
		case r > 0x7e && t.c.has("SMTPUTF8"):
			b.WriteRune(r)
		case r < '!' || r > '~' || r == '+' || r == '=' || r == '\\':
			fmt.Fprintf(&b, `\x{%X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
