package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/pop3/pop3test"
)

const box = "alice@mail.test"

// mail is the n-th message of a test.
func mail(n int) string {
	return fmt.Sprintf("Received: by old.test; Fri, 22 Nov 2024 12:%02d:%02d +0000\r\nSubject: %d\r\n\r\n.dot\r\n%s\r\n", n/60%60, n%60, n, strings.Repeat("x", n%70))
}

func mails(n int) (all []string) {
	for i := range n {
		all = append(all, mail(i+1))
	}
	return all
}

// fetcher fetches from a test server into an empty store, and has little patience.
func fetcher(t *testing.T, s *pop3test.Server) (*Fetcher, *Account) {
	t.Helper()
	dir := t.TempDir()
	store, err := maildir.Open(dir + "/mail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &Fetcher{Store: store, Dialer: *s.Dialer(), State: dir + "/fetch", Pause: func(int) time.Duration { return time.Millisecond }},
		&Account{Login: pop3test.User, Password: pop3test.Password, Server: s.Addr, Address: box}
}

// content is what is in a mailbox, each message with its id, in order.
func content(t *testing.T, store mailstore.Store, user string) (all []string) {
	t.Helper()
	m, err := store.Open(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i, text := range mailtest.Texts(t, m) {
		all = append(all, m.UID(i)+" "+text)
	}
	return all
}

// wanted is content as the server has it.
func wanted(s *pop3test.Server) (all []string) {
	for _, m := range s.Messages() {
		all = append(all, m.UID+" "+string(m.Data))
	}
	return all
}

// TestOnce: octets, ids and order come over; a second run brings only what is new, also if a user
// has removed his mail here meanwhile; and nothing changes on the other side.
func TestOnce(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(...pop3test.Fault) *pop3test.Server{"clear": pop3test.NewServer, "STLS": pop3test.NewStartTLSServer, "TLS": pop3test.NewTLSServer} {
		s := start()
		t.Cleanup(s.Close)
		s.Add(mails(250)...)
		f, a := fetcher(t, s)
		r := f.One(t.Context(), a)
		if !r.Complete() || r.Done != 250 || r.Listed != 250 || r.There != 0 {
			t.Fatalf("%s: %+v", name, r)
		}
		if got := content(t, f.Store, box); !slices.Equal(got, wanted(s)) {
			t.Fatalf("%s: %d messages, not as they were there", name, len(got))
		}
		m, err := f.Store.Open(t.Context(), box)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Remove(t.Context(), []int{0, 1, 2}); err != nil {
			t.Fatal(err)
		}
		m.Close()
		s.Add("Subject: new\r\n\r\n")
		if r = f.One(t.Context(), a); !r.Complete() || r.Done != 1 || r.There != 250 {
			t.Errorf("%s, again: %+v", name, r)
		}
		if n := len(content(t, f.Store, box)); n != 248 || len(s.Messages()) != 251 {
			t.Errorf("%s: %d messages here, %d there", name, n, len(s.Messages()))
		}
		if slices.ContainsFunc(s.Commands(), func(c string) bool { return strings.HasPrefix(c, "DELE") }) {
			t.Errorf("%s: DELE was said", name)
		}
	}
}

// TestCutEverywhere: the connection ends at any command or within any message, once and again; each message
// arrives once, by however many connections.
func TestCutEverywhere(t *testing.T) {
	t.Parallel()
	for _, remove := range []bool{false, true} {
		for _, at := range []string{"connect", "CAPA", "USER", "PASS", "login", "LIST", "UIDL", "RETR", "message", "DELE", "QUIT"} {
			for _, skip := range []int{0, 1, 7, 99} {
				if at != "RETR" && at != "message" && at != "DELE" && skip > 1 || at == "DELE" && !remove {
					continue
				}
				fault := pop3test.Fault{At: at, Cut: true, Skip: skip, Times: 2}
				if at == "message" {
					fault.After = 40
				}
				s := pop3test.NewServer(fault)
				s.Add(mails(100)...)
				want := wanted(s)
				f, a := fetcher(t, s)
				f.Delete = remove
				for range 3 {
					if r := f.One(t.Context(), a); r.Complete() && r.Listed == 100 {
						break
					}
				}
				if r := f.One(t.Context(), a); !r.Complete() || r.Done != 0 {
					t.Errorf("cut at %s behind %d: %+v", at, skip, r)
				}
				if got := content(t, f.Store, box); !slices.Equal(got, want) {
					t.Errorf("cut at %s behind %d, delete %v: %d messages here", at, skip, remove, len(got))
				}
				if left := len(s.Messages()); remove != (left == 0) {
					t.Errorf("cut at %s behind %d, delete %v: %d messages left there", at, skip, remove, left)
				}
				s.Close()
			}
		}
	}
}

// TestGarbage: what is no response ends the connection, and never becomes mail.
func TestGarbage(t *testing.T) {
	for _, at := range []string{"connect", "CAPA", "LIST", "UIDL", "RETR", "QUIT"} {
		s := pop3test.NewServer(pop3test.Garbage(at))
		s.Add(mails(5)...)
		f, a := fetcher(t, s)
		f.Tries = 2
		r := f.One(t.Context(), a)
		if at != "QUIT" && (r.Err == nil || r.Done != 0) || at == "QUIT" && !r.Complete() {
			t.Errorf("garbage at %s: %+v", at, r)
		}
		s.SetFaults()
		if r := f.One(t.Context(), a); !r.Complete() || !slices.Equal(content(t, f.Store, box), wanted(s)) {
			t.Errorf("behind garbage at %s: %+v", at, r)
		}
		s.Close()
	}
}

// TestRefusals: which refusals are worth another try, and what is said of the others.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  pop3test.Fault
		logins int // connections that are made
		done   int64
	}{
		{"in use", pop3test.InUse(3), 4, 5},
		{"a temporary error", pop3test.Fault{At: "login", Reply: pop3.ErrTemporary, Times: 1}, 2, 5},
		{"never", pop3test.Say("login", pop3.ErrPermanent), 1, 0},
		{"always in use", pop3test.InUse(1000), 5, 0},
	} {
		s := pop3test.NewServer(c.fault)
		s.Add(mails(5)...)
		f, a := fetcher(t, s)
		r := f.One(t.Context(), a)
		logins := 0
		for _, line := range s.Commands() {
			if strings.HasPrefix(line, "PASS") {
				logins++
			}
		}
		if r.Done != c.done || (r.Err == nil) != (c.done > 0) || logins != c.logins {
			t.Errorf("%s: %d logins, %+v", c.name, logins, r)
		}
		s.Close()
	}
	s := pop3test.NewServer()
	defer s.Close()
	f, a := fetcher(t, s)
	a.Password = "wrong"
	if r := f.One(t.Context(), a); !errors.Is(r.Err, pop3.ErrAuth) || strings.Contains(r.Err.Error(), "wrong") {
		t.Errorf("wrong password: %v", r.Err)
	}
	n := 0
	for _, line := range s.Commands() {
		if strings.HasPrefix(line, "PASS") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("a wrong password was tried %d times", n)
	}
}

// TestNotBelieved: a certificate of an unknown authority is no better the second time, and nothing is said to whoever shows it.
func TestNotBelieved(t *testing.T) {
	s := pop3test.NewTLSServer()
	defer s.Close()
	f, a := fetcher(t, s)
	f.Dialer.TLSConfig = nil
	tried := 0
	f.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		tried++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	if r := f.One(t.Context(), a); r.Err == nil || tried != 1 || len(s.Commands()) > 0 {
		t.Errorf("%d connections, %q, %v", tried, s.Commands(), r.Err)
	}
}

// TestMessageRefused: a message that the server does not give out is named, and the others come.
func TestMessageRefused(t *testing.T) {
	s := pop3test.NewServer(pop3test.Fault{At: "RETR", Reply: &pop3.Error{Text: "cannot be read"}, Skip: 2, Times: 1})
	defer s.Close()
	s.Add(mails(5)...)
	f, a := fetcher(t, s)
	r := f.One(t.Context(), a)
	if r.Complete() || r.Done != 4 || len(r.Failed) != 1 || !strings.HasPrefix(r.Failed[0], "message 3 (3): ") || !strings.Contains(r.Failed[0], "cannot be read") {
		t.Errorf("%+v", r)
	}
	if r = f.One(t.Context(), a); !r.Complete() || r.Done != 1 {
		t.Errorf("again: %+v", r)
	}
}

// TestRefusedAtLength: a server that refuses messages with lines without end, under ids without end, is shown by the beginning of both;
// what came in the end is no failure.
func TestRefusedAtLength(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	s := pop3test.NewServer(pop3test.Fault{At: "RETR", Raw: "-ERR " + long + "\r\n", Times: 1})
	defer s.Close()
	s.Add(mails(2)...)
	f, a := fetcher(t, s)
	r := f.One(t.Context(), a)
	if r.Done != 1 || len(r.Failed) != 1 || len(r.Failed[0]) > 500 || !strings.HasPrefix(r.Failed[0], "message 1 (1): ") {
		t.Errorf("%d came, %.600q", r.Done, r.Failed)
	}
	if name := nameOf(listed{number: 1, uid: long}); len(name) > 200 {
		t.Errorf("%q", name)
	}
}

// odd is a maildrop whose ids a test decides on.
type odd struct {
	mu    sync.Mutex
	texts []string
	uid   func(i int) string
}

func (o *odd) Len() int         { return len(o.texts) }
func (o *odd) Size(i int) int64 { return int64(len(o.texts[i])) }
func (o *odd) UID(i int) string { return o.uid(i) }
func (o *odd) Open(_ context.Context, i int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(o.texts[i])), nil
}
func (o *odd) Remove(_ context.Context, is []int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, i := range slices.Backward(is) {
		o.texts = slices.Delete(o.texts, i, i+1)
	}
	return nil
}
func (o *odd) Close() error { return nil }

func oddServer(t *testing.T, o *odd, faults ...pop3test.Fault) *pop3test.Server {
	s := pop3test.NewUnstartedServer(faults...)
	s.Config.Backend = pop3.BackendFunc(func(context.Context, *pop3.Session, string) (pop3.Drop, error) { return o, nil })
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// texts are a thousand messages: fifty without Message-Id, fifty with the same header, fifty that are
// the same to the last octet.
func texts() (all []string) {
	for i := range 1000 {
		switch {
		case i%20 == 1:
			all = append(all, fmt.Sprintf("Subject: no id %d\r\n\r\nx\r\n", i))
		case i%20 == 2:
			all = append(all, fmt.Sprintf("Subject: same\r\nMessage-Id: <same@old.test>\r\n\r\nbody %d\r\n", i))
		case i%20 == 3:
			all = append(all, "Subject: double\r\nMessage-Id: <double@old.test>\r\n\r\nx\r\n")
		default:
			all = append(all, fmt.Sprintf("Subject: %d\r\nMessage-Id: <%[1]d@old.test>\r\n\r\nx\r\n", i))
		}
	}
	return all
}

// TestDoubles: a message is one of the server's list and not one of its headers: all come, also those that are the
// same, by three runs of which the second is interrupted.
func TestDoubles(t *testing.T) {
	t.Parallel()
	plain := func(i int) string { return fmt.Sprint("id", i) }
	for _, c := range []struct {
		name   string
		uid    func(i int) string
		faults []pop3test.Fault
		note   string
	}{
		{"ids", plain, nil, ""},
		{"no UIDL", plain, []pop3test.Fault{{At: "UIDL", Raw: "-ERR what?\r\n"}}, "no unique ids"},
		{"doubled ids", func(i int) string { return fmt.Sprint("id", i/2) }, nil, "share their unique ids"},
		{"some doubled", func(i int) string { return fmt.Sprint("id", max(i, 20)) }, nil, "share their unique ids"},
		{"long ids", func(i int) string { return fmt.Sprintf("%070d", i) }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &odd{texts: texts(), uid: c.uid}
			s := oddServer(t, o, c.faults...)
			f, a := fetcher(t, s)
			s.SetFaults(append(c.faults, pop3test.Fault{At: "RETR", Cut: true, Skip: 700})...)
			f.Tries = 1
			if r := f.One(t.Context(), a); r.Err == nil {
				t.Errorf("interrupted: %+v", r)
			}
			s.SetFaults(c.faults...)
			r := f.One(t.Context(), a)
			if !r.Complete() || c.note == "" != (len(r.Notes) == 0) || c.note != "" && !strings.Contains(r.Notes[0], c.note) {
				t.Errorf("%+v", r)
			}
			for range 2 {
				if r := f.One(t.Context(), a); !r.Complete() || r.Done != 0 || r.There != 1000 {
					t.Errorf("again: %+v", r)
				}
			}
			var got []string
			for _, m := range content(t, f.Store, box) {
				_, text, _ := strings.Cut(m, " ")
				got = append(got, text)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(o.texts))
			if !slices.Equal(got, want) {
				t.Errorf("%d messages, not those of the other side", len(got))
			}
		})
	}
}

// TestKillBetween: a process that is killed when a message was stored and not written down, any number of
// them, brings it no second time.
func TestKillBetween(t *testing.T) {
	for _, noIDs := range []bool{false, true} {
		for lost := range 12 {
			o := &odd{texts: texts()[:12], uid: func(i int) string { return fmt.Sprint("id", i) }}
			o.texts[7] = o.texts[3] // the same to the last octet
			var faults []pop3test.Fault
			if noIDs {
				faults = append(faults, pop3test.Fault{At: "UIDL", Raw: "-ERR what?\r\n"})
			}
			s := oddServer(t, o, faults...)
			f, a := fetcher(t, s)
			if r := f.One(t.Context(), a); !r.Complete() {
				t.Fatalf("%+v", r)
			}
			files, err := os.ReadDir(f.State)
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			name := f.State + "/" + files[0].Name()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitAfter(string(text), "\n")
			cut := strings.Join(lines[:len(lines)-1-lost], "")
			if lost > 0 {
				cut += lines[len(lines)-1-lost][:lost] // and a part of the next
			}
			if err := os.WriteFile(name, []byte(cut), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if r := f.One(t.Context(), a); !r.Complete() || r.Done != 0 || r.There != 12 {
					t.Errorf("%d lost, no ids %v: %+v", lost, noIDs, r)
				}
			}
			if n := len(content(t, f.Store, box)); n != 12 {
				t.Errorf("%d lost, no ids %v: %d messages", lost, noIDs, n)
			}
		}
	}
}

// TestChangingIDs: a server that makes new ids in each session is named; nothing comes twice, and nothing is removed
// there.
func TestChangingIDs(t *testing.T) {
	run := 0
	o := &odd{texts: texts()[:100], uid: func(i int) string { return fmt.Sprint("run", run, "-", i) }}
	s := oddServer(t, o)
	f, a := fetcher(t, s)
	if r := f.One(t.Context(), a); !r.Complete() || r.Done != 100 {
		t.Fatalf("%+v", r)
	}
	f.Delete = true
	for run = 1; run < 4; run++ {
		o.texts = append(o.texts, fmt.Sprintf("Subject: new in %d\r\n\r\n", run))
		// What came as new in a run has other ids in the next.
		if r := f.One(t.Context(), a); r.Err == nil || !strings.Contains(r.Err.Error(), "other unique ids") || r.Done != 1 {
			t.Errorf("%+v", r)
		}
	}
	if n := len(content(t, f.Store, box)); n != 103 || len(o.texts) != 103 {
		t.Errorf("%d messages here, %d there", n, len(o.texts))
	}
}

// TestDelete: what is removed there is what came, also what came in a run before; and if QUIT is
// not answered by +OK, nothing counts as gone.
func TestDelete(t *testing.T) {
	s := pop3test.NewServer()
	defer s.Close()
	s.Add(mails(3)...)
	f, a := fetcher(t, s)
	if r := f.One(t.Context(), a); !r.Complete() || r.Removed != 0 {
		t.Fatalf("%+v", r)
	}
	f.Delete, f.Tries = true, 1
	s.Add(mail(4))
	s.SetFaults(pop3test.Fault{At: "QUIT", Reply: pop3.ErrPermanent, Times: 1})
	if r := f.One(t.Context(), a); r.Err == nil || r.Removed != 0 || r.Done != 1 {
		t.Errorf("QUIT is refused: %+v", r)
	}
	if r := f.One(t.Context(), a); !r.Complete() || r.Removed != 4 || r.Done != 0 || len(s.Messages()) != 0 {
		t.Errorf("%+v", r)
	}
	if n := len(content(t, f.Store, box)); n != 4 {
		t.Errorf("%d messages here", n)
	}
	if r := f.One(t.Context(), a); !r.Complete() || r.Listed != 0 {
		t.Errorf("of an empty maildrop: %+v", r)
	}
}

// TestAtOnce: many maildrops, a few at a time, two of them into one mailbox.
func TestAtOnce(t *testing.T) {
	var accounts []Account
	f, _ := fetcher(t, pop3test.NewServer())
	var mu sync.Mutex
	open, most := 0, 0
	for i := range 12 {
		s := pop3test.NewServer()
		t.Cleanup(s.Close)
		s.Add(mails(20)...)
		accounts = append(accounts, Account{Login: pop3test.User, Password: pop3test.Password, Server: s.Addr, Address: fmt.Sprintf("user%d@mail.test", i/2)})
	}
	f.AtOnce = 3
	dial := net.Dialer{}
	f.Dialer = pop3.Dialer{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial.DialContext(ctx, network, addr)
		mu.Lock()
		defer mu.Unlock()
		open++
		most = max(most, open)
		return &noticed{Conn: c, closed: func() { mu.Lock(); open--; mu.Unlock() }}, err
	}}
	told := 0
	for i, r := range f.All(t.Context(), accounts, func(Result) { told++ }) {
		if !r.Complete() && i%2 == 0 {
			t.Errorf("%s: %+v", r.Account, r)
		}
	}
	if most > 3 || told != 12 {
		t.Errorf("%d connections at once, %d told", most, told)
	}
	for i := range 6 {
		if n := len(content(t, f.Store, fmt.Sprintf("user%d@mail.test", i))); n < 20 {
			t.Errorf("user%d has %d messages", i, n)
		}
	}
}

type noticed struct {
	net.Conn
	once   sync.Once
	closed func()
}

func (n *noticed) Close() error { n.once.Do(n.closed); return n.Conn.Close() }

// TestOrder: the order is the other server's, whatever the messages say of their times; and where it goes
// by time, times are those the server wrote on top. Also by two runs.
func TestOrder(t *testing.T) {
	at := func(hour int) string {
		return fmt.Sprintf("Received: by old.test; Fri, 22 Nov 2024 %02d:00:00 +0000\r\nReceived: by far.test; Fri, 20 Nov 1998 12:00:00 +0000\r\n\r\nx\r\n", hour)
	}
	s := pop3test.NewServer()
	defer s.Close()
	s.Add("Subject: no time\r\n\r\n", at(10), at(12), "Received: by old.test; Fri, 20 Nov 2099 12:00:00 +0000\r\n\r\n", at(11), "Subject: no time\r\n\r\n", "Date: Fri, 22 Nov 2024 14:00:00 +0000\r\n\r\n")
	f, a := fetcher(t, s)
	for range 2 {
		if r := f.One(t.Context(), a); !r.Complete() {
			t.Fatalf("%+v", r)
		}
		if got := content(t, f.Store, box); !slices.Equal(got, wanted(s)) {
			t.Errorf("order %q", got)
		}
		s.Add("Subject: no time\r\n\r\n", at(9), at(15))
	}
	m, err := f.Store.Open(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var hours []string
	for i := range m.Len() {
		hours = append(hours, m.(mailstore.Details).Received(i).UTC().Format("2006 15"))
	}
	if got := strings.Join(hours, ", "); got != "1970 00, 2024 10, 2024 12, 2024 12, 2024 12, 2024 12, 2024 14, 2024 14, 2024 14, 2024 15" {
		t.Error(got)
	}
}

// TestCompare: what is missing, of another size or in another order is counted; what a reader has removed
// here is not missing.
func TestCompare(t *testing.T) {
	s := pop3test.NewServer()
	defer s.Close()
	s.Add(mails(6)...)
	f, a := fetcher(t, s)
	compare := func(want Comparison) {
		t.Helper()
		got, err := f.Compare(t.Context(), a)
		if err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	compare(Comparison{There: 6, Missing: 6})
	if r := f.One(t.Context(), a); !r.Complete() {
		t.Fatalf("%+v", r)
	}
	compare(Comparison{There: 6, Here: 6, Same: 6})
	m, err := f.Store.Open(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Remove(t.Context(), []int{1}), m.Close()); err != nil {
		t.Fatal(err)
	}
	s.Add(mail(7))
	compare(Comparison{There: 7, Here: 5, Same: 5, Came: 1, Missing: 1})
	f.State = t.TempDir() // it came by import, say
	compare(Comparison{There: 7, Here: 5, Same: 5, Missing: 2})
	a.Address = "other@mail.test"
	for _, put := range [][2]string{{"7", "Subject: other\r\n\r\n"}, {"4", mail(4)}, {"2", mail(2)}} { // of another size, and in another order
		d, err := f.Store.Create(t.Context(), mailstore.Meta{UID: put[0]}, a.Address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(d, put[1]); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	compare(Comparison{There: 7, Here: 3, Same: 2, Missing: 4, OtherSize: 1, Disordered: true})
	a.Password = "wrong"
	if _, err := f.Compare(t.Context(), a); !errors.Is(err, pop3.ErrAuth) {
		t.Error(err)
	}
}

// TestOrderOfGaps: what a kill has left out in the midst of what came, as several messages wait for the disk at once, takes its
// place there.
func TestOrderOfGaps(t *testing.T) {
	s := pop3test.NewServer()
	defer s.Close()
	for i := range 40 {
		text := fmt.Sprintf("Subject: %d\r\n\r\n", i)
		if i%3 == 0 {
			text = mail(40 - i)
		}
		s.Add(text)
	}
	f, a := fetcher(t, s)
	var refused []pop3test.Fault
	for i := range 9 { // not the message itself: as if it had not been stored
		refused = append(refused, pop3test.Fault{At: "RETR", Reply: pop3.ErrPermanent, Skip: 4 * i, Times: 1})
	}
	s.SetFaults(refused...)
	if r := f.One(t.Context(), a); r.Complete() || r.Done == 0 {
		t.Fatalf("%+v", r)
	}
	s.SetFaults()
	if r := f.One(t.Context(), a); !r.Complete() {
		t.Fatalf("%+v", r)
	}
	if got := content(t, f.Store, box); !slices.Equal(got, wanted(s)) {
		t.Errorf("order %q", got)
	}
}

// TestTooLarge: a message that is larger than messages may be here is named in each run until it is let in; the others come.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := pop3test.NewServer()
	t.Cleanup(s.Close)
	s.Add(mail(1), "Subject: big\r\n\r\n"+strings.Repeat("x\r\n", 2000), mail(2), "Subject: last\r\n\r\n"+strings.Repeat("y\r\n", 2000))
	f, a := fetcher(t, s)
	f.MaxMessage = 1000
	for range 2 {
		r := f.One(t.Context(), a)
		if r.Err != nil || len(r.Failed) != 2 || !strings.Contains(r.Failed[0], "message 2") || !strings.Contains(r.Failed[1], "message 4") || !strings.Contains(r.Failed[0], "larger") {
			t.Errorf("%+v", r)
		}
		if got := content(t, f.Store, box); len(got) != 2 {
			t.Errorf("%d came", len(got))
		}
	}
	if did := s.Commands(); slices.Contains(did, "RETR 2") || slices.Contains(did, "RETR 4") || !slices.Contains(did, "RETR 3") {
		t.Error("it was read, to be thrown away")
	}
	f.MaxMessage = 0
	if r := f.One(t.Context(), a); !r.Complete() || !slices.Equal(content(t, f.Store, box), wanted(s)) {
		t.Errorf("%+v", r)
	}
}
