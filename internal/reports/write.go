package reports

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

// The elements of an aggregate report, in the order that RFC 9990 gives them.
type (
	xmlFeedback struct {
		XMLName  xml.Name    `xml:"urn:ietf:params:xml:ns:dmarc-2.0 feedback"`
		Version  string      `xml:"version"`
		Metadata xmlMetadata `xml:"report_metadata"`
		Policy   xmlPolicy   `xml:"policy_published"`
		Records  []xmlRecord `xml:"record"`
	}
	xmlMetadata struct {
		Org       string `xml:"org_name"`
		Email     string `xml:"email"`
		ID        string `xml:"report_id"`
		Begin     int64  `xml:"date_range>begin"`
		End       int64  `xml:"date_range>end"`
		Error     string `xml:"error,omitempty"`
		Generator string `xml:"generator,omitempty"`
	}
	xmlPolicy struct {
		Domain    string `xml:"domain"`
		Discovery string `xml:"discovery_method"`
		P         string `xml:"p"`
		SP        string `xml:"sp,omitempty"`
		NP        string `xml:"np,omitempty"`
		FO        string `xml:"fo,omitempty"`
		ADKIM     string `xml:"adkim,omitempty"`
		ASPF      string `xml:"aspf,omitempty"`
		Testing   string `xml:"testing"`
	}
	xmlRecord struct {
		Source      string        `xml:"row>source_ip"`
		Count       int64         `xml:"row>count"`
		Disposition string        `xml:"row>policy_evaluated>disposition"`
		DKIM        string        `xml:"row>policy_evaluated>dkim"`
		SPF         string        `xml:"row>policy_evaluated>spf"`
		Overrides   []xmlOverride `xml:"row>policy_evaluated>reason"`
		From        string        `xml:"identifiers>header_from"`
		Envelope    string        `xml:"identifiers>envelope_from"`
		Auth        xmlAuth       `xml:"auth_results"`
	}
	xmlOverride struct {
		Type    string `xml:"type"`
		Comment string `xml:"comment,omitempty"`
	}
	xmlAuth struct {
		DKIM []xmlDKIM `xml:"dkim"`
		SPF  *xmlSPF   `xml:"spf"`
	}
	xmlDKIM struct {
		Domain   string `xml:"domain"`
		Selector string `xml:"selector"`
		Result   string `xml:"result"`
	}
	xmlSPF struct {
		Domain string `xml:"domain"`
		Scope  string `xml:"scope"`
		Result string `xml:"result"`
	}
)

// letter is a report on its way to a domain.
type letter struct {
	s      *Sender
	day    time.Time
	domain string
	from   string // who reports
	id     string // unique among the reports to this domain, the same in each attempt
	packed []byte
}

// compose makes the report of a domain's day.
func (s *Sender) compose(day time.Time, domain string, c *counted) (*letter, error) {
	host := s.Hostname()
	l := &letter{s: s, day: day, domain: domain, from: s.Address(), id: day.Format(time.DateOnly) + "." + domain + "@" + host}
	_, org, _ := strings.Cut(l.from, "@")
	f := xmlFeedback{
		Version: "1.0",
		Metadata: xmlMetadata{
			Org: org, Email: l.from, ID: l.id, Begin: day.Unix(), End: l.end().Unix(), Generator: s.Generator,
		},
		Policy: xmlPolicy{
			Domain: domain, Discovery: "treewalk", P: cmp.Or(c.Policy.P, "none"), // it is never left out
			SP: c.Policy.SP, NP: c.Policy.NP, FO: c.Policy.FO,
			ADKIM: c.Policy.ADKIM, ASPF: c.Policy.ASPF, Testing: pick(c.Policy.Testing, "y", "n"),
		},
	}
	if c.Further > 0 {
		f.Metadata.Error = fmt.Sprintf("%d messages were counted in no record: there were too many sources", c.Further)
	}
	for _, r := range c.Rows {
		f.Records = append(f.Records, r.xml())
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(xml.Header))
	e := xml.NewEncoder(z)
	e.Indent("", " ")
	if err := e.Encode(f); err != nil {
		return nil, err
	}
	err := z.Close()
	l.packed = b.Bytes()
	return l, err
}

func pick(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func (r *countedRow) xml() xmlRecord {
	x := xmlRecord{
		Source: r.Source.String(), Count: r.Count, Disposition: r.Disposition, DKIM: pick(r.DKIM, "pass", "fail"), SPF: pick(r.SPF, "pass", "fail"),
		From: r.From, Envelope: r.Envelope,
	}
	for _, o := range r.Overrides {
		x.Overrides = append(x.Overrides, xmlOverride(o))
	}
	for _, d := range r.Signatures {
		x.Auth.DKIM = append(x.Auth.DKIM, xmlDKIM(d))
	}
	if r.SPFResult != "" {
		x.Auth.SPF = &xmlSPF{r.SPFDomain, "mfrom", r.SPFResult}
	}
	return x
}

func (l *letter) end() time.Time { return l.day.Add(24*time.Hour - time.Second) }

// message is the report as mail (RFC 9990 §3.5). All in its header is ours or was
// checked.
func (l *letter) message(to, id string) []byte {
	host := l.s.Hostname()
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("From: <%s>", l.from)
	line("To: <%s>", to)
	line("Date: %s", rfc2822.FormatDate(time.Now()))
	line("Message-ID: %s", id)
	line("Subject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s>", l.domain, host, l.id)
	line("Auto-Submitted: auto-generated")
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/mixed; boundary=\"=_dmarc\"") // "=_" is in no base64 and no text of ours
	line("\r\n--=_dmarc\r\nContent-Type: text/plain; charset=us-ascii\r\n")
	line("This is a report of the mail in the name of %s\r\nthat came to %s on %s.\r\n", l.domain, host, l.day.Format(time.DateOnly))
	line("--=_dmarc\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64")
	line("Content-Disposition: attachment;\r\n filename=\"%s!%s!%d!%d.xml.gz\"\r\n", host, l.domain, l.day.Unix(), l.end().Unix())
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(l.packed)), 76) {
		line("%s", chunk)
	}
	line("--=_dmarc--")
	return b.Bytes()
}
