// Package ldap asks an LDAP directory (RFC 4511) who has an address and whether a password is right. The second is
// asked by a bind as the entry, and in no other way: directories give no hashes away.
//
//   - ldap.go finds entries and binds;
//   - name.go puts the name of a user into a filter or a DN, where no character of it means anything;
//   - pool.go keeps connections, few of them, and opens those again that have died while nobody used them.
//
// Nothing here is remembered but connections: who asks often remembers answers (internal/accounts).
package ldap

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ldap3 "github.com/go-ldap/ldap/v3"
)

// ErrWrong: the directory answered, and the password is not that of the entry. Every other error means that it could not
// be found out.
var ErrWrong = errors.New("ldap: the password is not that of the entry")

// Config is a directory and what is asked of it. It must not change once a Directory is made of it.
type Config struct {
	URL      string      // "ldap://host:389", "ldaps://host", "ldapi:///run/slapd/ldapi"
	StartTLS bool        // of ldap://
	TLS      *tls.Config // for ldaps and StartTLS: the authorities; its ServerName is that of the URL where it has none
	// BindDN and BindPassword are the service account that searches; without them that is nobody (anonymous).
	BindDN, BindPassword string
	// UserDN is the DN of a user's entry, with marks for the name (see Name). Without it, the entry is searched.
	UserDN string
	Base   string // where the search begins
	Filter string // with marks for the name
	// Address is the attribute with the address of the entry's mailbox, Quota that of what it may hold, "" for none.
	Address, Quota string

	Timeout     time.Duration // of one question and its answer, all in all
	Connections int           // at a time
	Idle        time.Duration // for how long a connection without a question is kept
}

// Entry is what a directory knows of a user.
type Entry struct {
	DN        string
	Addresses []string // the values of Config.Address
	Quota     string   // the value of Config.Quota, "" for none
}

// Directory asks one. It may be used concurrently.
type Directory struct {
	c    Config
	pool *pool
}

// New makes a Directory, which connects when it is asked something.
func New(c Config) (*Directory, error) {
	p, err := newPool(&c)
	if err != nil {
		return nil, err
	}
	return &Directory{c: c, pool: p}, nil
}

// Close ends the connections that are not in use; those in use end after their question.
func (d *Directory) Close() { d.pool.close() }

// Question is what the directory is asked to find a user, for people.
func (d *Directory) Question(n Name) string {
	if d.c.UserDN != "" {
		return "the entry " + n.inDN(d.c.UserDN)
	}
	return "below " + d.c.Base + ": " + n.inFilter(d.c.Filter)
}

// Find returns the entry of a user; nil if there is none. That there are several is an error: a login must not be one
// of them by chance.
func (d *Directory) Find(ctx context.Context, n Name) (*Entry, error) {
	req := &ldap3.SearchRequest{
		BaseDN: d.c.Base, Scope: ldap3.ScopeWholeSubtree, DerefAliases: ldap3.NeverDerefAliases, SizeLimit: 2,
		TimeLimit: int(max(1, d.c.Timeout/time.Second)), Filter: n.inFilter(d.c.Filter), Attributes: []string{"1.1"},
	}
	if d.c.UserDN != "" {
		req.BaseDN, req.Scope, req.Filter = n.inDN(d.c.UserDN), ldap3.ScopeBaseObject, "(objectClass=*)"
	}
	for _, a := range []string{d.c.Address, d.c.Quota} {
		if a != "" {
			req.Attributes = append(slices.DeleteFunc(req.Attributes, func(s string) bool { return s == "1.1" }), a)
		}
	}
	var found *ldap3.SearchResult
	err := d.pool.use(ctx, asService, func(c *ldap3.Conn) (err error) { found, err = c.Search(req); return err })
	switch {
	case d.c.UserDN != "" && ldap3.IsErrorAnyOf(err, ldap3.LDAPResultNoSuchObject, ldap3.LDAPResultInvalidDNSyntax):
		return nil, nil
	case ldap3.IsErrorWithCode(err, ldap3.LDAPResultSizeLimitExceeded), err == nil && len(found.Entries) > 1:
		return nil, fmt.Errorf("ldap: several entries fit %s; make the filter narrower", d.Question(n))
	case err != nil:
		return nil, explain("look for "+d.Question(n), err)
	case len(found.Entries) == 0 || found.Entries[0].DN == "":
		// References to other directories (RFC 4511 §4.5.3) are not followed: they name hosts that nobody here chose, and Active Directory
		// gives some with every answer.
		return nil, nil
	}
	e := found.Entries[0]
	entry := &Entry{DN: e.DN, Addresses: e.GetEqualFoldAttributeValues(d.c.Address)}
	if d.c.Quota != "" {
		entry.Quota = e.GetEqualFoldAttributeValue(d.c.Quota)
	}
	return entry, nil
}

// Check finds out whether a password is that of an entry. The error is ErrWrong, or why it could not be found out.
//
// A bind without a password succeeds at many directories whatever the DN is (RFC 4513 §5.1.2, "unauthenticated"), and one without a DN
// whatever the password is; a NUL ends a password for some. Such are wrong without a question.
func (d *Directory) Check(ctx context.Context, dn string, password []byte) error {
	if dn == "" || len(password) == 0 || slices.Contains(password, 0) {
		return ErrWrong
	}
	err := d.pool.use(ctx, asUser, func(c *ldap3.Conn) error { return c.Bind(dn, string(password)) })
	if ldap3.IsErrorAnyOf(err, wrong...) {
		return ErrWrong
	}
	if err != nil {
		return explain("bind as "+dn, err)
	}
	return nil
}

// wrong are the answers to a bind that are about the entry and its password: also that the entry is locked, has no password, or has just been
// taken out.
var wrong = []uint16{
	ldap3.LDAPResultInvalidCredentials, ldap3.LDAPResultNoSuchObject, ldap3.LDAPResultInvalidDNSyntax, ldap3.LDAPResultInappropriateAuthentication,
	ldap3.LDAPResultUnwillingToPerform, ldap3.LDAPResultConstraintViolation, ldap3.LDAPResultInsufficientAccessRights,
}

// Pretend asks as much as Check does, for a name that nobody has: as many questions go to the directory, so that the time it takes
// does not tell who is there. The error is ErrWrong, or why it could not be asked.
func (d *Directory) Pretend(ctx context.Context, password []byte) error {
	if len(password) == 0 || slices.Contains(password, 0) {
		return ErrWrong
	}
	_, below, _ := strings.Cut(d.c.UserDN, ",")
	if d.c.UserDN == "" {
		below = d.c.Base
	}
	err := d.Check(ctx, "cn=nobody-"+strings.ToLower(rand.Text())+","+below, password)
	if err == nil {
		return ErrWrong
	}
	return err
}

// Try connects and logs in as the service account.
func (d *Directory) Try(ctx context.Context) error {
	return d.pool.use(ctx, asService, func(c *ldap3.Conn) error {
		// Something has to be asked: an anonymous connection has said nothing so far.
		_, err := c.Search(&ldap3.SearchRequest{Scope: ldap3.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"1.1"}, SizeLimit: 1})
		if ldap3.IsErrorAnyOf(err, ldap3.LDAPResultNoSuchObject, ldap3.LDAPResultInsufficientAccessRights) {
			return nil // it answers, and shows nobody what it can do
		}
		return err
	})
}

// explain says of an error what was being done; what came from the directory is quoted and short.
func explain(doing string, err error) error {
	var e *ldap3.Error
	var away *Unreachable
	switch {
	case errors.As(err, &away):
		return away
	case isDead(err):
		return &Unreachable{doing, err}
	case errors.As(err, &e) && e.ResultCode == ldap3.LDAPResultReferral:
		return fmt.Errorf("ldap: %s: the directory sends us to another one (a referral), which is not followed", doing)
	case errors.As(err, &e) && e.ResultCode < ldap3.ErrorNetwork:
		return fmt.Errorf("ldap: %s: the directory says %q (%d)", doing, ldap3.LDAPResultCodeMap[e.ResultCode], e.ResultCode)
	}
	return fmt.Errorf("ldap: %s: %w", doing, err)
}
