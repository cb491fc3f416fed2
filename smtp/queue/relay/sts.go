package relay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/smtp/resolver"
)

// STSPolicy is what a domain asks of those who send to it (RFC 8461 §3.2).
type STSPolicy struct {
	Mode   STSMode       `json:"mode"`
	MX     []string      `json:"mx"` // "mx.example.org" or "*.example.org", lower case
	MaxAge time.Duration `json:"max_age"`
}

// STSMode is how a policy is to be taken.
type STSMode string

// The modes (RFC 8461 §5).
const (
	STSEnforce STSMode = "enforce" // deliver so or not at all
	STSTesting STSMode = "testing" // deliver, and report what would have failed
	STSNone    STSMode = "none"    // as if there were no policy
)

const (
	maxPolicy = 64 << 10 // octets of a policy; RFC 8461 §3.3 suggests it
	maxMaxAge = 31557600 * time.Second
)

// ParseSTSPolicy reads a policy file: lines of "key: value", ended by LF or
// CRLF. Unknown keys are passed over; of doubled ones other than mx the first
// counts (RFC 8461 §3.2).
func ParseSTSPolicy(data []byte) (*STSPolicy, error) {
	p := &STSPolicy{}
	seen := map[string]string{}
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, maxPolicy+2)
	for s.Scan() {
		line := strings.TrimRight(s.Text(), " \t\r")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("parse MTA-STS policy: line %.40q", line)
		}
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		if key == "mx" {
			if !validPattern(value) {
				return nil, fmt.Errorf("parse MTA-STS policy: mx %.40q", value)
			}
			p.MX = append(p.MX, strings.ToLower(value))
		} else if _, double := seen[key]; !double {
			seen[key] = value
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("parse MTA-STS policy: %w", err)
	}
	return p, p.complete(seen)
}

func (p *STSPolicy) complete(seen map[string]string) error {
	if seen["version"] != "STSv1" {
		return fmt.Errorf("parse MTA-STS policy: version %.40q", seen["version"])
	}
	switch p.Mode = STSMode(seen["mode"]); p.Mode {
	case STSEnforce, STSTesting:
		if len(p.MX) == 0 {
			return errors.New("parse MTA-STS policy: no mx")
		}
	case STSNone:
	default:
		return fmt.Errorf("parse MTA-STS policy: mode %.40q", seen["mode"])
	}
	age, err := strconv.ParseUint(seen["max_age"], 10, 63)
	if err != nil || len(seen["max_age"]) > 10 {
		return fmt.Errorf("parse MTA-STS policy: max_age %.40q", seen["max_age"])
	}
	p.MaxAge = min(time.Duration(min(age, 1<<32))*time.Second, maxMaxAge)
	return nil
}

func validPattern(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if s == "" || len(s) > 253 || s[0] == '.' || s[len(s)-1] == '.' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_')
	}) && !strings.Contains(s, "..")
}

// Match reports whether the policy names a host. "*" stands for exactly one label
// (RFC 8461 §4.1).
func (p *STSPolicy) Match(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, pattern := range p.MX {
		if pattern == host {
			return true
		}
		if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
			if label, rest, found := strings.Cut(host, "."); found && label != "" && rest == suffix {
				return true
			}
		}
	}
	return false
}

// String is the policy as a file, one line each.
func (p *STSPolicy) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\nmode: %s\nmax_age: %d\n", p.Mode, int64(p.MaxAge/time.Second))
	for _, mx := range p.MX {
		fmt.Fprintf(&b, "mx: %s\n", mx)
	}
	return b.String()
}

// STS finds and remembers policies. The zero value, with a Resolver, works.
type STS struct {
	Resolver Resolver
	// HTTP fetches policies; a client with a time-out of 30 seconds where
	// nil. Redirects are never followed (RFC 8461 §3.3).
	HTTP *http.Client
	// Cache keeps policies over restarts; memory only where nil.
	Cache Cache
	// Log hears of policies that cannot be had, at most every five minutes for
	// each domain; nobody does where nil.
	Log *slog.Logger

	mu      sync.Mutex
	domains map[string]*stsDomain
}

// stsDomain is what is remembered of one domain, on disk as JSON.
type stsDomain struct {
	ID      string    `json:"id"`
	Policy  STSPolicy `json:"policy"`
	Expires time.Time `json:"expires"`
	Fetched time.Time `json:"fetched"`

	mu      sync.Mutex // one fetch at a time
	asked   bool       // the Cache was
	known   bool       // there is a policy
	checked time.Time  // when the DNS was asked last
	failed  time.Time  // when a fetch failed last
	problem error
}

const (
	recheck   = 5 * time.Minute // between two looks into the DNS
	afterFail = 5 * time.Minute // between two fetches, after one that failed
	refetch   = 24 * time.Hour  // between two fetches of a policy whose id stays
	afterMiss = time.Hour       // and after one of these that failed
	maxKnown  = 100000          // domains in memory
)

// Policy returns the policy in force for a domain, or nil. The error says why
// one that is announced could not be had; where an older one is still good, it
// is returned too.
func (s *STS) Policy(ctx context.Context, domain string) (*STSPolicy, error) {
	d := s.domain(domain)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.asked && s.Cache != nil { // which may be that of several servers, and take long: no other domain waits for it
		data, ok := s.Cache.Get("sts", domain)
		d.asked, d.known = true, ok && json.Unmarshal(data, d) == nil
	}
	now := time.Now()
	if d.known && !now.Before(d.Expires) {
		d.known = false
	}
	if now.Sub(d.checked) >= recheck || now.Before(d.checked) {
		d.problem = s.refresh(ctx, domain, d, now)
		var failed *fetchError
		if s.Log != nil && d.problem != nil && (d.known || errors.As(d.problem, &failed)) && ctx.Err() == nil {
			s.Log.Warn("MTA-STS policy cannot be had", "domain", domain, "known", d.known, "err", d.problem)
		}
	}
	if !d.known {
		return nil, d.problem
	}
	p := d.Policy
	return &p, d.problem
}

func (s *STS) domain(domain string) *stsDomain {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.domains[domain]
	if d == nil {
		if s.domains == nil || len(s.domains) >= maxKnown {
			s.domains = make(map[string]*stsDomain)
		}
		d = &stsDomain{}
		s.domains[domain] = d
	}
	return d
}

// refresh asks the DNS for the policy's id, and fetches the policy if it is
// another one than before, or once a day: who wants to keep us from the policy
// must do so for as long as it is good (RFC 8461 §3.3, §10.2). A policy that is
// known stays in force through every failure, until it expires.
func (s *STS) refresh(ctx context.Context, domain string, d *stsDomain, now time.Time) error {
	id, err := s.id(ctx, domain)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.checked = now
	if err != nil {
		return err
	}
	same, wait := d.known && id == d.ID, afterFail
	if id == "" || same && now.Sub(d.Fetched) < refetch {
		return nil
	}
	if same {
		wait = afterMiss
	}
	if now.Sub(d.failed) < wait && !d.failed.IsZero() {
		return d.problem
	}
	p, err := s.fetch(ctx, domain)
	if err != nil {
		d.failed = now
		return &fetchError{err}
	}
	d.ID, d.Policy, d.Expires, d.Fetched, d.known, d.failed = id, *p, now.Add(p.MaxAge), now, true, time.Time{}
	if s.Cache == nil {
		return nil
	}
	data, err := json.Marshal(d)
	if err == nil {
		err = s.Cache.Put(ctx, "sts", domain, data)
	}
	if err != nil {
		return fmt.Errorf("keep MTA-STS policy: %w", err)
	}
	return nil
}

// id returns the id of the domain's policy, or "" if it announces none
// (RFC 8461 §3.1).
func (s *STS) id(ctx context.Context, domain string) (string, error) {
	a, err := s.Resolver.TXT(ctx, "_mta-sts."+domain)
	if errors.Is(err, resolver.ErrNoName) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var found []string
	for _, txt := range a.Records {
		if v, rest, _ := strings.Cut(txt, ";"); strings.TrimSpace(v) == "v=STSv1" {
			found = append(found, rest)
		}
	}
	if len(found) != 1 {
		return "", nil // none, or several: there is no policy
	}
	for field := range strings.SplitSeq(found[0], ";") {
		if key, value, _ := strings.Cut(field, "="); strings.TrimSpace(key) == "id" {
			return strings.TrimSpace(value), nil
		}
	}
	return "", nil
}

func (s *STS) fetch(ctx context.Context, domain string) (*STSPolicy, error) {
	client := *publicClient()
	if s.HTTP != nil {
		client = *s.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	url := "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch MTA-STS policy: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch MTA-STS policy: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch MTA-STS policy: %s answers %s", url, resp.Status)
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t != "text/plain" {
		return nil, fmt.Errorf("fetch MTA-STS policy: %s is of type %.40q", url, t)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("fetch MTA-STS policy: %w", err)
	}
	if len(data) > maxPolicy {
		return nil, fmt.Errorf("fetch MTA-STS policy: %s is longer than %d octets", url, maxPolicy)
	}
	p, err := ParseSTSPolicy(data)
	if err != nil {
		return nil, &invalidPolicy{err}
	}
	return p, nil
}

// fetchError is a policy that is announced and could not be had.
type fetchError struct{ error }

func (e *fetchError) Unwrap() error { return e.error }

// invalidPolicy is a policy that was fetched and is none.
type invalidPolicy struct{ error }
