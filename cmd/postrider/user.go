package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/parsers/config"
)

// userFlags are the flags of the user commands.
type userFlags struct {
	path     string
	stdin    bool
	generate bool
	apop     bool
}

func userCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Add, change, remove, list, test and unlock accounts",
		Long: `Add, change, remove, list and test accounts. The files they stand in keep their
comments and layout. A running server takes changes up at "postrider reload".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(userAddCommand(), userPasswdCommand(), userRemoveCommand(), userListCommand(), userTestCommand(), userUnlockCommand())
	return c
}

const passwordHelp = `

The password is asked for without showing it; --stdin reads it from the first line of
standard input, --generate makes one and prints it. What is written are keys from
which it cannot be read: argon2id, SCRAM-SHA-256 and CRAM-MD5.`

func userAddCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "add ADDRESS",
		Short: "Add an account",
		Long: `Add an account to the file that has the accounts of its domain, or to the one with
"Accounts", or to a new accounts.conf.` + passwordHelp,
		Example: `  postrider user add -c /etc/postrider alice@example.com
  postrider user add -c /etc/postrider --generate bob@example.com
  pwgen -s 20 1 | tee /dev/tty | postrider user add -c /etc/postrider --stdin carol@example.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.write(cmd, args[0], func(s *conf.Settings, address string, k conf.Keys) (*conf.Edit, error) {
				if err := whichDomain(s, args[0]); err != nil {
					return nil, err
				}
				return s.AddAccount(confPath(f.path), address, k)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.register(c, true)
	return c
}

func userPasswdCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:     "passwd ADDRESS",
		Short:   "Give an account a new password",
		Long:    `Give an account a new password. Its other settings stay.` + passwordHelp,
		Example: "  postrider user passwd -c /etc/postrider alice@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.write(cmd, args[0], (*conf.Settings).SetKeys)
		},
		ValidArgsFunction: f.complete,
	}
	f.register(c, true)
	return c
}

func userRemoveCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:     "remove ADDRESS",
		Aliases: []string{"rm"},
		Short:   "Remove an account",
		Long: `Remove an account from the configuration. Its mail stays in the store, and is there
again if the account is added again.`,
		Example:           "  postrider user remove -c /etc/postrider alice@example.com",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.remove(cmd, args[0]) },
		ValidArgsFunction: f.complete,
	}
	f.register(c, false)
	return c
}

func userListCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List the accounts",
		Long:              `List the accounts: how the password is stored, and for which mechanisms there are keys.`,
		Example:           "  postrider user list -c /etc/postrider",
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return f.list(cmd) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.register(c, false)
	return c
}

func userTestCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "test ADDRESS",
		Short: "Say whether a password is the account's",
		Long: `Say whether a password is the account's. The exit code is 0 if it is, 1 if not.
The password is asked for, or read from standard input with --stdin.`,
		Example:           "  postrider user test -c /etc/postrider alice@example.com",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.test(cmd, args[0]) },
		ValidArgsFunction: f.complete,
	}
	f.register(c, false)
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read the password from standard input")
	return c
}

func (f *userFlags) register(c *cobra.Command, passwords bool) {
	confFlag(c, &f.path)
	if !passwords {
		return
	}
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read the password from standard input")
	c.Flags().BoolVar(&f.generate, "generate", false, "make a password and print it")
	c.Flags().BoolVar(&f.apop, "apop", false, "keep a secret for APOP, too: sealed, but the server can read it")
}

// complete offers the accounts there are.
func (f *userFlags) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := conf.Load(confPath(f.path))
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(s.AllAccounts())), cobra.ShellCompDirectiveNoFileComp
}

// address completes a name without a domain by the server's own.
func address(s *conf.Settings, name string) string {
	if !strings.Contains(name, "@") {
		name += "@" + s.ServerName
	}
	return conf.Canonical(name)
}

// whichDomain refuses a new name without a domain where the domain of the
// server's own name is probably not the one that is meant.
func whichDomain(s *conf.Settings, name string) error {
	if strings.Contains(name, "@") || len(s.Domains) == 0 || s.Domains[s.ServerName] != nil {
		return nil
	}
	first := slices.Sorted(maps.Keys(s.Domains))[0]
	return fmt.Errorf("%s at which domain? Give the whole address, such as %[1]s@%s", name, first)
}

// account finds an account, or says which was probably meant.
func account(s *conf.Settings, name string) (string, *conf.Account, error) {
	all := s.AllAccounts()
	at := address(s, name)
	if a := all[at]; a != nil {
		return at, a, nil
	}
	err := fmt.Errorf("%s: %w", at, conf.ErrNoAccount)
	if near := config.Nearest(at, slices.Sorted(maps.Keys(all))); near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return at, nil, err
}

func (f *userFlags) list(cmd *cobra.Command) error {
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return err
	}
	all := s.AllAccounts()
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tPASSWORD\tKEYS\tQUOTA")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		quota := "-"
		if a.Quota != 0 {
			text, _ := a.Quota.MarshalText()
			quota = string(text)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, passwordKind(a), keyKinds(a), quota)
	}
	return w.Flush()
}

func userUnlockCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "unlock ADDRESS|IP",
		Short: "Forget failed logins, so that logins are checked again",
		Long: `Make the running server forget the failed logins at an account, or from an IP address (of
IPv6, from its /64), so that logins there are checked again. "postrider status" lists who is
locked out.`,
		Example: `  postrider user unlock -c /etc/postrider alice@example.com
  postrider user unlock -c /etc/postrider 192.0.2.7`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd, path, "unlock", daemon.UnlockRequest{Who: args[0]}, nil)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	confFlag(c, &path)
	return c
}

// passwordKind says how the password is stored.
func passwordKind(a *conf.Account) string {
	switch {
	case a.Disabled:
		return "disabled"
	case a.Password == "":
		return "none"
	}
	return passwd.Kind(string(a.Password))
}

func keyKinds(a *conf.Account) string {
	var kinds []string
	for _, k := range []struct {
		name   string
		secret conf.Secret
	}{{"SCRAM-SHA-256", a.ScramSHA256}, {"CRAM-MD5", a.CRAMMD5}, {"APOP", a.APOP}} {
		if k.secret != "" {
			kinds = append(kinds, k.name)
		}
	}
	if kinds == nil {
		return "-"
	}
	return strings.Join(kinds, " ")
}

// test checks a password against everything the account keeps of it.
func (f *userFlags) test(cmd *cobra.Command, name string) error {
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return err
	}
	at, a, err := account(s, name)
	if err != nil {
		return err
	}
	password, err := askPassword(cmd, at, f.stdin, false)
	if err != nil {
		return err
	}
	if a.Password == "" {
		return fmt.Errorf("%s has no password; nobody can log in", at)
	}
	switch err := passwd.Verify(string(a.Password), password); {
	case errors.Is(err, passwd.ErrMismatch):
		return fmt.Errorf("this is not the password of %s", at)
	case err != nil:
		return fmt.Errorf("%s: %w", at, err)
	case a.Disabled:
		return fmt.Errorf("the password is right, but %s is disabled", at)
	}
	for _, key := range []struct {
		name   string
		stored conf.Secret
	}{{"SCRAM-SHA-256", a.ScramSHA256}, {"CRAM-MD5", a.CRAMMD5}} {
		if key.stored != "" && passwd.Verify(string(key.stored), password) != nil {
			return fmt.Errorf("the password is right, but the keys for %s are of another one; run: postrider user passwd %s", key.name, at)
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "this is the password of %s\n", at)
	return nil
}
