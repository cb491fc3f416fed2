package pop3_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/pop3"
)

// mechanism is a SASL client that begins with what it is given, and gives up at
// the first challenge.
type mechanism struct {
	name    string
	initial []byte
}

var errGivesUp = errors.New("this is not the server")

func (m mechanism) Start(context.Context) (string, []byte, error) { return m.name, m.initial, nil }
func (m mechanism) Next(context.Context, []byte) ([]byte, error)  { return nil, errGivesUp }

var _ sasl.Client = mechanism{}

// TestClientSays: what the client says to a server that answers so, and what it
// makes of the answers.
func TestClientSays(t *testing.T) {
	auth := func(m mechanism) func(context.Context, *pop3.Client) error {
		return func(ctx context.Context, c *pop3.Client) error { return c.Auth(ctx, m) }
	}
	login := func(ctx context.Context, c *pop3.Client) error { return c.Login(ctx, "alice", "secret") }
	stat := func(ctx context.Context, c *pop3.Client) error { _, _, err := c.Stat(ctx); return err }
	var refused *pop3.Error
	for _, c := range []struct {
		name, script string
		d            pop3.Dialer
		call         func(context.Context, *pop3.Client) error
		said         string
		check        func(error) bool
	}{
		{"a server from before CAPA", "-ERR what?\r\n+OK\r\n+OK\r\n", pop3.Dialer{AllowCleartextAuth: true}, login,
			"CAPA\r\nUSER alice\r\nPASS secret\r\n", nil},
		{"an empty initial response", "+OK\r\n", pop3.Dialer{}, auth(mechanism{"EXTERNAL", []byte{}}), "AUTH EXTERNAL =\r\n", nil},
		{"an initial response", "+OK\r\n", pop3.Dialer{}, auth(mechanism{"EXTERNAL", []byte("a@b")}), "AUTH EXTERNAL YUBi\r\n", nil},
		{"no initial response", "+ \r\n-ERR\r\n", pop3.Dialer{}, auth(mechanism{"EXTERNAL", nil}), "AUTH EXTERNAL\r\n*\r\n",
			func(err error) bool { return errors.Is(err, errGivesUp) }},
		{"a bare plus", "+\r\n-ERR\r\n", pop3.Dialer{}, auth(mechanism{"EXTERNAL", nil}), "AUTH EXTERNAL\r\n*\r\n",
			func(err error) bool { return errors.Is(err, errGivesUp) }},
		{"no challenge", "+x\r\n", pop3.Dialer{}, auth(mechanism{"EXTERNAL", nil}), "AUTH EXTERNAL\r\n", isMalformed},
		{"an empty line", "\r\n", pop3.Dialer{}, auth(mechanism{"EXTERNAL", nil}), "AUTH EXTERNAL\r\n", isMalformed},
		// RFC 5034 §4: a command has up to 255 octets with its line end.
		{"the longest initial response", "+OK\r\n", pop3.Dialer{}, auth(mechanism{"X-AS-LONG-1", bytes.Repeat([]byte("x"), 177)}),
			"AUTH X-AS-LONG-1 " + strings.Repeat("eHh4", 59) + "\r\n", nil},
		{"an initial response too long", "+ \r\n+OK\r\n", pop3.Dialer{}, auth(mechanism{"X-AS-LONG-12", bytes.Repeat([]byte("x"), 177)}),
			"AUTH X-AS-LONG-12\r\n" + strings.Repeat("eHh4", 59) + "\r\n", nil},
		{"PLAIN in clear", "", pop3.Dialer{}, auth(mechanism{"PLAIN", []byte("x")}), "", isCleartext},
		{"LOGIN in clear", "", pop3.Dialer{}, auth(mechanism{"LOGIN", []byte("x")}), "", isCleartext},
		{"XOAUTH2 in clear", "", pop3.Dialer{}, auth(mechanism{"XOAUTH2", []byte("x")}), "", isCleartext},
		{"OAUTHBEARER in clear", "", pop3.Dialer{}, auth(mechanism{"oauthbearer", []byte("x")}), "", isCleartext},
		{"headers only", "+OK\r\nSubject: x\r\n\r\n.\r\n", pop3.Dialer{}, func(ctx context.Context, c *pop3.Client) error {
			got, err := text(c.Top(ctx, 1, 0))
			if got != "Subject: x\r\n\r\n" {
				return errors.New(got)
			}
			return err
		}, "TOP 1 0\r\n", nil},
		{"STAT refused", "-ERR [SYS/TEMP] later\r\n", pop3.Dialer{}, stat, "STAT\r\n",
			func(err error) bool {
				return errors.As(err, &refused) && err.Error() == "pop3: STAT: [SYS/TEMP] later" && refused.Command == "STAT" && refused.Text == "later"
			}},
		{"STAT of one number", "+OK 1\r\n", pop3.Dialer{}, stat, "STAT\r\n", isMalformed},
		{"STAT of a word", "+OK x 1\r\n", pop3.Dialer{}, stat, "STAT\r\n", isMalformed},
		{"STAT, most messages", "+OK 2147483647 1\r\n", pop3.Dialer{}, stat, "STAT\r\n", nil},
		{"STAT, one too many", "+OK 2147483648 1\r\n", pop3.Dialer{}, stat, "STAT\r\n", isMalformed},
		{"the longest line", "+OK 1 2 " + strings.Repeat("x", 12288-8) + "\r\n", pop3.Dialer{}, stat, "STAT\r\n", nil},
		{"a line too long", "+OK 1 2 " + strings.Repeat("x", 12288-7) + "\r\n", pop3.Dialer{}, stat, "STAT\r\n", func(err error) bool { return err != nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := &tape{scripted: scripted{r: strings.NewReader("+OK ready\r\n" + c.script)}}
			c.d.TLS = pop3.TLSNever
			client, err := c.d.Start(t.Context(), conn, "x")
			if err != nil {
				t.Fatal(err)
			}
			err = c.call(t.Context(), client)
			if c.check == nil && err != nil || c.check != nil && !c.check(err) {
				t.Errorf("%v", err)
			}
			if conn.out.String() != c.said {
				t.Errorf("said %q, want %q", conn.out.String(), c.said)
			}
		})
	}
}

// TestStartCloses: a connection that did not become a session is closed, whatever was the matter; one that did stays open.
func TestStartCloses(t *testing.T) {
	for _, c := range []struct {
		name, script string
		d            pop3.Dialer
		ok           bool
	}{
		{"greeted", "+OK\r\n", pop3.Dialer{TLS: pop3.TLSNever}, true},
		{"logged in", "+OK\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n", pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "ann", Password: "x"}, true},
		{"refused", "-ERR [SYS/TEMP] later\r\n", pop3.Dialer{TLS: pop3.TLSNever}, false},
		{"no POP3", "220 mx ESMTP\r\n", pop3.Dialer{TLS: pop3.TLSNever}, false},
		{"gone", "", pop3.Dialer{TLS: pop3.TLSNever}, false},
		{"no TLS", "+OK\r\n+OK\r\n.\r\n", pop3.Dialer{TLS: pop3.TLSRequired}, false},
		{"TLS from the start with a server that has none", "+OK\r\n", pop3.Dialer{TLS: pop3.TLSFromStart}, false},
		{"login in clear", "+OK\r\n+OK\r\n.\r\n", pop3.Dialer{TLS: pop3.TLSNever, User: "ann", Password: "x"}, false},
		{"login refused", "+OK\r\n+OK\r\n.\r\n+OK\r\n-ERR [AUTH] no\r\n", pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "ann", Password: "x"}, false},
	} {
		conn := &tape{scripted: scripted{r: strings.NewReader(c.script)}}
		_, err := c.d.Start(t.Context(), conn, "x")
		if closed := conn.closed.Load(); (err == nil) != c.ok || closed == c.ok {
			t.Errorf("%s: %v, closed %v", c.name, err, closed)
		}
	}
}

func isCleartext(err error) bool { return errors.Is(err, pop3.ErrCleartext) }
func isMalformed(err error) bool { return errors.Is(err, pop3.ErrMalformed) }
