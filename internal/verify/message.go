package verify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/dkim"
	"github.com/postrider-mail/postrider/smtp/dmarc"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// Verdict is what was found out about a message, and what follows.
type Verdict struct {
	Client iprevClient
	SPF    spf.Outcome // of the sender, or of HELO for the null sender
	Hello  spf.Outcome // of HELO, where there is a sender
	DKIM   []dkim.Result
	DMARC  dmarc.Outcome
	From   string // the envelope's sender, without brackets
	Helo   string
	To     []smtp.Recipient // of the envelope; only to be read
	Action Action           // what is done with the message
	// Override is why less is done than the domain asks for: "trusted_forwarder",
	// "mailing_list", "local_policy" (RFC 9990); empty if it is not so.
	Override string
	// Own: it is in the name of a domain of this host, which Ours is.
	Own  bool
	Ours domains.Name
	// Why is the reason in words, where the message is refused or marked.
	Why string
	// Lists are DNS lists whose answers mean something, and Allowed the one that speaks for the client.
	Lists   []Listed
	Allowed Listed

	hidden bool   // who delivered it is not known: it came through a gateway
	named  naming // what the client calls itself
}

// iprevClient is who delivered the message.
type iprevClient struct {
	Addr   string
	Name   string // confirmed; may be empty
	Result string
}

// inspection is one message that passes.
type inspection struct {
	*dkim.Verification
	v      *Verifier
	s      *sender
	look   *post.Look
	below  unsettled
	listed bool // it calls itself a list's
}

func (v *Verifier) inspect(ctx context.Context, s *sender, look *post.Look) *inspection {
	return &inspection{
		Verification: v.dkim.Verify(s.block.context(ctx), look.Header.String()),
		v:            v, s: s, look: look,
		below:  newUnsettled(look.Header),
		listed: look.Header.Has("List-Id"),
	}
}

// Write implements io.Writer.
func (i *inspection) Write(p []byte) (int, error) {
	i.below.Write(p)
	return i.Verification.Write(p)
}

// Most implements post.Inspection: what the results take as a rule.
func (i *inspection) Most() (results, fields int) { return 768 + 256*i.Signatures(), 0 }

// Findings implements post.Inspection: it decides.
func (i *inspection) Findings(ctx context.Context) (found post.Findings, err error) {
	if why := ambiguous(string(i.below.text)); why != nil {
		return found, why
	}
	if i.s.early {
		i.s.early = false
		i.v.bounds.came(i.s.block.network)
	}
	asking := i.s.block.patient(ctx, allTimeout)
	defer asking.over()
	ctx = asking
	d := i.verdict(ctx)
	i.look.Envelope.Session.Set(verdictKey{i.v}, d)
	if d.Action != Refuse { // what is certain first: nobody comes again to be refused
		if later := i.later(ctx, d); later != nil {
			return found, later
		}
	}
	if i.v.Observe != nil {
		i.v.Observe(d)
	}
	if d.Action == Refuse {
		return found, d.reply().Noting(d.refusal()...)
	}
	found.Results = d.fields(i.s.rules.Name, i.look.Envelope.Params.SMTPUTF8)
	found.Facts = d.facts()
	found.Junk = d.Marked()
	found.Unsure = d.SPF.Result == spf.Fail || d.SPF.Result == spf.SoftFail
	if d.Action == Quarantine {
		found.Aside = d.Why
	}
	return found, nil
}

// verdict puts together what is known by now.
func (i *inspection) verdict(ctx context.Context) *Verdict {
	d := &Verdict{From: i.s.from, To: i.look.Envelope.To, Helo: i.s.helo, Client: iprevClient{Addr: i.s.client.String(), Result: "temperror"}}
	d.hidden = private(i.s.client)
	if !d.hidden {
		i.v.listing(ctx, i.s)
	}
	if l := i.s.lists; l != nil {
		d.Lists, d.Allowed = l.listed, l.allowed
	}
	if i.s.wait(ctx) {
		d.Client.Name, d.Client.Result = i.s.iprev.name, i.s.iprev.result
		d.SPF, d.Hello, d.named = i.s.spf, i.s.hello, i.s.named
	} else {
		d.SPF = spf.Outcome{Result: spf.TempError, Domain: i.s.domain(), Err: context.DeadlineExceeded}
	}
	d.DKIM = i.Results()
	// Whatever was waited for so far, the author's domain is heard: the domains above are
	// the client's choice, and may have no other purpose than to be slow.
	from := append(i.look.From(), rfc2822.ReadAddressFields(i.below.fields("From"))...)
	authors, err := dmarc.AuthorsOf(from)
	if err == nil {
		d.DMARC = i.v.policy(ctx, authors[0], d.passed())
	} else {
		checker := dmarc.Checker{Resolver: i.v.dns(), Timeout: dmarcTimeout, Records: &i.v.records}
		d.DMARC = checker.CheckMessage(ctx, i.fields("From"), d.passed())
	}
	i.decide(ctx, d, i.authors(from, authors, err))
	return d
}

// policy is what the domain of an author asks for, from memory where that has all of it.
func (v *Verifier) policy(ctx context.Context, author string, p dmarc.Passed) dmarc.Outcome {
	if v.Memory != nil {
		missed := false
		recall := dmarc.Checker{Resolver: v.recalling(&missed), Records: &v.records}
		if o := recall.Check(instant{ctx}, author, p); !missed {
			return o
		}
	}
	checker := dmarc.Checker{Resolver: v.dns(), Timeout: dmarcTimeout, Records: &v.records}
	return checker.Check(ctx, author, p)
}

// passed is who stands for the message.
func (d *Verdict) passed() (p dmarc.Passed) {
	if d.SPF.Result == spf.Pass {
		p.SPF = d.SPF.Domain
	}
	for i := range d.DKIM {
		if d.DKIM[i].Status == dkim.Pass {
			p.DKIM = append(p.DKIM, d.DKIM[i].Domain)
		}
	}
	return p
}

// several reports whether From shows more than one domain, so that readers may see one and
// we another.
func (d *Verdict) several() bool {
	return errors.Is(d.DMARC.Err, dmarc.ErrAuthors) || errors.Is(d.DMARC.Err, dmarc.ErrFields)
}

// nameless reports whether From is not what every message has: one field that names somebody.
func (d *Verdict) nameless() bool {
	return errors.Is(d.DMARC.Err, dmarc.ErrNoAuthor) || errors.Is(d.DMARC.Err, dmarc.ErrFields)
}

// unclear reports whether From shows one domain, and perhaps others that cannot be read.
func (d *Verdict) unclear() bool { return errors.Is(d.DMARC.Err, dmarc.ErrUnreadable) }

// Marked reports whether the message is delivered with fields that say what it is.
func (d *Verdict) Marked() bool { return d.Action == Mark || d.Action == Quarantine }

// lists are the DNS lists that know the client, and their codes.
func (d *Verdict) lists() string {
	var all []string
	for _, l := range append(d.Lists[:len(d.Lists):len(d.Lists)], d.Allowed) {
		if l.List != "" {
			all = append(all, l.List+":"+l.Code.String())
		}
	}
	return strings.Join(all, ",")
}

// facts are what the log says of a message that was taken.
func (d *Verdict) facts() []slog.Attr {
	attrs := []slog.Attr{slog.String("spf", d.SPF.Result.String()), slog.String("dkim", d.best()), slog.String("dmarc", d.DMARC.Result.String())}
	if d.Marked() {
		attrs = append(attrs, slog.String("marked", d.Why))
	}
	if lists := d.lists(); lists != "" {
		attrs = append(attrs, slog.String("lists", lists))
	}
	if o := &d.DMARC; o.Result == dmarc.Pass && !o.DKIM.Aligned && o.Policy == dmarc.Reject {
		// Behind an alias that leads elsewhere nothing will pass any more.
		attrs = append(attrs, slog.String("only_spf", string(o.Policy)))
	}
	return attrs
}

// refusal is what the log says of a message that was refused: enough to tell what its sender
// would have to change, or which host would have to be trusted.
func (d *Verdict) refusal() []slog.Attr {
	attrs := []slog.Attr{slog.String("author", d.DMARC.Domain), slog.String("spf", d.SPF.Result.String()), slog.String("dkim", d.best()), slog.String("dmarc", d.DMARC.Result.String())}
	if d.SPF.Domain != "" {
		attrs = append(attrs, slog.String("spf_domain", d.SPF.Domain))
	}
	signers := make([]string, 0, len(d.DKIM))
	for i := range d.DKIM {
		if s := &d.DKIM[i]; s.Domain != "" && !slices.Contains(signers, s.Domain+":"+string(s.Status)) {
			signers = append(signers, s.Domain+":"+string(s.Status))
		}
	}
	if len(signers) > 0 {
		attrs = append(attrs, slog.String("signers", strings.Join(signers, ",")))
	}
	if d.Client.Name != "" {
		attrs = append(attrs, slog.String("client", d.Client.Name))
	}
	if d.Own {
		attrs = append(attrs, slog.String("ours", d.Ours.String()))
	}
	return attrs
}

// best is the best result of the signatures.
func (d *Verdict) best() string {
	best := dkim.None
	for i := range d.DKIM {
		switch status := d.DKIM[i].Status; {
		case status == dkim.Pass:
			return string(status)
		case best == dkim.None || status == dkim.Fail:
			best = status
		}
	}
	return string(best)
}
