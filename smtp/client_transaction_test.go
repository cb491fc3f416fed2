package smtp_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
)

// stepServer refuses by the local part of the address and notes what it took.
func stepServer(t *testing.T, change func(*smtp.Server)) (*smtp.Client, *[]string) {
	t.Helper()
	got := new([]string)
	srv := &smtp.Server{
		CheckSender: func(_ context.Context, _ *smtp.Session, from smtp.Path, _ *smtp.Params) error {
			if from.Local == "bad" {
				return smtp.ErrBadSender
			}
			return nil
		},
		CheckRcpt: func(_ context.Context, _ *smtp.Session, to *smtp.Recipient) error {
			switch to.Path.Local {
			case "moved":
				return &smtp.Reply{Code: 251, Enhanced: "2.1.5", Text: "will forward"}
			case "full":
				return smtp.ErrMailboxFull
			case "cut":
				return smtp.ErrUnavailable
			}
			return nil
		},
		Handler: smtp.HandlerFunc(func(_ context.Context, e *smtp.Envelope) error {
			text, err := io.ReadAll(e.Data)
			var to []string
			for _, r := range e.To {
				to = append(to, r.Path.Local)
			}
			*got = append(*got, strings.Join(to, " ")+": "+string(text))
			return err
		}),
	}
	if change != nil {
		change(srv)
	}
	addr := loopback(srv)
	t.Cleanup(func() { srv.Close() })
	c, err := smtp.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, got
}

func at(local string) smtp.Recipient {
	return smtp.Recipient{Path: smtp.Path{Local: local, Domain: "d.example"}}
}

// TestTransaction: each step has its answer before the next one, a refusal ends
// nothing, and messages follow one another, however the one before ended.
func TestTransaction(t *testing.T) {
	for _, hide := range [][]string{nil, {"CHUNKING"}, {"PIPELINING"}, {"CHUNKING", "PIPELINING"}} {
		c, got := stepServer(t, func(s *smtp.Server) { s.Extensions.Hide = hide })
		ctx := t.Context()
		m := &smtp.Outgoing{From: smtp.Path{Local: "s", Domain: "e.example"}, To: []smtp.Recipient{at("not by Begin")}}
		send := map[string]func(*smtp.Transaction, context.Context, io.Reader) ([]smtp.RcptResult, error){
			"DATA": (*smtp.Transaction).Data, "BDAT": (*smtp.Transaction).Bdat, "either": (*smtp.Transaction).Message,
		}
		for how, finish := range send {
			if how == "BDAT" && strings.Contains(strings.Join(hide, " "), "CHUNKING") {
				continue
			}
			*got = nil
			left, err := c.Begin(ctx, m) // and given up without a word
			if err != nil {
				t.Fatal(err)
			}
			left.Rcpt(ctx, at("left"))
			if _, err := c.Begin(ctx, &smtp.Outgoing{From: smtp.Path{Local: "bad", Domain: "e.example"}}); !errors.Is(err, smtp.ErrBadSender) {
				t.Errorf("bad sender: %v", err)
			}
			x, err := c.Begin(ctx, m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := left.Rcpt(ctx, at("late")); err == nil || !c.Usable() {
				t.Errorf("Rcpt in a transaction that another has followed: %v", err)
			}
			if results, err := finish(x, ctx, strings.NewReader("x")); err == nil || len(results) != 0 {
				t.Errorf("to nobody: %v, %v", results, err)
			}
			for to, want := range map[string]int{"one": 250, "full": 452, "moved": 251} {
				r, err := x.Rcpt(ctx, at(to))
				if r == nil || r.Code != want || (err == nil) != (want < 400) || err != nil && !errors.Is(err, smtp.ErrMailboxFull) {
					t.Errorf("RCPT %s: %v, %v", to, r, err)
				}
			}
			if _, err := x.Rcpt(ctx, smtp.Recipient{Path: smtp.Path{Local: "ü", Domain: "d.example"}}); !errors.Is(err, smtp.ErrUnsupported) {
				t.Errorf("a name in UTF-8 behind a MAIL without SMTPUTF8: %v", err)
			}
			results, err := finish(x, ctx, strings.NewReader("text\n"))
			if err != nil || len(results) != 4 {
				t.Fatalf("%s: %v, %v", how, results, err)
			}
			accepted := 0
			for _, r := range results {
				if r.Err == nil {
					accepted++
				}
			}
			if accepted != 2 || len(*got) != 1 || !strings.HasSuffix((*got)[0], ": text\r\n") || strings.Contains((*got)[0], "left") {
				t.Errorf("%s: %d accepted, server has %q", how, accepted, *got)
			}
			if _, err := x.Rcpt(ctx, at("late")); err == nil {
				t.Error("Rcpt behind the message")
			}
			if _, err := finish(x, ctx, nil); err == nil || len(*got) != 1 {
				t.Errorf("the message again: %v, %d", err, len(*got))
			}
		}
		*got = nil
		if r, err := c.Send(ctx, &smtp.Outgoing{To: []smtp.Recipient{at("one")}}, nil); err != nil || r[0].Err != nil || len(*got) != 1 {
			t.Errorf("Send behind transactions: %v, %v", r, err)
		}
		x, _ := c.Begin(ctx, m)
		x.Rcpt(ctx, at("one"))
		if err := x.Reset(ctx); err != nil {
			t.Error(err)
		}
		if _, err := x.Data(ctx, nil); err == nil || x.Reset(ctx) != nil {
			t.Errorf("Data behind Reset: %v", err)
		}
		if r, err := c.Command(ctx, "DATA"); err != nil || r.Code != 503 {
			t.Errorf("the server knows of a transaction that was reset: %v, %v", r, err)
		}
	}
}

// TestTransactionEnds: contexts, and servers that hang up, end it.
func TestTransactionEnds(t *testing.T) {
	c, _ := stepServer(t, nil)
	x, err := c.Begin(t.Context(), &smtp.Outgoing{})
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Rcpt(over, at("one")); !errors.Is(err, context.Canceled) || !c.Usable() {
		t.Errorf("a context that was over: %v", err)
	}
	if _, err := x.Bdat(t.Context(), strings.NewReader("x")); err == nil {
		t.Error("a message to nobody")
	}
	if r, err := x.Rcpt(t.Context(), at("one")); err != nil || r.Code != 250 {
		t.Error(r, err)
	}
	if _, err := x.Rcpt(t.Context(), at("cut")); !errors.Is(err, smtp.ErrUnavailable) || c.Usable() {
		t.Errorf("421: %v", err)
	}
	results, err := x.Data(t.Context(), nil)
	if !errors.Is(err, smtp.ErrClientClosed) || results[0].Err == nil || results[1].Err == nil {
		t.Errorf("Data on a closed connection: %v, %v", results, err)
	}
	if _, err := new(smtp.Client).Begin(t.Context(), &smtp.Outgoing{}); !errors.Is(err, smtp.ErrClientClosed) {
		t.Errorf("the zero Client: %v", err)
	}
}
