package post

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/quarantine"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// finder finds what it was told to find.
type finder struct {
	found Findings
	at    []domains.Address // where it may put a message
}

func (f *finder) Sender(context.Context, *smtp.Session, smtp.Path, bool) error { return nil }
func (f *finder) Inspect(context.Context, *Look) Inspection                    { return f }
func (f *finder) Write(p []byte) (int, error)                                  { return len(p), nil }
func (f *finder) Most() (results, fields int)                                  { return 0, 0 }
func (f *finder) Findings(context.Context) (Findings, error)                   { return f.found, nil }
func (f *finder) Places() []domains.Address                                    { return f.at }

// wanting are what users want, and for whom somebody is to be answered.
type wanting struct {
	of    map[domains.Address]*preferences.Preferences
	asked chan string
}

func (w wanting) Lately(account domains.Address) (*preferences.Preferences, error) {
	return w.of[account], nil
}

func (w wanting) Note(_ context.Context, account, sender domains.Address, _ time.Time) (preferences.Answer, error) {
	w.asked <- account.String()
	return preferences.Again, nil // it is enough to know that he would be
}

func (w wanting) Unnote(context.Context, domains.Address, domains.Address) error { return nil }

// narrow is a store whose mailboxes are full before a message has come (early) or by the time it has (late).
type narrow struct {
	lately
	early map[string]error
}

func (n narrow) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	full := make(map[string]error)
	for _, user := range users {
		if err := n.early[user]; err != nil {
			full[user] = err
		}
	}
	if len(full) > 0 {
		return nil, &mailstore.Refused{Mailboxes: full}
	}
	return n.lately.Create(ctx, m, users...)
}

func (n narrow) Room(ctx context.Context, user string, size int64) error {
	if err := n.refused[user]; err != nil && size > 0 {
		return err
	}
	return n.lately.Room(ctx, user, size)
}

// full are mailboxes that are.
func full(names string) map[string]error {
	all := make(map[string]error)
	for name := range strings.FieldsSeq(names) {
		all[name+"@mail.test"] = mailstore.ErrOverQuota
	}
	return all
}

// together is one message and the wills of all who have a say about it: users, rules, the quarantine, quotas.
type together struct {
	name        string
	visit       visit
	to          string
	onward      string // user>address, with a copy kept; user>>address without
	found       Findings
	ruleless    bool   // no rule has a place
	early, late string // mailboxes that are full

	reply  string // for all; empty: it is accepted
	each   string // by LMTP: the code of each, 0 for an acceptance
	held   string // who has how many
	queued string // sender>recipient of the queue's entries
	log    string // the ways that are written down: event to>where
	absent string // for whom the sender is to be answered
}

// towns are alice, bob and ann; a quarantine (aside) and a place of a rule (rule); and aliases.
func towns() village {
	all := street()
	for _, name := range []string{"aside", "rule"} {
		address := domains.At(name, "mail.test")
		all[address] = accounts.Targets{Mailboxes: []domains.Address{address}}
	}
	all["mixed@mail.test"] = accounts.Targets{Mailboxes: []domains.Address{"alice@mail.test"}, Elsewhere: []smtp.Path{at("x@far.test")}}
	all["away@mail.test"] = accounts.Targets{Elsewhere: []smtp.Path{at("x@far.test")}}
	return all
}

// quarantined puts mail for alice and bob aside, and nobody else's.
func quarantined(mailbox domains.Address) (domains.Address, bool) {
	if mailbox == "alice@mail.test" || mailbox == "bob@mail.test" {
		return "aside@mail.test", true
	}
	return "", true
}

func (c *together) run(t *testing.T) {
	t.Parallel()
	p, store := newPost(t, towns())
	log := keepLog(p)
	withOutbound(t, p)
	rules := p.Rules()
	rules.Forward, rules.Absence, rules.Aside = true, true, quarantined
	users := wanting{make(map[domains.Address]*preferences.Preferences), make(chan string, 10)}
	for _, name := range []string{"alice", "bob"} {
		users.of[domains.At(name, "mail.test")] = &preferences.Preferences{Absence: &preferences.Absence{Text: "away"}}
	}
	for on := range strings.FieldsSeq(c.onward) {
		user, to, _ := strings.Cut(on, ">")
		account := domains.At(user, "mail.test")
		if users.of[account] == nil {
			users.of[account] = &preferences.Preferences{}
		}
		users.of[account].Forward = &preferences.Forward{To: strings.TrimPrefix(to, ">"), Keep: !strings.HasPrefix(to, ">")}
	}
	p.Users = users
	p.Mailboxes = narrow{lately{store, full(c.late)}, full(c.early)}
	f := &finder{found: c.found}
	if !c.ruleless {
		f.at = []domains.Address{"rule@mail.test"}
	}
	p.Inspectors = []Inspector{f}
	var sent *smtp.Envelope
	c.visit.busy = func(_ *Receiver, e *smtp.Envelope) { sent = e }
	var to []string
	for name := range strings.FieldsSeq(c.to) {
		if !strings.Contains(name, "@") {
			name += "@mail.test"
		}
		to = append(to, name)
	}
	err := c.visit.send(p, "To: alice@mail.test, bob@mail.test\r\nSubject: s\r\n\r\n"+strings.Repeat("body\r\n", 100), to...)
	p.Settle()
	var reply *smtp.Reply
	if errors.As(err, &reply); (err == nil) != (c.reply == "") || err != nil && fmt.Sprint(reply.Code) != c.reply {
		t.Errorf("%v, want %q", err, c.reply)
	}
	var codes []string
	for i := range sent.To {
		code := 0
		if errors.As(sent.To[i].Result, &reply) {
			code = reply.Code
		}
		codes = append(codes, fmt.Sprint(code))
	}
	if got := strings.Join(codes, " "); strings.Trim(c.each+got, " 0") != "" && got != c.each {
		t.Errorf("answers %s, want %q", got, c.each)
	}
	if got := c.copies(t, store); got != c.held {
		t.Errorf("here: %s, want %s", got, c.held)
	}
	if got := entriesOf(t, p.Outbound); got != c.queued {
		t.Errorf("queued: %s, want %s", got, c.queued)
	}
	if got := ways(log.String()); got != c.log {
		t.Errorf("written down: %s, want %s", got, c.log)
	}
	close(users.asked)
	var asked []string
	for user := range users.asked {
		asked = append(asked, strings.TrimSuffix(user, "@mail.test"))
	}
	slices.Sort(asked)
	if got := strings.Join(asked, " "); got != c.absent {
		t.Errorf("answered for %q, want %q", got, c.absent)
	}
}

// copies is who has how many messages, without those who have none.
func (c *together) copies(t *testing.T, store *maildir.Store) string {
	t.Helper()
	var all []string
	for one := range strings.SplitSeq(held(t, store, "alice", "ann", "aside", "bob", "rule"), ", ") {
		if !strings.HasSuffix(one, " 0") {
			all = append(all, one)
		}
	}
	return strings.Join(all, ", ")
}

// entriesOf are the entries of a queue.
func entriesOf(t *testing.T, o *Outbound) string {
	t.Helper()
	views, err := o.queue.List(t.Context(), queue.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, v := range views {
		from, _, _ := strings.Cut(v.From, "@")
		if strings.HasPrefix(from, "SRS") {
			from = "srs"
		}
		for _, r := range v.Recipients {
			all = append(all, from+">"+r.Address)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// ways are the lines of a log that say where copies are.
func ways(log string) string {
	var all []string
	for line := range strings.Lines(log) {
		value := func(key string) string {
			_, v, _ := strings.Cut(line, " "+key+"=")
			v, _, _ = strings.Cut(v, " ")
			return strings.ReplaceAll(strings.Trim(strings.TrimSpace(v), `"`), "@mail.test", "")
		}
		event := value("msg")
		if strings.Contains(line, `msg="put aside"`) {
			event = "aside"
		}
		if slices.Contains([]string{"delivered", "queued", "aside", "discarded"}, event) {
			all = append(all, event+" "+value("to")+">"+value("mailbox")+value("next"))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestTogether: whatever users, rules, the quarantine and quotas say of one message, each recipient that was accepted has its copy in the
// places that follow from all of it and in no other, and the log says so.
func TestTogether(t *testing.T) {
	t.Parallel()
	stranger, lmtp := visit{from: "a@else.test"}, visit{from: "a@else.test", lmtp: true}
	user := visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}
	junk := Findings{Junk: true}
	aside := Findings{Junk: true, Aside: "why"}
	rule := Findings{Instead: &Instead{Mailbox: "rule@mail.test"}}
	gone := Findings{Instead: &Instead{}}
	for _, c := range []together{
		// Forwarding.
		{name: "forwarded, none kept", absent: "alice bob", visit: stranger, to: "alice bob", onward: "alice>>x@far.test", held: "bob 1", queued: "alice>x@far.test", log: "delivered bob>bob, queued alice>x@far.test"},
		{name: "two forward to one address", absent: "alice bob", visit: stranger, to: "alice bob", onward: "alice>x@far.test bob>>x@far.test", held: "alice 1", queued: "alice>x@far.test bob>x@far.test",
			log: "delivered alice>alice, queued alice>x@far.test, queued bob>x@far.test"},
		{name: "two forward to one address, and one is full behind data, by LMTP", absent: "bob", visit: lmtp, to: "alice bob", onward: "alice>x@far.test bob>>x@far.test", late: "alice", each: "452 0", queued: "bob>x@far.test", log: "queued bob>x@far.test"},
		{name: "two forward to one address, and one is full before, by LMTP", absent: "bob", visit: lmtp, to: "alice bob", onward: "alice>x@far.test bob>>x@far.test", early: "alice", each: "452 0", queued: "bob>x@far.test", log: "queued bob>x@far.test"},
		{name: "two forward to one address, and one is full behind data, a user's", absent: "bob", visit: user, to: "alice bob", onward: "alice>x@far.test bob>>x@far.test", late: "alice", held: "ann 1", queued: "bob>x@far.test", log: "queued bob>x@far.test"},
		{name: "none kept, and it is full behind data", visit: stranger, to: "alice", onward: "alice>>x@far.test", late: "alice", reply: "452"},
		{name: "none kept, and it is full behind data, by LMTP", visit: lmtp, to: "alice bob", onward: "alice>>x@far.test", late: "alice", each: "452 0", held: "bob 1", log: "delivered bob>bob", absent: "bob"},
		{name: "none kept, and it is full behind data, a user's", visit: user, to: "alice bob", onward: "alice>>x@far.test", late: "alice", held: "ann 1, bob 1", log: "delivered bob>bob", absent: "bob"},
		{name: "none kept, and it is full before, by LMTP", visit: lmtp, to: "alice bob", onward: "alice>>x@far.test", early: "alice", each: "452 0", held: "bob 1", log: "delivered bob>bob", absent: "bob"},
		{name: "one of an alias forwards, and the other is full before, by LMTP", visit: lmtp, to: "both alice", onward: "alice>>x@far.test", early: "bob", each: "452 0", queued: "alice>x@far.test", log: "queued alice>x@far.test", absent: "alice"},
		{name: "one of an alias forwards, and the other is full behind data, by LMTP", visit: lmtp, to: "both alice", onward: "alice>>x@far.test", late: "bob", reply: "452"},
		{name: "one of an alias forwards and will be full, and the other is full before, by LMTP", ruleless: true, visit: lmtp, to: "both away", onward: "alice>>y@far.test", early: "bob", late: "alice", each: "452 0", queued: "srs>x@far.test", log: "queued away>x@far.test"},
		{name: "one of an alias forwards, and the other is full behind data", visit: stranger, to: "both", onward: "alice>>x@far.test", late: "bob", reply: "452"},
		{name: "one of an alias forwards, and the other is full behind data, a user's", visit: user, to: "both", onward: "alice>>x@far.test", late: "bob", held: "ann 1", queued: "alice>x@far.test", log: "queued both>x@far.test", absent: "alice"},
		{name: "an alias leads where its user forwards to", absent: "alice", visit: stranger, to: "mixed", onward: "alice>>x@far.test", queued: "alice>x@far.test srs>x@far.test", log: "queued mixed>x@far.test, queued mixed>x@far.test"},
		{name: "the client names where a user forwards to", absent: "alice", visit: user, to: "alice x@far.test", onward: "alice>>x@far.test", queued: "alice>x@far.test ann>x@far.test", log: "queued alice>x@far.test, queued x@far.test>x@far.test"},
		{name: "one of an alias is full and forwards, a user's", absent: "bob", visit: user, to: "both", onward: "alice>x@far.test", late: "alice", held: "ann 1, bob 1", log: "delivered both>bob"},
		// Junk.
		{name: "junk, none kept", visit: stranger, to: "ann bob", onward: "ann>>x@far.test", found: junk, held: "ann 1, bob 1", log: "delivered ann>ann, delivered bob>bob"},
		{name: "junk, and an alias leads where its user forwards to", visit: stranger, to: "mixed", onward: "alice>>x@far.test", found: junk, held: "alice 1", queued: "srs>x@far.test", log: "delivered mixed>alice, queued mixed>x@far.test"},
		// The quarantine.
		{name: "aside", visit: stranger, to: "alice bob", found: aside, held: "aside 1", log: "delivered alice>aside, delivered bob>aside"},
		{name: "aside, and one has no place", visit: stranger, to: "alice ann", found: aside, held: "ann 1, aside 1", log: "delivered alice>aside, delivered ann>ann"},
		{name: "aside, none kept", visit: stranger, to: "alice", onward: "alice>>x@far.test", found: aside, held: "aside 1", log: "delivered alice>aside"},
		{name: "aside, and an alias leads elsewhere as well", visit: stranger, to: "mixed", onward: "alice>>y@far.test", found: aside, held: "aside 1", queued: "srs>x@far.test", log: "delivered mixed>aside, queued mixed>x@far.test"},
		{name: "aside, for the quarantine too", visit: stranger, to: "alice aside", found: aside, held: "aside 1", log: "delivered alice>aside, delivered aside>aside"},
		{name: "aside, by LMTP", visit: lmtp, to: "alice", onward: "alice>>x@far.test", found: aside, held: "alice 1", log: "delivered alice>alice"},
		{name: "aside, a user's", visit: user, to: "alice", found: aside, held: "alice 1", log: "delivered alice>alice"},
		{name: "aside, and the quarantine is full before", visit: stranger, to: "alice", found: aside, early: "aside", held: "alice 1", log: "delivered alice>alice"},
		{name: "aside, and the quarantine is full behind data", visit: stranger, to: "alice ann", found: aside, late: "aside", reply: "452"},
		{name: "aside, and a rule's place is full", visit: stranger, to: "alice", found: aside, early: "rule", held: "aside 1", log: "delivered alice>aside"},
		{name: "aside, and a mailbox is full before", visit: stranger, to: "alice bob", found: aside, early: "alice", reply: "452"},
		{name: "aside, and a mailbox that it does not go to is full behind data", visit: stranger, to: "alice", found: aside, late: "alice", held: "aside 1", log: "delivered alice>aside"},
		// Rules.
		{name: "redirected", visit: stranger, to: "alice mixed", onward: "alice>>y@far.test", found: rule, held: "rule 1", log: "aside alice,mixed>rule"},
		{name: "redirected, to elsewhere alone", visit: user, to: "x@far.test", found: rule, held: "rule 1", log: "aside x@far.test>rule"},
		{name: "redirected, and its place is full before", visit: stranger, to: "alice away", found: rule, early: "rule", reply: "451"},
		{name: "redirected, and its place is full behind data", visit: user, to: "alice x@far.test", found: rule, late: "rule", reply: "451"},
		{name: "redirected, and the quarantine is full", visit: stranger, to: "alice", found: rule, early: "aside", held: "rule 1", log: "aside alice>rule"},
		{name: "redirected, and a mailbox is full behind data", visit: stranger, to: "alice", found: rule, late: "alice", held: "rule 1", log: "aside alice>rule"},
		{name: "redirected, and a mailbox is full before, by LMTP", visit: lmtp, to: "alice bob", found: rule, early: "alice", each: "0 0", held: "rule 1", log: "aside alice,bob>rule"},
		{name: "redirected to one of its recipients", visit: stranger, to: "alice rule", onward: "rule>>x@far.test", found: rule, held: "rule 1", log: "aside alice,rule>rule"},
		{name: "discarded", visit: stranger, to: "alice mixed", onward: "alice>>y@far.test", found: gone, log: "discarded alice,mixed>"},
		{name: "discarded, and a mailbox is full before, by LMTP", visit: lmtp, to: "alice bob", found: gone, early: "alice", each: "0 0", log: "discarded alice,bob>"},
		{name: "not redirected, and its place is full", absent: "alice", visit: stranger, to: "alice", early: "rule", held: "alice 1", log: "delivered alice>alice"},
		{name: "not redirected, and its place is full behind data", absent: "alice", visit: lmtp, to: "alice bob", late: "rule bob", each: "0 452", held: "alice 1", log: "delivered alice>alice"},
	} {
		t.Run(c.name, c.run)
	}
}

// TestQuarantineFillsUp: what the quarantine turns out to have no room for is refused for now, and delivered when it comes again, also from
// a client that announces no size.
func TestQuarantineFillsUp(t *testing.T) {
	t.Parallel()
	dir := towns()
	store, err := maildir.Open(t.TempDir(), maildir.WithReserve(0), maildir.WithQuota(func(user string) maildir.Quota {
		if user == "aside@mail.test" {
			return maildir.Quota{Octets: 2000}
		}
		return maildir.Quota{}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p, _ := newPost(t, dir)
	p.Mailboxes, p.Rules().Aside = store, quarantined
	p.Inspectors = []Inspector{&finder{found: Findings{Junk: true, Aside: "why"}}}
	n := 0
	bring := func(octets int) error {
		n++
		text := "Subject: s\r\n\r\n"
		return visit{from: "a@else.test", busy: func(_ *Receiver, e *smtp.Envelope) { e.ID = fmt.Sprint("s-", n) }}.send(p, text+strings.Repeat("x", octets-len(text)-2)+"\r\n", "alice@mail.test")
	}
	if err := bring(3000); err == nil {
		t.Error("it is put aside where there is no room")
	}
	if got := held(t, store, "alice", "aside"); got != "alice 0, aside 0" {
		t.Error(got)
	}
	if err := bring(3000); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if got := held(t, store, "alice", "aside"); got != "alice 1, aside 0" {
		t.Error(got)
	}
	if err := bring(500); err != nil {
		t.Errorf("one that has room: %v", err)
	}
	if got := held(t, store, "alice", "aside"); got != "alice 1, aside 1" {
		t.Error(got)
	}
}

// TestNobodyAsksForMailBack: only what a user has forwarded comes back to him whole. What a stranger calls his message (ENVID) is no reason: he would
// write the user's address as its sender, and an alias whose target refuses it would bring it to somebody who refuses it himself.
func TestNobodyAsksForMailBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		visit visit
		to    string
		want  string
	}{
		"a user's":   {visit{from: "a@else.test"}, "alice@mail.test", "alice 2"},
		"a stranger": {visit{from: "alice@mail.test", params: smtp.Params{EnvID: forwardedOnly}}, "away@mail.test", "alice 1"},
		"a client":   {visit{user: "alice@mail.test", from: "alice@mail.test", submission: true, params: smtp.Params{EnvID: forwardedOnly}}, "x@far.test", "alice 1"},
	} {
		p, store := newPost(t, towns())
		withOutbound(t, p)
		p.Rules().Forward = true
		p.Users = wanting{of: map[domains.Address]*preferences.Preferences{"alice@mail.test": {Forward: &preferences.Forward{To: "x@far.test"}}}}
		var entries []*queue.Entry
		p.Outbound.queue.Spool = watchedSpool{p.Outbound.queue.Spool, &entries, new([]int)}
		if err := c.visit.send(p, "Subject: s\r\n\r\nx\r\n", c.to); err != nil || len(entries) != 1 {
			t.Fatalf("%s: %v, %d entries", name, err, len(entries))
		}
		n := &queue.Notification{Kind: queue.Bounce, To: entries[0].From, Entry: entries[0], Message: []byte("Subject: report\r\n\r\nx\r\n")}
		if err := p.Outbound.notify(t.Context(), n); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := held(t, store, "alice"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// failsAt refuses to begin the n-th delivery.
type failsAt struct {
	Mailboxes
	n *int
}

func (f failsAt) Create(ctx context.Context, m mailstore.Meta, users ...string) (mailstore.Delivery, error) {
	if *f.n--; *f.n == 0 {
		return nil, errors.New("the disk hangs")
	}
	return f.Mailboxes.Create(ctx, m, users...)
}

// TestMailBackOnce: a report that has to be tried again does not bring the message back twice.
func TestMailBackOnce(t *testing.T) {
	t.Parallel()
	p, store := newPost(t, towns())
	withOutbound(t, p)
	p.Rules().Forward = true
	p.Users = wanting{of: map[domains.Address]*preferences.Preferences{"alice@mail.test": {Forward: &preferences.Forward{To: "x@far.test"}}}}
	var entries []*queue.Entry
	p.Outbound.queue.Spool = watchedSpool{p.Outbound.queue.Spool, &entries, new([]int)}
	if err := (visit{from: "a@else.test"}).send(p, "Subject: s\r\n\r\nx\r\n", "alice@mail.test"); err != nil || len(entries) != 1 {
		t.Fatal(err, len(entries))
	}
	n := &queue.Notification{ID: "n", Kind: queue.Bounce, To: entries[0].From, Entry: entries[0], Message: []byte("Subject: report\r\n\r\nx\r\n")}
	second := 2
	p.Outbound.need.Mailboxes = failsAt{store, &second}
	if err := p.Outbound.notify(t.Context(), n); err == nil || held(t, store, "alice") != "alice 1" {
		t.Errorf("the report fails: %v, %s", err, held(t, store, "alice"))
	}
	if err := p.Outbound.notify(t.Context(), n); err != nil || held(t, store, "alice") != "alice 2" {
		t.Errorf("the second time: %v, %s", err, held(t, store, "alice"))
	}
	if _, left := p.Outbound.given.Load("n"); left {
		t.Error("it is remembered for ever")
	}
}

// TestMostOnward: what users forward is a file of its own for each, open until the message is there, and has its bounds: a stranger names
// the rest in another transaction, and of the users of one alias those beyond keep the message here.
func TestMostOnward(t *testing.T) {
	t.Parallel()
	dir, users := towns(), wanting{of: make(map[domains.Address]*preferences.Preferences)}
	var all accounts.Targets
	for i := range mostOnwardOfOne + 3 {
		user := domains.At(fmt.Sprint("u", i), "mail.test")
		all.Mailboxes = append(all.Mailboxes, user)
		dir[user] = accounts.Targets{Mailboxes: all.Mailboxes[i : i+1 : i+1]}
		users.of[user] = &preferences.Preferences{Forward: &preferences.Forward{To: fmt.Sprintf("u%d@far.test", i)}}
	}
	dir["all@mail.test"] = all
	p, store := newPost(t, dir)
	p.Users, p.Outbound, p.Rules().Forward = users, newOutbound(t, ""), true
	log := keepLog(p)
	if err := (visit{from: "a@else.test"}).send(p, "Subject: s\r\n\r\nx\r\n", "all@mail.test"); err != nil {
		t.Fatal(err)
	}
	if n := p.Outbound.queue.Counters().Entries; n != mostOnwardOfOne {
		t.Errorf("%d entries", n)
	}
	for i, user := range all.Mailboxes {
		u, err := store.Usage(t.Context(), user.String())
		if err != nil || (u.Messages == 1) != (i >= mostOnwardOfOne) {
			t.Errorf("%s: %+v, %v", user, u, err)
		}
	}
	if n := strings.Count(log.String(), "mail is not forwarded"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
	for name, c := range map[string]struct {
		visit visit
		most  int
	}{"a stranger": {visit{from: "a@else.test"}, mostOnward}, "a user": {visit{user: "ann@mail.test", from: "ann@mail.test", submission: true}, len(all.Mailboxes)}} {
		e := &smtp.Envelope{From: at(c.visit.from)}
		r, s := &Receiver{Post: p}, &smtp.Session{Identity: lineserver.Identity{User: c.visit.user}, Envelope: e}
		for i, user := range all.Mailboxes {
			to := smtp.Recipient{Path: at(user.String())}
			err := r.CheckRcpt(t.Context(), s, &to)
			if (err == nil) != (i < c.most) || err != nil && !errors.Is(err, smtp.ErrTooManyRecipients) {
				t.Fatalf("%s: recipient %d: %v", name, i, err)
			}
			if err == nil {
				e.To = append(e.To, to)
			}
		}
		if err := r.CheckRcpt(t.Context(), s, &smtp.Recipient{Path: at("bob@mail.test")}); err != nil {
			t.Errorf("%s: one who forwards nothing: %v", name, err)
		}
	}
}

// TestManyOwnersAreNotPutAside: whose mail it is stands on top of what is put aside, and is read from there when it is released. Where that would be
// longer than what is read, the message is delivered, marked.
func TestManyOwnersAreNotPutAside(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 150, 450} {
		dir := towns()
		var all accounts.Targets
		for i := range n {
			all.Mailboxes = append(all.Mailboxes, domains.At(fmt.Sprintf("%s-%04d", strings.Repeat("s", 50), i), domains.Name(strings.Repeat("long.name.", 10)+"mail.test")))
		}
		dir["all@mail.test"] = all
		p, store := newPost(t, dir)
		p.Rules().Aside = func(domains.Address) (domains.Address, bool) { return "aside@mail.test", true }
		p.Inspectors = []Inspector{&finder{found: Findings{Junk: true, Aside: "why"}}}
		if err := (visit{from: "a@else.test"}).send(p, "Subject: s\r\n\r\nx\r\n", "all@mail.test"); err != nil {
			t.Fatal(err)
		}
		places := &quarantine.Places{Store: store, Boxes: map[domains.Address]domains.Address{"aside@mail.test": ""}}
		items, err := places.List(t.Context())
		if err != nil || len(items) > 1 {
			t.Fatal(items, err)
		}
		for _, item := range items {
			if _, err := places.Release(t.Context(), item.ID, false); err != nil {
				t.Errorf("%d owners: %v", n, err)
			}
		}
		for _, user := range all.Mailboxes {
			if u, err := store.Usage(t.Context(), user.String()); err != nil || u.Messages != 1 {
				t.Fatalf("%d owners: %s has %d messages, %v", n, user, u.Messages, err)
			}
		}
	}
}
