package reports

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

// memory is a Cache.
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (m *memory) Get(kind, name string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.m[kind+"/"+name]
	return data, ok
}

func (m *memory) Put(_ context.Context, kind, name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[kind+"/"+name] = bytes.Clone(data)
	return nil
}

func (m *memory) Delete(_ context.Context, kind, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.m, kind+"/"+name)
	return nil
}

// posting is a host that sends reports.
type posting struct {
	t     *testing.T
	cache *memory
	*Sender
	mu   sync.Mutex
	sent map[string][]string // messages by recipient
	fail map[string]error
	stop func()
}

func (p *posting) begin() {
	p.Sender = &Sender{
		Address: func() string { return "dmarc@here.example" }, Generator: "Postrider", Hostname: func() string { return "mail.here.example" },
		Permitted: func(_ context.Context, domain string, wanted []Destination) (out []Destination, err error) {
			for _, d := range wanted { // as the DNS has it
				switch _, host, _ := strings.Cut(d.Address, "@"); host {
				case "foreign.example":
				case "slow.example":
					err = errors.New("SERVFAIL")
				default:
					out = append(out, d)
				}
			}
			return out, err
		},
		Send: func(_ context.Context, to string, message []byte) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if err := p.fail[to]; err != nil {
				return err
			}
			p.sent[to] = append(p.sent[to], string(message))
			return nil
		},
		Own: func(a string) bool { return a == "dmarc@here.example" }, Cache: p.cache, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	if err := p.Begin(ctx); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	}
}

func inPosting(t *testing.T, run func(p *posting)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &posting{t: t, cache: &memory{m: make(map[string][]byte)}, sent: make(map[string][]string), fail: make(map[string]error)}
		p.begin()
		defer func() { p.stop() }()
		run(p)
	})
}

// sleep lets time pass, and what is due in it be done.
func (p *posting) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// to are the messages that a recipient has had.
func (p *posting) to(address string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent[address])
}

func (p *posting) addressees() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for to, messages := range p.sent {
		all = append(all, fmt.Sprintf("%s %d", to, len(messages)))
	}
	slices.Sort(all)
	return all
}

func outcome(domain string, wanted ...string) Result {
	r := Result{
		Domain: domain, Policy: Policy{P: "reject", SP: "none", FO: "0", ADKIM: "r", ASPF: "s"}, Source: netip.MustParseAddr("203.0.113.66"),
		Disposition: "reject", From: domain, Envelope: "forger.example", SPFDomain: "forger.example", SPFResult: "softfail", Recipients: []string{"ann@here.example"},
		Signatures: []Signature{{"forger.example", "s1", "fail"}, {"other.example", "s2", "pass"}, {domain, "s3", "pass"}, {"sub." + domain, "s4", "pass"}},
		Overrides:  []Override{{"mailing_list", "a <list> & more"}},
	}
	for _, w := range wanted {
		address, size, _ := strings.Cut(w, "!")
		d := Destination{Address: address}
		fmt.Sscan(size, &d.MaxSize)
		r.Wanted = append(r.Wanted, d)
	}
	return r
}

// TestSend: three domains in one night, each told of its own where it wants it and nobody
// else: not where the host has not agreed, where it is too large, or where it came back.
func TestSend(t *testing.T) {
	inPosting(t, func(p *posting) {
		for range 3 {
			p.Count(outcome("one.example", "dmarc@one.example"))
		}
		p.Count(outcome("two.example", "a@two.example", "b+x@reports.example", "c@foreign.example", "small@two.example!500", "large@two.example!100000"))
		p.Count(outcome("three.example", "x@slow.example", "y@three.example"))
		p.Count(outcome("four.example")) // wants none
		p.mu.Lock()
		p.fail["b+x@reports.example"] = errors.New("the queue is full")
		p.mu.Unlock()
		p.sleep(29 * time.Hour)
		want := []string{"a@two.example 1", "dmarc@one.example 1", "large@two.example 1", "y@three.example 1"}
		if got := p.addressees(); !slices.Equal(got, want) {
			t.Errorf("sent to %q", got)
		}
		p.stop()
		delete(p.fail, "b+x@reports.example")
		p.begin()
		p.sleep(2 * time.Hour)
		want = slices.Insert(want, 1, "b+x@reports.example 1")
		if got := p.addressees(); !slices.Equal(got, want) {
			t.Errorf("after a restart sent to %q", got)
		}
		p.sleep(10 * 24 * time.Hour)
		if got := p.addressees(); !slices.Equal(got, want) {
			t.Errorf("days later sent to %q", got)
		}
		if n := len(p.cache.m); n != 1 { // who rests
			t.Errorf("%d things are kept", n)
		}
		r := readBytes(t, []byte(p.to("dmarc@one.example")[0]))
		if r.err != nil || len(r.reports) != 1 || r.sender != "dmarc@here.example" {
			t.Fatalf("our own report: %+v", r)
		}
		got := r.reports[0]
		if got.Domain != "one.example" || got.Org != "here.example" || got.Contact != "dmarc@here.example" || len(got.Rows) != 1 || got.Rows[0].Count != 3 || got.Rows[0].Passes() ||
			got.Rows[0].Disposition != "reject" || got.End.Sub(got.Begin) != 24*time.Hour-time.Second || got.Begin.Format(time.DateOnly) != "2000-01-01" {
			t.Errorf("%+v", got)
		}
	})
}

// TestNotCounted: mail of users, and reports themselves, are in no report; two hosts that
// report to each other are silent when no user writes.
func TestNotCounted(t *testing.T) {
	inPosting(t, func(p *posting) {
		report := outcome("one.example", "dmarc@one.example")
		report.Recipients = []string{"dmarc@here.example"}
		user := outcome("one.example", "dmarc@one.example")
		user.Trusted = true
		odd := outcome("one.example\r\nBcc: x", "dmarc@one.example")
		for range 30 {
			p.Count(report)
			p.Count(user)
			p.Count(odd)
			p.sleep(24 * time.Hour)
		}
		if got := p.addressees(); len(got) != 0 {
			t.Errorf("sent to %q", got)
		}
		report.Recipients = append(report.Recipients, "ann@here.example")
		p.Count(report)
		p.sleep(29 * time.Hour)
		if got := p.addressees(); len(got) != 1 {
			t.Errorf("sent to %q", got)
		}
	})
}

// elements are the names of a document's elements in their order, each once, with those
// around them.
func elements(t *testing.T, doc []byte) (names []string, space string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(doc))
	var path []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names, space
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if path = append(path, e.Name.Local); space == "" {
				space = e.Name.Space
			} else if e.Name.Space != space {
				t.Errorf("%s is in %q", e.Name.Local, e.Name.Space)
			}
			if name := strings.Join(path, "/"); !slices.Contains(names, name) {
				names = append(names, name)
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}

// TestNothingLeftOut: that messages are in no record is said where some are, and only there.
func TestNothingLeftOut(t *testing.T) {
	s := &Sender{Address: func() string { return "dmarc@here.example" }, Generator: "Postrider", Hostname: func() string { return "mail.here.example" }, Cache: &memory{m: make(map[string][]byte)}, Own: func(string) bool { return false }}
	s.rests = recallRests(s.Cache)
	for _, further := range []int64{0, 1} {
		l, err := s.compose(time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC), "one.example", &counted{Policy: Policy{P: "reject"}, Further: further})
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(string(ungzip(t, l.packed)), "counted in no record"); said != (further > 0) {
			t.Errorf("%d: said %v", further, said)
		}
	}
}

// TestForm: the elements, in the order of RFC 9990, and the message around them.
func TestForm(t *testing.T) {
	s := &Sender{Address: func() string { return "dmarc@here.example" }, Generator: "Postrider", Hostname: func() string { return "mail.here.example" }, Cache: &memory{m: make(map[string][]byte)}, Own: func(string) bool { return false }}
	var c counted
	s.rests = recallRests(s.Cache)
	r := outcome("one.example")
	row := &countedRow{Source: r.Source, Disposition: "none", From: "one.example", Overrides: r.Overrides, Signatures: preferred(r.Signatures, r.From), SPFDomain: "x.example", SPFResult: "pass", Count: 2}
	c.Policy, c.Rows, c.Further = Policy{P: "reject", SP: "none", NP: "none", FO: "1", ADKIM: "s", ASPF: "r", Testing: true}, []*countedRow{row}, 7
	day := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	l, err := s.compose(day, "one.example", &c)
	if err != nil {
		t.Fatal(err)
	}
	doc := ungzip(t, l.packed)
	names, space := elements(t, doc)
	want := strings.Fields(`feedback feedback/version feedback/report_metadata
		feedback/report_metadata/org_name feedback/report_metadata/email feedback/report_metadata/report_id
		feedback/report_metadata/date_range feedback/report_metadata/date_range/begin feedback/report_metadata/date_range/end
		feedback/report_metadata/error feedback/report_metadata/generator
		feedback/policy_published feedback/policy_published/domain feedback/policy_published/discovery_method
		feedback/policy_published/p feedback/policy_published/sp feedback/policy_published/np feedback/policy_published/fo
		feedback/policy_published/adkim feedback/policy_published/aspf feedback/policy_published/testing
		feedback/record feedback/record/row feedback/record/row/source_ip feedback/record/row/count feedback/record/row/policy_evaluated
		feedback/record/row/policy_evaluated/disposition feedback/record/row/policy_evaluated/dkim feedback/record/row/policy_evaluated/spf
		feedback/record/row/policy_evaluated/reason feedback/record/row/policy_evaluated/reason/type feedback/record/row/policy_evaluated/reason/comment
		feedback/record/identifiers feedback/record/identifiers/header_from feedback/record/identifiers/envelope_from
		feedback/record/auth_results feedback/record/auth_results/dkim feedback/record/auth_results/dkim/domain
		feedback/record/auth_results/dkim/selector feedback/record/auth_results/dkim/result
		feedback/record/auth_results/spf feedback/record/auth_results/spf/domain feedback/record/auth_results/spf/scope feedback/record/auth_results/spf/result`)
	if space != "urn:ietf:params:xml:ns:dmarc-2.0" || !slices.Equal(names, want) {
		t.Errorf("in %q:\n%s", space, strings.Join(names, "\n"))
	}
	for _, text := range []string{"<begin>1795910400</begin>", "<end>1795996799</end>", "<testing>y</testing>", "<scope>mfrom</scope>", "7 messages", "<discovery_method>treewalk</",
		"a &lt;list&gt; &amp; more", "<version>1.0</version>", "<report_id>2026-11-29.one.example@mail.here.example</report_id>"} {
		if !strings.Contains(string(doc), text) {
			t.Errorf("no %q in\n%s", text, doc)
		}
	}
	if got := regexp.MustCompile(`<selector>(.*?)</selector>`).FindAllString(string(doc), -1); strings.Join(got, "") != "<selector>s3</selector><selector>s4</selector><selector>s2</selector><selector>s1</selector>" {
		t.Errorf("signatures: %q", got)
	}

	c.Policy.P = "" // a record with rua alone
	if bare, err := s.compose(day, "one.example", &c); err != nil || !strings.Contains(string(ungzip(t, bare.packed)), "<p>none</p>") {
		t.Errorf("without a policy: %v", err)
	}
	m, err := rfc2822.ReadString(string(l.message("a@one.example", "<id@mail.here.example>")))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(m.Header.Text("Subject")), " "); got != "Report Domain: one.example Submitter: mail.here.example Report-ID: <2026-11-29.one.example@mail.here.example>" {
		t.Errorf("subject %q", got)
	}
	found := false
	err = m.Walk(rfc2822.Limits{}, func(_ []int, p *rfc2822.Part) error {
		if p.MediaType == "application/gzip" {
			data, _ := io.ReadAll(p.Decoded())
			found = bytes.Equal(data, l.packed) && p.Params["name"] == "" && strings.HasSuffix(p.FileName(), "mail.here.example!one.example!1795910400!1795996799.xml.gz")
		}
		return nil
	})
	if err != nil || !found || len(m.Defects) != 0 {
		t.Errorf("attachment as it should be: %v; %v %v", found, err, m.Defects)
	}
}

func ungzip(t *testing.T, packed []byte) []byte {
	t.Helper()
	u := &unpacker{left: maxUnpacked}
	if err := u.read(bytes.NewReader(packed), 0); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// bounceOf is the news that a message did not arrive.
func bounceOf(message string, action rfc2822.Action) *rfc2822.Report {
	header, _, _ := rfc2822.ParseHeader(message)
	return &rfc2822.Report{Returned: &header, Recipients: []rfc2822.RecipientStatus{{Action: action}}}
}

// TestRests: who sends reports back has a rest, longer each time, also over a restart;
// nobody else can end them.
func TestRests(t *testing.T) {
	inPosting(t, func(p *posting) {
		const to = "a@two.example"
		var days []int
		for day := range 120 {
			p.Count(outcome("two.example", to, "b@two.example"))
			before := len(p.to(to))
			p.sleep(24 * time.Hour)
			if len(p.to(to)) == before {
				continue
			}
			days = append(days, day)
			last := p.to(to)[len(p.to(to))-1]
			for name, b := range map[string]*rfc2822.Report{
				"of another mailbox": bounceOf(strings.Replace(last, to, "b@two.example", 1), rfc2822.Failed),
				"of a guess":         bounceOf(regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(last, strings.Repeat("0", 32)), rfc2822.Failed),
				"of a delay":         bounceOf(last, rfc2822.Delayed),
				"of nothing":         {},
				"of ours to nobody":  {Recipients: []rfc2822.RecipientStatus{{Action: rfc2822.Failed}}},
			} {
				if p.Bounced(p.t.Context(), b) {
					t.Errorf("a bounce %s counts", name)
				}
			}
			if !p.Bounced(p.t.Context(), bounceOf(last, rfc2822.Failed)) || !p.Bounced(t.Context(), bounceOf(last, rfc2822.Failed)) {
				t.Errorf("the bounce of day %d does not count", day)
			}
			p.stop()
			p.begin()
		}
		var waits []int
		for i := 1; i < len(days); i++ {
			waits = append(waits, days[i]-days[i-1])
		}
		if len(waits) < 5 || !slices.IsSorted(waits) || waits[len(waits)-1] < 16 {
			t.Errorf("sent on the days %v", days)
		}
		if n := len(p.to("b@two.example")); n < 115 {
			t.Errorf("the other has had %d", n)
		}
	})
}

// TestCountBounded: strangers choose domains and sources.
func TestCountBounded(t *testing.T) {
	inPosting(t, func(p *posting) {
		for i := range 2 * maxCounted {
			r := outcome("one.example", "a@one.example")
			r.Source = netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i)})
			p.Count(r)
		}
		for i := range maxDomains + 10 {
			p.Count(outcome(fmt.Sprintf("d%d.example", i), "a@one.example"))
		}
		domains := 0
		p.book.Each(func(domain string, c *counted) {
			domains++
			if domain == "one.example" && (len(c.Rows) != maxCounted || c.Further != maxCounted) {
				t.Errorf("%d rows, %d further", len(c.Rows), c.Further)
			}
		})
		if domains != maxDomains {
			t.Errorf("%d domains", domains)
		}
		p.stop()
		p.cache.m = map[string][]byte{}
		p.begin()
	})
}

// TestCountedOctets: strangers choose how long what is counted is, too.
func TestCountedOctets(t *testing.T) {
	inPosting(t, func(p *posting) {
		const rows = 100 * maxCounted * 2 / 5
		for i := range rows {
			r := outcome(fmt.Sprintf("d%d.example", i%100), "a@one.example")
			r.Signatures = nil
			for s := range 8 {
				name := fmt.Sprintf("%0250d", 8*i+s)
				r.Signatures = append(r.Signatures, Signature{name, name, "permerror"})
			}
			p.Count(r)
		}
		kept, further, octets := 0, 0, 0
		p.book.Each(func(_ string, c *counted) {
			text, _ := json.Marshal(c.Rows)
			kept, further, octets = kept+len(c.Rows), further+int(c.Further), octets+len(text)
		})
		if octets > 2*maxCountedOctets || kept == 0 || kept+further != rows {
			t.Errorf("%d rows of %d octets, %d further", kept, octets, further)
		}
		p.stop()
		p.cache.m = map[string][]byte{}
		p.begin()
	})
}

// TestWithoutPermitted: where nobody can be asked, only the domain itself is told.
func TestWithoutPermitted(t *testing.T) {
	s := &Sender{}
	got, err := s.permitted(t.Context(), "one.example", outcome("", "a@one.example", "b@mail.one.example", "c@notone.example", "d@example", "e").Wanted)
	if err != nil || len(got) != 2 || got[1].Address != "b@mail.one.example" {
		t.Errorf("%v %v", got, err)
	}
}
