package daemon

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/postrider-mail/postrider/cipher/acme"
	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/scan"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/internal/web"
	"github.com/postrider-mail/postrider/parsers/rules"
)

// state is everything that follows from one set of settings. A reload makes a
// whole new one and puts it in place of the old one at once, or not at all.
type state struct {
	settings    *conf.Settings
	dir         *accounts.Directory
	rules       *post.Rules
	verify      *verify.Rules  // nil: mail of strangers is not looked at
	mail        *rules.Set     // about mail that comes in
	scan        *scan.Settings // nil: nothing is scanned
	milters     []scan.Milter
	site        *web.Site // nil: nothing is served over HTTP
	credentials *accounts.Credentials
	mechanisms  []sasl.Mechanism
	tls         *certs.TLS // of files; nil if there are none
	issuer      *issuer    // nil if the settings ask for none
	names       *desk.Names
	anySealed   bool // a mailbox is
}

// newState builds a state. certificates are where servers have those of an authority together, nil for one that is alone. old, if not nil, hands on what must outlive a
// reload.
func newState(s *conf.Settings, kept *preferences.Store, certificates acme.Store, old *state, log *slog.Logger) (_ *state, err error) {
	if old == nil {
		old = &state{}
	}
	elsewhere, err := accounts.OpenElsewhere(s, old.elsewhere(), log)
	if err != nil {
		return nil, err
	}
	st := &state{settings: s, dir: accounts.NewDirectory(s).Beside(elsewhere)}
	defer func() {
		if err != nil {
			elsewhere.CloseBut(old.elsewhere())
		}
	}()
	st.rules, st.verify = newRules(s, st.dir), verification(s, old.verify, log)
	st.scan, st.milters = scanning(s), milters(s)
	st.site = published.Site(s)
	if st.mail, err = s.MailRules(); err != nil {
		return nil, err
	}
	st.mail.Resume(old.mail)
	if st.mechanisms, err = mechanisms(s); err != nil {
		return nil, fmt.Errorf("auth mechanisms: %w", err)
	}
	if st.tls, err = loadCertificates(s, log); err != nil {
		return nil, err
	}
	if st.issuer, err = newIssuer(s, old.issuer, certificates, log); err != nil {
		return nil, err
	}
	st.names, st.anySealed = desk.NewNames(s, st.dir), anySealed(st.dir)
	st.credentials, err = accounts.New(s, st.dir, kept, old.credentials, log)
	if err != nil {
		return nil, err
	}
	return st, nil
}

// elsewhere are the accounts of a state that others keep; nil: there are none.
func (st *state) elsewhere() *accounts.Elsewhere {
	if st.dir == nil {
		return nil
	}
	return st.dir.Elsewhere()
}

// mechanisms are those of the settings, and those that need no password where there is somebody who answers for them: a certificate costs
// the client nothing, so it comes first.
func mechanisms(s *conf.Settings) ([]sasl.Mechanism, error) {
	names := s.Auth.Mechanisms
	if s.Elsewhere.Certificates.CAFile != "" {
		names = append([]string{"EXTERNAL"}, names...)
	}
	if s.Elsewhere.OpenID.Issuer != "" {
		names = append(slices.Clip(names), "OAUTHBEARER", "XOAUTH2")
	}
	return sasl.Named(names...)
}

// knowing has EXTERNAL offered to those alone who have shown a certificate that counts.
func (d *Daemon) knowing(all []sasl.Mechanism) []sasl.Mechanism {
	all = slices.Clone(all)
	for i := range all {
		if m := &all[i]; m.Name == "EXTERNAL" {
			m.Fits = func(p *sasl.Peer) bool { return d.state().credentials.ShowsCertificate(p.TLS) }
		}
	}
	return all
}
