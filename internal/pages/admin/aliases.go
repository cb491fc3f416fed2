package admin

import (
	"context"
	"net/url"
	"strings"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Aliases sees and changes addresses that lead to others. Errors are as those of Accounts; the fields are "address" and "targets".
type Aliases interface {
	Aliases(ctx context.Context, s Slice) (part []Alias, next string, err error)
	Alias(ctx context.Context, address string) (Alias, error)
	// AddAlias has an address lead to targets, and returns the whole address.
	AddAlias(ctx context.Context, address string, targets []string) (string, error)
	// SetAlias has it lead to these and no others.
	SetAlias(ctx context.Context, address, stamp string, targets []string) error
	RemoveAlias(ctx context.Context, address, stamp string) error
}

// Alias is an address that leads to others.
type Alias struct {
	Address string
	Stamp   string
	Targets []string
	Default bool   // no file has it: postmaster and abuse
	From    string // where it stands
}

// Lines are the targets as the form has them.
func (a Alias) Lines() string { return strings.Join(a.Targets, "\n") }

func (s Server) aliasPages() []pages.Page {
	return []pages.Page{
		{Path: "aliases", Menu: "Aliases", Title: "Aliases", Template: "aliases.html", Show: s.aliases},
		{Path: "aliases/add", Title: "New alias", Template: "newalias.html", Show: nothing, Do: map[string]pages.Action{"add": s.addAlias}},
		{Path: "aliases/{address}", Title: "Alias", Template: "alias.html", Show: s.alias,
			Do: map[string]pages.Action{"targets": s.setAlias, "remove": s.removeAlias}},
	}
}

// aliasesData is what the list shows.
type aliasesData struct {
	Slice
	Rows  []aliasRow
	Pager pages.Pager
}

// aliasRow is an alias with the first of its targets.
type aliasRow struct {
	Alias
	To   []string
	More int
}

func (s Server) aliases(r *pages.Request) (any, error) {
	const shown = 3
	d := aliasesData{Slice: slice(r)}
	rows, next, err := s.Aliases.Aliases(r.Context(), d.Slice)
	for _, a := range rows {
		n := min(shown, len(a.Targets))
		d.Rows = append(d.Rows, aliasRow{a, a.Targets[:n], len(a.Targets) - n})
	}
	d.Pager = r.Pager(next, "")
	return d, err
}

func (s Server) alias(r *pages.Request) (any, error) {
	return s.Aliases.Alias(r.Context(), r.PathValue("address"))
}

// targets are the addresses of a form, one a line or parted by commas.
func targets(r *pages.Request) []string {
	all := strings.FieldsFunc(r.Form.Value("targets"), func(c rune) bool { return strings.ContainsRune(" \t\r\n,;", c) })
	if len(all) == 0 {
		r.Form.Wrong("targets", "an alias leads to one address at least")
	}
	return all
}

func (s Server) addAlias(r *pages.Request) error {
	to := targets(r)
	if !r.Form.OK() {
		return nil
	}
	at, err := s.Aliases.AddAlias(r.Context(), r.Form.Value("address"), to)
	if err != nil {
		return refused(r, err)
	}
	r.Done("Mail to "+at+" goes to "+strings.Join(to, ", ")+".", "alias", at, "to", to)
	r.Next = "aliases/" + url.PathEscape(at)
	return nil
}

func (s Server) setAlias(r *pages.Request) error {
	at, stamp := target(r)
	to := targets(r)
	if !r.Form.OK() {
		return nil
	}
	if err := s.Aliases.SetAlias(r.Context(), at, stamp, to); err != nil {
		return refused(r, err)
	}
	r.Done("Mail to "+at+" goes to "+strings.Join(to, ", ")+".", "alias", at, "to", to)
	return nil
}

func (s Server) removeAlias(r *pages.Request) error {
	at, stamp := target(r)
	if r.Form.Value("sure") == "" {
		r.Form.Wrong("sure", "Remove "+at+"?")
		return nil
	}
	if err := s.Aliases.RemoveAlias(r.Context(), at, stamp); err != nil {
		return refused(r, err)
	}
	r.Done(at+" is removed.", "alias", at)
	r.Next = "aliases"
	return nil
}
