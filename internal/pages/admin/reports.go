package admin

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/trace"
)

// Reports are what other hosts tell of mail in the name of domains here.
type Reports interface {
	// Taken reports whether there is an address that they can be sent to.
	Taken() bool
	// Last is what those say that came in the last days, about one domain and those below it or all (""), and what
	// each of these days was like.
	Last(days int, domain string) (*reports.Summary, []reports.Day, error)
}

const (
	// rowsOfList are those shown of one list of reports.
	rowsOfList = 30
	// reportDays is for how long they are shown where nothing else is asked for.
	reportDays, mostReportDays = 7, 366
)

// reportsData is what the page of reports shows.
type reportsData struct {
	*reports.Summary
	Taken    bool
	Days     int
	Domain   string
	Lists    []sourceList
	Failures []failureList
	Unread   []unreadList
	Pictures []picture
	Refused  bool // there is a page of what was refused here
}

// sourceList, failureList and unreadList are the lists of a summary, each with its heading.
type sourceList struct {
	Title string
	Bad   bool
	Rows  []reports.Source
	More  int
}

type failureList struct {
	Title string
	Rows  []reports.Failure
	More  int
}

type unreadList struct {
	Title string
	Rows  []*reports.Report
	More  int
}

// picture shows days.
type picture struct {
	Title     string
	Picture   template.HTML // made of numbers alone
	Good, Bad int64
	Unit      string
}

func (s Server) reportPages() (all []pages.Page) {
	if s.Reports != nil {
		all = append(all, pages.Page{Path: "reports", Menu: "Reports", Title: "Reports of other hosts", Template: "reports.html", Show: s.reports})
	}
	if s.Mail != nil {
		all = append(all, pages.Page{Path: "reports/refused", Title: "Refused, as nothing proved its author", Template: "refused.html", Show: s.refused})
	}
	return all
}

// days is for how many days something is asked.
func days(r *pages.Request) int {
	var n int
	if text := r.Form.Value("days"); text == "" {
		return reportDays
	} else if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 1 || n > mostReportDays {
		r.Form.Wrong("days", fmt.Sprintf("a number from 1 to %d", mostReportDays))
		return reportDays
	}
	return n
}

func (s Server) reports(r *pages.Request) (any, error) {
	d := reportsData{Taken: s.Reports.Taken(), Days: days(r), Domain: r.Form.Value("domain"), Refused: s.Mail != nil}
	all, byDay, err := s.Reports.Last(d.Days, d.Domain)
	if err != nil {
		return nil, err
	}
	d.Summary = all
	words := budget(wordsOnPage)
	for _, l := range []sourceList{
		{Title: "Sends as you and fails, and is not one of your addresses", Bad: true, Rows: all.Strangers}, {Title: "One of your addresses, and fails", Bad: true, Rows: all.Ours},
		{Title: "Passes", Rows: all.Passing}, {Title: "Not proven to be from whom they say", Rows: all.Untrusted},
	} {
		l.Rows, l.More = sources(l.Rows, &words)
		d.Lists = append(d.Lists, l)
	}
	for _, l := range []failureList{{Title: "TLS to your hosts failed", Rows: all.TLS}, {Title: "Not proven to be from whom they say, of TLS", Rows: all.UntrustedTLS}} {
		l.Rows, l.More = fitting(l.Rows, &words, func(f reports.Failure) string { return f.Domain + f.Kind + f.Host + f.Detail + strings.Join(f.By, "") })
		d.Failures = append(d.Failures, l)
	}
	for _, l := range []unreadList{{Title: "Cannot be read", Rows: all.Unreadable}, {Title: "Cannot be read, and not proven to be from whom it says", Rows: all.UntrustedUnreadable}} {
		l.Rows, l.More = fitting(l.Rows, &words, func(r *reports.Report) string { return r.Sender + r.Reason + r.Mail })
		d.Unread = append(d.Unread, l)
	}
	d.Pictures = pictures(byDay)
	return d, nil
}

// pictures are of mail and of TLS, with a bar for each day, or for several where there are many.
func pictures(byDay []reports.Day) []picture {
	const bars = 62
	each := (len(byDay) + bars - 1) / bars
	span := "by day"
	if each > 1 {
		span = fmt.Sprintf("%d days in a bar", each)
	}
	var mail, tls [][2]int64
	for days := range slices.Chunk(byDay, max(each, 1)) {
		var m, t [2]int64
		for _, d := range days {
			m, t = [2]int64{sum(m[0], d.Passed), sum(m[1], d.Failed)}, [2]int64{sum(t[0], d.Sessions), sum(t[1], d.FailedToOurs)}
		}
		mail, tls = append(mail, m), append(tls, t)
	}
	return []picture{newPicture("Messages in your name, "+span, "message", mail), newPicture("TLS to your hosts, "+span, "session", tls)}
}

// sum adds what strangers have counted.
func sum(a, b int64) int64 { return min(a, math.MaxInt64-max(b, 0)) + max(b, 0) }

// sources are the rows of a list that there is room for.
func sources(all []reports.Source, words *budget) ([]reports.Source, int) {
	return fitting(all, words, func(s reports.Source) string {
		return s.Domain + strings.Join(slices.Concat(s.By, s.Auth, s.Reasons), "") + strings.Repeat(" ", 300) // of tags
	})
}

// fitting are the first rows of a list, as many as there is room for, and how many there are beside.
func fitting[T any](all []T, words *budget, text func(T) string) ([]T, int) {
	for i, one := range all {
		if i == rowsOfList || !words.has(text(one)) {
			return all[:i], len(all) - i
		}
	}
	return all, 0
}

// newPicture draws what was good and what was bad on each day as one bar.
func newPicture(title, unit string, days [][2]int64) picture {
	p := picture{Title: title, Unit: unit}
	most := int64(1)
	for _, d := range days {
		p.Good, p.Bad = sum(p.Good, d[0]), sum(p.Bad, d[1])
		most = max(most, sum(d[0], d[1]))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s">`, len(days)*barWidth, half, title)
	for i, d := range days {
		up := bars{&b, i * barWidth, half, -1, most}
		up.add("delivered", d[0])
		up.add("refused", d[1])
	}
	fmt.Fprintf(&b, `<path class="axis" d="M0 %d h%d"/></svg>`, half, len(days)*barWidth)
	p.Picture = template.HTML(b.String())
	return p
}

// refusedData is what the page shows of mail that was refused here.
type refusedData struct {
	Days int
	Rows []*trace.Unproven
	More int
	Left *trace.Left
}

func (s Server) refused(r *pages.Request) (any, error) {
	d := refusedData{Days: days(r)}
	ctx, cancel := context.WithTimeout(r.Context(), lookFor)
	defer cancel()
	all, left, err := trace.FindUnproven(ctx, s.Mail, time.Now().AddDate(0, 0, -d.Days))
	if err != nil {
		return nil, err
	}
	words := budget(wordsOnPage)
	d.Left = left
	d.Rows, d.More = fitting(all, &words, func(u *trace.Unproven) string {
		return u.Author + cmp.Or(u.Found, u.Missing) + u.Missing + strings.Join(slices.Concat(u.Clients, u.To), "") + strings.Repeat(" ", 200)
	})
	return d, nil
}
