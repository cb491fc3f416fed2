package post

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// newOutbound is a way out with these settings of the queue, which nobody runs.
func newOutbound(t *testing.T, q conf.Queue) (*Outbound, *conf.Settings) {
	t.Helper()
	dir := t.TempDir()
	s := &conf.Settings{ServerName: "mail.test", DataDir: dir, QueueDir: filepath.Join(dir, "queue"), Queue: q}
	disk, err := durable.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.QueueDir, 0o700); err != nil {
		t.Fatal(err)
	}
	o, err := OpenOutbound(t.Context(), s, Needs{Disk: disk, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	return o, s
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
	o, _ := newOutbound(t, conf.Queue{})
	if err := o.Healthy(); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no such directory")
	o.stopped.Store(&broken)
	if err := o.Healthy(); !errors.Is(err, broken) {
		t.Errorf("healthy: %v", err)
	}
}

// TestNamesInASCII: what is said to others, or compared with the DNS, is as the
// DNS has it.
func TestNamesInASCII(t *testing.T) {
	o, s := newOutbound(t, conf.Queue{OwnNames: []string{"Jiný.test"}, Domains: map[string]*conf.QueueDomain{
		"x.test": {EHLOName: "čau.test"}, "y.test": {SourceAddress: netip.MustParseAddr("127.0.0.1")}}})
	s.ServerName = "Příklad.test"
	r, err := o.newRelay(s)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := r.Domains.Get("x.test")
	y, _ := r.Domains.Get("y.test")
	if r.Hostname != "xn--pklad-zsa96e.test" || len(r.OwnNames) != 1 || r.OwnNames[0] != "xn--jin-noa.test" || x.Source.Hello != "xn--au-dma.test" || y.Source.Hello != "" {
		t.Errorf("%q, %q, %+v, %+v", r.Hostname, r.OwnNames, x, y)
	}
}

// TestTLSCounted: how TLS fares is counted where the settings say who tells of it,
// also after a reload.
func TestTLSCounted(t *testing.T) {
	for contact, want := range map[string]bool{"": false, "tls@mail.test": true} {
		o, s := newOutbound(t, conf.Queue{TLSReport: contact})
		if err := o.Reconfigure(s); err != nil {
			t.Fatal(err)
		}
		if got := o.relay.Load().Report != nil; got != want {
			t.Errorf("%q: counted: %v", contact, got)
		}
	}
}

// TestSRSKey: the key is private, and outlives restarts; old bounces are taken
// when nothing is forwarded any more.
func TestSRSKey(t *testing.T) {
	o, s := newOutbound(t, conf.Queue{Forward: true})
	info, err := os.Stat(filepath.Join(s.DataDir, "srs.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	ann := smtp.Path{Local: "ann", Domain: "third.test"}
	from, err := o.forwardedFrom(village{}, ann)
	if err != nil || from == ann {
		t.Fatalf("%v, %v", from, err)
	}
	s.Queue.Forward = false
	if err := o.Reconfigure(s); err != nil {
		t.Fatal(err)
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
	s.DataDir = t.TempDir()
	if srs, err := newSRS(s); err != nil || srs.Key != nil {
		t.Errorf("a key for nothing: %v", err)
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
		o, _ := newOutbound(t, conf.Queue{})
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
