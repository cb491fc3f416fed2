package desk

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// aliasPages sees and changes aliases and domains for administrators.
type aliasPages struct{ *Desk }

// stampOfAlias changes with what an alias of the files leads to; empty: it stands in none.
func stampOfAlias(s *conf.Settings, at domains.Address) string {
	if !s.HasAlias(at) {
		return ""
	}
	return stampOf(s.AliasesAsWritten(at))
}

// Aliases implements admin.Aliases.
func (p aliasPages) Aliases(_ context.Context, s admin.Slice) (rows []admin.Alias, next string, err error) {
	st := p.Now()
	found, next := st.Names.aliases.part(s)
	for _, name := range found {
		rows = append(rows, admin.Alias{Address: name.String(), Targets: textsOf(st.Directory.Aliases()[name]), Default: !st.Names.written()[name]})
	}
	return rows, next, nil
}

func textsOf(targets []conf.Target) []string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.String()
	}
	return all
}

// Alias implements admin.Aliases.
func (p aliasPages) Alias(_ context.Context, address string) (admin.Alias, error) {
	st, name := p.Now(), domains.CanonicalAddress(address)
	stamp := stampOfAlias(st.Settings, name)
	if stamp == "" {
		return admin.Alias{}, pages.ErrNotFound
	}
	return admin.Alias{Address: name.String(), Stamp: stamp, Targets: st.Settings.AliasesAsWritten(name), From: st.Settings.WhereAlias(name)}, nil
}

// wrongAlias puts an error of an edit beside the field that it is about.
func wrongAlias(err error) error {
	if about := (*conf.TargetError)(nil); errors.As(err, &about) {
		return &admin.Wrong{Field: "targets", Why: err.Error()}
	}
	return &admin.Wrong{Field: "address", Why: err.Error()}
}

// AddAlias implements admin.Aliases.
func (p aliasPages) AddAlias(ctx context.Context, address string, targets []string) (string, error) {
	at, err := p.wholeAddress(address)
	if err != nil {
		return "", err
	}
	return at.String(), p.apply(ctx, change.Single(func(s *conf.Settings) (*conf.Edit, error) {
		if s.HasAlias(at) {
			return nil, &admin.Wrong{Field: "address", Why: at.String() + " is an alias already"}
		}
		e, err := s.AddAlias(p.Files.Configuration(), at, targets)
		if err != nil {
			return nil, wrongAlias(err)
		}
		return e, nil
	}))
}

// edit changes an alias that is as the page has shown it.
func (p aliasPages) edit(ctx context.Context, address, stamp string, edit func(*conf.Settings, domains.Address) ([]*conf.Edit, error)) error {
	at := domains.CanonicalAddress(address)
	running := stampOfAlias(p.Now().Settings, at)
	return p.apply(ctx, func(s *conf.Settings) ([]*conf.Edit, error) {
		is := stampOfAlias(s, at)
		if is == "" && running == "" {
			return nil, pages.ErrNotFound
		}
		if err := outdated(stamp, running, is); err != nil {
			return nil, err
		}
		return edit(s, at)
	})
}

// SetAlias implements admin.Aliases.
func (p aliasPages) SetAlias(ctx context.Context, address, stamp string, targets []string) error {
	return p.edit(ctx, address, stamp, func(s *conf.Settings, at domains.Address) ([]*conf.Edit, error) {
		edits, err := one(s.SetAlias(p.Files.Configuration(), at, targets))
		if err != nil {
			err = &admin.Wrong{Field: "targets", Why: err.Error()}
		}
		return edits, err
	})
}

// RemoveAlias implements admin.Aliases.
func (p aliasPages) RemoveAlias(ctx context.Context, address, stamp string) error {
	return p.edit(ctx, address, stamp, func(s *conf.Settings, at domains.Address) ([]*conf.Edit, error) { return s.RemoveAlias(at, nil) })
}

// stampOfDomain changes with what the pages change of a domain; empty: its mail is not kept here.
func stampOfDomain(s *conf.Settings, name domains.Name) string {
	if !s.Book().IsLocal(name) {
		return ""
	}
	if d := s.DomainNamed(name); d != nil {
		return stampOf(d.Disabled, int64(d.Quota), int64(d.TotalQuota))
	}
	return stampOf()
}

// Domains implements admin.Domains.
func (p aliasPages) Domains(_ context.Context, s admin.Slice) (rows []admin.Domain, next string, err error) {
	st := p.Now()
	found, next := part(st.Names.domains(), s)
	if len(found) == 0 {
		return nil, next, nil
	}
	accounts, aliases := countByDomain(st.Names.accounts.names), countByDomain(st.Names.aliases.names)
	for _, name := range found {
		r := p.domain(st, name)
		r.Accounts, r.Aliases = accounts[name], aliases[name]
		rows = append(rows, r)
	}
	return rows, next, nil
}

func countByDomain(names iter.Seq[domains.Address]) map[domains.Name]int {
	n := make(map[domains.Name]int)
	for name := range names {
		n[name.Domain()]++
	}
	return n
}

// domain is what a list shows of a domain.
func (p aliasPages) domain(st Moment, name domains.Name) admin.Domain {
	r := admin.Domain{Name: name.String(), Own: name == st.Directory.Home()}
	if d := st.Directory.Domain(name); d != nil {
		r.Blocked = d.Disabled
	}
	r.Quota, r.Total = limit(st.Settings.QuotaOf(name, nil)), limit(st.Settings.TotalQuotaOf(name))
	r.CatchAll = strings.Join(textsOf(st.Directory.Aliases()[domains.At("*", name)]), ", ")
	return r
}

// limit is one in words.
func limit(q conf.Quota) string {
	if q == conf.Unlimited {
		return "any amount"
	}
	text, _ := q.MarshalText()
	return string(text)
}

// Domain implements admin.Domains.
func (p aliasPages) Domain(_ context.Context, name string) (admin.Domain, error) {
	st, at := p.Now(), domains.Canonical(name)
	stamp := stampOfDomain(st.Settings, at)
	if stamp == "" {
		return admin.Domain{}, pages.ErrNotFound
	}
	r := p.domain(st, at)
	r.Accounts, r.Aliases = countByDomain(st.Names.accounts.names)[at], countByDomain(st.Names.aliases.names)[at]
	r.Stamp, r.From = stamp, st.Settings.WhereDomain(at)
	if d := st.Directory.Domain(at); d != nil {
		r.OwnQuota, r.OwnTotal = sizeText(d.Quota), sizeText(d.TotalQuota)
	}
	return r, nil
}

// AddDomain implements admin.Domains.
func (p aliasPages) AddDomain(ctx context.Context, name string) (string, error) {
	at := domains.Canonical(name)
	if name == "" {
		return "", &admin.Wrong{Field: "name", Why: "a name is needed"}
	}
	return at.String(), p.apply(ctx, change.Single(func(s *conf.Settings) (*conf.Edit, error) {
		e, err := s.AddDomain(p.Files.Configuration(), at)
		if err != nil {
			err = &admin.Wrong{Field: "name", Why: err.Error()}
		}
		return e, err
	}))
}

// editDomain changes a domain that is as the page has shown it.
func (p aliasPages) editDomain(ctx context.Context, name, stamp string, edit func(*conf.Settings, domains.Name) ([]*conf.Edit, error)) error {
	at := domains.Canonical(name)
	running := stampOfDomain(p.Now().Settings, at)
	return p.apply(ctx, func(s *conf.Settings) ([]*conf.Edit, error) {
		is := stampOfDomain(s, at)
		if is == "" && running == "" {
			return nil, pages.ErrNotFound
		}
		if err := outdated(stamp, running, is); err != nil {
			return nil, err
		}
		return edit(s, at)
	})
}

// BlockDomain implements admin.Domains.
func (p aliasPages) BlockDomain(ctx context.Context, name, stamp string, block bool) error {
	return p.editDomain(ctx, name, stamp, func(s *conf.Settings, at domains.Name) ([]*conf.Edit, error) {
		return one(s.SetDomainDisabled(p.Files.Configuration(), at, block))
	})
}

// sizeText is a size as it is written; empty for none.
func sizeText(n config.Size) string {
	if n == 0 {
		return ""
	}
	text, _ := n.MarshalText()
	return string(text)
}

// LimitDomain implements admin.Domains.
func (p aliasPages) LimitDomain(ctx context.Context, name, stamp string, together bool, size string) error {
	field, set := "quota", (*conf.Settings).SetDomainQuota
	if together {
		field, set = "total", (*conf.Settings).SetDomainTotal
	}
	var n config.Size
	if size != "" {
		var err error
		if n, err = config.ParseSize(size); err == nil && n == 0 {
			err = errors.New(`write a size, as "2GB", or nothing`)
		}
		if err != nil {
			return &admin.Wrong{Field: field, Why: err.Error()}
		}
	}
	return p.editDomain(ctx, name, stamp, func(s *conf.Settings, at domains.Name) ([]*conf.Edit, error) {
		return one(set(s, p.Files.Configuration(), at, n))
	})
}

// RemoveDomain implements admin.Domains.
func (p aliasPages) RemoveDomain(ctx context.Context, name, stamp string) error {
	return p.editDomain(ctx, name, stamp, func(s *conf.Settings, at domains.Name) ([]*conf.Edit, error) {
		edits, err := s.RemoveDomain(at)
		if err == nil && len(edits) == 0 {
			err = errors.New("no file has this domain by itself")
		}
		return edits, err
	})
}
