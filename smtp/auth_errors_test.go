package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// TestAuthErrors: only a denial says that the password is wrong. What could not
// be checked is a temporary failure, and the log says why.
func TestAuthErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		answer string
		logged string
	}{
		{sasl.ErrDenied, "535 5.7.8", ""},
		{fmt.Errorf("%w: no such user", sasl.ErrDenied), "535 5.7.8", ""},
		{errors.New("database is down"), "454 4.7.0", "database is down"},
		{context.DeadlineExceeded, "454 4.7.0", "deadline exceeded"},
		{sasl.ErrThrottled, "454 4.7.0", ""},
		{&smtp.Reply{Code: 432, Enhanced: "4.7.12", Text: "A password transition is needed"}, "432 4.7.12", ""},
	} {
		t.Run(tt.answer+tt.logged, func(t *testing.T) {
			var log bytes.Buffer
			s := &smtp.Server{Hostname: "mx.example", CleartextAuth: true, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Credentials: sasl.PasswordFunc(func(user, password, _ string) error { return tt.err })}
			got := say(s, "EHLO c\nAUTH PLAIN AGFubgBzZXNhbWU=\nQUIT\n")
			if !strings.Contains(got, "\r\n"+tt.answer) {
				t.Errorf("%v is answered %q, want %s", tt.err, got, tt.answer)
			}
			if errs := strings.Count(log.String(), "level=ERROR"); errs != min(1, len(tt.logged)) || !strings.Contains(log.String(), tt.logged) {
				t.Errorf("%v: the log says %s", tt.err, &log)
			}
			// A wrong password is the news of whoever checked it; the other answers
			// are one line each, beside that of the session.
			want := 2
			if tt.answer == "535 5.7.8" {
				want = 1
			}
			if n := strings.Count(log.String(), "\n"); n != want {
				t.Errorf("%v: %d lines: %s", tt.err, n, &log)
			}
			if told := strings.Contains(log.String(), `msg=refused session=`) && strings.Contains(log.String(), `command=AUTH reply="`+tt.answer); told != (want == 2 && tt.logged == "") {
				t.Errorf("%v: the log says of the refusal: %s", tt.err, &log)
			}
		})
	}
}
