package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// sendmailFlags are the flags that programs have used since the sendmail
// program of 1983.
type sendmailFlags struct {
	conf, socket string

	from        string
	fullName    string
	fromHeader  bool // -t
	ignoreDots  bool // -i
	smtpOnStdio bool // -bs
}

func sendmailCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "sendmail [flags] [RECIPIENT...]",
		Short: "Take a message from standard input, as cron, PHP and git send it",
		Long: `Take a message from standard input and hand it to the running server, which
knows who is calling from the kernel: no password is needed. It understands the
flags of the traditional sendmail program:

  -t          recipients are those of To, Cc and Bcc; Bcc is taken out
  -f, -r ADDR the envelope sender; only root may name somebody else's
  -F NAME     the full name, for a message without From
  -i, -oi     a line with a single dot does not end the message
  -bs         speak SMTP on standard input and output
  -bm, -o*, -v, -N*, -V*, -B*, -q*  are accepted and change nothing

The socket is that of --socket, of $POSTRIDER_SUBMIT, of the configuration given
with --conf, or ` + defaultSubmitSocket + `.

Link it as /usr/sbin/sendmail: a program called so behaves as this command.`,
		Example:            "  postrider sendmail -t <message.eml\n  echo hello | postrider sendmail alice@example.com",
		DisableFlagParsing: true, // the flags are older than any convention
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
				return cmd.Help()
			}
			f, to, err := parseSendmail(args)
			if err != nil {
				return usage(cmd, err)
			}
			return sendmail(cmd, f, to)
		},
	}
	return c
}

func parseSendmail(args []string) (f sendmailFlags, to []string, err error) {
	value := func(i *int, glued string) (string, error) {
		if glued != "" {
			return glued, nil
		}
		if *i++; *i >= len(args) {
			return "", fmt.Errorf("%s needs a value", args[*i-1])
		}
		return args[*i], nil
	}
	for i := 0; i < len(args) && err == nil; i++ {
		a := args[i]
		switch {
		case a == "--":
			return f, append(to, args[i+1:]...), nil
		case a == "--conf" || a == "--socket":
			target := &f.conf
			if a == "--socket" {
				target = &f.socket
			}
			*target, err = value(&i, "")
		case len(a) < 2 || a[0] != '-':
			to = append(to, a)
		case a == "-bs":
			f.smtpOnStdio = true
		case strings.HasPrefix(a, "-b") && a != "-bm":
			err = fmt.Errorf("%s is not supported", a)
		case a == "-oi" || a == "-i":
			f.ignoreDots = true
		case a[1] == 'f' || a[1] == 'r':
			f.from, err = value(&i, a[2:])
			if err == nil && f.from == "" {
				f.from = "<>"
			}
		case a[1] == 'F':
			f.fullName, err = value(&i, a[2:])
		case strings.ContainsRune("oNVBRXLC", rune(a[1])):
			_, err = value(&i, a[2:])
		case strings.Trim(a[1:], "timnvUqhs0123456789") == "":
			// Single letters may stand together, as in -ti.
			f.fromHeader = f.fromHeader || strings.ContainsRune(a, 't')
			f.ignoreDots = f.ignoreDots || strings.ContainsRune(a, 'i')
		case a[1] == 'b' || a[1] == 'q':
		default:
			err = fmt.Errorf("unknown flag %s", a)
		}
	}
	return f, to, err
}

func sendmail(cmd *cobra.Command, f sendmailFlags, to []string) error {
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
			return err
		}
		to = append(to, found...)
	}
	if len(to) == 0 {
		return usage(cmd, fmt.Errorf("no recipient"))
	}
	var top bytes.Buffer
	if !header.Has("From") {
		fmt.Fprintf(&top, "From: %s\n%s", f.sender(), header.Seam())
	}
	if f.fromHeader && header.Has("Bcc") {
		body = withoutBcc(header, body)
	}
	return submit(cmd.Context(), client, f.from, to, io.MultiReader(&top, body))
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

// input ends at a line with a single dot, unless told not to, as on the
// terminals this is from.
func (f *sendmailFlags) input(r io.Reader) io.Reader {
	if f.ignoreDots {
		return r
	}
	out, in := io.Pipe()
	go func() {
		lines := bufio.NewReader(r)
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

// sender is what goes into a From field that is missing.
func (f *sendmailFlags) sender() string {
	address, name := f.from, f.fullName
	if u, err := osuser.Current(); err == nil {
		if address == "" || address == "<>" {
			address = u.Username
		}
		if name == "" {
			name = strings.TrimSuffix(strings.Split(u.Name, ",")[0], " ")
		}
	}
	if !strings.Contains(address, "@") {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		address += "@" + host
	}
	a, err := rfc2822.ParseAddrSpec(address)
	if err != nil {
		return "<" + address + ">"
	}
	a.Name = name
	return a.String()
}

func headerRecipients(header *rfc2822.Section) (to []string, err error) {
	for _, name := range []string{"To", "Cc", "Bcc"} {
		for _, field := range header.Named(name) {
			good, bad := rfc2822.ReadAddressList(field.Value())
			if len(bad) > 0 {
				return nil, fmt.Errorf("%s: %w", name, bad[0])
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
func submit(ctx context.Context, client *control.Client, from string, to []string, message io.Reader) error {
	query := url.Values{"to": to}
	if from != "" {
		query.Set("from", from)
	}
	err := client.Stream(ctx, "submit?"+query.Encode(), message, nil)
	if errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("%w; name its socket with --socket or POSTRIDER_SUBMIT, or its configuration with --conf", err)
	}
	return err
}

// stdioSMTP is -bs: a session on standard input and output whose messages go
// through the socket.
func stdioSMTP(cmd *cobra.Command, client *control.Client) error {
	s := &smtp.Server{
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			var to []string
			for _, r := range e.To {
				to = append(to, r.Path.String())
			}
			from := e.From.String()
			if e.From.IsNull() {
				from = "<>"
			}
			if err := submit(ctx, client, from, to, e.Data); err != nil {
				return smtp.ErrTryLater.Textf("%v", err)
			}
			return nil
		}),
	}
	return s.ServeConn(newStdio(cmd.InOrStdin(), cmd.OutOrStdout()))
}
