package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// answering plays a transaction of one message with every callback answering
// err at its turn, and returns what the server said.
func answering(srv *smtp.Server, step string, err error) string {
	at := func(s string) error {
		if s == step {
			return err
		}
		return nil
	}
	srv.CheckConn = func(context.Context, *smtp.Session) error { return at("conn") }
	srv.CheckHelo = func(context.Context, *smtp.Session, string) error { return at("helo") }
	srv.CheckSender = func(context.Context, *smtp.Session, smtp.Path, *smtp.Params) error { return at("sender") }
	srv.CheckRcpt = func(context.Context, *smtp.Session, *smtp.Recipient) error { return at("rcpt") }
	srv.CheckData = func(context.Context, *smtp.Session) error { return at("data") }
	srv.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
		if step == "result" {
			e.To[0].Result = err
		}
		io.Copy(io.Discard, e.Data)
		return at("message")
	})
	srv.Hostname = "mx.example.com"
	return say(srv, "EHLO c\nMAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\nx\n.\nQUIT\n")
}

var steps = []string{"conn", "helo", "sender", "rcpt", "data", "message", "result"}

// TestPositiveReplies: a 2yz reply accepts, and is sent as it is in answer to
// MAIL, RCPT and the message.
func TestPositiveReplies(t *testing.T) {
	for _, r := range []*smtp.Reply{
		{Code: 250, Enhanced: "2.0.0", Text: "taken, thank you"},
		{Code: 251, Enhanced: "2.1.5", Text: "will forward to <e@f.example>"},
		{Code: 250, Text: "two\nlines"},
	} {
		for _, step := range steps {
			for _, err := range []error{r, r.With(errors.New("a remark for the log"))} {
				out := answering(&smtp.Server{}, step, err)
				if strings.Contains(out, "\r\n4") || strings.Contains(out, "\r\n5") || !strings.Contains(out, "\r\n354 ") {
					t.Errorf("%s answers %v: %q", step, err, out)
				}
				want := fmt.Sprint("\r\n", r.Code, " ", strings.TrimSpace(r.Enhanced+" "+r.Text), "\r\n")
				want = strings.ReplaceAll(want, "250 two\nlines", "250-two\r\n250 lines")
				if sent := step == "sender" || step == "rcpt" || step == "message" || step == "result"; sent && !strings.Contains(out, want) {
					t.Errorf("%s: no %q in %q", step, want, out)
				}
			}
		}
	}
}

// TestUnusableReplies: what is no answer to a command, and a failure that only
// mentions a success, are 451.
func TestUnusableReplies(t *testing.T) {
	yes := &smtp.Reply{Code: 250, Enhanced: "2.0.0", Text: "yes"}
	var none *smtp.Reply
	for _, err := range []error{
		&smtp.Reply{}, &smtp.Reply{Code: 354, Text: "go on"}, &smtp.Reply{Code: 221, Text: "bye"}, &smtp.Reply{Code: 600}, &smtp.Reply{Code: -250},
		fmt.Errorf("not %w", yes), errors.Join(yes, io.ErrUnexpectedEOF), fmt.Errorf("odd: %w", none), smtp.StandardReply("no code"),
	} {
		for _, step := range steps[1:] {
			out := answering(&smtp.Server{}, step, err)
			if !strings.Contains(out, "\r\n451 4.3.0 Local problem") {
				t.Errorf("%s answers %v: %q", step, err, out)
			}
		}
	}
}

// TestNilReply: a function that returns a *Reply and has nothing to say, says
// yes.
func TestNilReply(t *testing.T) {
	var r *smtp.Reply
	for _, step := range steps {
		out := answering(&smtp.Server{}, step, r)
		if !strings.Contains(out, "250 2.0.0 Queued as") || !strings.Contains(out, "\r\n221 ") {
			t.Errorf("%s answers a nil *Reply: %q", step, out)
		}
	}
	switch {
	case r.Error() == "", r.Unwrap() != nil, r.Is(smtp.ErrTryLater), r.With(nil) != nil, r.Textf("x") != nil,
		r.Temporary(), r.Permanent(), !r.Positive(), !errors.Is(r.With(io.EOF), io.EOF), !r.With(io.EOF).Temporary():
		t.Error("a nil *Reply does not mean nothing")
	}
	var c *smtp.Response
	if c.Error() == "" || c.Is(smtp.ErrTryLater) || c.Temporary() || c.Permanent() || c.Positive() || !c.Reply().Temporary() {
		t.Error("a nil *Response does not mean nothing")
	}
}

// TestStandardReplies: the prebuilt replies are answers wherever a *Reply is
// one, errors.As gives a value of it, and what is changed is the copy.
func TestStandardReplies(t *testing.T) {
	for _, s := range []smtp.StandardReply{
		smtp.ErrNoSuchUser, smtp.ErrBadSender, smtp.ErrMoved, smtp.ErrMailboxDisabled, smtp.ErrMailboxBusy, smtp.ErrMailboxFull, smtp.ErrTooBig,
		smtp.ErrTryLater, smtp.ErrNoSpace, smtp.ErrUnavailable, smtp.ErrTransactionFailed, smtp.ErrLoop, smtp.ErrGreylisted, smtp.ErrAuthRequired,
		smtp.ErrAuthFailed, smtp.ErrRelayDenied, smtp.ErrRefused, smtp.ErrSenderNotOwned, smtp.ErrTooManyRecipients, smtp.ErrTooManyMessages,
		smtp.ErrBadContent, smtp.ErrNotImplemented, smtp.ErrBareLineEnd,
	} {
		for _, err := range []error{s, fmt.Errorf("in other words: %w", s)} {
			if out := answering(&smtp.Server{}, "rcpt", err); !strings.Contains(out, "\r\n"+s.Error()+" (") {
				t.Errorf("%v: %q", err, out)
			}
			var r *smtp.Reply
			if !errors.As(err, &r) || r.Error() != s.Error() || r.Enhanced == "" || !errors.Is(r, s) || !errors.Is(s, r) || !errors.Is(err, s) {
				t.Errorf("%v: errors.As gives %v", err, r)
			}
			r.Text = "changed"
			if s.Reply().Text == "changed" {
				t.Errorf("%v has changed", s)
			}
		}
	}
	if errors.Is(smtp.ErrNoSuchUser, smtp.ErrRefused) || errors.Is(smtp.ErrNoSuchUser, io.EOF) {
		t.Error("errors.Is finds what is not there")
	}
}

// TestNotInAnothersWords: what a handler's own client was told is no answer to
// the handler's client, unless the handler says so.
func TestNotInAnothersWords(t *testing.T) {
	told := &smtp.Response{Code: 554, Enhanced: "5.7.1", Text: "you are on a list"}
	for _, e := range []error{
		told,
		&smtp.ClientError{Op: "greeting", Reply: told},
		&smtp.SendError{To: []string{"a@b.c"}, Results: []smtp.RcptResult{{Err: &smtp.ClientError{Op: "RCPT", Reply: told}}}},
	} {
		var log bytes.Buffer
		out := answering(&smtp.Server{Log: slog.New(slog.NewTextHandler(&log, nil))}, "message", fmt.Errorf("dial the backend: %w", e))
		if !strings.Contains(out, "\r\n451 4.3.0 Local problem") || strings.Contains(out, "list") {
			t.Errorf("%v: %q", e, out)
		}
		if !strings.Contains(log.String(), "dial the backend") || !strings.Contains(log.String(), "on a list") {
			t.Errorf("%v: the log has %q", e, log.String())
		}
		var r *smtp.Reply
		if errors.As(e, &r) {
			t.Errorf("%v is a *Reply", e)
		}
		var c *smtp.Response
		if !errors.As(e, &c) || c != told {
			t.Errorf("%v is not found", e)
		}
	}
	if out := answering(&smtp.Server{}, "message", told.Reply()); !strings.Contains(out, "\r\n554 5.7.1 you are on a list (") {
		t.Errorf("on purpose: %q", out)
	}
}

// TestWordsAroundAReply: what an error says around a reply is in the log.
func TestWordsAroundAReply(t *testing.T) {
	var log bytes.Buffer
	srv := &smtp.Server{Log: slog.New(slog.NewTextHandler(&log, nil))}
	answering(srv, "rcpt", fmt.Errorf("quota of ann: %w", smtp.ErrMailboxFull))
	if !strings.Contains(log.String(), "quota of ann") {
		t.Errorf("the log has %q", log.String())
	}
}

// TestErrorsSayItOnce: the package's name stands once in an error, at its
// beginning.
func TestErrorsSayItOnce(t *testing.T) {
	doubt := &smtp.ClientError{Op: "message", Err: fmt.Errorf("%w: %w", smtp.ErrInDoubt, smtp.ErrProtocol), Reply: &smtp.Response{Code: 250, Text: "on smtp: yes"}}
	for _, err := range []error{
		doubt,
		&smtp.SendError{To: []string{"a@b.c"}, Results: []smtp.RcptResult{{Err: doubt}}},
		&smtp.ClientError{Op: "MAIL", Err: smtp.ErrUnsupported},
	} {
		said := strings.ReplaceAll(err.Error(), "on smtp: yes", "")
		if !strings.HasPrefix(said, "smtp: ") || strings.Count(said, "smtp:") != 1 {
			t.Error(err)
		}
	}
}
