package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// TestRefused: each refusal of mail is told of once, to the application and to the
// log, with who was refused what; and neither is told of a client that is only out of
// step.
func TestRefused(t *testing.T) {
	cause := errors.New("the list is on fire")
	for _, c := range []struct {
		name, said string
		want       []string // command, id's end, from, to, code, cause
	}{
		{"nothing", "MAIL FROM:<a@b>\nRCPT TO:<yes@d>\nDATA\nx\n.", nil},
		{"a sender", "MAIL FROM:<bad@b> SIZE=1", []string{"MAIL||bad@b||550|"}},
		{"a sender that is none", "MAIL FROM:<a b>", []string{"MAIL||a||501|"}},
		{"a sender with a parameter", "MAIL FROM:<a@b> SMURF=1", []string{"MAIL||a@b||555|"}},
		{"a command that is none", "MAIL TO:<a@b>", []string{"MAIL||TO:<a@b>||501|"}},
		{"recipients", "MAIL FROM:<a@b>\nRCPT TO:<No@D>\nRCPT TO:<\"x y\"@d> NOTIFY=SOON\nRCPT TO:<yes@d>\nRCPT TO:<later@d>",
			[]string{"RCPT|-1|a@b|No@D|550|", "RCPT|-1|a@b|\"x y\"@d|501|", "RCPT|-1|a@b|later@d|451|the list is on fire"}},
		{"of the second message", "MAIL FROM:<a@b>\nRSET\nMAIL FROM:<>\nRCPT TO:<no@d>", []string{"RCPT|-2||no@d|550|"}},
		{"a message", "MAIL FROM:<a@b>\nRCPT TO:<yes@d>\nRCPT TO:<yes@e>\nDATA\nspam\n.", []string{"DATA|-1|a@b|yes@d,yes@e|554|"}},
		{"a message in chunks", "MAIL FROM:<a@b>\nRCPT TO:<yes@d>\nBDAT 6 LAST\nspam", []string{"BDAT|-1|a@b|yes@d|554|"}},
		{"out of step", "RCPT TO:<a@b>\nFOO\nMAIL FROM:<a@b>\nBDAT 0 LAST\nMAIL FROM:<a@b>\nMAIL FROM:<a@b>\nDATA", nil},
		{"no recipient was taken", "MAIL FROM:<a@b>\nRCPT TO:<no@d>\nDATA", []string{"RCPT|-1|a@b|no@d|550|"}},
		{"a name", "EHLO bad", []string{"EHLO||||550|the list is on fire"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			var sum *smtp.Summary
			var log bytes.Buffer
			s := &smtp.Server{
				Log: slog.New(slog.NewTextHandler(&log, nil)),
				CheckHelo: func(_ context.Context, _ *smtp.Session, name string) error {
					if name == "bad" {
						return smtp.ErrRefused.With(cause)
					}
					return nil
				},
				CheckSender: func(_ context.Context, _ *smtp.Session, from smtp.Path, _ *smtp.Params) error {
					if from.Local == "bad" {
						return smtp.ErrRefused
					}
					return nil
				},
				CheckRcpt: func(_ context.Context, _ *smtp.Session, to *smtp.Recipient) error {
					switch to.Path.Local {
					case "yes":
						return nil
					case "later":
						return fmt.Errorf("%w: %w", cause, smtp.ErrTryLater)
					}
					return smtp.ErrNoSuchUser
				},
				Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
					if text, err := io.ReadAll(e.Data); err != nil || strings.HasPrefix(string(text), "spam") {
						return smtp.ErrTransactionFailed
					}
					return nil
				}),
				Refused: func(s *smtp.Session, f *smtp.Refusal) {
					why := ""
					if err := f.Reply.Unwrap(); err != nil {
						why, _, _ = strings.Cut(err.Error(), ":")
					}
					got = append(got, strings.Join([]string{f.Command, strings.TrimPrefix(f.ID, s.ID), f.From, f.To, fmt.Sprint(f.Reply.Code), why}, "|"))
				},
				Extensions: smtp.Extensions{DSN: true},
				Done:       func(_ *smtp.Session, s *smtp.Summary) { sum = s },
			}
			say(s, "EHLO c\n"+c.said+"\nQUIT\n")
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("told of %q, want %q", got, c.want)
			}
			if n := strings.Count(log.String(), "msg=refused"); n != len(c.want) || strings.Count(log.String(), "\n") != n+1 {
				t.Errorf("%d refusals, the log has %s", len(c.want), &log)
			}
			if sum == nil || sum.Refused != len(c.want) || sum.Err != nil || sum.Commands["EHLO"] != 1+strings.Count(c.said, "EHLO") ||
				sum.Quit == strings.HasSuffix(c.said, "DATA") { // behind which nobody reads on
				t.Errorf("the summary is %+v", sum)
			}
			if stranger := sum.Stranger() != nil; stranger != (sum.Accepted == 0) {
				t.Errorf("%d messages, a stranger: %v", sum.Accepted, stranger)
			}
		})
	}
}

// TestRefusedLMTP: each recipient that a message is refused for is told of alone.
func TestRefusedLMTP(t *testing.T) {
	var got []string
	s := &smtp.Server{LMTP: true,
		CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			e.To[0].Result, e.To[2].Result = smtp.ErrMailboxFull, smtp.ErrNoSpace
			return nil
		}),
		Refused: func(_ *smtp.Session, f *smtp.Refusal) { got = append(got, f.Command+" "+f.To+" "+f.Reply.Enhanced) },
	}
	say(s, "LHLO c\nMAIL FROM:<a@b>\nRCPT TO:<x@d>\nRCPT TO:<y@d>\nRCPT TO:<z@d>\nDATA\n.\nQUIT\n")
	if want := []string{"DATA x@d 4.2.2", "DATA z@d 4.3.1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}

// TestRefusedPanic: an application that panics over a refusal loses the session, and
// nothing more.
func TestRefusedPanic(t *testing.T) {
	s := &smtp.Server{Refused: func(*smtp.Session, *smtp.Refusal) { panic("no") }}
	if got := say(s, "EHLO c\nMAIL FROM:<a@b>\nRCPT TO:<x@d>\nNOOP\n"); !strings.Contains(got, "550 5.7.1") || strings.Count(got, "\r\n250 2.0.0") != 0 {
		t.Errorf("%q", got)
	}
}
