package daemon

import (
	"fmt"
	"log/slog"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/cipher/seal"
	"github.com/postrider-mail/postrider/internal/conf"
)

// state is everything that follows from one set of settings. A reload makes a
// whole new one and puts it in place of the old one at once, or not at all.
type state struct {
	settings    *conf.Settings
	dir         *directory
	credentials *credentials
	mechanisms  []sasl.Mechanism
	tls         *certs.TLS // of files; nil if there are none
	issuer      *issuer    // nil if the settings ask for none
}

// newState builds a state. old, if not nil, hands on what must outlive a
// reload: counted guesses and remembered passwords.
func newState(s *conf.Settings, old *state, log *slog.Logger) (*state, error) {
	st := &state{settings: s, dir: newDirectory(s)}
	var err error
	if st.mechanisms, err = sasl.Named(s.Auth.Mechanisms...); err != nil {
		return nil, fmt.Errorf("auth mechanisms: %w", err)
	}
	if st.tls, err = loadCertificates(s, log); err != nil {
		return nil, err
	}
	var before *issuer
	if old != nil {
		before = old.issuer
	}
	if st.issuer, err = newIssuer(s, before, log); err != nil {
		return nil, err
	}
	if st.credentials, err = newCredentials(st.dir, s.SecretKeyFile); err != nil {
		return nil, err
	}
	c := st.credentials
	c.log = log
	if old == nil {
		c.throttle = newThrottle(throttleRates(s))
		c.verifier = newVerifier(s)
		if c.decoy, err = newDecoy(s.SecretKeyFile); err != nil {
			return nil, err
		}
		c.doubles = newDoubles(c)
		return st, nil
	}
	c.throttle, c.verifier, c.decoy = old.credentials.throttle, old.credentials.verifier, old.credentials.decoy
	c.doubles = newDoubles(c)
	c.throttle.setRates(throttleRates(s))
	if old.settings.Auth.CacheTime != s.Auth.CacheTime {
		c.verifier = newVerifier(s)
	}
	return st, nil
}

func throttleRates(s *conf.Settings) (perBlock, perAccount rate) {
	return over(s.Auth.MaxFailuresPerAddress, s.Auth.FailureWindow), over(s.Auth.MaxFailuresPerAccount, s.Auth.FailureWindow)
}

// newDecoy makes the secrets of accounts that do not exist from the server's
// key, so that a restart does not change them: a salt that changes would tell
// who probes that nobody is there.
func newDecoy(keyFile string) (*sasl.Decoy, error) {
	key, _, err := seal.EnsureKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	seed, err := key.Derive("sasl decoy")
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return sasl.NewDecoy(seed), nil
}

func newVerifier(s *conf.Settings) *passwd.Verifier {
	v := &passwd.Verifier{RememberFor: s.Auth.CacheTime}
	if s.Auth.CacheTime == 0 {
		v.Remember = -1
	}
	return v
}
