package daemon

import (
	"fmt"
	"log/slog"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/preferences"
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
	names       listed
	anySealed   bool // a mailbox is
}

// newState builds a state. old, if not nil, hands on what must outlive a
// reload.
func newState(s *conf.Settings, kept *preferences.Store, old *state, log *slog.Logger) (*state, error) {
	if old == nil {
		old = &state{}
	}
	st := &state{settings: s, dir: accounts.NewDirectory(s)}
	st.rules, st.verify = newRules(s, st.dir), verification(s, old.verify, log)
	st.scan, st.milters = scanning(s), milters(s)
	st.site = newSite(s)
	var err error
	if st.mail, err = s.MailRules(); err != nil {
		return nil, err
	}
	st.mail.Resume(old.mail)
	if st.mechanisms, err = sasl.Named(s.Auth.Mechanisms...); err != nil {
		return nil, fmt.Errorf("auth mechanisms: %w", err)
	}
	if st.tls, err = loadCertificates(s, log); err != nil {
		return nil, err
	}
	if st.issuer, err = newIssuer(s, old.issuer, log); err != nil {
		return nil, err
	}
	st.names, st.anySealed = newListed(s, st.dir), anySealed(st.dir)
	st.credentials, err = accounts.New(s, st.dir, kept, old.credentials, log)
	return st, err
}
