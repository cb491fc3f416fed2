package post

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/queue/relay"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// frail are mailboxes and a spool of which one call fails. open counts what was begun and
// not ended.
type frail struct {
	n    *mailtest.Nth
	open int
}

type frailBoxes struct {
	Mailboxes
	*frail
}

func (f frailBoxes) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	if err := f.n.Fail("create"); err != nil {
		return nil, err
	}
	d, err := f.Mailboxes.Create(ctx, m, users...)
	if err == nil {
		f.open++
	}
	return frailDelivery{d, f.frail}, err
}

type frailDelivery struct {
	mailstore.Delivery
	*frail
}

func (d frailDelivery) Write(p []byte) (int, error) {
	if err := d.n.Fail("write"); err != nil {
		return 0, err
	}
	return d.Delivery.Write(p)
}

func (d frailDelivery) Commit(ctx context.Context, top []byte) error {
	if err := d.n.Fail("commit"); err != nil {
		return err
	}
	return d.Delivery.Commit(ctx, top)
}

func (d frailDelivery) Abort() error { d.open--; return d.Delivery.Abort() }

type frailSpool struct {
	queue.Spool
	*frail
}

func (f frailSpool) Begin(ctx context.Context, e *queue.Entry, st *queue.State) (queue.Writer, error) {
	if err := f.n.Fail("begin entry"); err != nil {
		return nil, err
	}
	w, err := f.Spool.Begin(ctx, e, st)
	if err == nil {
		f.open++
	}
	return frailWriter{w, f.frail}, err
}

func (f frailSpool) CommitAll(ctx context.Context, writers []queue.Writer, tops [][]byte) error {
	if err := f.n.Fail("commit entries"); err != nil {
		return err
	}
	whole := make([]queue.Writer, len(writers))
	for i, w := range writers {
		whole[i] = w.(frailWriter).Writer
	}
	return f.Spool.(queue.Together).CommitAll(ctx, whole, tops)
}

type frailWriter struct {
	queue.Writer
	*frail
}

func (w frailWriter) Write(p []byte) (int, error) {
	if err := w.n.Fail("write entry"); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

func (w frailWriter) Commit(ctx context.Context, top []byte) error {
	if err := w.n.Fail("commit entry"); err != nil {
		return err
	}
	return w.Writer.Commit(ctx, top)
}

func (w frailWriter) Abort() error { w.open--; return w.Writer.Abort() }

// messages are those of alice.
func messages(t *testing.T, store *maildir.Store) int {
	t.Helper()
	u, err := store.Usage(t.Context(), "alice@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	return int(u.Messages)
}

// TestEachStepOfADelivery: whichever step of a delivery to a mailbox here and to two others
// elsewhere fails, a message that is called taken is everywhere, one that is not is to come
// again, and nothing stays begun.
func TestEachStepOfADelivery(t *testing.T) {
	dir := village{
		"alice@mail.test": {Mailboxes: []domains.Address{"alice@mail.test"}},
		"away@mail.test":  {Elsewhere: []smtp.Path{{Local: "x", Domain: "far.test"}}},
		"gone@mail.test":  {Elsewhere: []smtp.Path{{Local: "y", Domain: "far.test"}}},
	}
	p, store := newPost(t, dir)
	f := &frail{}
	p.Mailboxes, p.Outbound = frailBoxes{store, f}, newOutbound(t, "")
	p.Outbound.queue.Spool = frailSpool{p.Outbound.queue.Spool, f}
	r := &Receiver{Post: p}
	failed := mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
		f.n = n
		before, here := p.Outbound.queue.Counters().Entries, messages(t, store)
		s := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4}}}
		e := &smtp.Envelope{Session: s, ID: "s-1", From: smtp.Path{Local: "a", Domain: "else.test"}, Data: strings.NewReader("Subject: x\r\n\r\n" + strings.Repeat("hello\r\n", 100))}
		s.Envelope = e
		for _, local := range []string{"alice", "away", "gone"} {
			rcpt := smtp.Recipient{Path: smtp.Path{Local: local, Domain: "mail.test"}}
			if err := r.CheckRcpt(t.Context(), s, &rcpt); err != nil {
				t.Fatal(err)
			}
			e.To = append(e.To, rcpt)
		}
		err := r.ServeSMTP(t.Context(), e)
		queued, stored := p.Outbound.queue.Counters().Entries-before, messages(t, store)-here
		if (err == nil) != (n.Failed() == "") || err == nil && (stored != 1 || queued != 2) || err != nil && queued != 0 {
			t.Errorf("%s fails: %v, %d messages here, %d entries", n.Failed(), err, stored, queued)
		}
		if reply := (*smtp.Reply)(nil); err != nil && (!errors.As(err, &reply) || !reply.Temporary()) {
			t.Errorf("%s fails: the answer is %v", n.Failed(), err)
		}
		if f.open != 0 {
			t.Errorf("%s fails: %d deliveries are begun still", n.Failed(), f.open)
		}
	})
	for _, call := range []string{"create", "write", "commit", "begin entry", "write entry", "commit entries"} {
		if !slices.Contains(failed, call) {
			t.Errorf("no %s has failed: %q", call, failed)
		}
	}
}

// TestEachStepOfAReport: whichever step of bringing a bounce to a mailbox and to an address
// elsewhere fails, the queue hears of it and tries again.
func TestEachStepOfAReport(t *testing.T) {
	dir := village{"sender@mail.test": {Mailboxes: []domains.Address{"alice@mail.test"}, Elsewhere: []smtp.Path{{Local: "x", Domain: "far.test"}}}}
	_, store := newPost(t, dir)
	o, f := newOutbound(t, ""), &frail{}
	o.need.Mailboxes, o.need.Directory = frailBoxes{store, f}, func() Directory { return dir }
	o.queue.Spool = frailSpool{o.queue.Spool, f}
	mailtest.EachCall(t, func(t *testing.T, n *mailtest.Nth) {
		f.n = n
		before, here := o.queue.Counters().Entries, messages(t, store)
		err := o.notify(t.Context(), &queue.Notification{To: smtp.Path{Local: "sender", Domain: "mail.test"}, Kind: queue.Bounce, Proven: true, Message: make([]byte, 1000)})
		queued, stored := o.queue.Counters().Entries-before, messages(t, store)-here
		if (err == nil) != (n.Failed() == "") || err == nil && (stored != 1 || queued != 1) || f.open != 0 {
			t.Errorf("%s fails: %v, %d messages, %d entries, %d begun still", n.Failed(), err, stored, queued, f.open)
		}
	})
}

// resolved is a DNS of addresses.
type resolved map[string][]netip.Addr

func (n resolved) MX(context.Context, string) (resolver.Answer[resolver.MX], error) {
	return resolver.Answer[resolver.MX]{}, resolver.ErrNoName
}
func (n resolved) TXT(context.Context, string) (resolver.Answer[string], error) {
	return resolver.Answer[string]{}, resolver.ErrNoName
}
func (n resolved) TLSA(context.Context, string) (resolver.Answer[resolver.TLSA], error) {
	return resolver.Answer[resolver.TLSA]{}, resolver.ErrNoName
}
func (n resolved) Addr(_ context.Context, host string) (resolver.Answer[netip.Addr], error) {
	if host == "broken.test" {
		return resolver.Answer[netip.Addr]{}, errors.New("SERVFAIL")
	}
	return resolver.Answer[netip.Addr]{Records: n[host]}, nil
}

// TestDialResolved: there is a connection or an error, whatever the DNS has.
func TestDialResolved(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here := netip.MustParseAddr("127.0.0.1")
	dns := resolved{"none.test": nil, "here.test": {here}, "second.test": {netip.MustParseAddr("10.0.0.1"), here}}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for host, want := range map[string]string{
		"none.test": "no address for none.test", "broken.test": "SERVFAIL", "here.test": "", "second.test": "",
	} {
		conn, err := dialResolved(t.Context(), dns, relay.Networks{netip.MustParsePrefix("127.0.0.0/8")}, "tcp", host+":"+port)
		if (conn == nil) != (err != nil) || (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", host, conn, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
	if conn, err := dialResolved(t.Context(), dns, nil, "tcp", "here.test:"+port); conn != nil || !errors.Is(err, relay.ErrPrivate) {
		t.Errorf("where nobody may go: %v, %v", conn, err)
	}
	if conn, err := dialResolved(t.Context(), dns, nil, "tcp", "no port"); conn != nil || err == nil {
		t.Errorf("no port: %v, %v", conn, err)
	}
}
