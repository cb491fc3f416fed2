package pop3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// TestRefused: each login that is refused is told of once, to the application and, but
// for a wrong password, to the log; and the summary counts them.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, said string
		logged     string // "" for none
		want       pop3.Refusal
	}{
		{"wrong", "USER wrong\nPASS x\n", "", pop3.Refusal{Command: "PASS", User: "wrong", Code: pop3.CodeAuth, Text: "authentication failed"}},
		{"throttled", "USER often\nPASS x\n", `command=PASS user=often reply="-ERR [SYS/TEMP] too many failed logins, try again later"`,
			pop3.Refusal{Command: "PASS", User: "often", Code: pop3.CodeSysTemp, Text: "too many failed logins, try again later"}},
		{"in use", "USER busy\nPASS x\n", `command=PASS user=busy reply="-ERR [IN-USE] `, pop3.Refusal{Command: "PASS", User: "busy", Code: pop3.CodeInUse}},
		{"no mechanism", "AUTH SMURF\n", `command=AUTH reply="-ERR mechanism is not available"`, pop3.Refusal{Command: "AUTH", Text: "mechanism is not available"}},
		{"APOP", "APOP bob 0123\n", `command=APOP user=bob reply="-ERR APOP is not available"`, pop3.Refusal{Command: "APOP", User: "bob", Text: "APOP is not available"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			var got []pop3.Refusal
			var sum *pop3.Summary
			s := &pop3.Server{
				CleartextAuth: true, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Limits: pop3.Limits{InUse: -1, FailureDelay: -1},
				Credentials: sasl.PasswordFunc(func(user, _, _ string) error {
					switch user {
					case "wrong":
						return sasl.ErrDenied
					case "often":
						return sasl.ErrThrottled
					}
					return nil
				}),
				Backend: pop3.BackendFunc(func(context.Context, *pop3.Session, string) (pop3.Drop, error) { return nil, pop3.ErrInUse }),
				Refused: func(_ *pop3.Session, f *pop3.Refusal) { got = append(got, *f) },
				Done:    func(_ *pop3.Session, s *pop3.Summary) { sum = s },
			}
			client, server := net.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- s.ServeConn(server) }()
			go io.WriteString(client, strings.ReplaceAll(c.said+"QUIT\n", "\n", "\r\n"))
			if _, err := io.ReadAll(client); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Command != c.want.Command || got[0].User != c.want.User || got[0].Code != c.want.Code || !strings.HasPrefix(got[0].Text, c.want.Text) {
				t.Errorf("told of %+v, want %+v", got, c.want)
			}
			if n := strings.Count(log.String(), "msg=refused"); n != min(1, len(c.logged)) || !strings.Contains(log.String(), c.logged) || strings.Count(log.String(), `msg="pop3 session"`) != 1 {
				t.Errorf("the log has %s", &log)
			}
			if sum == nil || sum.LoggedIn || sum.End != "quit" || sum.Commands != strings.Count(c.said, "\n")+1 || sum.Stranger() == nil {
				t.Errorf("the summary is %+v", sum)
			}
		})
	}
}
