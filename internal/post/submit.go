package post

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/parsers/textual"
	"github.com/postrider-mail/postrider/smtp"
)

// Submission by programs of this host, without a password: who they are is
// what the kernel says of the process at the other end of the socket.
//
//	POST /submit?from=ADDRESS&to=ADDRESS&to=ADDRESS   with the message as body

// maxLocalRecipients bounds one local submission; a request's line is bounded
// as well.
const maxLocalRecipients = 1000

// Submissions adds the command to a socket's.
func (p *Post) Submissions(mux *http.ServeMux) {
	mux.HandleFunc("POST /submit", func(w http.ResponseWriter, r *http.Request) {
		id, err := p.submit(r)
		control.Answer(w, id, err)
	})
}

// submit takes one message and returns its id, when it is on stable storage.
func (p *Post) submit(r *http.Request) (id string, err error) {
	rules := p.Rules()
	caller, trusted, err := caller(r, rules.Directory)
	if err != nil {
		return "", err
	}
	query := r.URL.Query()
	from, err := localSender(rules.Directory, query.Get("from"), query.Has("from"), caller, trusted)
	if err != nil {
		return "", err
	}
	to := query["to"]
	if len(to) == 0 || len(to) > maxLocalRecipients {
		return "", fmt.Errorf("%d recipients; 1 to %d are taken at a time", len(to), maxLocalRecipients)
	}
	// The time tells apart what different runs of the program counted.
	id = "local" + strconv.FormatInt(time.Now().Unix(), 36) + "-" + strconv.FormatUint(p.submitted.Add(1), 36)
	session := &smtp.Session{ID: id, User: caller}
	e := &smtp.Envelope{Session: session, ID: session.ID, From: from}
	session.Envelope = e
	session.Set(rulesKey{}, rules)
	e.Params.SMTPUTF8 = !from.IsASCII()
	receiver := &Receiver{Post: p, Submission: true}
	for _, address := range to {
		rcpt := smtp.Recipient{}
		if rcpt.Path, err = localPath(rules.Directory, address); err != nil {
			return "", err
		}
		e.Params.SMTPUTF8 = e.Params.SMTPUTF8 || !rcpt.Path.IsASCII()
		if err := receiver.CheckRcpt(r.Context(), session, &rcpt); err != nil {
			return "", fmt.Errorf("%s: %w", address, err)
		}
		e.To = append(e.To, rcpt)
	}
	e.Data = networkLines(r.Context(), http.MaxBytesReader(nil, r.Body, rules.MaxMessageSize))
	e.Params.Body = "8BITMIME"
	return e.ID, receiver.ServeSMTP(r.Context(), e)
}

// caller is who calls, as an address here, and whether they may send as
// anybody: root and the server's own user may.
func caller(r *http.Request, dir Directory) (address string, trusted bool, err error) {
	uid, err := control.Caller(r)
	if err != nil {
		return "", false, err
	}
	name := "uid-" + strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		name = u.Username
	}
	return name + "@" + dir.Home(), uid == 0 || int(uid) == os.Getuid(), nil
}

// localSender is the envelope sender: what was asked for, if the caller may,
// else the caller's own address.
func localSender(dir Directory, asked string, given bool, caller string, trusted bool) (smtp.Path, error) {
	if !given {
		asked = caller
	}
	if asked == "" || asked == "<>" {
		return smtp.Path{}, nil
	}
	path, err := localPath(dir, asked)
	if err != nil {
		return path, err
	}
	if !trusted && dir.Address(path) != caller && !dir.MaySend(caller, path) {
		return path, fmt.Errorf("%s may not send as <%s>", caller, path)
	}
	return path, nil
}

// localPath reads an address; one without a domain is of this host.
func localPath(dir Directory, address string) (smtp.Path, error) {
	if !strings.Contains(address, "@") {
		address += "@" + dir.Home()
	}
	return smtp.ParsePath("<"+strings.Trim(address, "<>")+">", smtp.PathUTF8)
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
