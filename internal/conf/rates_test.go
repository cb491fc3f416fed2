package conf

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestRateOf: an account's numbers come before its domain's, and these before those of
// all; an hour that was raised fits into its day.
func TestRateOf(t *testing.T) {
	s := New()
	s.SMTP.MessagesPerHour, s.SMTP.RecipientsPerHour, s.SMTP.MessagesPerDay, s.SMTP.RecipientsPerDay = 500, 2000, 2000, 5000
	for _, c := range []struct {
		name   string
		domain *Domain
		a      *Account
		want   Rate
	}{
		{"of all", nil, nil, Rate{500, 2000, 2000, 5000, 0}},
		{"of the domain", &Domain{RecipientsPerHour: 250, Burst: 100}, &Account{}, Rate{500, 250, 2000, 5000, 100}},
		{"of the account", &Domain{RecipientsPerHour: 250, Burst: 100}, &Account{MessagesPerHour: 7, RecipientsPerHour: 8, MessagesPerDay: 9, RecipientsPerDay: 10, Burst: 11}, Rate{7, 8, 9, 10, 11}},
		{"an hour larger than the day of all", nil, &Account{RecipientsPerHour: 9000}, Rate{500, 9000, 2000, 9000, 0}},
		{"a day that is said is meant", nil, &Account{RecipientsPerHour: 9000, RecipientsPerDay: 10}, Rate{500, 9000, 2000, 10, 0}},
	} {
		if got := s.UserRate(c.a, c.domain); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	s.SMTP.MessagesPerDay = 0
	if got := s.UserRate(&Account{MessagesPerHour: 7}, nil); got.MessagesPerDay != 0 {
		t.Errorf("a day without a bound has %d messages", got.MessagesPerDay)
	}
	if got, want := s.DomainRate(&Domain{Together: &Rate{RecipientsPerHour: 3}}), s.Rates.Domain; got.RecipientsPerHour != 3 || got.MessagesPerDay != want.MessagesPerDay {
		t.Errorf("a domain together: %+v", got)
	}
}

// TestRatesGiveWay: who writes only what an hour holds has no trouble with the default
// of a day; zero is any number, for the day as well.
func TestRatesGiveWay(t *testing.T) {
	s := mustLoad(t, folder(t, "a.conf", `{"server_name": "mail.test", "SMTP": {"messages_per_hour": 9000, "recipients_per_hour": 0, "recipients_per_day": 7},
		"Rates": {"Network": {"messages_per_hour": 0}, "Own": {"messages_per_hour": 1}, "All": {"messages_per_hour": 300000}}}`))
	if s.SMTP.MessagesPerDay != 9000 || s.SMTP.RecipientsPerDay != 7 {
		t.Errorf("SMTP: %d messages, %d recipients a day", s.SMTP.MessagesPerDay, s.SMTP.RecipientsPerDay)
	}
	if r := s.Rates; r.Network.MessagesPerDay != 0 || r.Network.RecipientsPerHour == 0 || r.Own.MessagesPerDay != New().Rates.Own.MessagesPerDay || r.All.MessagesPerDay != 300000 {
		t.Errorf("Rates: %+v", r)
	}
}

// TestRatesInDocs: the numbers in the page about limits are those of the program.
func TestRatesInDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	want := map[string]Rate{"SMTP": s.UserRate(nil, nil), "Rates.Network": s.Rates.Network, "Rates.Domain": s.Rates.Domain, "Rates.All": s.Rates.All,
		"Rates.Own": s.Rates.Own, "Rates.SenderDomain": s.Rates.SenderDomain, "Rates.Mailbox": s.Rates.Mailbox}
	row := regexp.MustCompile(`(?m)^\|[^|]*\| \*([A-Za-z.]+)\*[^|]*\| (\d+|any) \| (\d+|any) \| (\d+|any) \| (\d+|any) \|$`)
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		n := func(i int) int { n, _ := strconv.Atoi(m[i]); return n } // "any" is zero
		if got := (Rate{n(2), n(3), n(4), n(5), 0}); got != want[m[1]] {
			t.Errorf("%s: the page says %+v, it is %+v", m[1], got, want[m[1]])
		}
		delete(want, m[1])
	}
	if len(want) > 0 {
		t.Errorf("the page says nothing of %v", want)
	}
}
