package reports

import (
	"errors"
	"io"
	"strings"
)

// errNotTLS: a JSON document of another kind.
var errNotTLS = errors.New("JSON, but no TLS report (it has neither policies nor a report-id)")

// readTLS reads a report of RFC 8460 §4.4. What is missing is empty; a value may be a
// string, a number or a list.
func readTLS(r io.Reader, u *unpacker) (*Report, error) {
	t := &tlsRead{report: &Report{Kind: TLS}}
	if err := walkJSON(r, u, t.visit); err != nil {
		return nil, err
	}
	if t.report.ID == "" && len(t.report.Sessions) == 0 {
		return nil, errNotTLS
	}
	if len(t.report.Sessions) > 0 {
		t.report.Domain = t.report.Sessions[0].Domain
	}
	return t.report, nil
}

// tlsRead is a report being read.
type tlsRead struct {
	report *Report

	// Of the policy that is being read: its parts come in any order.
	policy       Session
	good, failed int64
	details      []Session
	further      Further
	one          Session
}

// visit is told of each value, and of each object at its end.
func (t *tlsRead) visit(path []string, text string) {
	r := t.report
	switch strings.Join(path, "/") {
	case "organization-name":
		r.Org = clean(text)
	case "contact-info":
		r.Contact = clean(text)
	case "report-id":
		r.ID = clean(text)
	case "date-range/start-datetime":
		r.Begin = moment(text)
	case "date-range/end-datetime":
		r.End = moment(text)
	case "policies/policy/policy-type":
		t.policy.Policy = word(text)
	case "policies/policy/policy-domain":
		t.policy.Domain = domain(text)
	case "policies/summary/total-successful-session-count":
		t.good = number(text)
	case "policies/summary/total-failure-session-count":
		t.failed = number(text)
	case "policies/failure-details/result-type":
		t.one.Failure = word(text)
	case "policies/failure-details/receiving-mx-hostname":
		t.one.Host = domain(text)
	case "policies/failure-details/sending-mta-ip":
		t.one.Source = address(text)
	case "policies/failure-details/failed-session-count":
		t.one.Count = number(text)
	case "policies/failure-details/failure-reason-code", "policies/failure-details/additional-information":
		t.one.Detail = clean(t.one.Detail + " " + text)
	case "policies/failure-details":
		t.endDetail()
	case "policies":
		t.endPolicy()
	}
}

func (t *tlsRead) endDetail() {
	if t.one == (Session{}) {
		return
	}
	if t.one.Failure == "" {
		t.one.Failure = "unspecified"
	}
	if len(t.details) == maxRows {
		t.further.add(t.one.Count, true)
	} else {
		t.details = append(t.details, t.one)
	}
	t.one = Session{}
}

// endPolicy keeps what was said of one policy: what went well, each failure, and
// failures that are counted without a detail.
func (t *tlsRead) endPolicy() {
	add := func(s Session) {
		s.Domain, s.Policy = t.policy.Domain, t.policy.Policy
		t.report.addSession(s)
	}
	if t.good > 0 || t.failed == 0 && len(t.details) == 0 {
		add(Session{Count: t.good})
	}
	told := t.further.Failed
	for _, s := range t.details {
		told += s.Count
		add(s)
	}
	if t.failed > told {
		add(Session{Failure: "unspecified", Count: t.failed - told})
	}
	f := &t.report.Further
	f.Rows, f.Count, f.Failed = plus(f.Rows, t.further.Rows), plus(f.Count, t.further.Count), plus(f.Failed, t.further.Failed)
	*t = tlsRead{report: t.report}
}
