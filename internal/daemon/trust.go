package daemon

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/filter"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/reports"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/internal/zone"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp/dmarc"
)

// openTrust makes what judges mail of strangers and what signs that of users. Both are
// there whatever the settings say: a reload may switch them on. Keys that cannot be
// read do not keep mail from flowing.
func (d *Daemon) openTrust(s *conf.Settings) {
	var err error
	if d.keys, err = OpenKeys(s, sign.DNS{Resolver: d.dns}, d.log); err != nil {
		d.log.Error("mail is not signed", "err", err)
	}
	d.verifier = &verify.Verifier{
		Resolver: d.dns,
		Rules:    func() *verify.Rules { return d.state().verify },
		Observe:  d.observe,
		Answered: d.metrics.Answered,
		Greylist: d.openGreylist(s),
		Log:      d.log,
	}
	d.filter = &filter.Filter{Rules: func() *rules.Set { return d.state().mail }, Verifier: d.verifier}
}

// OpenKeys opens the keys that sign mail by these settings. watcher may be nil for who
// does not run the ring. As sign.Open does, it returns a ring beside an error.
func OpenKeys(s *conf.Settings, watcher sign.Watcher, log *slog.Logger) (*sign.Ring, error) {
	return sign.Open(filepath.Join(s.DataDir, "dkim"), signing(s), watcher, log)
}

// keepAfterQueue is how much longer than any queue a signature is good, and the record of
// a key that signs no more is needed: users may have had the message held, and who gets it
// may look at it late.
const keepAfterQueue = post.LongestHold + 7*24*time.Hour

// signing is what one set of settings says about signatures.
func signing(s *conf.Settings) sign.Settings {
	longest := s.Queue.ExpireAfter
	for _, q := range s.Queue.Domains {
		longest = max(longest, q.ExpireAfter)
	}
	out := sign.Settings{Ed25519: s.DKIM.Ed25519, Rotate: s.DKIM.Rotate, Require: s.DKIM.Require,
		Keep: longest + keepAfterQueue, Selectors: make(map[domains.Name][]string)}
	for name, d := range s.Domains {
		if d != nil && len(d.DKIMSelectors) > 0 {
			out.Selectors[domains.Canonical(name)] = d.DKIMSelectors
		}
	}
	if !s.DKIM.Sign {
		return out
	}
	for _, name := range s.Book().Domains() {
		// Nobody can publish a key for a literal, or for a name of one label.
		if strings.Contains(name.String(), ".") && !name.IsLiteral() {
			out.Domains = append(out.Domains, name)
		}
	}
	return out
}

// verification is what one set of settings says about mail of strangers; nil: nothing
// is looked at. old is what held before, whose lists go on as they are where they are the same.
func verification(s *conf.Settings, old *verify.Rules, log *slog.Logger) *verify.Rules {
	if !s.Verify.Check {
		return nil
	}
	local := make(map[domains.Name]bool)
	for _, d := range s.Book().Domains() {
		local[d] = true
	}
	r := &verify.Rules{
		Name:       canonical(s.ServerName),
		DMARC:      verify.Action(s.Verify.DMARC),
		OwnDomains: verify.Action(s.Verify.OwnDomains),
		NoAuthor:   verify.Action(s.Verify.NoAuthor),
		SPF:        verify.Action(s.Verify.SPF),
		Softest:    make(map[domains.Name]verify.Action),
		OtherMX:    s.DNS.OtherMX,
		IsOwn:      func(d domains.Name) bool { return local[d] },
	}
	defend(r, s, old, log)
	for name, d := range s.Domains {
		if d != nil && d.Verify != "" {
			r.Softest[domains.Canonical(name)] = verify.Action(d.Verify)
		}
	}
	for _, f := range s.Verify.Forwarders {
		if p, ok := conf.ForwarderNetwork(f); ok {
			r.Forwarders = append(r.Forwarders, p)
		} else {
			r.ForwardingHosts.Set(f, true)
		}
	}
	return r
}

// KeyRequest names a DKIM key, and for an import what is in its file.
type KeyRequest struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector,omitempty"`
	File     string `json:"file,omitempty"` // the text of the private key
}

// keyCommands adds what can be asked about DKIM keys.
func (d *Daemon) keyCommands(mux *http.ServeMux) {
	mux.HandleFunc("POST /dkim/list", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, d.keys.Keys(), nil)
	})
	for _, action := range []string{"rotate", "import", "revoke"} {
		mux.HandleFunc("POST /dkim/"+action, func(w http.ResponseWriter, r *http.Request) {
			var request KeyRequest
			err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request)
			if err == nil {
				err = SteerKey(r.Context(), d.keys, action, request)
			}
			control.Answer(w, d.keys.Keys(), err)
		})
	}
}

// SteerKey does to a key what an operator wants, in the running server or beside one that
// does not run: "rotate", "import" or "revoke".
func SteerKey(ctx context.Context, ring *sign.Ring, action string, r KeyRequest) error {
	domain := domains.Canonical(r.Domain)
	switch action {
	case "rotate":
		return ring.Rotate(ctx, domain)
	case "revoke":
		return ring.Revoke(ctx, domain, r.Selector)
	}
	key, err := sign.ReadKey("the key", []byte(r.File))
	if err != nil {
		return err
	}
	return ring.Import(ctx, domain, r.Selector, key)
}

// Keys are DKIM keys as the zones of their domains should show them.
type Keys struct {
	All      []sign.Key
	Settings *conf.Settings // whose domains may have fixed selectors
}

// states are the phases of a key in the terms of what the DNS shows.
var states = map[sign.Phase]zone.KeyState{sign.Announced: zone.Announced, sign.Signing: zone.Signing, sign.Retired: zone.Retired, sign.Revoked: zone.Gone}

// DKIMKeys implements zone.Keys.
func (k Keys) DKIMKeys(domain string) (all []zone.Key, err error) {
	used := make(map[string]bool)
	for _, key := range k.All {
		state, ok := states[key.Phase]
		if !ok || key.Domain.String() != domain {
			continue
		}
		used[key.Selector] = true
		if state == zone.Announced && !k.Settings.DKIM.Sign {
			continue // it will never sign
		}
		all = append(all, zone.Key{Domain: domain, Selector: key.Selector, Value: key.Record(), State: state})
	}
	for _, s := range signing(k.Settings).Selectors[domains.Canonical(domain)] {
		if !used[s] {
			all = append(all, zone.Key{Domain: domain, Selector: s, State: zone.Reserved})
		}
	}
	return all, nil
}

// trustProblems says what keeps mail from being signed or strangers from being judged, and mail of others from coming
// over TLS.
func (d *Daemon) trustProblems() (all []string) {
	all = d.keys.Problems()
	if err := d.verifier.Problem(); err != nil {
		all = append(all, err.Error())
	}
	all = append(append(all, d.policies.Problems()...), d.listProblems()...)
	return append(all, d.doubted.problems()...)
}

// reportable is what a report about DMARC says of a message.
func reportable(v *verify.Verdict) reports.Result {
	o := &v.DMARC
	r := reports.Result{
		Domain: o.RecordDomain, Disposition: disposition(v), DKIM: o.DKIM.Aligned, SPF: o.SPF.Aligned,
		From: o.Domain, SPFDomain: v.SPF.Domain, SPFResult: v.SPF.Result.String(),
	}
	for _, to := range v.To {
		r.Recipients = append(r.Recipients, to.Path.Address().String())
	}
	r.Source, _ = netip.ParseAddr(v.Client.Addr)
	if i := strings.LastIndexByte(v.From, '@'); i >= 0 {
		r.Envelope = canonical(v.From[i+1:])
	}
	if v.Override != "" {
		r.Overrides = []reports.Override{{Type: v.Override}}
	}
	for i := range v.DKIM {
		s := &v.DKIM[i]
		r.Signatures = append(r.Signatures, reports.Signature{Domain: s.Domain, Selector: s.Selector, Result: string(s.Status)})
	}
	if p := o.Record; p != nil {
		r.Policy = reports.Policy{P: string(p.P), SP: string(p.SP), NP: string(p.NP), FO: p.FO, ADKIM: mode(p.StrictDKIM), ASPF: mode(p.StrictSPF), Testing: p.Testing}
		for _, u := range p.RUA {
			if u.Address != "" {
				r.Wanted = append(r.Wanted, reports.Destination{Address: u.Address, MaxSize: u.MaxSize})
			}
		}
	}
	return r
}

// disposition is what was done with a message, in the words of RFC 9990.
func disposition(v *verify.Verdict) string {
	switch {
	case v.DMARC.Result == dmarc.Pass:
		return "pass"
	case v.Action == verify.Refuse:
		return "reject"
	case v.Marked():
		return "quarantine"
	}
	return "none"
}

func mode(strict bool) string {
	if strict {
		return "s"
	}
	return "r"
}
