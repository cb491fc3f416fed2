package accounts

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts/ldap"
	"github.com/postrider-mail/postrider/internal/accounts/passwdfile"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// fileKeeper is a passwd-file.
type fileKeeper struct {
	file *passwdfile.File
	path string
	of   map[domains.Name]bool
}

func newFileKeeper(c conf.PasswdFile) *fileKeeper {
	k := &fileKeeper{file: passwdfile.New(c.File, cmp.Or(c.Scheme, "CRYPT"), domains.Canonical(c.Domains[0])), path: c.File, of: make(map[domains.Name]bool)}
	for _, d := range c.Domains {
		k.of[domains.Canonical(d)] = true
	}
	return k
}

func (k *fileKeeper) find(_ context.Context, address domains.Address) (*Known, error) {
	e, err := k.file.Find(address)
	if e == nil || err != nil {
		return nil, err
	}
	if _, err := conf.AccountAddress(e.Address.String()); err != nil {
		return nil, nil // "check" says so
	}
	return knownOf(e), nil
}

func knownOf(e *passwdfile.Entry) *Known {
	k := &Known{Address: e.Address, Quota: conf.Quota(e.Quota), Nets: e.Nets, Disabled: e.Disabled, Closed: e.Disabled || e.Stored == "", Problem: e.Problem, stored: e.Stored, Answer: "line " + strconv.Itoa(e.Line)}
	switch {
	case e.Problem != nil:
		k.Answer += ", with which nobody can log in: " + e.Problem.Error()
	case e.Disabled:
		k.Answer += ", which is closed to logins"
	case e.Stored == "":
		k.Answer += ", without a password"
	}
	return k
}

func (k *fileKeeper) check(context.Context, *Known, []byte) error { return sasl.ErrDenied }

// pretend: the cost of any password of the file will do.
func (k *fileKeeper) pretend(context.Context, []byte) (string, error) {
	all, err := k.file.All()
	for i := range all {
		if all[i].Stored != "" {
			return all[i].Stored, err
		}
	}
	return "none", err
}

func (k *fileKeeper) question(address domains.Address) string {
	return "the line of " + address.String() + " in " + k.path
}

func (k *fileKeeper) away(err error) bool { return err != nil }
func (k *fileKeeper) close()              {}

func (k *fileKeeper) try(context.Context) (string, error) {
	all, err := k.file.All()
	if err != nil {
		return "", err
	}
	var problems []error
	n := 0
	for i := range all {
		switch e := &all[i]; {
		case e.Problem != nil:
			problems = append(problems, fmt.Errorf("%s cannot log in: line %d: %w", e.Address, e.Line, e.Problem))
		case !k.of[e.Address.Domain()]:
			problems = append(problems, fmt.Errorf("%s counts for nothing: line %d: its domain is not among those of the file", e.Address, e.Line))
		default:
			if _, err := conf.AccountAddress(e.Address.String()); err != nil {
				problems = append(problems, fmt.Errorf("line %d: %w", e.Line, err))
				continue
			}
			n++
		}
	}
	return strconv.Itoa(n) + " accounts", errors.Join(problems...)
}

// ldapKeeper is a directory.
type ldapKeeper struct {
	dir       *ldap.Directory
	attribute string
	quota     string
}

// idles is for how long a connection to a directory is kept that nobody uses: firewalls forget them after minutes, some servers after one.
const idles = 30 * time.Second

func newLDAPKeeper(c conf.LDAP) (*ldapKeeper, error) {
	secure, err := clientTLS(c.CAFile)
	if err != nil {
		return nil, err
	}
	dir, err := ldap.New(ldap.Config{URL: c.URL, StartTLS: c.StartTLS, TLS: secure, BindDN: c.ServiceDN, BindPassword: string(c.ServicePassword),
		UserDN: c.UserDN, Base: c.Base, Filter: c.Filter, Address: c.AddressAttribute, Quota: c.QuotaAttribute,
		Timeout: c.Timeout, Connections: c.MaxConnections, Idle: idles})
	if err != nil {
		return nil, err
	}
	return &ldapKeeper{dir: dir, attribute: c.AddressAttribute, quota: c.QuotaAttribute}, nil
}

// clientTLS is how others are spoken to whose certificates the authorities of a file have signed; those of the system without one.
func clientTLS(caFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	roots, err := readRoots(caFile)
	c.RootCAs = roots
	return c, err
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in PEM form in %s", file)
	}
	return roots, nil
}

func nameOf(address domains.Address) ldap.Name {
	local, domain := address.Cut()
	return ldap.Name{Full: address.String(), Local: local, Domain: domain.String()}
}

func (k *ldapKeeper) find(ctx context.Context, address domains.Address) (*Known, error) {
	e, err := k.dir.Find(ctx, nameOf(address))
	if e == nil || err != nil {
		return nil, err
	}
	found := &Known{dn: e.DN}
	// The account is whom the directory says, and not whom somebody typed: a directory takes "Bob" and " bob" and more for one name.
	switch len(e.Addresses) {
	case 0:
		return nil, nil // somebody without a mailbox
	case 1:
		if found.Address, err = conf.AccountAddress(e.Addresses[0]); err != nil {
			return nil, fmt.Errorf("the entry %s: its %s is %w", e.DN, k.attribute, err)
		}
	default:
		// They have no order: which comes first may change from day to day.
		return nil, fmt.Errorf("the entry %s has several values of %s; address_attribute must name one that has one value", e.DN, k.attribute)
	}
	found.Answer = fmt.Sprintf("%s, %s: %s", e.DN, k.attribute, e.Addresses[0])
	if e.Quota != "" {
		if err := found.Quota.UnmarshalText([]byte(e.Quota)); err != nil {
			return nil, fmt.Errorf("the entry %s: its %s is no size: %w", e.DN, k.quota, err)
		}
		found.Answer += ", " + k.quota + ": " + e.Quota
	}
	return found, nil
}

func (k *ldapKeeper) check(ctx context.Context, who *Known, password []byte) error {
	err := k.dir.Check(ctx, who.dn, password)
	if errors.Is(err, ldap.ErrWrong) {
		return sasl.ErrDenied
	}
	return err
}

func (k *ldapKeeper) pretend(ctx context.Context, password []byte) (string, error) {
	err := k.dir.Pretend(ctx, password)
	if errors.Is(err, ldap.ErrWrong) {
		return "", nil
	}
	return "", err
}

func (k *ldapKeeper) question(address domains.Address) string { return k.dir.Question(nameOf(address)) }
func (k *ldapKeeper) close()                                  { k.dir.Close() }

func (k *ldapKeeper) away(err error) bool {
	var u *ldap.Unreachable
	return errors.As(err, &u)
}

func (k *ldapKeeper) try(ctx context.Context) (string, error) {
	if err := k.dir.Try(ctx); err != nil {
		return "", err
	}
	return "it answers", nil
}
