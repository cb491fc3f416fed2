package relay

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// send sends the report of one domain to wherever it wants it and has not had it yet.
func (t *TLSReports) send(ctx context.Context, begin time.Time, domain string, d *tlsDomain) error {
	where, err := t.addresses(ctx, domain)
	if err != nil {
		return err
	}
	r, packed, err := t.pack(begin, domain, d)
	if err != nil {
		return err
	}
	var errs []error
	for _, uri := range where {
		if slices.Contains(d.Done, uri) {
			continue
		}
		if err := t.deliver(ctx, uri, domain, r, packed); err != nil {
			errs = append(errs, err)
			continue
		}
		d.Done = append(d.Done, uri)
	}
	return errors.Join(errs...)
}

// pack makes a domain's report.
func (t *TLSReports) pack(begin time.Time, domain string, d *tlsDomain) (r *tlsReport, packed []byte, err error) {
	r = &tlsReport{Organization: t.Organization, Contact: t.Contact, ID: begin.Format(time.DateOnly) + "_" + domain + "@" + t.hostname(), Policies: d.Policies}
	r.Range.Start, r.Range.End = begin, begin.Add(24*time.Hour-time.Second)
	data, err := json.Marshal(r)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	err = z.Close()
	return r, b.Bytes(), err
}

// deliver sends a report to one address.
func (t *TLSReports) deliver(ctx context.Context, uri, domain string, r *tlsReport, packed []byte) error {
	to, mail := strings.CutPrefix(uri, "mailto:")
	if !mail {
		return t.post(ctx, uri, packed)
	}
	if t.Send == nil {
		return nil
	}
	return t.Send(ctx, to, t.message(to, domain, r, packed))
}

// addresses are where a domain wants its reports (RFC 8460 §3): mailto: and
// https: addresses, three at most.
func (t *TLSReports) addresses(ctx context.Context, domain string) ([]string, error) {
	dns, _ := t.ways()
	a, err := dns.TXT(ctx, "_smtp._tls."+domain)
	if errors.Is(err, resolver.ErrNoName) {
		return nil, nil
	}
	var record string
	for _, txt := range a.Records {
		if v, rest, _ := strings.Cut(txt, ";"); strings.TrimSpace(v) == "v=TLSRPTv1" {
			if record != "" {
				return nil, nil // several: none
			}
			record = rest
		}
	}
	var out []string
	for field := range strings.SplitSeq(record, ";") {
		key, value, _ := strings.Cut(field, "=")
		if strings.TrimSpace(key) != "rua" {
			continue
		}
		for uri := range strings.SplitSeq(value, ",") {
			if uri, ok := reportAddress(strings.TrimSpace(uri)); ok && len(out) < 3 && !slices.Contains(out, uri) {
				out = append(out, uri)
			}
		}
	}
	return out, err
}

// reportAddress reads one address of a rua field: "mailto:" and a mailbox,
// whatever headers it asks for (RFC 6068), or "https://".
func reportAddress(s string) (uri string, ok bool) {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", false
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
	case u.Scheme == "https" && u.Host != "" && u.User == nil:
		return u.String(), true
	case u.Scheme == "mailto":
		mailbox, err := url.PathUnescape(u.Opaque)
		if err != nil {
			break
		}
		if _, err := smtp.ParseMailbox(mailbox, 0); err == nil && !strings.ContainsAny(mailbox, "\r\n<>\"") {
			return "mailto:" + mailbox, true
		}
	}
	return "", false
}

func (t *TLSReports) post(ctx context.Context, uri string, packed []byte) error {
	client := *publicClient()
	if _, own := t.ways(); own != nil {
		client = *own
	}
	// Where the report goes the domain has said; a host has no say in it.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, bytes.NewReader(packed))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/tlsrpt+gzip")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", uri, resp.Status)
	}
	return nil
}

// message is a report as mail (RFC 8460 §5.3). All in it is ours or was checked.
func (t *TLSReports) message(to, domain string, r *tlsReport, packed []byte) []byte {
	now, name := time.Now(), t.hostname()
	boundary := "tlsrpt-" + strings.Map(letters, r.ID)
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("From: <%s>", t.Contact)
	line("To: <%s>", to)
	line("Date: %s", rfc2822.FormatDate(now))
	line("Message-ID: %s", rfc2822.NewMessageID(name, now))
	line("Subject: Report Domain: %s Submitter: %s Report-ID: <%s>", domain, name, r.ID)
	line("TLS-Report-Domain: %s", domain)
	line("TLS-Report-Submitter: %s", name)
	line("Auto-Submitted: auto-generated")
	line("TLS-Required: No") // what it is about must not keep it here (RFC 8460 §3, RFC 8689 §3)
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"%s\"", boundary)
	line("\r\n--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n", boundary)
	line("This is a report of the TLS sessions that %s had with hosts of %s\r\non %s.\r\n", name, domain, r.Range.Start.Format(time.DateOnly))
	line("--%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64", boundary)
	line("Content-Disposition: attachment;\r\n\tfilename=\"%s!%s!%d!%d.json.gz\"\r\n", name, domain, r.Range.Start.Unix(), r.Range.End.Unix())
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(packed)), 76) {
		line("%s", chunk)
	}
	line("--%s--", boundary)
	return b.Bytes()
}

// letters keeps what may stand in a boundary anywhere.
func letters(c rune) rune {
	if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '.' || c == '-' || c == '_' {
		return c
	}
	return -1
}
