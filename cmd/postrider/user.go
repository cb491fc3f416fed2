package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// userFlags are the flags of the user commands.
type userFlags struct {
	changeFlags
	stdin     bool
	generate  bool
	apop      bool
	weak      bool
	newDomain bool
	keep      bool // the mail of an account of that name that was removed
	fresh     bool // without it
	mail      bool // remove it as well
	reset     bool // what its user has decided
	recovery  bool // of a sealed mailbox: the recovery key is asked for, not the password of now
	lose      bool // neither is there
}

func userCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "user",
		Short: "Add, change, rename, remove, list, test and unlock accounts; what they send",
		Long: `Add, change, rename, remove, list and test accounts. The files they stand in keep
their comments and layout. A running server is told, unless --no-reload is given.
"postrider user show ADDRESS" says what an account has sent and may send.`,
	}, userAddCommand(), userPasswdCommand(), userRenameCommand(), userRemoveCommand(), userBlockCommand(true), userBlockCommand(false), userListCommand(),
		userTestCommand(), userSealCommand(), userUnsealCommand(), userKeysCommand(), userImportCommand(), userExportCommand(), userUnlockCommand(), userDeviceCommand(), userForgetCommand(), userShowCommand(), userLiftCommand(), userDiscardCommand())
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
"Accounts", or to a new accounts.conf. A domain that is not there yet is added only
with --new-domain: it may be a slip.

Where there is mail of an account of that name that was removed, --keep gives it to
the new one, and --fresh deletes it.` + passwordHelp,
		Example: `  postrider user add -c /etc/postrider alice@example.com
  postrider user add -c /etc/postrider --generate bob@example.com
  pwgen -s 20 1 | tee /dev/tty | postrider user add -c /etc/postrider --stdin carol@example.com`,
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.addUser(cmd, args[0]) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.register(c)
	c.Flags().BoolVar(&f.newDomain, "new-domain", false, "its domain is new here")
	c.Flags().BoolVar(&f.keep, "keep", false, "give it the mail that is there from before")
	c.Flags().BoolVar(&f.fresh, "fresh", false, "delete the mail that is there from before")
	c.MarkFlagsMutuallyExclusive("keep", "fresh")
	return c
}

func (f *userFlags) addUser(cmd *cobra.Command, name string) error {
	path := confPath(f.path)
	s, err := conf.Load(path)
	if err != nil {
		return err
	}
	if err := whichDomain(s, name); err != nil {
		return err
	}
	at := address(s, name)
	if _, err := s.AddAccount(path, at, conf.Keys{}); err != nil {
		return err // before a password is asked for in vain
	}
	if err := f.isDomain(s, at); err != nil {
		return err
	}
	if err := f.leftover(cmd, s, at); err != nil {
		return err
	}
	keys, password, err := f.password(cmd, s, at)
	if err != nil {
		return err
	}
	if f.fresh {
		if err := purge(cmd, s, at); err != nil {
			return err
		}
	}
	out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.AddAccount(path, at, keys) }))
	if err != nil {
		return err
	}
	return f.tell(cmd, out, at, password, "the user name is the whole address")
}

// tell finishes a command that has set a password.
func (f *userFlags) tell(cmd *cobra.Command, out *outcome, at domains.Address, password []byte, more string) error {
	out.Address = at.String()
	switch {
	case f.generate && f.json:
		out.Password = string(password)
	case f.generate:
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", password)
	}
	done := at.String() + " is in " + strings.Join(out.Files, ", ")
	if more != "" {
		done += "; " + more
	}
	return f.finish(cmd, out, done)
}

// password gets the password of an account and derives what is kept of it.
func (f *userFlags) password(cmd *cobra.Command, s *conf.Settings, at domains.Address) (keys conf.Keys, password []byte, err error) {
	if f.stdin && f.generate {
		return keys, nil, usage(cmd, errors.New("either --stdin or --generate"))
	}
	if f.generate {
		password = accounts.RandomPassword()
	} else if password, err = askPassword(cmd, at.String(), f.stdin, true); err != nil {
		return keys, nil, err
	}
	if !f.weak {
		if err := accounts.Strong(password, at); err != nil {
			return keys, nil, fmt.Errorf("%w; --weak takes it all the same", err)
		}
	}
	keys, err = f.derive(s, at, password)
	return keys, password, err
}

func userPasswdCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "passwd ADDRESS",
		Short: "Give an account a new password",
		Long: `Give an account a new password. Its other settings stay. It opens in place of one that
the user has set at the pages; passwords of devices go on, unless --reset is given, which
forgets all that the user has decided there: after an account was in other hands.

The mail of a sealed mailbox opens with its password alone, so that the one of now is
asked for as well, or with --recovery the recovery key. With --lose-mail there is
neither: what is there can be read by nobody then, and the address has to be typed.
With --stdin these are further lines.` + passwordHelp,
		Example: "  postrider user passwd -c /etc/postrider alice@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, at, err := f.load(args[0])
			if err != nil {
				return err
			}
			if _, err := s.SetKeys(at, conf.Keys{Password: "-"}); err != nil {
				return err // before a password is asked for in vain
			}
			box, err := boxOf(s, at)
			if err != nil {
				return err
			}
			keys, password, err := f.password(cmd, s, at)
			if err != nil {
				return err
			}
			settle, err := f.rewrap(cmd, s, at, box, password)
			if err != nil {
				return err
			}
			out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.SetKeys(at, keys) }))
			if err != nil {
				return err
			}
			if err := settle(); err != nil {
				return err
			}
			more := ""
			if f.reset {
				if err := errors.Join(forget(cmd.Context(), s, at), forgetApps(cmd.Context(), s, at, box)); err != nil {
					return err
				}
				more = "what the user had decided is forgotten"
			}
			return f.tell(cmd, out, at, password, more)
		},
		ValidArgsFunction: f.complete,
	}
	f.register(c)
	c.Flags().BoolVar(&f.reset, "reset", false, "forget passwords of devices, forwarding and absence")
	c.Flags().BoolVar(&f.recovery, "recovery", false, "of a sealed mailbox: ask for the recovery key, not for the password of now")
	c.Flags().BoolVar(&f.lose, "lose-mail", false, "of a sealed mailbox: there is neither; nobody can read its mail then")
	c.MarkFlagsMutuallyExclusive("recovery", "lose-mail")
	return c
}

// load reads the settings and finds an account in them.
func (f *userFlags) load(name string) (*conf.Settings, domains.Address, error) {
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return nil, "", err
	}
	at, _, err := account(s, name)
	return s, at, err
}

func (f *userFlags) register(c *cobra.Command) {
	f.add(c)
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read the password from standard input")
	c.Flags().BoolVar(&f.generate, "generate", false, "make a password and print it")
	c.Flags().BoolVar(&f.apop, "apop", false, "keep a secret for APOP, too: sealed, but the server can read it")
	c.Flags().BoolVar(&f.weak, "weak", false, "take a password that is guessed easily")
}

// complete offers the accounts there are.
func (f *userFlags) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := conf.Load(confPath(f.path))
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return texts(slices.Sorted(maps.Keys(s.Book().Accounts))), cobra.ShellCompDirectiveNoFileComp
}

// address completes a name without a domain by the server's own.
func address(s *conf.Settings, name string) domains.Address {
	if !strings.Contains(name, "@") {
		name += "@" + s.ServerName
	}
	return domains.CanonicalAddress(name)
}

// texts are names as texts.
func texts[S ~string](names []S) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return all
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

// isDomain refuses an account in a domain whose mail is not kept here: mail for it
// would stay here from now on, wherever it belongs. What the server is called after
// is no slip where there is nothing yet.
func (f *userFlags) isDomain(s *conf.Settings, at domains.Address) error {
	local, domain := at.Cut()
	ours := s.Book().Domains()
	if f.newDomain || slices.Contains(ours, domain) || len(ours) == 1 && strings.HasSuffix(domains.Canonical(s.ServerName).String(), "."+domain.String()) {
		return nil
	}
	err := fmt.Errorf("mail for %s is not kept here; --new-domain has it kept here from now on", domain)
	if near := config.Nearest(domain.String(), texts(ours)); near != "" {
		err = fmt.Errorf("%w; did you mean %s@%s?", err, local, near)
	}
	return err
}

// account finds an account, or says which was probably meant.
func account(s *conf.Settings, name string) (domains.Address, *conf.Account, error) {
	all := s.Book().Accounts
	at := address(s, name)
	if a := all[at]; a != nil {
		return at, a, nil
	}
	err := fmt.Errorf("%s: %w", at, conf.ErrNoAccount)
	if near := conf.Nearest(at, slices.Collect(maps.Keys(all))); near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return at, nil, err
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
			if err := call(cmd, path, "unlock", daemon.UnlockRequest{Who: args[0]}, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: failed logins are forgotten\n", args[0])
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	confFlag(c, &path)
	return c
}
