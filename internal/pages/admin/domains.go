package admin

import (
	"context"
	"net/url"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Domains sees and changes the domains whose mail is kept here. Errors are as those of Accounts; the field is "name".
type Domains interface {
	Domains(ctx context.Context, s Slice) (part []Domain, next string, err error)
	Domain(ctx context.Context, name string) (Domain, error)
	// AddDomain has the mail of a domain kept here, and returns its canonical name.
	AddDomain(ctx context.Context, name string) (string, error)
	// BlockDomain blocks all its accounts, or lets them in again.
	BlockDomain(ctx context.Context, name, stamp string, block bool) error
	// LimitDomain says what each mailbox may hold, or all together: a size, or empty for what holds elsewhere. The fields are "quota" and "total".
	LimitDomain(ctx context.Context, name, stamp string, together bool, size string) error
	// RemoveDomain removes one that nobody has an address in.
	RemoveDomain(ctx context.Context, name, stamp string) error
}

// Domain is one whose mail is kept here.
type Domain struct {
	Name              string
	Stamp             string
	Accounts, Aliases int
	Blocked           bool
	Own               bool   // it is the server's name, which cannot go
	CatchAll          string // who gets what nobody else takes
	Quota, Total      string // of each mailbox, and of all together, in words
	OwnQuota          string // of each mailbox as it is written for this domain; empty: as elsewhere
	OwnTotal          string
	From              string // where it stands; empty: it is here by its accounts
}

func (s Server) domainPages() []pages.Page {
	return []pages.Page{
		{Path: "domains", Menu: "Domains", Title: "Domains", Template: "domains.html", Show: s.domains, Do: map[string]pages.Action{"add": s.addDomain}},
		{Path: "domains/{address}", Title: "Domain", Template: "domain.html", Show: s.domain, Do: map[string]pages.Action{
			"remove":  s.removeDomain,
			"quota":   func(r *pages.Request) error { return s.limitDomain(r, "quota", false) },
			"total":   func(r *pages.Request) error { return s.limitDomain(r, "total", true) },
			"block":   func(r *pages.Request) error { return s.blockDomain(r, true) },
			"unblock": func(r *pages.Request) error { return s.blockDomain(r, false) },
		}},
	}
}

// domainsData is what the list shows.
type domainsData struct {
	Slice
	Rows  []Domain
	Pager pages.Pager
}

func (s Server) domains(r *pages.Request) (any, error) {
	d := domainsData{Slice: slice(r)}
	rows, next, err := s.Domains.Domains(r.Context(), d.Slice)
	d.Rows, d.Pager = rows, r.Pager(next, "")
	return d, err
}

// domainData is what the page of a domain shows.
type domainData struct {
	Domain
	DNS bool // there is a page about what the DNS has of it
}

func (s Server) domain(r *pages.Request) (any, error) {
	d, err := s.Domains.Domain(r.Context(), r.PathValue("address"))
	return domainData{d, s.DNS != nil}, err
}

func (s Server) addDomain(r *pages.Request) error {
	name, err := s.Domains.AddDomain(r.Context(), r.Form.Value("name"))
	if err != nil {
		return refused(r, err)
	}
	r.Done("Mail for "+name+" is kept here from now on. It comes once the DNS leads here.", "domain", name)
	r.Next = "domains/" + url.PathEscape(name)
	return nil
}

func (s Server) blockDomain(r *pages.Request, block bool) error {
	name, stamp := target(r)
	if block && r.Form.Value("sure") == "" {
		r.Form.Wrong("block", "Block "+name+"? Nobody of it can log in then; mail still comes, and stays.")
		return nil
	}
	if err := s.Domains.BlockDomain(r.Context(), name, stamp, block); err != nil {
		return refused(r, err)
	}
	said := "The accounts of " + name + " can log in again."
	if block {
		said = "Nobody of " + name + " can log in any more. Mail still comes, and stays."
	}
	r.Done(said, "domain", name)
	return nil
}

func (s Server) limitDomain(r *pages.Request, field string, together bool) error {
	name, stamp := target(r)
	size := r.Form.Value(field)
	if err := s.Domains.LimitDomain(r.Context(), name, stamp, together, size); err != nil {
		return refused(r, err)
	}
	r.Done("The mailboxes of "+name+" have another limit.", "domain", name, field, size)
	return nil
}

func (s Server) removeDomain(r *pages.Request) error {
	name, stamp := target(r)
	if r.Form.Value("sure") == "" {
		r.Form.Wrong("sure", "Remove "+name+"? Mail for it is refused then.")
		return nil
	}
	if err := s.Domains.RemoveDomain(r.Context(), name, stamp); err != nil {
		return refused(r, err)
	}
	r.Done(name+" is removed.", "domain", name)
	r.Next = "domains"
	return nil
}
