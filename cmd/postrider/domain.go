package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func domainCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "domain",
		Short: "Add, rename, remove, block and list domains",
		Long: `Add, rename, remove, block and list the domains whose mail is kept here. The files they stand
in keep their comments and layout. A running server is told, unless --no-reload is given.`,
	}, domainAddCommand(), domainRenameCommand(), domainRemoveCommand(), domainBlockCommand(true), domainBlockCommand(false), domainListCommand())
}

func domainAddCommand() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:     "add DOMAIN",
		Short:   "Keep the mail of a domain here",
		Example: "  postrider domain add -c /etc/postrider example.org",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := domains.Canonical(args[0])
			out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.AddDomain(confPath(f.path), name) }))
			if err != nil {
				return err
			}
			out.Address = name.String()
			return f.finish(cmd, out, fmt.Sprintf("%s is in %s; what the DNS has to say of it: postrider dns show %[1]s", name, out.Files[0]))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(c)
	return c
}

func domainRemoveCommand() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:     "remove DOMAIN",
		Aliases: []string{"rm"},
		Short:   "Keep the mail of a domain here no longer",
		Long: `Take a domain out of the configuration. It must have no accounts and no aliases any
more. Mail that is in the store stays there.`,
		Example: "  postrider domain remove -c /etc/postrider example.org",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := domains.Canonical(args[0])
			out, err := f.apply(cmd, func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveDomain(name) })
			if err != nil {
				return err
			}
			out.Address = name.String()
			return f.finish(cmd, out, out.Address+" is removed from "+strings.Join(out.Files, ", "))
		},
		ValidArgsFunction: f.completeDomains,
	}
	f.add(c)
	return c
}

func domainRenameCommand() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:   "rename DOMAIN NEW",
		Short: "Give a domain another name",
		Long: `Give a domain another name, with its accounts, aliases, catch-all and all mail in it. If
it is interrupted, the same command finishes it.`,
		Example: "  postrider domain rename -c /etc/postrider example.org example.com",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.renameDomain(cmd, domains.Canonical(args[0]), domains.Canonical(args[1]))
		},
		ValidArgsFunction: f.completeDomains,
	}
	f.add(c)
	return c
}

func (f *changeFlags) renameDomain(cmd *cobra.Command, from, to domains.Name) (err error) {
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return err
	}
	move := func() error { return moveDomain(cmd, s, from, to) }
	if ours := s.Book(); !ours.IsLocal(from) && ours.IsLocal(to) {
		fmt.Fprintf(cmd.ErrOrStderr(), "mail left in %s goes to %s\n", from, to)
		return move()
	}
	if left, err := usersIn(cmd, s, to); err != nil || len(left) > 0 {
		return fmt.Errorf("there is mail of %s in the store already, such as that of %s", to, strings.Join(texts(left), ", "))
	}
	out, err := f.apply(cmd, func(s *conf.Settings) ([]*conf.Edit, error) {
		return s.RenameDomain(from, to, resealAPOP(s.SecretKeyFile))
	})
	if err != nil {
		return err
	}
	out.Address, out.To = from.String(), to.String()
	var old []domains.Address
	if err := inPreferences(s, func(kept *preferences.Store) error {
		for at := range s.Book().Accounts {
			if local, domain := at.Cut(); domain == from {
				if err := kept.Copy(cmd.Context(), at, domains.At(local, to)); err != nil {
					return err
				}
				old = append(old, at)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forget(cmd.Context(), s, old...)) }()
	return f.finishMove(cmd, out, fmt.Sprintf("%s is %s now, in %s", from, to, strings.Join(out.Files, ", ")), move)
}

// usersIn are the mailboxes of a domain in the store, those of no account as well.
func usersIn(cmd *cobra.Command, s *conf.Settings, domain domains.Name) (users []domains.Address, err error) {
	err = inStore(cmd.Context(), s, func(store mailboxes) error {
		for user, err := range store.Users(cmd.Context()) {
			if err != nil {
				return err
			}
			if account := domains.Address(user); account.Domain() == domain {
				users = append(users, account)
			}
		}
		return nil
	})
	return users, err
}

// moveDomain moves the mail of a whole domain.
func moveDomain(cmd *cobra.Command, s *conf.Settings, from, to domains.Name) error {
	users, err := usersIn(cmd, s, from)
	if err != nil {
		return err
	}
	return inStore(cmd.Context(), s, func(store mailboxes) error {
		for _, user := range users {
			local, _ := user.Cut()
			if err := store.Rename(cmd.Context(), user.String(), domains.At(local, to).String()); err != nil {
				return err
			}
		}
		return nil
	})
}

// completeDomains offers the domains there are.
func (f *changeFlags) completeDomains(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := conf.Load(confPath(f.path))
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return texts(s.Book().Domains()), cobra.ShellCompDirectiveNoFileComp
}

// domainView is a domain as "domain list" shows it.
type domainView struct {
	Domain     domains.Name `json:"domain"`
	Disabled   bool         `json:"disabled"` // all of its accounts
	Accounts   int          `json:"accounts"`
	Aliases    int          `json:"aliases"`
	Quota      string       `json:"quota"`       // of each mailbox; "none" for no limit
	TotalQuota string       `json:"total_quota"` // of all together
	CatchAll   string       `json:"catch_all"`
}

func domainListCommand() *cobra.Command {
	return listCommand(&cobra.Command{
		Short:   "List the domains whose mail is kept here",
		Example: "  postrider domain list -c /etc/postrider",
	}, "DOMAIN\tACCOUNTS\tALIASES\tQUOTA\tTOTAL\tCATCH-ALL", domainViews, func(v domainView) string {
		return fmt.Sprintf("%s\t%d\t%d\t%s\t%s\t%s", v.Domain, v.Accounts, v.Aliases, v.Quota, v.TotalQuota, orDash(strings.Fields(v.CatchAll)))
	})
}

func domainViews(_ context.Context, s *conf.Settings) (views []domainView, err error) {
	book := s.Book()
	accounts, aliases := make(map[domains.Name]int), make(map[domains.Name]int)
	for name := range book.Accounts {
		accounts[name.Domain()]++
	}
	for name := range book.Aliases {
		aliases[name.Domain()]++
	}
	blocked := make(map[domains.Name]bool)
	for written, d := range s.Domains {
		blocked[domains.Canonical(written)] = d.Disabled
	}
	for _, name := range book.Domains() {
		quota, _ := s.QuotaOf(name, nil).MarshalText()
		total, _ := s.TotalQuotaOf(name).MarshalText()
		views = append(views, domainView{
			Domain: name, Disabled: blocked[name], Accounts: accounts[name], Aliases: aliases[name],
			Quota: string(quota), TotalQuota: string(total), CatchAll: strings.Join(written(book.Aliases[domains.At("*", name)]), " "),
		})
	}
	return views, nil
}
