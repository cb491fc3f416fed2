package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

func domainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "domain",
		Short: "Add, rename, remove and list domains",
		Long: `Add, rename, remove and list the domains whose mail is kept here. The files they stand
in keep their comments and layout. A running server is told, unless --no-reload is given.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(domainAddCommand(), domainRenameCommand(), domainRemoveCommand(), domainListCommand())
	return c
}

func domainAddCommand() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:     "add DOMAIN",
		Short:   "Keep the mail of a domain here",
		Example: "  postrider domain add -c /etc/postrider example.org",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := conf.CanonicalDomain(args[0])
			out, err := f.apply(single(func(s *conf.Settings) (*conf.Edit, error) { return s.AddDomain(confPath(f.path), name) }))
			if err != nil {
				return err
			}
			out.Address = name
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
			out, err := f.apply(func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveDomain(args[0]) })
			if err != nil {
				return err
			}
			out.Address = conf.CanonicalDomain(args[0])
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
		Example:           "  postrider domain rename -c /etc/postrider example.org example.com",
		Args:              cobra.ExactArgs(2),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.renameDomain(cmd, args[0], args[1]) },
		ValidArgsFunction: f.completeDomains,
	}
	f.add(c)
	return c
}

func (f *changeFlags) renameDomain(cmd *cobra.Command, from, to string) error {
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return err
	}
	from, to = conf.CanonicalDomain(from), conf.CanonicalDomain(to)
	move := func() error { return moveDomain(cmd, s, from, to) }
	if ours := s.LocalDomains(); !slices.Contains(ours, from) && slices.Contains(ours, to) {
		fmt.Fprintf(cmd.ErrOrStderr(), "mail left in %s goes to %s\n", from, to)
		return move()
	}
	if left, err := usersIn(cmd, s, to); err != nil || len(left) > 0 {
		return fmt.Errorf("there is mail of %s in the store already, such as that of %s", to, strings.Join(left, ", "))
	}
	out, err := f.apply(func(s *conf.Settings) ([]*conf.Edit, error) {
		return s.RenameDomain(from, to, resealAPOP(s.SecretKeyFile))
	})
	if err != nil {
		return err
	}
	out.Address, out.To = from, to
	return f.finishMove(cmd, out, fmt.Sprintf("%s is %s now, in %s", from, to, strings.Join(out.Files, ", ")), move)
}

// usersIn are the mailboxes of a domain in the store, those of no account as well.
func usersIn(cmd *cobra.Command, s *conf.Settings, domain string) (users []string, err error) {
	err = inStore(s, func(store *maildir.Store) error {
		for user, err := range store.Users(cmd.Context()) {
			if err != nil {
				return err
			}
			if _, d := conf.CutAddress(user); d == domain {
				users = append(users, user)
			}
		}
		return nil
	})
	return users, err
}

// moveDomain moves the mail of a whole domain.
func moveDomain(cmd *cobra.Command, s *conf.Settings, from, to string) error {
	users, err := usersIn(cmd, s, from)
	if err != nil {
		return err
	}
	return inStore(s, func(store *maildir.Store) error {
		for _, user := range users {
			local, _ := conf.CutAddress(user)
			if err := store.Rename(cmd.Context(), user, local+"@"+to); err != nil {
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
	return s.LocalDomains(), cobra.ShellCompDirectiveNoFileComp
}

// domainView is a domain as "domain list" shows it.
type domainView struct {
	Domain     string `json:"domain"`
	Accounts   int    `json:"accounts"`
	Aliases    int    `json:"aliases"`
	Quota      string `json:"quota"`       // of each mailbox; "none" for no limit
	TotalQuota string `json:"total_quota"` // of all together
	CatchAll   string `json:"catch_all"`
}

func domainListCommand() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List the domains whose mail is kept here",
		Example:           "  postrider domain list -c /etc/postrider",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := conf.Load(confPath(f.path))
			if err != nil {
				return err
			}
			views := domainViews(s)
			if f.json {
				return printJSON(cmd, views)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DOMAIN\tACCOUNTS\tALIASES\tQUOTA\tTOTAL\tCATCH-ALL")
			for _, v := range views {
				fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\n", v.Domain, v.Accounts, v.Aliases, v.Quota, v.TotalQuota, orDash(strings.Fields(v.CatchAll)))
			}
			return w.Flush()
		},
	}
	confFlag(c, &f.path)
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

func domainViews(s *conf.Settings) []domainView {
	accounts, aliases := make(map[string]int), make(map[string]int)
	for name := range s.AllAccounts() {
		_, domain := conf.CutAddress(name)
		accounts[domain]++
	}
	all := s.AllAliases()
	for name := range all {
		_, domain := conf.CutAddress(name)
		aliases[domain]++
	}
	views := []domainView{}
	for _, name := range s.LocalDomains() {
		quota, _ := s.QuotaOf(name, nil).MarshalText()
		total, _ := s.TotalQuotaOf(name).MarshalText()
		views = append(views, domainView{
			Domain: name, Accounts: accounts[name], Aliases: aliases[name],
			Quota: string(quota), TotalQuota: string(total), CatchAll: strings.Join(all["*@"+name], " "),
		})
	}
	return views
}
