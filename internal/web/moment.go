package web

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/smtp/queue"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// Moment is what is so when it is asked for.
type Moment struct {
	Version                     string // of the program
	Connections, MaxConnections int
	Healthy                     bool
	Queue                       *queue.Counters // nil: no mail leaves
	Rooms                       []Room
	Certificates                []Certificate
	DNS                         resolver.Stats
	Keys                        map[string]int // of DKIM, how many there are in each phase
	KeysInTrouble               int
	AuthorityTroubles           int64          // how often an authority has complained of something, or could not be reached
	Full                        int            // mailboxes that are nearly full
	Listed                      int            // addresses and domains of this host that a DNS list has
	Lockouts                    int            // accounts and networks whose logins are not checked for now
	Throttled                   int64          // logins that were not checked, since the start
	Elsewhere                   []Place        // who keep accounts, or answer for logins
	Limited                     map[string]int // those who have met a limit and for whom nothing is taken now, by post.Kinds
	Store                       durable.Stats
	StoreFailed                 bool  // a sync has failed, and nothing more is taken
	Signed, Unsigned            int64 // messages of our domains
	LeftOut                     int64 // lines of the log about strangers
	// Records is how many faults the last look at the DNS has found, by the type of the record, and Looked when that
	// was; zero: not yet.
	Records map[string]int
	Looked  time.Time
}

// Room is what is free on the disk of a directory.
type Room struct {
	Dir           string // the setting that names it
	Octets, Files int64
	Short         bool // less than what is kept free
}

// Place is somebody who keeps accounts, or answers for logins.
type Place struct {
	Name          string
	Away          bool
	Asked, Failed int64
}

// Certificate is one in use, or one that is waited for.
type Certificate struct {
	Name     string
	NotAfter time.Time // zero: it is not there yet
	Trouble  bool      // an authority was asked for it in vain
}

// maxCertificates bounds the series about certificates. Those that end first are shown.
const maxCertificates = 200

// moments collects what is so.
type moments struct{ now func() Moment }

// fact is one value of a Moment, and how it is shown.
type fact struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value float64
	label []string
	// histogram, if not nil, is shown in place of value
	histogram *histogram
}

// histogram is a number of observations with their sum, and how many were not above each bound.
type histogram struct {
	count  uint64
	sum    float64
	counts map[float64]uint64
}

// Describe implements prometheus.Collector: it says nothing, and what is collected is checked
// when it is.
func (c moments) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c moments) Collect(to chan<- prometheus.Metric) {
	m := c.now()
	for _, f := range slices.Concat(m.host(), m.store(), m.queue(), m.certificates(), m.dns()) {
		for i, value := range f.label {
			f.label[i] = strings.ToValidUTF8(value, "?") // else all that is shown would fail
		}
		if h := f.histogram; h != nil {
			to <- prometheus.MustNewConstHistogram(f.desc, h.count, h.sum, h.counts, f.label...)
			continue
		}
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value, f.label...)
	}
}

func gaugeOf(name, help string, v float64) fact {
	return fact{desc: prometheus.NewDesc(namespace+"_"+name, help, nil, nil), kind: prometheus.GaugeValue, value: v}
}

// by is a fact under one label.
func (f fact) by(label, value, name, help string) fact {
	f.desc, f.label = prometheus.NewDesc(namespace+"_"+name, help, []string{label}, nil), []string{value}
	return f
}

func gaugeBy(label, value, name, help string, v float64) fact {
	return fact{kind: prometheus.GaugeValue, value: v}.by(label, value, name, help)
}

func counterOf(name, help string, v int64) fact {
	f := gaugeOf(name, help, float64(v))
	f.kind = prometheus.CounterValue
	return f
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *Moment) host() (all []fact) {
	build := prometheus.NewDesc(namespace+"_build_info", "The program that runs.", []string{"version", "goversion"}, nil)
	all = append(all,
		fact{desc: build, kind: prometheus.GaugeValue, value: 1, label: []string{m.Version, runtime.Version()}},
		gaugeOf("connections", "Connections of mail now, of all listeners.", float64(m.Connections)),
		gaugeOf("connections_limit", "How many there can be.", float64(m.MaxConnections)),
		gaugeOf("healthy", "Whether mail can be taken.", bit(m.Healthy)),
		gaugeOf("auth_lockouts", "Accounts and networks whose logins are not checked for now.", float64(m.Lockouts)),
		counterOf("auth_throttled_total", "Logins that were not checked, as too many had failed.", m.Throttled),
		counterOf("log_lines_dropped_total", "Lines about strangers that were left out of the log.", m.LeftOut))
	for _, whose := range post.Kinds {
		all = append(all, gaugeBy("whose", whose, "limits_met", "How many have met a limit and are refused for now; 100 of all at most.", float64(m.Limited[whose])))
	}
	for result, n := range map[string]int64{"signed": m.Signed, "unsigned": m.Unsigned} {
		f := counterOf("", "", n).by("result", result, "dkim_signatures_total", "Messages of our domains that leave: signed, and not signed though they should be.")
		all = append(all, f)
	}
	for _, p := range m.Elsewhere {
		asked, failed := counterOf("", "", p.Asked), counterOf("", "", p.Failed)
		all = append(all,
			gaugeBy("place", p.Name, "accounts_elsewhere_away", "Whether somebody who keeps accounts, or answers for logins, does not answer now.", bit(p.Away)),
			asked.by("place", p.Name, "accounts_elsewhere_questions_total", "What they were asked."),
			failed.by("place", p.Name, "accounts_elsewhere_failed_total", "What of it they did not answer, or not so that it could be used."))
	}
	for _, r := range m.Rooms {
		all = append(all,
			gaugeBy("directory", r.Dir, "store_free_octets", "What is free on the disk of a directory.", float64(r.Octets)),
			gaugeBy("directory", r.Dir, "store_free_files", "How many files can be made there (inodes).", float64(r.Files)),
			gaugeBy("directory", r.Dir, "store_short", "Whether less is free than is to be kept free, so that no mail is taken.", bit(r.Short)))
	}
	for _, phase := range []string{"announced", "signing", "retired", "revoked"} {
		all = append(all, gaugeBy("phase", phase, "dkim_keys", "DKIM keys, by where they are in their lives.", float64(m.Keys[phase])))
	}
	all = append(all, counterOf("acme_failures_total", "How often an authority for certificates has complained of something, or could not be reached.", m.AuthorityTroubles))
	return append(all, gaugeOf("dkim_keys_troubled", "DKIM keys that are not used or not seen in the DNS though they should be.", float64(m.KeysInTrouble)))
}

// store is what the disks have done, and how long it took.
func (m *Moment) store() []fact {
	s := &m.Store
	took := gaugeOf("store_sync_seconds", "How long it took to make what several wait for durable, by one sync.", 0)
	took.histogram = histogramOf(durable.SyncBounds[:], s.Syncs[:], s.Took)
	return []fact{
		gaugeOf("store_full_mailboxes", "Mailboxes that hold 90 % or more of what they may, of those that mail has come for.", float64(m.Full)),
		counterOf("store_commits_total", "Changes of mailboxes, queue and other files that are on stable storage.", s.Commits),
		counterOf("store_commits_failed_total", "Changes that could not be made, or not durable.", s.Failed),
		counterOf("store_sync_waits_total", "How many waited for the syncs; by the number of these it is how many share one.", s.Waits),
		gaugeOf("store_failed", "Whether a sync has failed, after which nothing is taken until the next start.", bit(m.StoreFailed)),
		took,
	}
}

// histogramOf is one of spans that were counted, those above the last bound in a place of their own.
func histogramOf(bounds []time.Duration, spans []int64, took time.Duration) *histogram {
	h := &histogram{sum: took.Seconds(), counts: make(map[float64]uint64)}
	for i, bound := range bounds {
		h.count += uint64(spans[i])
		h.counts[bound.Seconds()] = h.count
	}
	h.count += uint64(spans[len(bounds)])
	return h
}

func (m *Moment) queue() (all []fact) {
	q := m.Queue
	if q == nil {
		return nil
	}
	age := 0.0
	if !q.Oldest.IsZero() {
		age = max(0, time.Since(q.Oldest).Seconds())
	}
	for state, n := range map[string]int{"active": q.Active, "waiting": max(0, q.Entries-q.Held-q.Active), "held": q.Held, "corrupt": q.Corrupt} {
		all = append(all, gaugeBy("state", state, "queue_messages", "Messages that are to leave: attempts under way, waiting, held by the administrator, and put aside because they cannot be read.", float64(n)))
	}
	for class, c := range q.Classes {
		all = append(all, gaugeBy("class", class.String(), "queue_starving", "Whether mail of a class has waited for a place for more than a minute.", bit(c.Starving)))
	}
	return append(all,
		gaugeOf("queue_octets", "What the messages of the queue take.", float64(q.Octets)),
		gaugeOf("queue_oldest_seconds", "Age of the oldest message of the queue.", age),
		gaugeOf("queue_destinations", "Destinations that there is mail for.", float64(q.Destinations)),
		gaugeOf("queue_destinations_down", "Of these, how many could not be reached.", float64(q.Down)),
		counterOf("queue_accepted_total", "Messages that were queued.", q.Accepted))
}

func (m *Moment) certificates() (all []fact) {
	named := make(map[string]Certificate)
	for _, c := range m.Certificates { // of two for one name the one that ends first
		if old, ok := named[c.Name]; !ok || c.NotAfter.Before(old.NotAfter) {
			c.Trouble = c.Trouble || old.Trouble
			named[c.Name] = c
		}
	}
	var sorted []Certificate
	for _, c := range named {
		sorted = append(sorted, c)
	}
	slices.SortFunc(sorted, func(a, b Certificate) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Name, b.Name))
	})
	for _, c := range sorted[:min(len(sorted), maxCertificates)] {
		end := 0.0
		if !c.NotAfter.IsZero() {
			end = float64(c.NotAfter.Unix())
		}
		all = append(all,
			gaugeBy("name", c.Name, "tls_certificate_expiry_timestamp_seconds", "When a certificate ends; 0 where there is none yet.", end),
			gaugeBy("name", c.Name, "tls_certificate_trouble", "Whether an authority was asked for it in vain.", bit(c.Trouble)))
	}
	return all
}

// recordTypes are those that a look at the DNS is about.
var recordTypes = []string{"A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "MX", "NS", "PTR", "SOA", "SRV", "TLSA", "TXT"}

// records says of each type of record whether all is well. Before anybody has looked it is.
func (m *Moment) records() (all []fact) {
	rest := 0
	for kind, n := range m.Records {
		if !slices.Contains(recordTypes, kind) {
			rest += n
		}
	}
	for _, kind := range append(slices.Clone(recordTypes), other) {
		n := m.Records[kind]
		if kind == other {
			n = rest
		}
		all = append(all, gaugeBy("record", kind, "dns_check_ok", "Whether the last look at the records of our domains, as others see them, has found no fault.", bit(n == 0)))
	}
	at := 0.0
	if !m.Looked.IsZero() {
		at = float64(m.Looked.Unix())
	}
	return append(all, gaugeOf("dns_check_timestamp_seconds", "When the records of our domains were looked at last; 0: not yet.", at))
}

func (m *Moment) dns() []fact {
	s := &m.DNS
	all := m.records()
	for kind, a := range s.Answered {
		for result, n := range map[string]int64{"found": a.Found, "none": a.None, "failed": a.Failed} {
			f := counterOf("", "", n)
			f.desc, f.label = prometheus.NewDesc(namespace+"_dns_answers_total", "Questions that DNS servers were asked, by the type of the records and what came of it.", []string{"kind", "result"}, nil), []string{kind, result}
			all = append(all, f)
		}
	}
	took := gaugeOf("dns_lookup_seconds", "How long it took until DNS servers had answered a question.", 0)
	took.histogram = histogramOf(resolver.Bounds[:], s.Spans[:], s.Took)
	return append(all, []fact{
		counterOf("dns_lookups_total", "What was asked of the DNS, from memory or not.", s.Lookups),
		took,
		counterOf("dns_cache_hits_total", "Of these, what was known.", s.Hits),
		counterOf("dns_queries_total", "Messages sent to DNS servers.", s.Queries),
		counterOf("dns_failures_total", "Questions that no DNS server answered.", s.Failures),
		counterOf("dns_timeouts_total", "Queries that a DNS server left without an answer.", s.Timeouts),
		counterOf("dns_evicted_total", "Answers that were forgotten before their time.", s.Evicted),
		gaugeOf("dns_cache_entries", "Answers in memory.", float64(s.Entries)),
		gaugeOf("dnslist_own_entries", "Addresses and domains of this host that a DNS list of the settings has an entry about, as of the last look.", float64(m.Listed)),
		gaugeOf("dns_cache_octets", "What they take, about.", float64(s.Octets)),
	}...)
}
