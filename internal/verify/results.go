package verify

import (
	"strings"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// fields are what stands on top of a message in mailboxes.
func (d *Verdict) fields(host string, utf8 bool) []string {
	results := rfc2822.AuthResults{AuthServID: host, UTF8: utf8, Results: make([]rfc2822.AuthResult, 0, 4+max(1, len(d.DKIM)))}
	results.Results = append(results.Results, d.dmarcResult(), d.spfResult(d.SPF))
	if d.From != "" && d.Hello.Result != spf.None {
		results.Results = append(results.Results, d.spfResult(d.Hello))
	}
	for i := range d.DKIM {
		results.Results = append(results.Results, dkimResult(&d.DKIM[i]))
	}
	if len(d.DKIM) == 0 {
		results.Results = append(results.Results, rfc2822.AuthResult{Method: "dkim", Result: "none"})
	}
	results.Results = append(results.Results, rfc2822.AuthResult{Method: "iprev", Result: d.Client.Result, Comment: d.Client.Name,
		Props: []rfc2822.AuthProp{{Type: "policy", Property: "iprev", Value: d.Client.Addr}}})
	if a := d.Allowed; a.List != "" { // RFC 8904
		results.Results = append(results.Results, rfc2822.AuthResult{Method: "dnswl", Result: "pass",
			Props: []rfc2822.AuthProp{{Type: "dns", Property: "zone", Value: a.List}, {Type: "policy", Property: "ip", Value: a.Code.String()}}})
	}
	fields := []string{results.Field().Raw()}
	if d.Marked() {
		fields = append(fields, d.marks()...)
	}
	return fields
}

// MarkFields are the names of the fields that marks stand in.
func MarkFields() []string { return []string{"X-Spam-Flag", "X-Spam-Status"} }

// marks are the fields that programs know junk by.
func (d *Verdict) marks() (fields []string) { return Marks(d.Why) }

// Marks are the fields that programs know junk by, with the reason.
func Marks(why string) (fields []string) {
	for i, value := range []string{"YES", "Yes, " + why} {
		f := [2]string{MarkFields()[i], value}
		if field, err := rfc2822.NewField(f[0], f[1]); err == nil {
			fields = append(fields, field.Raw())
		}
	}
	return fields
}

// Unscanned is the field that says of a message that nobody has looked into it who should have: the topmost of this name
// counts, so that a stranger's own does not speak for it.
func Unscanned(by string) (fields []string) {
	if field, err := rfc2822.NewField(MarkFields()[1], "Unknown, not scanned by "+by); err == nil {
		fields = append(fields, field.Raw())
	}
	return fields
}

func (d *Verdict) dmarcResult() rfc2822.AuthResult {
	o := &d.DMARC
	r := rfc2822.AuthResult{Method: "dmarc", Result: o.Result.String(), Props: []rfc2822.AuthProp{{Type: "header", Property: "from", Value: o.Domain}}}
	if o.Record != nil {
		r.Comment = "p=" + string(o.Policy)
		if d.Override != "" {
			r.Comment += " but " + strings.ReplaceAll(d.Override, "_", " ")
		}
	}
	if o.Domain == "" {
		r.Props = nil
	}
	return r
}

// spfResult says of whom SPF was asked (RFC 8601 §2.7.2).
func (d *Verdict) spfResult(o spf.Outcome) rfc2822.AuthResult {
	value := d.Helo
	if o.Identity == spf.MailFrom && d.From != "" {
		value = d.From
	}
	r := rfc2822.AuthResult{Method: "spf", Result: o.Result.String(), Comment: o.Mechanism,
		Props: []rfc2822.AuthProp{{Type: "smtp", Property: o.Identity.String(), Value: value}}}
	if value == "" {
		r.Props = nil
	}
	return r
}

// dkimResult says of one signature what RFC 8601 §2.7.1 and RFC 6008 want.
func dkimResult(s *dkim.Result) rfc2822.AuthResult {
	r := rfc2822.AuthResult{Method: "dkim", Result: string(s.Status), Reason: string(s.Reason), Props: make([]rfc2822.AuthProp, 0, 5)}
	for _, p := range []rfc2822.AuthProp{
		{Type: "header", Property: "d", Value: s.Domain}, {Type: "header", Property: "s", Value: s.Selector},
		{Type: "header", Property: "i", Value: s.Identity}, {Type: "header", Property: "a", Value: s.Algorithm}, {Type: "header", Property: "b", Value: s.Signature},
	} {
		if p.Value != "" {
			r.Props = append(r.Props, p)
		}
	}
	return r
}
