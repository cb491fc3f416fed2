package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
)

func confSealCommand() *cobra.Command {
	var f changeFlags
	var stdin bool
	c := &cobra.Command{
		Use:   "seal ROUTE",
		Short: "Seal the password of a route",
		Long: `Write the password that the server logs in with at the host of a route into the
configuration, sealed: it can be read with the server's key only (secret_key_file),
and counts for this route alone. ROUTE is the route's name, or its domain.

A password that stands there in clear is sealed as it is. Otherwise it is asked for
without showing it; --stdin reads it from the first line of standard input.`,
		Example: `  postrider conf seal -c /etc/postrider '*'
  postrider conf seal -c /etc/postrider --stdin backup < password`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return confSeal(cmd, &f, args[0], stdin)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(c)
	c.Flags().BoolVar(&stdin, "stdin", false, "read the password from standard input")
	return c
}

func confSeal(cmd *cobra.Command, f *changeFlags, which string, stdin bool) error {
	path := confPath(f.path)
	s, err := conf.Load(path)
	if err != nil {
		return err
	}
	if _, err := s.SetRoutePassword(which, "-"); err != nil {
		return err // before a password is asked for in vain
	}
	key, err := serverKey(s.SecretKeyFile, path)
	if err != nil {
		return err
	}
	var asked []byte
	if r, _, _ := s.FindRoute(which); stdin || r.Password == "" || r.Password.IsSealed() {
		if asked, err = askPassword(cmd, r.User, stdin, true); err != nil {
			return err
		}
	}
	out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) {
		r, _, err := s.FindRoute(which)
		if err != nil {
			return nil, err
		}
		password := asked
		if password == nil {
			if password = []byte(r.Password); len(password) == 0 || r.Password.IsSealed() {
				return nil, errors.New("the password was changed by somebody else meanwhile; nothing was done")
			}
		}
		sealed, err := key.SealText(password, []byte(r.Subject()))
		if err != nil {
			return nil, err
		}
		return s.SetRoutePassword(which, sealed)
	}))
	if err != nil {
		return err
	}
	return f.finish(cmd, out, "the password is sealed in "+out.Files[0])
}
