package post

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Who is away has senders answered once a week each (RFC 3834): to the sender of the envelope, from the null sender, and
// only where a person has written to the user by name. Machines, lists and whoever may not be who he says hear nothing. It is decided when
// the message is on stable storage, and done beside its session.

// answersAtOnce is how many answers are under way; what is more is left out. Whoever is not answered now is when he writes again.
const answersAtOnce = 32

// answerPatience is how long one may take until it is in the queue.
const answerPatience = time.Minute

// answers are those under way. The zero value is ready.
type answers struct {
	mu  sync.Mutex
	n   int
	all sync.WaitGroup
}

// begin does something beside, unless there is too much of it.
func (a *answers) begin(do func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n >= answersAtOnce {
		return false
	}
	a.n++
	a.all.Go(func() {
		do()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.n--
	})
	return true
}

// Settle waits for the answers that are under way.
func (p *Post) Settle() { p.answers.all.Wait() }

// answer answers a message for those of its mailboxes whose users are away.
func (r *Receiver) answer(e *smtp.Envelope, m *message, to *plan) {
	rules := r.rules(e.Session)
	if r.Users == nil || r.Outbound == nil || !rules.Absence || m.junk || m.unsure {
		return
	}
	seen := make(map[domains.Address]bool)
	for i := range e.To {
		t, _ := targetsOf(&e.To[i])
		for _, mailbox := range t.Mailboxes {
			if seen[mailbox] || e.To[i].Result != nil || to.failed[mailbox] != nil {
				continue
			}
			seen[mailbox] = true
			is, err := r.Users.Lately(mailbox)
			if err != nil || is == nil || !is.Absence.Active(time.Now()) {
				continue
			}
			if len(seen) > mostAliases { // a mailing to many
				return
			}
			as, why := answerable(rules.Directory, mailbox, e.From, m.header)
			if why != "" {
				r.Log.Debug("not answered", "user", mailbox.String(), "id", e.ID, "why", why)
				continue
			}
			draft := answerOf(is.Absence, as, e.From, m)
			if !r.answers.begin(func() { r.sendAnswer(mailbox, e.From, e.ID, draft) }) {
				r.Log.Warn("sender is not answered", "user", mailbox.String(), "to", e.From.String(), "id", e.ID, "why", "too many answers at a time")
			}
		}
	}
}

// answerable says as whom a message to a mailbox is answered, or why it is not.
func answerable(dir Directory, mailbox domains.Address, from smtp.Path, header *rfc2822.Section) (as smtp.Path, why string) {
	switch {
	case from.IsNull():
		return as, "the null sender"
	case header.Truncated():
		return as, "a header too long to be read"
	case dir.MaySend(mailbox, from):
		return as, "the user's own address"
	case isMachine(from.Local):
		return as, "the address of a program"
	}
	if why := byMachine(header); why != "" {
		return as, why
	}
	for _, name := range []string{"To", "Cc", "Resent-To", "Resent-Cc"} {
		for _, field := range header.Named(name) {
			named, _ := rfc2822.ReadAddressList(field.Value())
			for _, a := range named {
				path := smtp.Path{Local: a.Local, Domain: a.Domain}
				if a.Domain != "" && isPersonal(dir, mailbox, path) {
					return path, ""
				}
			}
		}
	}
	return as, "no address of the user in To or Cc"
}

// isPersonal reports whether an address is one of the user's alone: not of a group, nor a role, nor whatever a catch-all takes.
func isPersonal(dir Directory, mailbox domains.Address, path smtp.Path) bool {
	if !dir.IsLocal(path) {
		return false
	}
	t := dir.Resolve(path)
	if len(t.Mailboxes) != 1 || len(t.Elsewhere) > 0 || t.Mailboxes[0] != mailbox || !dir.MaySend(mailbox, path) {
		return false
	}
	local, _ := dir.Address(path).Cut()
	return local != "postmaster" && local != "abuse"
}

// isMachine reports whether a local part is one that no person reads (RFC 3834 §2, and what is the custom).
func isMachine(local string) bool {
	local = strings.ToLower(local)
	has := func(match func(string, string) bool, words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return match(local, w) })
	}
	return has(func(a, b string) bool { return a == b }, "mailer-daemon", "postmaster", "listserv", "majordomo", "bounce", "bounces", "root", "daemon", "nobody") ||
		has(strings.HasPrefix, "owner-", "bounce-", "bounce+", "bounce=", "bounces-", "bounces+", "bounces=", "mailer-daemon") ||
		has(strings.HasSuffix, "-request", "-owner", "-bounce", "-bounces") ||
		has(strings.Contains, "-bounces+", "-return-", "noreply", "no-reply", "no_reply", "no.reply", "donotreply", "do-not-reply", "do_not_reply", "do.not.reply")
}

// byMachine says which field of a header shows that nobody waits for an answer; empty: none.
func byMachine(header *rfc2822.Section) string {
	for field := range header.All() {
		name, value := strings.ToLower(field.Name()), strings.ToLower(strings.TrimSpace(field.Value()))
		word := firstToken(value)
		switch {
		case name == "auto-submitted" && word != "no", // RFC 3834 §5
			strings.HasPrefix(name, "list-"), // RFC 2369, RFC 2919
			name == "precedence" && slices.Contains([]string{"bulk", "list", "junk", "auto_reply"}, word),
			name == "return-path" && strings.HasPrefix(value, "<>"),
			name == "content-type" && word == "multipart/report",
			name == "x-auto-response-suppress" && (strings.Contains(value, "all") || strings.Contains(value, "oof") || strings.Contains(value, "autoreply")),
			name == "x-autoreply", name == "x-autorespond", name == "x-autogenerated", name == "x-autoresponder", name == "feedback-id", name == "x-loop",
			name == "x-spam-flag" && word == "yes", name == "x-spam-status" && word == "yes":
			return "the field " + field.Name()
		}
	}
	return ""
}

// firstToken is what a value begins with, without comments, parameters and what follows.
func firstToken(value string) string {
	for strings.HasPrefix(value, "(") {
		end := strings.IndexByte(value, ')')
		if end < 0 {
			return ""
		}
		value = strings.TrimSpace(value[end+1:])
	}
	if end := strings.IndexAny(value, " \t\r\n;,("); end >= 0 {
		return value[:end]
	}
	return value
}

// answerOf writes an answer. Nothing of the message is in it but its subject and what names it.
func answerOf(is *preferences.Absence, as, to smtp.Path, m *message) *rfc2822.Draft {
	d := &rfc2822.Draft{
		From: []rfc2822.Address{{Local: as.Local, Domain: as.Domain}}, To: []rfc2822.Address{{Local: to.Local, Domain: to.Domain}},
		Subject: is.Subject, Text: is.Text,
	}
	if d.Subject == "" { // RFC 3834 §3.1.5
		subject := []rune(m.header.Text("Subject"))
		d.Subject = strings.TrimSpace("Auto: " + string(subject[:min(len(subject), preferences.MostSubject)]))
	}
	if id := m.messageID(); id != "" {
		d.InReplyTo = rfc2822.ParseMessageIDs(id)
		d.References = append(lastIDs(m.header.Get("References")), d.InReplyTo...)
	}
	for _, f := range [][2]string{{"Auto-Submitted", "auto-replied"}, {"X-Auto-Response-Suppress", "All"}} {
		if field, err := rfc2822.NewField(f[0], f[1]); err == nil {
			d.Fields = append(d.Fields, field)
		}
	}
	return d
}

// lastIDs are as many of the ids of a thread as an answer needs.
func lastIDs(references string) []string {
	const most = 10
	all := rfc2822.ParseMessageIDs(references)
	return all[max(0, len(all)-most):]
}

// sendAnswer answers a sender, unless he was answered not long ago. That he was is noted first: a crash leaves one answer out, and
// never sends one twice.
func (p *Post) sendAnswer(mailbox domains.Address, to smtp.Path, id string, draft *rfc2822.Draft) {
	ctx, cancel := context.WithTimeout(context.Background(), answerPatience)
	defer cancel()
	log := p.Log.With("user", mailbox.String(), "to", to.String(), "id", id)
	switch note, err := p.Users.Note(ctx, mailbox, to.Address(), time.Now()); {
	case err != nil:
		log.Warn("sender is not answered", "why", err)
		return
	case note != preferences.First:
		log.Debug("not answered", "why", note.String())
		return
	}
	var text bytes.Buffer
	_, err := draft.WriteTo(&text)
	if err == nil {
		err = p.Outbound.answer(ctx, to, text.Bytes())
	}
	if err != nil {
		log.Warn("sender is not answered", "why", err)
		if err := p.Users.Unnote(ctx, mailbox, to.Address()); err != nil {
			log.Warn("sender is taken for answered", "err", err)
		}
		return
	}
	log.Info("sender answered while the user is away", "from", draft.From[0].Addr())
}

// answer brings an answer to somebody who has written to a user, from the null sender. Whoever is here gets it into the mailbox at once; what
// leaves is signed, and there is a pace for it: a sender may be forged.
func (o *Outbound) answer(ctx context.Context, to smtp.Path, message []byte) error {
	dir := o.need.Directory()
	if dir.IsLocal(to) {
		found := dir.Resolve(to)
		if len(found.Mailboxes) != 1 || found.Expands() {
			return errors.New("the sender is not one person here")
		}
		return o.deliver(ctx, found.Mailboxes, message)
	}
	return o.sendNotice(ctx, to, message)
}

// sendNotice sends a message of the server's own to another host, from the null sender.
func (o *Outbound) sendNotice(ctx context.Context, to smtp.Path, message []byte) error {
	if err := o.mayTell(); err != nil {
		return err
	}
	if !o.queue.MayNotify(to) {
		return errTooMany
	}
	message, err := o.signed(message)
	if err != nil {
		return err
	}
	e := &queue.Entry{Class: queue.Notice, To: []queue.Recipient{{Path: to, Params: smtp.RcptParams{Notify: smtp.NotifyNever}}}}
	e.Params.SMTPUTF8 = !to.IsASCII() || slices.ContainsFunc(message, func(b byte) bool { return b >= 0x80 })
	return o.queue.Submit(ctx, e, bytes.NewReader(message))
}

// Tell puts a message of the server's own into a user's mailbox.
func (p *Post) Tell(ctx context.Context, mailbox domains.Address, message []byte) error {
	return put(ctx, p.Mailboxes, []domains.Address{mailbox}, message)
}

// TellElsewhere sends one to an address of another host, whose owner may never have heard of this one.
func (p *Post) TellElsewhere(ctx context.Context, to smtp.Path, message []byte) error {
	if p.Outbound == nil {
		return errors.New("this server does not send mail to other hosts")
	}
	return p.Outbound.sendNotice(ctx, to, message)
}
