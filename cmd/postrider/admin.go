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
	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// adminFlags are the flags of the admin commands.
type adminFlags struct {
	changeFlags
	stdin    bool
	generate bool
	off      bool
}

func adminCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "admin",
		Short: "Add, change, remove and list who may log in to the pages at /admin/",
		Long: `Add, change, remove and list administrators: who may log in to the pages at /admin/. They are no
accounts for mail. The pages are served where "Web" has "listen", to the hosts in "admin_from".`,
	}, adminAddCommand(), adminPasswordCommand(), adminTOTPCommand(), adminRemoveCommand(), adminListCommand())
}

func adminAddCommand() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an administrator",
		Long: `Add an administrator to the file that has the others, or to the one with "Web", or to a new web.conf.

The password is asked for without showing it; --stdin reads it from the first line of standard
input, --generate makes one and prints it.`,
		Example: "  postrider admin add -c /etc/postrider ann",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.setPassword(cmd, args[0], func(s *conf.Settings, hash string) (*conf.Edit, error) {
				return s.AddAdmin(confPath(f.path), args[0], hash)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.registerPassword(c)
	return c
}

func adminPasswordCommand() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:     "password NAME",
		Short:   "Give an administrator a new password",
		Long:    "Give an administrator a new password. The second factor stays; sessions at the pages end.",
		Example: "  postrider admin password -c /etc/postrider ann",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.setPassword(cmd, args[0], func(s *conf.Settings, hash string) (*conf.Edit, error) {
				return s.SetAdminPassword(args[0], hash)
			})
		},
		ValidArgsFunction: f.complete,
	}
	f.registerPassword(c)
	return c
}

func (f *adminFlags) registerPassword(c *cobra.Command) {
	f.add(c)
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read the password from standard input")
	c.Flags().BoolVar(&f.generate, "generate", false, "make a password and print it")
}

// setPassword gets a password and writes its hash by edit.
func (f *adminFlags) setPassword(cmd *cobra.Command, name string, edit func(*conf.Settings, string) (*conf.Edit, error)) error {
	if f.stdin && f.generate {
		return usage(cmd, errors.New("either --stdin or --generate"))
	}
	s, err := conf.Load(confPath(f.path))
	if err != nil {
		return err
	}
	if _, err := edit(s, "-"); err != nil {
		return err // before a password is asked for in vain
	}
	password := accounts.RandomPassword()
	if !f.generate {
		if password, err = askPassword(cmd, name, f.stdin, true); err != nil {
			return err
		}
		if err := accounts.Strong(password, domains.Address(name+"@")); err != nil {
			return err
		}
	}
	hash, err := passwd.Hash(sasl.SASLprep(password))
	if err != nil {
		return err
	}
	out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return edit(s, hash) }))
	if err != nil {
		return err
	}
	if f.generate && f.json {
		out.Password = string(password)
	} else if f.generate {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", password)
	}
	return f.finish(cmd, out, name+" is in "+strings.Join(out.Files, ", "))
}

func adminTOTPCommand() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:   "totp NAME",
		Short: "Give an administrator a second factor, or take it away",
		Long: `Make the secret of a second factor (TOTP), print it for the program that makes the codes, and write it into the
configuration, sealed with the server's key. One that is there is replaced. --off takes it away, for who has lost
the telephone.`,
		Example: "  postrider admin totp -c /etc/postrider ann\n  postrider admin totp -c /etc/postrider --off ann",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.totp(cmd, args[0]) },

		ValidArgsFunction: f.complete,
	}
	f.add(c)
	c.Flags().BoolVar(&f.off, "off", false, "take it away")
	return c
}

func (f *adminFlags) totp(cmd *cobra.Command, name string) error {
	path := confPath(f.path)
	s, err := conf.Load(path)
	if err != nil {
		return err
	}
	if _, err := s.SetAdminTOTP(name, ""); err != nil {
		return err
	}
	sealed, done := "", name+" has no second factor any more"
	var secret []byte
	if !f.off {
		key, err := serverKey(s.SecretKeyFile, path)
		if err != nil {
			return err
		}
		secret = accounts.NewSecondFactor()
		if sealed, err = key.SealText(secret, []byte(conf.TOTPSubject(name))); err != nil {
			return err
		}
		done = name + " has a second factor"
	}
	out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.SetAdminTOTP(name, sealed) }))
	if err != nil {
		return err
	}
	if secret != nil {
		out.Secret, out.URI = accounts.SecondFactorText(secret), accounts.SecondFactorURI(s.ServerName, name, secret)
		if !f.json {
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", out.Secret, out.URI)
		}
	}
	return f.finish(cmd, out, done)
}

func adminRemoveCommand() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove an administrator",
		Example: "  postrider admin remove -c /etc/postrider ann",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := f.apply(cmd, func(s *conf.Settings) ([]*conf.Edit, error) { return s.RemoveAdmin(args[0]) })
			if err != nil {
				return err
			}
			return f.finish(cmd, out, args[0]+" is removed from "+strings.Join(out.Files, ", "))
		},
		ValidArgsFunction: f.complete,
	}
	f.add(c)
	return c
}

// listedAdmin is an administrator as --json prints it.
type listedAdmin struct {
	Name string `json:"name"`
	TOTP bool   `json:"totp"` // there is a second factor
}

func adminListCommand() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the administrators",
		Example: "  postrider admin list -c /etc/postrider",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := conf.Load(confPath(f.path))
			if err != nil {
				return err
			}
			all := []listedAdmin{}
			for _, name := range slices.Sorted(maps.Keys(s.Web.Admins)) {
				all = append(all, listedAdmin{name, s.Web.Admins[name].TOTP != ""})
			}
			if f.json {
				return printJSON(cmd, all)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, a := range all {
				factor := "password"
				if a.TOTP {
					factor = "password and code"
				}
				fmt.Fprintf(t, "%s\t%s\n", a.Name, factor)
			}
			return t.Flush()
		},
	}
	confFlag(c, &f.path)
	jsonFlag(c, &f.json)
	return c
}

// complete offers the administrators there are.
func (f *adminFlags) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := conf.Load(confPath(f.path))
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(s.Web.Admins)), cobra.ShellCompDirectiveNoFileComp
}
