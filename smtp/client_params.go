package smtp

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mailParams writes the parameters of MAIL as this server understands them.
func (t *Transaction) mailParams() (string, error) {
	return t.writeParams(ofMail, &given{mail: &t.m.Params})
}

// rcptParams writes the parameters of RCPT as this server understands them.
func (t *Transaction) rcptParams(p *RcptParams) (string, error) {
	return t.writeParams(ofRcpt, &given{rcpt: p})
}

func writeSize(t *Transaction, p *given, w *paramWriter) error {
	size := p.mail.Size
	if limit, ok := sizeLimit(t.c.ext["SIZE"]); ok && size > limit {
		return fmt.Errorf("%w: %d octets, the server takes %d", ErrTooBigForServer, size, limit)
	}
	if size > 0 && w.offered {
		w.add(strconv.FormatInt(size, 10))
	}
	return nil
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

func writeBody(_ *Transaction, p *given, w *paramWriter) error {
	if body := p.mail.Body; body != "" && (w.offered || body == BodyBinaryMIME) {
		w.add(string(body))
	}
	return nil
}

// writeUTF8 writes SMTPUTF8 if the message or its sender needs it, and if it is
// offered also where only a recipient does, who fails alone otherwise.
func writeUTF8(t *Transaction, p *given, w *paramWriter) error {
	_, utf8, _ := path(t.m.From)
	if utf8 && !w.offered {
		return w.of.missing()
	}
	utf8 = utf8 || p.mail.SMTPUTF8
	for i := 0; i < len(t.m.To) && !utf8 && w.offered; i++ {
		_, utf8, _ = path(t.m.To[i].Path)
	}
	if t.utf8 = utf8; utf8 {
		w.add()
	}
	return nil
}

func writeRet(_ *Transaction, p *given, w *paramWriter) error {
	if p.mail.Ret != "" && w.offered {
		w.add(string(p.mail.Ret))
	}
	return nil
}

func writeEnvID(_ *Transaction, p *given, w *paramWriter) error {
	if p.mail.EnvID != "" && w.offered {
		w.add(EncodeXtext(p.mail.EnvID))
	}
	return nil
}

func writeAuth(_ *Transaction, p *given, w *paramWriter) error {
	if p.mail.Auth != "" && w.offered {
		w.add(EncodeXtext(p.mail.Auth))
	}
	return nil
}

func writePriority(_ *Transaction, p *given, w *paramWriter) error {
	if p.mail.Priority != 0 && w.offered {
		w.add(strconv.Itoa(p.mail.Priority))
	}
	return nil
}

func writeRequireTLS(t *Transaction, p *given, w *paramWriter) error {
	switch {
	case !p.mail.RequireTLS:
		return nil
	case t.c.tls == nil:
		return fmt.Errorf("%w: TLS, which REQUIRETLS demands", ErrUnsupported)
	}
	w.add()
	return nil
}

func writeHold(_ *Transaction, p *given, w *paramWriter) error {
	if !p.mail.HoldUntil.IsZero() {
		w.add(p.mail.HoldUntil.UTC().Format(time.RFC3339))
	}
	return nil
}

// writeBy writes BY in whole seconds from now (RFC 2852 §4).
func writeBy(_ *Transaction, p *given, w *paramWriter) error {
	if by := p.mail.By; by != nil && w.offered {
		w.add(strconv.FormatInt(int64(time.Until(by.By).Round(time.Second)/time.Second), 10), ";", by.mode())
	}
	return nil
}

func writeNotify(_ *Transaction, p *given, w *paramWriter) error {
	if p.rcpt.Notify != 0 && w.offered {
		w.add(p.rcpt.Notify.String())
	}
	return nil
}

func writeORcpt(t *Transaction, p *given, w *paramWriter) error {
	if p.rcpt.ORcpt != "" && w.offered {
		w.add(t.orcpt(p.rcpt))
	}
	return nil
}

func writeRRVS(_ *Transaction, p *given, w *paramWriter) error {
	if p.rcpt.RRVS.IsZero() || !w.offered {
		return nil
	}
	action := ";C"
	if p.rcpt.RRVSReject {
		action = ";R"
	}
	w.add(p.rcpt.RRVS.UTC().Format(time.RFC3339), action)
	return nil
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
