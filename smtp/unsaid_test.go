package smtp_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/smtp"
)

// TestUnsaid: in place of a reply that is not to be said the connection ends, at whatever command, and the log tells
// of the refusal.
func TestUnsaid(t *testing.T) {
	drop := (&smtp.Reply{Code: 550, Text: "never heard"}).Noting(slog.String("rule", "x:1")).Unsaid()
	nobody := func(context.Context, *smtp.Session, *smtp.Recipient) error { return nil }
	for command, s := range map[string]*smtp.Server{
		"CONNECT": {CheckConn: func(context.Context, *smtp.Session) error { return drop }},
		"EHLO":    {CheckHelo: func(context.Context, *smtp.Session, string) error { return drop }},
		"MAIL":    {CheckSender: func(context.Context, *smtp.Session, smtp.Path, *smtp.Params) error { return drop }},
		"RCPT":    {CheckRcpt: func(context.Context, *smtp.Session, *smtp.Recipient) error { return drop }},
		"DATA":    {CheckData: func(context.Context, *smtp.Session) error { return drop }},
		"message": {Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error { return drop })},
	} {
		var log strings.Builder
		s.Log, s.Hostname = slog.New(slog.NewTextHandler(&log, nil)), "mx.test"
		if s.CheckRcpt == nil {
			s.CheckRcpt = nobody
		}
		if s.Handler == nil {
			s.Handler = smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error { return nil })
		}
		client, server := mailtest.Pipe("192.0.2.7:4000", "192.0.2.1:25")
		done := make(chan error, 1)
		go func() { done <- s.ServeConn(server) }()
		go io.WriteString(client, "EHLO x.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: s\r\n\r\nx\r\n.\r\nNOOP\r\n")
		text, err := io.ReadAll(client)
		if err != nil && !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s: %v", command, err)
		}
		<-done
		client.Close()
		if strings.Contains(string(text), "550") || strings.Contains(string(text), "never heard") || strings.Contains(string(text), "NOOP") {
			t.Errorf("%s: the client hears %q", command, text)
		}
		if command == "message" {
			command = "DATA"
		}
		if !strings.Contains(log.String(), "msg=refused") || !strings.Contains(log.String(), "command="+command) || !strings.Contains(log.String(), "rule=x:1") {
			t.Errorf("%s: %s", command, log.String())
		}
	}
}
