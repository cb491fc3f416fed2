package reports

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// errNotDMARC: an XML document of another kind.
var errNotDMARC = errors.New("XML, but no DMARC report (there is no <feedback>)")

// errSaysNothing: a report without a domain and without a row.
var errSaysNothing = errors.New("a report that says nothing: no domain, no record")

// readDMARC reads an aggregate report in the form of RFC 9990 or of RFC 7489. Elements
// are known by their names and where they stand, in any namespace, any case, any order
// and in any wrapper; what is missing is empty.
func readDMARC(r io.Reader, u *unpacker) (*Report, error) {
	d := &dmarc{report: &Report{Kind: DMARC}, at: make(map[Row]int)}
	if err := walkXML(r, u, d.visit); err != nil {
		return nil, err
	}
	switch {
	case !d.found:
		return nil, errNotDMARC
	case d.report.Domain == "" && len(d.report.Rows) == 0:
		return nil, errSaysNothing
	}
	return d.report, nil
}

// dmarc is a report being read.
type dmarc struct {
	report *Report
	found  bool
	at     map[Row]int // where in the report's rows one is

	row    Row
	counts bool     // the row has a count
	auth   []result // of the row
	one    result
}

// result is one of a row's auth_results.
type result struct{ method, domain, result string }

// visit is told of each element at its end.
func (d *dmarc) visit(path []string, text string) {
	i := slices.Index(path, "feedback")
	if i < 0 {
		return
	}
	d.found = true
	inner := strings.Join(path[i+1:], "/")
	if rest, ok := strings.CutPrefix(inner, "record/"); ok {
		d.visitRecord(rest, text)
		return
	}
	r := d.report
	switch inner {
	case "report_metadata/org_name":
		r.Org = clean(text)
	case "report_metadata/email":
		r.Contact = clean(text)
	case "report_metadata/report_id":
		r.ID = clean(text)
	case "report_metadata/date_range/begin":
		r.Begin = moment(text)
	case "report_metadata/date_range/end":
		r.End = moment(text)
	case "policy_published/domain":
		r.Domain = domain(text)
	case "policy_published/p":
		r.Policy = word(text)
	case "record":
		d.endRecord()
	}
}

func (d *dmarc) visitRecord(path, text string) {
	switch path {
	case "row/source_ip":
		d.row.Source = address(text)
	case "row/count":
		d.row.Count, d.counts = number(text), true
	case "row/policy_evaluated/disposition":
		d.row.Disposition = word(text)
	case "row/policy_evaluated/dkim":
		d.row.DKIM = word(text)
	case "row/policy_evaluated/spf":
		d.row.SPF = word(text)
	case "row/policy_evaluated/reason/type", "row/policy_evaluated/reason/comment":
		d.row.Reason = clean(d.row.Reason + " " + text)
	case "identifiers/header_from":
		d.row.From = domain(text)
	case "identifiers/envelope_from":
		d.row.Envelope = domain(text)
	case "auth_results/dkim/domain", "auth_results/spf/domain":
		d.one.domain = domain(text)
	case "auth_results/dkim/result", "auth_results/spf/result":
		d.one.result = word(text)
	case "auth_results/dkim", "auth_results/spf":
		d.one.method = strings.TrimPrefix(path, "auth_results/")
		if d.one.result != "" && len(d.auth) < maxAuth {
			d.auth = append(d.auth, d.one)
		}
		d.one = result{}
	}
}

func (d *dmarc) endRecord() {
	if d.row == (Row{}) && !d.counts && len(d.auth) == 0 {
		return
	}
	if !d.counts {
		d.row.Count = 1
	}
	// What was evaluated is missing in some: then what was found has to do.
	if d.row.DKIM == "" {
		d.row.DKIM = d.aligned("dkim")
	}
	if d.row.SPF == "" {
		d.row.SPF = d.aligned("spf")
	}
	var all []string
	for _, a := range d.auth {
		all = append(all, strings.TrimSpace(a.method+"="+a.result+" "+a.domain))
	}
	d.row.Auth = strings.Join(all, ", ")
	d.report.addRow(d.row, d.at)
	d.row, d.counts, d.auth = Row{}, false, nil
}

// aligned is "pass" where a method passed for the domain in From, or one above or
// below it.
func (d *dmarc) aligned(method string) string {
	from := d.row.From
	if from == "" {
		from = d.report.Domain
	}
	for _, a := range d.auth {
		if a.method == method && a.result == "pass" && a.domain != "" && from != "" &&
			(domains.Within(from, a.domain) || domains.Within(a.domain, from)) {
			return "pass"
		}
	}
	return "fail"
}

// domain reads a domain; of an address, which some write, its domain.
func domain(s string) string {
	s = strings.Trim(word(s), "<>")
	return strings.TrimSuffix(s[strings.LastIndexByte(s, '@')+1:], ".")
}
