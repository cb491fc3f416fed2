package post

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
)

// ann claims a rate for an account.
func ann(r Rate) []claim { return []claim{{holder{whose: OfAccount, name: "ann@mail.test"}, r}} }

// TestRates: a user has so many messages and recipients in an hour and in a day, to the
// last one and not one more; what was refused does not count; others are not touched. The
// refusal names the limit, the number, and when it ends.
func TestRates(t *testing.T) {
	start := time.Date(2026, 11, 30, 12, 3, 0, 0, time.UTC)
	hour := func(messages, recipients int) Rate { return Rate{Hour: Amount{messages, recipients}} }
	for _, c := range []struct {
		rate  Rate
		add   Amount // each message
		want  int    // messages taken
		text  string
		again time.Duration // until more is taken
	}{
		{hour(3, 0), Amount{1, 2}, 3, "ann@mail.test may have 3 messages an hour, has sent 3 since 12:03; try again at 13:03 UTC", time.Hour},
		{hour(0, 4), Amount{1, 2}, 2, "ann@mail.test may have 4 recipients an hour, has named 4 since 12:03; try again at 13:03 UTC", time.Hour},
		{hour(0, 5), Amount{1, 2}, 2, "ann@mail.test may have 5 recipients an hour, has named 4 since 12:03; try again at 13:03 UTC", time.Hour},
		{hour(2, 9), Amount{1, 3}, 2, "ann@mail.test may have 2 messages an hour, has sent 2 since 12:03; try again at 13:03 UTC", time.Hour},
		{Rate{Day: Amount{0, 4}}, Amount{1, 1}, 4, "ann@mail.test may have 4 recipients a day, has named 4 since 2026-11-30 12:03; try again at 2026-12-01 12:03 UTC", 24 * time.Hour},
		{Rate{Hour: Amount{5, 0}, Day: Amount{4, 0}}, Amount{1, 1}, 4, "ann@mail.test may have 4 messages a day, has sent 4 since 2026-11-30 12:03; try again at 2026-12-01 12:03 UTC", 24 * time.Hour},
		{Rate{Hour: Amount{2, 2}, Burst: 3}, Amount{1, 1}, 5, "ann@mail.test may have 2 messages an hour and 3 beyond in a day, has sent 5 since 12:03; try again at 13:03 UTC", time.Hour},
		{Rate{Hour: Amount{0, 2}, Burst: 3}, Amount{1, 1}, 5, "ann@mail.test may have 2 recipients an hour and 3 beyond in a day, has named 5 since 12:03; try again at 13:03 UTC", time.Hour},
		{Rate{Hour: Amount{0, 2}, Burst: 4}, Amount{1, 2}, 3, "ann@mail.test may have 2 recipients an hour and 4 beyond in a day, has named 6 since 12:03; try again at 13:03 UTC", time.Hour},
		{Rate{}, Amount{1, 1000}, 50, "", 0},
	} {
		var r rates
		taken, news := 0, 0
		for i := range 50 {
			l := r.take(ann(c.rate), 0, c.add, start.Add(time.Duration(i)*time.Second))
			if l == nil {
				taken++
				continue
			}
			if reply := l.reply(); reply.Code != 450 || reply.Enhanced != "4.7.1" || reply.Text != c.text {
				t.Errorf("%+v: said %q, want %q", c.rate, reply, c.text)
			}
			if l.First {
				news++
			}
			if l.Sent.Messages != taken || l.Sent.Recipients != taken*c.add.Recipients || !l.Until.Equal(start.Add(c.again)) {
				t.Errorf("%+v: told of %+v", c.rate, l)
			}
		}
		if taken != c.want || news != min(1, 50-taken) {
			t.Errorf("%+v: %d messages taken, %d times told, want %d", c.rate, taken, news, c.want)
		}
		bob := []claim{{holder{whose: OfAccount, name: "bob@mail.test"}, c.rate}}
		if l := r.take(bob, 0, c.add, start); l != nil {
			t.Errorf("%+v: bob hears %v", c.rate, l)
		}
		if l := r.take(ann(c.rate), 0, c.add, start.Add(c.again-1)); (l == nil) != (c.text == "") {
			t.Errorf("%+v: just before the end %v", c.rate, l)
		}
		if l := r.take(ann(c.rate), 0, c.add, start.Add(c.again)); l != nil {
			t.Errorf("%+v: at the end %v", c.rate, l)
		}
	}
}

// TestNeverFits: a message that has more recipients than there may be is told so, and is
// no reason to stop anybody. One that would fit at another time is.
func TestNeverFits(t *testing.T) {
	for _, c := range []struct {
		rate Rate
		had  int
		text string
	}{
		{Rate{Hour: Amount{0, 250}}, 250, "ann@mail.test may have 250 recipients an hour, and this message has more: send it to fewer at a time"},
		{Rate{Day: Amount{0, 250}}, 250, "ann@mail.test may have 250 recipients a day, and this message has more: send it to fewer at a time"},
		{Rate{Hour: Amount{0, 200}, Burst: 50}, 250, "ann@mail.test may have 200 recipients an hour and 50 beyond in a day, and this message has more: send it to fewer at a time"},
		{Rate{Hour: Amount{0, 250}}, 249, "ann@mail.test may have 250 recipients an hour, has named 250 since"},
	} {
		var r rates
		now := time.Now()
		if l := r.take(ann(c.rate), 0, Amount{1, 250}, now); l != nil {
			t.Fatal(l.Refusal)
		}
		l := r.take(ann(c.rate), c.had, Amount{0, 1}, now)
		if l == nil || !strings.HasPrefix(l.Refusal, c.text) {
			t.Errorf("%+v: %+v, want %s", c.rate, l, c.text)
			continue
		}
		never := strings.HasSuffix(c.text, "time")
		if l.First == never || r.stopped("ann@mail.test", now) == never {
			t.Errorf("%+v: news %v, stopped %v", c.rate, l.First, r.stopped("ann@mail.test", now))
		}
	}
}

// TestAllOrNone: what one holder has no room for counts for none of them.
func TestAllOrNone(t *testing.T) {
	var r rates
	now := time.Now()
	claims := append(ann(Rate{Hour: Amount{10, 0}}), claim{holder{whose: OfDomain, name: "mail.test"}, Rate{Hour: Amount{2, 0}}})
	for i := range 5 {
		l := r.take(claims, 0, Amount{1, 1}, now)
		if (l == nil) != (i < 2) || l != nil && (l.Whose != OfDomain || !strings.HasPrefix(l.Refusal, "the domain mail.test may have 2 messages an hour, has sent 2 since")) {
			t.Errorf("message %d: %+v", i, l)
		}
	}
	if n := r.by[OfAccount][claims[0].holder].Hour.Messages; n != 2 || r.stopped("ann@mail.test", now) {
		t.Errorf("ann has %d", n)
	}
}

// TestRatesModel compares with a list of everything that was taken, for a rate of an hour
// and of a day with a burst, over some days of random traffic.
func TestRatesModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rate := Rate{Hour: Amount{20, 50}, Day: Amount{100, 200}, Burst: 30}
	var r rates
	type taken struct {
		at time.Time
		Amount
	}
	var all []taken
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 20000 {
		now = now.Add(time.Duration(random.IntN(240)) * time.Second)
		add := Amount{1, 1 + random.IntN(5)}
		if r.take(ann(rate), 0, add, now) == nil {
			all = append(all, taken{now, add})
		}
	}
	begin := time.Time{}
	var day Amount
	for _, a := range all {
		if a.at.Sub(begin) >= rateDay {
			begin, day = a.at, Amount{}
		}
		day = day.plus(a.Amount)
		if day.Messages > rate.Day.Messages || day.Recipients > rate.Day.Recipients {
			t.Fatalf("%v: %+v in the day since %v", a.at, day, begin)
		}
	}
	// Any hour, wherever it begins, has no more than two of those that are counted, and the burst.
	for i, j := 0, 0; i < len(all); i++ {
		var in Amount
		for ; all[i].at.Sub(all[j].at) >= rateHour; j++ {
		}
		for k := j; k <= i; k++ {
			in = in.plus(all[k].Amount)
		}
		if in.Messages > 2*rate.Hour.Messages+rate.Burst || in.Recipients > 2*rate.Hour.Recipients+rate.Burst {
			t.Fatalf("%+v in an hour", in)
		}
	}
	if days := int(now.Sub(all[0].at)/rateDay) + 1; len(all) < days*50 {
		t.Errorf("only %d were taken in %d days", len(all), days)
	}
}

// TestRatesForget: as many holders as there may be are remembered and no more, and who has
// sent much, or was stopped, is not forgotten for the sake of those who come in many names.
func TestRatesForget(t *testing.T) {
	var r rates
	now := time.Now()
	rate := Rate{Hour: Amount{Messages: 3}}
	for range 4 {
		r.take(ann(rate), 0, Amount{1, 1}, now)
	}
	for i := range 3 * mostHolders {
		r.take([]claim{{holder{whose: OfAccount, name: fmt.Sprint(i)}, rate}}, 0, Amount{1, 1}, now)
	}
	if n := len(r.by[OfAccount]); n > mostHolders || n < mostHolders/2 {
		t.Errorf("%d holders are remembered", n)
	}
	if !r.stopped("ann@mail.test", now) {
		t.Error("who was stopped is forgotten")
	}
	for i := range mostHolders {
		r.take([]claim{{holder{whose: OfAccount, name: fmt.Sprint(i)}, rate}}, 0, Amount{1, 1}, now.Add(48*time.Hour))
	}
	if n := len(r.by[OfAccount]); n > mostHolders {
		t.Errorf("%d holders are remembered two days later", n)
	}
}

// sends is a Post whose account may have rate, and a session of a client.
func sends(rate Rate) *Post {
	limits := &Limits{Account: func(domains.Address) Rate { return rate }, Domain: func(domains.Name) Rate { return Rate{} }}
	rules := &Rules{ServerName: "mail.test", Directory: village{}, Limits: limits}
	return &Post{Rules: func() *Rules { return rules }, Log: slog.New(slog.DiscardHandler)}
}

func sessionOf(user, addr string) *smtp.Session {
	s := &smtp.Session{Identity: lineserver.Identity{ID: "1", User: user, RemoteAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}}
	s.Envelope = &smtp.Envelope{Session: s, From: smtp.Path{Local: "ann", Domain: "mail.test"}}
	return s
}

// TestRatesOverDays: somebody who tries all the time gets as much as there is each day,
// and is news once in each hour that he meets the limit in; a restart gives nothing.
func TestRatesOverDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sends(Rate{Hour: Amount{Messages: 20}, Day: Amount{Messages: 50}})
		news := 0
		p.Limited = func(l *Limited) {
			if l.First {
				news++
			}
		}
		for day := 1; day <= 3; day++ {
			taken := 0
			for minute := range 24 * 60 {
				s := sessionOf("ann@mail.test", "192.0.2.7:1")
				if p.mayName(s) == nil {
					taken++
				}
				s.Values[bookingKey{}].(*booking).taken = Amount{} // it was accepted
				if minute == 90 {
					counts, err := p.Counts()
					if err != nil {
						t.Fatal(err)
					}
					limited := p.Limited
					p = sends(Rate{Hour: Amount{Messages: 20}, Day: Amount{Messages: 50}})
					p.Limited = limited
					if err := p.Recount(counts); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
			}
			if taken != 50 {
				t.Errorf("day %d: %d messages", day, taken)
			}
			if news != 3*day { // two hours, and the day
				t.Errorf("by day %d: news %d times", day, news)
			}
		}
		time.Sleep(25 * time.Hour)
		p.rates.dirty = true
		if counts, err := p.Counts(); string(counts) != "[]" || err != nil {
			t.Errorf("two days later %s is kept, %v", counts, err)
		}
		if counts, err := p.Counts(); counts != nil || err != nil {
			t.Errorf("what has not changed is written down again: %s, %v", counts, err)
		}
	})
}

// TestBooking: a message that was not accepted does not count, however the session goes
// on; its first recipient counts it.
func TestBooking(t *testing.T) {
	p := sends(Rate{Hour: Amount{10, 10}})
	r := &Receiver{Post: p}
	s := sessionOf("ann@mail.test", "192.0.2.7:1")
	used := func() Amount { u, _ := p.Use(t.Context(), "ann@mail.test"); return u.Hour.Amount }
	for range 3 {
		if err := p.mayName(s); err != nil {
			t.Fatal(err)
		}
	}
	if used() != (Amount{1, 3}) {
		t.Errorf("begun: %+v", used())
	}
	if r.CheckSender(t.Context(), s, s.Envelope.From, nil); used() != (Amount{}) {
		t.Errorf("begun anew: %+v", used())
	}
	p.mayName(s)
	r.sent(s.Envelope)
	r.CheckSender(t.Context(), s, s.Envelope.From, nil)
	p.mayName(s)
	if used() != (Amount{2, 2}) {
		t.Errorf("one accepted, one begun: %+v", used())
	}
	if r.Done(s); used() != (Amount{1, 1}) {
		t.Errorf("after the session: %+v", used())
	}
}

// TestBehindOneAddress: two accounts behind one address have nothing to do with each
// other's limit; the network's own is not for gateways.
func TestBehindOneAddress(t *testing.T) {
	p := sends(Rate{Hour: Amount{Messages: 3}})
	p.Rules().Limits.Network = Rate{Hour: Amount{Messages: 5}}
	send := func(user, addr string) (last string) {
		s := sessionOf(user, addr)
		for range 4 {
			last = ""
			if err := p.mayName(s); err != nil {
				last = err.Error()
			}
			s.Values[bookingKey{}].(*booking).taken = Amount{}
		}
		return last
	}
	for _, c := range []struct{ user, addr, want string }{
		{"ann@mail.test", "10.0.0.1:1", "ann@mail.test may have 3 messages"},
		{"bob@mail.test", "10.0.0.1:1", "bob@mail.test may have 3 messages"},
		{"cy@mail.test", "127.0.0.1:1", "cy@mail.test may have 3 messages"},
		{"dan@mail.test", "192.0.2.7:1", "dan@mail.test may have 3 messages"},
		{"eve@mail.test", "192.0.2.7:1", "the network 192.0.2.7/32 may have 5 messages an hour, has sent 5 since"},
		{"fay@mail.test", "192.0.2.8:1", "fay@mail.test may have 3 messages"},
		{"", "192.0.2.9:1", ""},
	} {
		if got := send(c.user, c.addr); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s from %s: %q, want %q", c.user, c.addr, got, c.want)
		}
	}
}

// BenchmarkMayName is what a recipient costs: for a user with every limit there is.
func BenchmarkMayName(b *testing.B) {
	p := sends(Rate{Hour: Amount{1 << 30, 1 << 30}, Day: Amount{1 << 30, 1 << 30}, Burst: 1})
	limits := p.Rules().Limits
	limits.Domain = func(domains.Name) Rate { return limits.Account("") }
	limits.Network, limits.All = limits.Account(""), limits.Account("")
	for i := range mostHolders {
		p.rates.of(holder{whose: OfAccount, name: fmt.Sprintf("user%d@mail.test", i)}, time.Now())
	}
	s := sessionOf("ann@mail.test", "192.0.2.7:1")
	for _, recipients := range []int{1, 10} {
		b.Run(fmt.Sprintf("%d of a message", recipients), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if err := p.mayName(s); err != nil {
					b.Fatal(err)
				}
				if i%recipients == recipients-1 {
					s.Values[bookingKey{}].(*booking).taken = Amount{}
				}
			}
		})
	}
	b.Run("of a stranger", func(b *testing.B) {
		limits.SenderDomain, limits.Mailbox = limits.All, limits.All
		r := &Receiver{Post: p}
		to := &smtp.Recipient{Path: smtp.Path{Local: "bob", Domain: "mail.test"}}
		to.Value = accounts.Targets{Mailboxes: []domains.Address{"bob@mail.test"}, Local: true}
		s := sessionOf("", "192.0.2.7:1")
		b.ReportAllocs()
		for range b.N {
			if err := r.mayCome(s, to); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestLift: without limits until the time, over a restart too; then they hold, and nothing
// is counted yet. What is lifted for good is refused.
func TestLift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := Rate{Hour: Amount{Messages: 2}, Day: Amount{Messages: 3}}
		p := sends(rate)
		tries := func(n int) (taken int) {
			s := sessionOf("ann@mail.test", "192.0.2.7:1")
			for range n {
				if p.mayName(s) == nil {
					taken++
				}
				s.Values[bookingKey{}].(*booking).taken = Amount{}
			}
			return taken
		}
		if n := tries(5); n != 2 {
			t.Errorf("%d were taken", n)
		}
		for _, until := range []time.Time{{}, time.Now(), time.Now().Add(400 * 24 * time.Hour)} {
			if _, err := p.Lift(t.Context(), "ann@mail.test", until); err == nil {
				t.Errorf("lifted until %v", until)
			}
		}
		if _, err := p.Lift(t.Context(), "ann@mail.test", time.Now().Add(3*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n := tries(50); n != 50 || p.rates.stopped("ann@mail.test", time.Now()) {
			t.Errorf("lifted: %d were taken", n)
		}
		counts, err := p.Counts()
		if err != nil {
			t.Fatal(err)
		}
		p = sends(rate)
		if err := p.Recount(counts); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*time.Hour - 1)
		if all := p.Full(); tries(10) != 10 || len(all) != 1 || all[0].Lifted.IsZero() {
			t.Errorf("just before the end: %+v", all)
		}
		time.Sleep(time.Nanosecond)
		if n := tries(5); n != 2 {
			t.Errorf("at the end %d were taken", n)
		}
		if p.Restore("ann@mail.test"); tries(5) != 2 {
			t.Error("restored")
		}
		if err := p.Recount([]byte("[")); err == nil {
			t.Error("half a file is taken")
		}
	})
}

// TestToldOnceADay: each limit that is met is news, and a notice goes out once a day; the
// clock that is set back keeps what was counted.
func TestToldOnceADay(t *testing.T) {
	var r rates
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	told := 0
	for range 60 {
		r.take(ann(Rate{Hour: Amount{Messages: 1}}), 0, Amount{1, 1}, now)
		l := r.take(ann(Rate{Hour: Amount{Messages: 1}}), 0, Amount{1, 1}, now)
		if !l.First {
			t.Fatal("no news")
		}
		if r.tell(l, now) {
			told++
		}
		now = now.Add(time.Hour)
	}
	if told != 3 {
		t.Errorf("told %d times in two days and a half", told)
	}
	r.take(ann(Rate{Hour: Amount{Messages: 1}}), 0, Amount{1, 1}, now)
	if l := r.take(ann(Rate{Hour: Amount{Messages: 1}}), 0, Amount{1, 1}, now.Add(-48*time.Hour)); l == nil {
		t.Error("a clock that is set back gives a new hour")
	}
	if past := now.AddDate(-10, 0, 0); !r.stopped("ann@mail.test", past) || r.stopped("ann@mail.test", past.Add(rateDay)) {
		t.Error("a clock that is set back by years stops somebody for years")
	}
}

// TestToRemind: whose mail is held, and nobody was told of it for a day, is to be reminded of it, each day until it is over; a restart
// changes nothing, and those who wait longest come first.
func TestToRemind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sends(Rate{Hour: Amount{Messages: 1}})
		for i := range mostReminded + 10 {
			h := holder{whose: OfAccount, name: fmt.Sprintf("u%03d@mail.test", i)}
			p.rates.take([]claim{{h, Rate{Hour: Amount{Messages: 1}}}}, 0, Amount{1, 1}, time.Now())
			p.rates.holds(h, i > 0)
			p.rates.tell(&Limited{holder: h}, time.Now())
			time.Sleep(time.Second)
		}
		if all := p.rates.toRemind(time.Now()); len(all) != 0 {
			t.Error(len(all), "at once")
		}
		for day := range 3 {
			time.Sleep(rateDay)
			counts, err := p.Counts()
			if err != nil {
				t.Fatal(err)
			}
			p = sends(Rate{})
			if err := p.Recount(counts); err != nil {
				t.Fatal(err)
			}
			all := p.rates.toRemind(time.Now())
			if len(all) != mostReminded || all[0].name != "u001@mail.test" || all[99].name != "u100@mail.test" {
				t.Fatalf("day %d: %d, %s", day, len(all), all[0].name)
			}
			for _, h := range all {
				p.rates.tell(&Limited{holder: h}, time.Now())
			}
			late := p.rates.toRemind(time.Now())
			if len(late) != 9 {
				t.Errorf("then %d", len(late))
			}
			for _, h := range late {
				p.rates.tell(&Limited{holder: h}, time.Now())
			}
			p.rates.dirty = true
		}
		p.remind(t.Context()) // where no mail leaves nothing is held
	})
}

// TestFullOfTheDay: who has met the limit of a day is shown with that day's numbers.
func TestFullOfTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sends(Rate{Hour: Amount{Messages: 2}, Day: Amount{Messages: 3}})
		began := time.Now()
		for range 5 {
			s := sessionOf("ann@mail.test", "192.0.2.7:1")
			p.mayName(s)
			time.Sleep(40 * time.Minute)
		}
		want := Limited{Name: "ann@mail.test", Limit: "3 messages a day", Sent: Amount{3, 3}, Since: began, Until: began.Add(rateDay)}
		if all := p.Full(); len(all) != 1 || all[0].String() != want.String() || !all[0].Until.Equal(want.Until) {
			t.Errorf("%v, want %v", all, want)
		}
	})
}
