package post

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
)

// sending is how mail leaves; forwarded mail does with a key only.
func sending(key []byte) *Sending {
	return &Sending{Queue: queue.Config{Hostname: "mail.test"}, Relay: &relay.Relay{Hostname: "mail.test"}, SRS: &queue.SRS{Domain: "mail.test", Key: key}}
}

// newOutbound is a way out, which nobody runs, for contact.
func newOutbound(t *testing.T, contact string) *Outbound {
	t.Helper()
	dir := t.TempDir()
	disk, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	o, err := OpenOutbound(t.Context(), sending([]byte("a key of thirty-two octets, so so")), Needs{Dir: dir, Disk: disk, Contact: contact, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// spooled is every message in the queue, by its first recipient.
func (o *Outbound) spooled(ctx context.Context) (map[string]string, error) {
	all, err := o.queue.List(ctx, queue.Filter{})
	if err != nil {
		return nil, err
	}
	messages := make(map[string]string)
	for _, v := range all {
		r, err := o.queue.Spool.Open(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil || int64(len(text)) != v.Size {
			return nil, fmt.Errorf("%d octets of %d: %w", len(text), v.Size, err)
		}
		messages[v.Recipients[0].Address] = string(text)
	}
	return messages, nil
}

// TestQueueStopped: a queue that does not run while mail is taken shows.
func TestQueueStopped(t *testing.T) {
	o := newOutbound(t, "")
	if err := o.Healthy(); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no such directory")
	o.stopped.Store(&broken)
	if err := o.Healthy(); !errors.Is(err, broken) {
		t.Errorf("healthy: %v", err)
	}
}

// TestTLSCounted: how TLS fares is counted where the settings say who tells of it,
// also after a reload.
func TestTLSCounted(t *testing.T) {
	for contact, want := range map[string]bool{"": false, "tls@mail.test": true} {
		o := newOutbound(t, contact)
		o.Reconfigure(sending(nil))
		if got := o.relay.Load().Report != nil; got != want {
			t.Errorf("%q: counted: %v", contact, got)
		}
		if o.relay.Load().STS != nil {
			t.Errorf("%q: domains are asked for policies, against the settings", contact)
		}
		asking := sending(nil)
		asking.STS = true
		if o.Reconfigure(asking); o.relay.Load().STS == nil || o.relay.Load() != asking.Relay {
			t.Errorf("%q: domains are not asked for policies", contact)
		}
	}
}

// TestReturned: what comes back to a rewritten sender finds the true one, also by
// settings under which nothing new is forwarded, until it is too old.
func TestReturned(t *testing.T) {
	o := newOutbound(t, "")
	ann := smtp.Path{Local: "ann", Domain: "third.test"}
	from, err := o.forwardedFrom(village{}, ann)
	if err != nil || from == ann {
		t.Fatalf("%v, %v", from, err)
	}
	if back, ok, err := o.returned(from); back != ann || !ok || err != nil {
		t.Errorf("%v, %v, %v", back, ok, err)
	}
	stale, err := o.srs.Load().Forward(ann, time.Now().AddDate(0, 0, -30))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := o.returned(stale); err != errStaleSRS || !ok {
		t.Errorf("after a month: %v, %v", ok, err)
	}
	o.Reconfigure(sending(nil))
	if to, err := o.forwardedFrom(village{}, ann); to != ann || err != nil {
		t.Errorf("without a key the sender is %v, %v", to, err)
	}
}

// TestReportFullMailbox: of the mailboxes that a sender's address leads to, one that is
// full keeps no report from the others, nor from the one elsewhere.
func TestReportFullMailbox(t *testing.T) {
	for name, c := range map[string]struct {
		sender accounts.Targets
		want   string // messages of tiny, alice and the postmaster, and in the queue
	}{
		"one of two": {accounts.Targets{Mailboxes: []domains.Address{"tiny@mail.test", "alice@mail.test"}}, "0 1 0 0"},
		"elsewhere":  {accounts.Targets{Mailboxes: []domains.Address{"tiny@mail.test"}, Elsewhere: []smtp.Path{{Local: "x", Domain: "far.test"}}}, "0 0 0 1"},
		"only there": {accounts.Targets{Elsewhere: []smtp.Path{{Local: "x", Domain: "far.test"}}}, "0 0 0 1"},
		"nobody":     {accounts.Targets{}, "0 0 1 0"},
		"the only":   {accounts.Targets{Mailboxes: []domains.Address{"tiny@mail.test"}}, "0 0 1 0"},
	} {
		store, err := maildir.Open(t.TempDir(), maildir.WithReserve(0), maildir.WithQuota(func(user string) maildir.Quota {
			if user == "tiny@mail.test" {
				return maildir.Quota{Octets: 100}
			}
			return maildir.Quota{}
		}))
		if err != nil {
			t.Fatal(err)
		}
		o := newOutbound(t, "")
		dir := village{"sender@mail.test": c.sender, "postmaster@mail.test": {Mailboxes: []domains.Address{"postmaster@mail.test"}}}
		o.need.Mailboxes, o.need.Directory = store, func() Directory { return dir }
		err = o.notify(t.Context(), &queue.Notification{To: smtp.Path{Local: "sender", Domain: "mail.test"}, Kind: queue.Bounce, Proven: true, Message: make([]byte, 1000)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []int64
		for _, user := range []string{"tiny", "alice", "postmaster"} {
			u, err := store.Usage(t.Context(), user+"@mail.test")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, u.Messages)
		}
		got = append(got, int64(o.queue.Counters().Entries))
		if want := "[" + c.want + "]"; fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
		store.Close()
	}
}
