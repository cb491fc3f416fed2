package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Dialogues of one message. Unless it says otherwise, the message is
// "Subject: x\r\n\r\n.hi\r\n" from a@b to r1@d and r2@d.
var sendTests = []struct {
	name   string
	dialer Dialer
	mail   func(m *Outgoing)
	body   string
	script string
	want   string
	err    error
	dead   bool // the connection is not usable afterwards
}{
	{
		name: "step by step",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 2.1.0 ok
			C: RCPT TO:<r1@d>
			S: 250 2.1.5 ok
			C: RCPT TO:<r2@d>
			S: 250 2.1.5 ok
			C: DATA
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			S: 250 2.0.0 queued as 1`,
		want: "ok, ok",
	},
	{
		name: "pipelined",
		script: hello("PIPELINING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			C: DATA
			S: 250 2.1.0 ok
			S: 250 2.1.5 ok
			S: 550 5.1.1 unknown
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			S: 250 2.0.0 queued as 1`,
		want: "ok, RCPT 550 5.1.1 unknown",
	},
	{
		name: "pipelined, nobody accepted, DATA refused",
		script: hello("PIPELINING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			C: DATA
			S: 250 ok
			S: 550 5.1.1 unknown
			S: 450 4.2.0 later
			S: 503 5.5.1 no recipients`,
		want: "RCPT 550 5.1.1 unknown, RCPT 450 4.2.0 later",
	},
	{
		name: "pipelined, nobody accepted, DATA accepted",
		script: hello("PIPELINING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			C: DATA
			S: 250 ok
			S: 550 5.1.1 unknown
			S: 550 5.1.1 unknown
			S: 354 why not
			C: .
			S: 554 5.5.1 no valid recipients`,
		want: "RCPT 550 5.1.1 unknown, RCPT 550 5.1.1 unknown",
	},
	{
		name: "MAIL refused",
		script: hello("PIPELINING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			C: DATA
			S: 451 4.7.1 greylisted
			S: 503 5.5.1 MAIL first
			S: 503 5.5.1 MAIL first
			S: 503 5.5.1 MAIL first`,
		want: "MAIL 451 4.7.1 greylisted, MAIL 451 4.7.1 greylisted",
	},
	{
		name: "MAIL refused step by step",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 550-5.7.1 go
			S: 550 5.7.1 away`,
		want: "MAIL 550 5.7.1 go; away, MAIL 550 5.7.1 go; away",
	},
	{
		name: "DATA refused",
		script: hello("PIPELINING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 550 5.1.1 unknown
			S: 452 4.3.1 disk full`,
		want: "DATA 452 4.3.1 disk full, RCPT 550 5.1.1 unknown",
	},
	{
		name: "message refused",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			S: 554 5.6.0 spam`,
		want: "message 554 5.6.0 spam, message 554 5.6.0 spam",
	},
	{
		name: "all or nothing",
		mail: func(m *Outgoing) { m.AllOrNothing = true },
		script: hello("PIPELINING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			S: 250 ok
			S: 250 ok
			S: 550 5.1.1 unknown`,
		want: "smtp: RCPT: " + bare(errNotSent) + ", RCPT 550 5.1.1 unknown",
	},
	{
		name: "bare CR and LF become CRLF, an unfinished line is finished",
		body: "a\n.\nb\r.\rc\r\n.\r\nd\r\r\n.",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 354 go on
			C: a
			C: ..
			C: b
			C: ..
			C: c
			C: ..
			C: d
			C: ..
			C: .
			S: 250 ok`,
		want: "ok, ok",
	},
	{
		name:   "LMTP",
		dialer: Dialer{LMTP: true},
		script: `
			S: 220 mx.example LMTP
			C: LHLO me.example
			S: 250-mx.example
			S: 250 PIPELINING
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			C: DATA
			S: 250 ok
			S: 250 ok
			S: 250 ok
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			S: 250 2.0.0 stored
			S: 452 4.2.2 over quota`,
		want: "ok, message 452 4.2.2 over quota",
	},
	{
		name:   "LMTP, the connection lost between the replies",
		dialer: Dialer{LMTP: true},
		script: `
			S: 220 mx.example LMTP
			C: LHLO me.example
			S: 250 mx.example
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			S: 250 2.0.0 stored
			close`,
		want: "ok, doubt",
		err:  ErrInDoubt,
		dead: true,
	},
	{
		name: "connection lost behind the dot",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 550 5.1.1 unknown
			C: DATA
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			close`,
		want: "doubt, RCPT 550 5.1.1 unknown",
		err:  ErrInDoubt,
		dead: true,
	},
	{
		name: "no answer behind the dot",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			wait 11m`,
		want: "doubt, doubt",
		err:  ErrInDoubt,
		dead: true,
	},
	{
		name: "nonsense behind the dot",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			S: yes
			end`,
		want: "doubt, doubt",
		err:  ErrInDoubt,
		dead: true,
	},
	{
		name: "421 behind the dot is an answer",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 354 go on
			C: Subject: x
			C:
			C: ..hi
			C: .
			S: 421 4.3.2 shutting down
			end`,
		want: "message 421 4.3.2 shutting down, message 421 4.3.2 shutting down",
		err:  &Reply{Code: 421, Enhanced: "4.3.2"},
		dead: true,
	},
	{
		name: "421 behind RCPT",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 421 too much
			end`,
		want: "RCPT 421 too much, RCPT 421 too much",
		err:  &Reply{Code: 421},
		dead: true,
	},
	{
		name: "connection lost in the envelope",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			close`,
		want: "smtp: RCPT: unexpected EOF, smtp: RCPT: unexpected EOF",
		err:  io.ErrUnexpectedEOF,
		dead: true,
	},
	{
		name: "354 to MAIL",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 354 eager
			end`,
		want: "MAIL 354 eager, MAIL 354 eager",
		dead: true,
	},
	{
		name: "250 to DATA",
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 250 done already
			end`,
		want: "DATA 250 done already, DATA 250 done already",
		dead: true,
	},
	{
		name: "BDAT",
		script: hello("PIPELINING", "CHUNKING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: RCPT TO:<r2@d>
			S: 250 ok
			S: 250 ok
			S: 250 ok
			C: BDAT 19 LAST
			C: Subject: x
			C:
			C: .hi
			S: 250 ok`,
		want: "ok, ok",
	},
	{
		name: "BDAT without pipelining, bare line ends",
		body: "a\nb\r",
		script: hello("CHUNKING") + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: BDAT 6 LAST
			C: a
			C: b
			S: 250 ok`,
		want: "ok, ok",
	},
	{
		name: "BINARYMIME",
		mail: func(m *Outgoing) { m.Params.Body = "BINARYMIME" },
		body: "a\x00b\r\n",
		script: hello("CHUNKING", "BINARYMIME", "8BITMIME") + `
			C: MAIL FROM:<a@b> BODY=BINARYMIME
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: BDAT 5 LAST
			C: a` + "\x00" + `b
			S: 250 ok`,
		want: "ok, ok",
	},
	{
		name: "BINARYMIME not offered",
		mail: func(m *Outgoing) { m.Params.Body = "BINARYMIME" },
		script: hello("CHUNKING") + `
			end`,
		want: "smtp: MAIL: " + bare(ErrUnsupported) + ": BINARYMIME, smtp: MAIL: " + bare(ErrUnsupported) + ": BINARYMIME",
		err:  ErrUnsupported,
	},
	{
		name:   "BDAT not wanted",
		dialer: Dialer{NoChunking: true},
		script: hello("CHUNKING") + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: DATA
			S: 554 no`,
		want: "DATA 554 no, DATA 554 no",
	},
	{
		name: "BDAT refused",
		script: hello("CHUNKING") + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 250 ok
			C: BDAT 19 LAST
			C: Subject: x
			C:
			C: .hi
			S: 554 5.6.0 spam`,
		want: "message 554 5.6.0 spam, message 554 5.6.0 spam",
	},
	{
		name: "all parameters",
		mail: func(m *Outgoing) {
			m.Params = Params{Size: 20, Body: "8BITMIME", Ret: "HDRS", EnvID: "a+b c", Auth: "<>", Priority: -3,
				HoldUntil: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), By: &DeliverBy{By: time.Now().Add(time.Minute), Return: true, Trace: true}}
			m.To[0].Params = RcptParams{Notify: NotifySuccess | NotifyDelay, ORcpt: "x=y@z"}
			m.To[1].Params = RcptParams{Notify: NotifyNever, ORcptType: "x400", ORcpt: "é", RRVS: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)}
			m.To[1].Path.Local = "ü"
		},
		script: hello("SIZE 100", "8BITMIME", "DSN", "AUTH PLAIN", "MT-PRIORITY MIXER", "FUTURERELEASE 1 2", "DELIVERBY", "SMTPUTF8", "RRVS") + `
			C: MAIL FROM:<a@b> SIZE=20 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb+20c HOLDUNTIL=2030-01-02T03:04:05Z BY=60;RT MT-PRIORITY=-3 AUTH=<>
			S: 250 ok
			C: RCPT TO:<r1@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+3Dy@z
			S: 550 no
			C: RCPT TO:<ü@d> NOTIFY=NEVER ORCPT=utf-8;é RRVS=2020-01-02T03:04:05Z;C
			S: 550 no`,
		want: "RCPT 550 no, RCPT 550 no",
	},
	{
		name: "no parameters where nothing is offered",
		mail: func(m *Outgoing) {
			m.Params = Params{Size: 20, Body: "7BIT", Ret: "HDRS", EnvID: "x", Auth: "<>", Priority: 1, By: &DeliverBy{By: time.Now()}}
			m.To[0].Params = RcptParams{Notify: NotifyFailure, ORcpt: "x", RRVS: time.Now()}
		},
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r1@d>
			S: 550 no
			C: RCPT TO:<r2@d>
			S: 550 no`,
		want: "RCPT 550 no, RCPT 550 no",
	},
	{
		name: "a recipient that needs SMTPUTF8",
		mail: func(m *Outgoing) { m.To[0].Path.Local = "ü" },
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 550 no`,
		want: "smtp: RCPT: " + bare(ErrUnsupported) + ": SMTPUTF8, RCPT 550 no",
	},
	{
		name: "domains in A-labels, with or without SMTPUTF8",
		mail: func(m *Outgoing) { m.From.Domain = "bücher.example"; m.To[0].Path.Domain = "Bücher.Example" },
		script: hello() + `
			C: MAIL FROM:<a@xn--bcher-kva.example>
			S: 250 ok
			C: RCPT TO:<r1@xn--bcher-kva.example>
			S: 550 no
			C: RCPT TO:<r2@d>
			S: 550 no`,
		want: "RCPT 550 no, RCPT 550 no",
	},
	{
		name: "more recipients than the server takes",
		script: hello("LIMITS MAILMAX=5 RCPTMAX=1", "PIPELINING") + `
			C: MAIL FROM:<a@b>
			C: RCPT TO:<r1@d>
			C: DATA
			S: 250 ok
			S: 550 no
			S: 503 no`,
		want: "RCPT 550 no, smtp: RCPT: " + bare(ErrRecipients),
	},
	{
		name: "a recipient that would be two commands",
		mail: func(m *Outgoing) { m.To[0].Path.Domain = "d>\r\nRCPT TO:<evil@d" },
		script: hello() + `
			C: MAIL FROM:<a@b>
			S: 250 ok
			C: RCPT TO:<r2@d>
			S: 550 no`,
		want: "smtp: RCPT: " + bare(ErrBadCommand) + ", RCPT 550 no",
	},
	{
		name: "too big for the server",
		mail: func(m *Outgoing) { m.Params.Size = 101 },
		script: hello("SIZE 100") + `
			end`,
		want: strings.Repeat(", smtp: MAIL: the message is bigger than the server takes: 101 octets, the server takes 100", 2)[2:],
		err:  ErrTooBigForServer,
	},
	{
		name: "8-bit to a 7-bit server",
		mail: func(m *Outgoing) { m.Params.Body = "8BITMIME" },
		script: hello() + `
			end`,
		want: "smtp: MAIL: " + bare(ErrUnsupported) + ": 8BITMIME, smtp: MAIL: " + bare(ErrUnsupported) + ": 8BITMIME",
		err:  ErrUnsupported,
	},
	{
		name: "REQUIRETLS without TLS",
		mail: func(m *Outgoing) { m.Params.RequireTLS = true },
		script: hello("REQUIRETLS") + `
			end`,
		want: strings.Join([]string{"smtp: MAIL: " + bare(ErrUnsupported) + ": TLS, which REQUIRETLS demands",
			"smtp: MAIL: " + bare(ErrUnsupported) + ": TLS, which REQUIRETLS demands"}, ", "),
		err: ErrUnsupported,
	},
}

// bare is an error without the name of the package.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "smtp: ") }

func TestSend(t *testing.T) {
	for _, tt := range sendTests {
		t.Run(tt.name, func(t *testing.T) {
			withServer(t, tt.script, func(conn net.Conn) {
				c := started(t, tt.dialer, conn)
				m := mail("a@b", "r1@d", "r2@d")
				if tt.mail != nil {
					tt.mail(m)
				}
				body := tt.body
				if body == "" {
					body = "Subject: x\r\n\r\n.hi\r\n"
				}
				results, err := c.Send(context.Background(), m, strings.NewReader(body))
				if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if got := outcome(results); got != tt.want {
					t.Errorf("results %s\nwant    %s", got, tt.want)
				}
				if c.Usable() == tt.dead {
					t.Errorf("Usable is %v", c.Usable())
				}
			})
		})
	}
}
