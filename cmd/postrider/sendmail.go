package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	osuser "os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
)

// defaultSubmitSocket is where sendmail looks when it is told nothing: most
// users cannot read the configuration that would name the socket.
const defaultSubmitSocket = "/run/postrider/submit.sock"

func sendmailCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "sendmail [flags] [RECIPIENT...]",
		Short: "Take a message from standard input, as cron, PHP and git send it",
		Long: `Take a message from standard input and hand it to the running server, which
knows who is calling from the kernel: no password is needed. It understands the
flags of the traditional sendmail program:

  -t          recipients are those of To, Cc and Bcc; Bcc is taken out
  -f, -r ADDR the envelope sender: root may name anybody, others themselves and
              what Admin.submit_as gives them
  -F NAME     the full name, for a message without From
  -i, -oi     a line with a single dot does not end the message
  -N WORDS    hear of success, failure, delay, or never
  -R full|hdrs, -V ID  what a report returns, and by what id it is known
  -bs         speak SMTP on standard input and output
  -bp         list what waits, as mailq does
  -q          without recipients: try what waits again now
  -bi         nothing, as newaliases does: aliases are read by "postrider reload"
  -bm, -o*, -v, -B*, -L*, -X*, -C*, -h*  are accepted and change nothing

The socket is that of --socket, of $POSTRIDER_SUBMIT, of the configuration given
with --conf, or ` + defaultSubmitSocket + `. Exit codes are those of sysexits.h: 64 a
wrong command line, 67 nobody there, 69 refused, 75 try again, 77 not allowed.

Link it as /usr/sbin/sendmail, mailq and newaliases: called so, the program behaves
as they do.`,
		Example:            "  postrider sendmail -t <message.eml\n  echo hello | postrider sendmail alice@example.com",
		DisableFlagParsing: true, // the flags are older than any convention
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
				return cmd.Help()
			}
			f, to, err := parseSendmail(args)
			if err != nil {
				return inSysexits(usage(cmd, err))
			}
			return inSysexits(sendmail(cmd, f, to))
		},
	}
	return c
}

func sendmail(cmd *cobra.Command, f sendmailFlags, to []string) error {
	switch {
	case f.list:
		return listQueue(cmd, f.conf)
	case f.rebuild:
		return nil
	case f.flush && len(to) == 0 && !f.fromHeader:
		return flushQueue(cmd, f.conf)
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	if f.smtpOnStdio {
		return stdioSMTP(cmd, client)
	}
	header, body, err := rfc2822.Peek(f.input(cmd.InOrStdin()), 0)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	if f.fromHeader {
		found, err := headerRecipients(header)
		if err != nil {
			return &codedError{exitData, err}
		}
		to = append(to, found...)
	}
	if len(to) == 0 {
		return usage(cmd, fmt.Errorf("no recipient"))
	}
	if f.fromHeader && header.Has("Bcc") {
		body = withoutBcc(header, body)
	}
	return submit(cmd.Context(), client, f.query(to), body)
}

// client finds the socket.
func (f *sendmailFlags) client() (*control.Client, error) {
	switch path := os.Getenv("POSTRIDER_SUBMIT"); {
	case f.socket != "":
		return control.NewClient(f.socket), nil
	case f.conf != "":
		s, err := conf.Load(f.conf)
		if err != nil {
			return nil, err
		}
		return control.NewClient(s.Admin.Socket), nil
	case path != "":
		return control.NewClient(path), nil
	}
	return control.NewClient(defaultSubmitSocket), nil
}

// input is the message: without the line that begins one in an mbox, where a
// program left that on top, and up to a line with a single dot, unless told not
// to, as on the terminals this is from.
func (f *sendmailFlags) input(r io.Reader) io.Reader {
	lines := bufio.NewReader(r)
	for _, mark := range []string{"From ", ">From "} {
		if start, _ := lines.Peek(len(mark)); string(start) == mark {
			skipLine(lines)
			break
		}
	}
	if f.ignoreDots {
		return lines
	}
	out, in := io.Pipe()
	go func() {
		for start := true; ; {
			line, err := lines.ReadSlice('\n')
			if start && (string(line) == ".\n" || string(line) == ".\r\n") {
				in.Close()
				return
			}
			start = len(line) > 0 && line[len(line)-1] == '\n'
			if _, werr := in.Write(line); werr != nil {
				return
			}
			if err != nil && err != bufio.ErrBufferFull {
				in.CloseWithError(err)
				return
			}
		}
	}()
	return out
}

// skipLine reads to the end of a line, however long it is.
func skipLine(r *bufio.Reader) {
	for {
		if _, err := r.ReadSlice('\n'); err != bufio.ErrBufferFull {
			return
		}
	}
}

// query is what the server is asked to do. The server knows who the sender is
// where none is named, and writes a From field where there is none.
func (f *sendmailFlags) query(to []string) url.Values {
	query := url.Values{"to": to}
	name := f.fullName
	if u, err := osuser.Current(); err == nil && name == "" {
		name = strings.TrimSuffix(strings.Split(u.Name, ",")[0], " ")
	}
	for key, value := range map[string]string{"from": f.from, "name": name, "notify": f.notify, "ret": f.ret, "envid": f.envelopeID} {
		if value != "" {
			query.Set(key, value)
		}
	}
	return query
}

func headerRecipients(header *rfc2822.Section) (to []string, err error) {
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for _, field := range header.Named(name) {
			good, bad := rfc2822.ReadAddressList(field.Value())
			for _, b := range bad {
				if b.Reason != "no domain" { // a user of this host, such as root
					return nil, fmt.Errorf("%s: %w", name, b)
				}
			}
			for _, a := range good {
				to = append(to, a.Addr())
			}
		}
	}
	return to, nil
}

// withoutBcc gives the message without its Bcc fields, all else untouched.
func withoutBcc(header *rfc2822.Section, whole io.Reader) io.Reader {
	io.CopyN(io.Discard, whole, int64(header.Size()))
	header.Remove("Bcc")
	return io.MultiReader(strings.NewReader(header.String()), whole)
}

// submit hands a message over; it is on stable storage when it returns nil.
func submit(ctx context.Context, client *control.Client, query url.Values, message io.Reader) error {
	err := client.Stream(ctx, "submit?"+query.Encode(), message, nil)
	if errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("%w; name its socket with --socket or POSTRIDER_SUBMIT, or its configuration with --conf", err)
	}
	return err
}

// stdioSMTP is -bs: a session on standard input and output whose messages go
// through the socket. The server is asked about each address when it is named.
func stdioSMTP(cmd *cobra.Command, client *control.Client) error {
	may := func(ctx context.Context, query url.Values) error {
		return answered(client.Stream(ctx, "envelope?"+query.Encode(), strings.NewReader(""), nil))
	}
	s := &smtp.Server{
		Log: slog.New(slog.DiscardHandler), // the session is the log
		CheckSender: func(ctx context.Context, _ *smtp.Session, from smtp.Path, _ *smtp.Params) error {
			return may(ctx, url.Values{"from": {senderText(from)}})
		},
		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
			return may(ctx, url.Values{"from": {senderText(s.Envelope.From)}, "to": {to.Path.String()}})
		},
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			query := url.Values{"from": {senderText(e.From)}}
			for _, r := range e.To {
				query.Add("to", r.Path.String())
			}
			return answered(submit(ctx, client, query, e.Data))
		}),
	}
	return s.ServeConn(newStdio(cmd.InOrStdin(), cmd.OutOrStdout()))
}

// senderText is a sender as the socket takes it.
func senderText(p smtp.Path) string {
	if p.IsNull() {
		return "<>"
	}
	return p.String()
}

// answered is what the server answered, as a reply; what has no code is for later.
func answered(err error) error {
	var refused *control.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Code != 0:
		text := strings.TrimPrefix(refused.Text, fmt.Sprintf("%d %s ", refused.Code, refused.Enhanced))
		return &smtp.Reply{Code: refused.Code, Enhanced: refused.Enhanced, Text: text}
	case errors.As(err, &refused):
		return smtp.ErrTransactionFailed.Textf("%v", err)
	}
	return smtp.ErrTryLater.Textf("%v", err)
}
