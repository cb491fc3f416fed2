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
	"slices"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/rfc2822"
)

// SendDay sends the reports of a day ("2026-03-01", in UTC) to the domains that
// ask for them, and forgets it. The error joins those of single domains.
func (t *TLSReports) SendDay(ctx context.Context, day string) error {
	begin, err := time.Parse(dayForm, day)
	if err != nil {
		return fmt.Errorf("send TLS reports: %w", err)
	}
	t.mu.Lock()
	all := t.days[day]
	delete(t.days, day)
	t.mu.Unlock()
	var errs []error
	for domain, d := range all {
		if err := t.sendOne(ctx, begin, domain, d); err != nil {
			errs = append(errs, fmt.Errorf("send TLS report to %s: %w", domain, err))
		}
	}
	return errors.Join(errs...)
}

func (t *TLSReports) sendOne(ctx context.Context, begin time.Time, domain string, d *tlsDomain) error {
	where, err := t.addresses(ctx, domain)
	if err != nil || len(where) == 0 {
		return err
	}
	r := &tlsReport{Organization: t.Organization, Contact: t.Contact, ID: begin.Format(dayForm) + "_" + domain + "@" + t.Hostname, Policies: d.Policies}
	r.Range.Start, r.Range.End = begin, begin.Add(24*time.Hour-time.Second)
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(data)
	if err := z.Close(); err != nil {
		return err
	}
	var errs []error
	for _, uri := range where {
		if to, ok := strings.CutPrefix(uri, "mailto:"); ok {
			if t.Send != nil {
				errs = append(errs, t.Send(ctx, to, t.message(to, domain, r, packed.Bytes())))
			}
			continue
		}
		errs = append(errs, t.post(ctx, uri, packed.Bytes()))
	}
	return errors.Join(errs...)
}

// addresses are where a domain wants its reports (RFC 8460 §3): mailto: and
// https: addresses, three at most.
func (t *TLSReports) addresses(ctx context.Context, domain string) ([]string, error) {
	a, err := t.Resolver.TXT(ctx, "_smtp._tls."+domain)
	if errors.Is(err, ErrNoName) {
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
			uri = strings.TrimSpace(uri)
			ok := strings.HasPrefix(uri, "mailto:") && strings.Contains(uri, "@") || strings.HasPrefix(uri, "https://")
			if ok && len(out) < 3 && !strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' }) {
				out = append(out, uri)
			}
		}
	}
	return out, err
}

func (t *TLSReports) post(ctx context.Context, uri string, packed []byte) error {
	client := t.HTTP
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
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
	now := time.Now()
	boundary := "tlsrpt-" + strings.Map(letters, r.ID)
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("From: <%s>", t.Contact)
	line("To: <%s>", to)
	line("Date: %s", rfc2822.FormatDate(now))
	line("Message-ID: %s", rfc2822.NewMessageID(t.Hostname, now))
	line("Subject: Report Domain: %s Submitter: %s Report-ID: <%s>", domain, t.Hostname, r.ID)
	line("TLS-Report-Domain: %s", domain)
	line("TLS-Report-Submitter: %s", t.Hostname)
	line("Auto-Submitted: auto-generated")
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"%s\"", boundary)
	line("\r\n--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n", boundary)
	line("This is a report of the TLS sessions that %s had with hosts of %s\r\non %s.\r\n", t.Hostname, domain, r.Range.Start.Format(dayForm))
	line("--%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64", boundary)
	line("Content-Disposition: attachment;\r\n\tfilename=\"%s!%s!%d!%d.json.gz\"\r\n", t.Hostname, domain, r.Range.Start.Unix(), r.Range.End.Unix())
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
