package post

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/parsers/textual"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// Submission by programs of this host, without a password: who they are is
// what the kernel says of the process at the other end of the socket.
//
//	POST /submit?from=ADDRESS&to=ADDRESS&to=ADDRESS   with the message as body
//	POST /envelope?from=ADDRESS&to=ADDRESS            whether such a message would be taken
//
// Further parameters are name, the full name for a From field that is missing, and
// notify, ret and envid as in RFC 3461.

// maxLocalRecipients bounds one local submission; a request's line is bounded
// as well.
const maxLocalRecipients = 1000

// Submissions adds the commands to a socket's.
func (p *Post) Submissions(mux *http.ServeMux) {
	mux.HandleFunc("POST /submit", func(w http.ResponseWriter, r *http.Request) {
		id, err := p.submit(r)
		control.Answer(w, id, refusal(err))
	})
	mux.HandleFunc("POST /envelope", func(w http.ResponseWriter, r *http.Request) {
		_, _, err := p.localEnvelope(r)
		control.Answer(w, struct{}{}, refusal(err))
	})
}

// refusal gives an error its code, as far as it has one.
func refusal(err error) error {
	var reply *smtp.Reply
	if !errors.As(err, &reply) {
		return err
	}
	return &control.Refusal{Text: err.Error(), Code: reply.Code, Enhanced: reply.Enhanced}
}

// submit takes one message and returns its id, when it is on stable storage.
func (p *Post) submit(r *http.Request) (id string, err error) {
	receiver, e, err := p.localEnvelope(r)
	if err != nil {
		return "", err
	}
	if len(e.To) == 0 {
		return "", fmt.Errorf("no recipient; 1 to %d are taken at a time", maxLocalRecipients)
	}
	rules := p.rules(e.Session)
	data := networkLines(r.Context(), http.MaxBytesReader(nil, r.Body, rules.MaxMessageSize))
	if e.Data, err = completeFrom(rules.Directory, e, data, r.URL.Query().Get("name")); err != nil {
		return "", err
	}
	forget := func() {}
	if !receiver.anybody {
		forget, err = p.maySubmit(e.Session, len(e.To))
	}
	if err == nil {
		if err = receiver.ServeSMTP(r.Context(), e); err != nil {
			forget()
		}
	}
	if err != nil {
		p.localRefusal(e.Session, "DATA", e.From.String(), strings.Join(r.URL.Query()["to"], ","), err)
		return e.ID, err
	}
	return e.ID, nil
}

// localEnvelope makes the envelope that a request describes, and the receiver for
// it.
func (p *Post) localEnvelope(r *http.Request) (*Receiver, *smtp.Envelope, error) {
	rules := p.Rules()
	caller, trusted, err := caller(r, rules.Directory)
	if err != nil {
		return nil, nil, err
	}
	query := r.URL.Query()
	from, err := localSender(rules.Directory, query.Get("from"), query.Has("from"), caller, trusted)
	if err != nil {
		p.localRefusal(&smtp.Session{Identity: lineserver.Identity{User: caller.String()}}, "MAIL", query.Get("from"), "", err)
		return nil, nil, err
	}
	// The time tells apart what different runs of the program counted.
	id := "local" + strconv.FormatInt(time.Now().Unix(), 36) + "-" + strconv.FormatUint(p.submitted.Add(1), 36)
	session := &smtp.Session{Identity: lineserver.Identity{ID: id, User: caller.String()}}
	e := &smtp.Envelope{Session: session, ID: session.ID, From: from}
	session.Envelope = e
	session.Set(rulesKey{}, rules)
	e.Params.SMTPUTF8, e.Params.Body = !from.IsASCII(), smtp.Body8BitMIME
	receiver := &Receiver{Post: p, Submission: true, anybody: trusted}
	if err := receiver.inspectSender(r.Context(), session, from); err != nil {
		return nil, nil, err
	}
	return receiver, e, receiver.localRecipients(r.Context(), e, query)
}

// localRecipients adds the recipients of a request, and what their sender wants to
// hear of them.
func (r *Receiver) localRecipients(ctx context.Context, e *smtp.Envelope, query url.Values) error {
	to := query["to"]
	if len(to) > maxLocalRecipients {
		return fmt.Errorf("%d recipients; at most %d are taken at a time", len(to), maxLocalRecipients)
	}
	notify, err := notifyOf(query.Get("notify"))
	if err != nil {
		return err
	}
	e.Params.EnvID = query.Get("envid")
	switch e.Params.Ret = smtp.Ret(strings.ToUpper(query.Get("ret"))); {
	case e.Params.Ret != "" && e.Params.Ret != smtp.RetFull && e.Params.Ret != smtp.RetHeaders:
		return fmt.Errorf("%q is neither full nor hdrs", query.Get("ret"))
	case len(e.Params.EnvID) > 100 || strings.ContainsFunc(e.Params.EnvID, func(c rune) bool { return c < '!' || c > '~' }):
		return errors.New("an envelope id is at most 100 printable characters (RFC 3461)")
	}
	for _, address := range to {
		rcpt := smtp.Recipient{}
		if rcpt.Path, err = localPath(r.rules(e.Session).Directory, address); err != nil {
			return err
		}
		rcpt.Params.Notify = notify
		e.Params.SMTPUTF8 = e.Params.SMTPUTF8 || !rcpt.Path.IsASCII()
		if err := r.CheckRcpt(ctx, e.Session, &rcpt); err != nil {
			r.localRefusal(e.Session, "RCPT", e.From.String(), address, err)
			return fmt.Errorf("%s: %w", address, err)
		}
		e.To = append(e.To, rcpt)
	}
	return nil
}

// notifyOf reads when a sender wants to hear: never, or some of success, failure
// and delay.
func notifyOf(list string) (smtp.Notify, error) {
	if list == "" {
		return 0, nil
	}
	n, ok := smtp.ParseNotify(list)
	if !ok {
		return 0, fmt.Errorf("%q is not \"never\" alone, nor a list of success, failure and delay (RFC 3461)", list)
	}
	return n, nil
}

// caller is who calls, as an address here, and whether they may send as
// anybody: root and the server's own user may.
func caller(r *http.Request, dir Directory) (address domains.Address, trusted bool, err error) {
	uid, err := control.Caller(r)
	if err != nil {
		return "", false, err
	}
	name := "uid-" + strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		name = u.Username
	}
	return domains.At(name, dir.Home()), uid == 0 || int(uid) == os.Getuid(), nil
}

// localSender is the envelope sender: what was asked for, if the caller may,
// else the caller's own address.
func localSender(dir Directory, asked string, given bool, caller domains.Address, trusted bool) (smtp.Path, error) {
	if !given {
		asked = caller.String()
	}
	if asked == "" || asked == "<>" {
		return smtp.Path{}, nil
	}
	path, err := localPath(dir, asked)
	if err != nil {
		return path, err
	}
	if !trusted && !owns(dir, caller, path) {
		return path, smtp.ErrSenderNotOwned.Textf("%s may not send as <%s>", caller, path)
	}
	return path, nil
}

// localPath reads an address; one without a domain is of this host.
func localPath(dir Directory, address string) (smtp.Path, error) {
	if !strings.Contains(address, "@") {
		address += "@" + dir.Home().String()
	}
	path, err := smtp.ParseMailbox(strings.Trim(address, "<>"), smtp.PathUTF8)
	return dir.Qualify(path), err
}

// completeFrom gives a message of a program of this host a From field, where it has
// none: that of the envelope, which is whose mail it is. One that names a user of
// this host by another name of it, or by none, as "root (Cron Daemon)", gets the
// domain that others can answer to (RFC 6409 §8.6).
func completeFrom(dir Directory, e *smtp.Envelope, data io.Reader, name string) (io.Reader, error) {
	header, whole, err := rfc2822.Peek(data, commonHeader)
	if err != nil || header.Truncated() {
		return whole, err
	}
	field, has := header.First("From")
	if has {
		return qualifyFrom(dir, header, field, whole)
	}
	author := e.From
	if author.IsNull() {
		if author, err = localPath(dir, e.Session.User); err != nil {
			return nil, err
		}
	}
	from, err := rfc2822.NewField("From", rfc2822.Address{Name: name, Local: author.Local, Domain: author.Domain}.String())
	if err != nil {
		return nil, err
	}
	return io.MultiReader(strings.NewReader(from.Raw()+header.Seam()), whole), nil
}

// atEnd is a comment behind an address, where old programs write the full name.
var atEnd = regexp.MustCompile(`\(([^()\\]*)\)\s*$`)

func qualifyFrom(dir Directory, header *rfc2822.Section, field rfc2822.Field, whole io.Reader) (io.Reader, error) {
	named, _ := rfc2822.ReadAddressList(field.Value())
	if len(named) != 1 || len(header.Named("From")) != 1 {
		return whole, nil
	}
	a := named[0]
	path := smtp.Path{Local: a.Local, Domain: a.Domain}
	qualified := dir.Qualify(path)
	if qualified == path {
		return whole, nil
	}
	a.Domain = qualified.Domain
	if comment := atEnd.FindStringSubmatch(field.Value()); a.Name == "" && comment != nil {
		a.Name = comment[1]
	}
	from, err := rfc2822.NewField("From", a.String())
	if err != nil {
		return whole, nil // it stays as it came
	}
	text := strings.Replace(header.String(), field.Raw(), from.Raw(), 1)
	return io.MultiReader(strings.NewReader(text), beyond(whole, header.Size())), nil
}

// networkLines gives a message with the line endings of the network, whatever
// those of the program that wrote it are.
func networkLines(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	w := textual.NewLineWriter(in)
	go func() {
		_, err := w.ReadFrom(r)
		if err == nil {
			err = w.Close()
		}
		in.CloseWithError(tooBig(err))
	}()
	context.AfterFunc(ctx, func() { out.CloseWithError(fs.ErrClosed) })
	return out
}

func tooBig(err error) error {
	var max *http.MaxBytesError
	if errors.As(err, &max) {
		return smtp.ErrTooBig
	}
	return err
}
