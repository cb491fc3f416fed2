package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/desk"
	"github.com/postrider-mail/postrider/internal/published"
	"github.com/postrider-mail/postrider/internal/sign"
	"github.com/postrider-mail/postrider/internal/zone"
)

func dkimCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "dkim",
		Short: "See and steer the keys that mail is signed with",
		Long: `See and steer the DKIM keys of the domains. They are made by themselves, and sign when the
servers of the zone show them; "postrider dns show" says what to publish there.`,
	}, dkimListCommand(), dkimRotateCommand(), dkimImportCommand(), dkimRevokeCommand())
}

func dkimListCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:     "list",
		Short:   "List the keys and where each is in its life",
		Example: "  postrider dkim list -c /etc/postrider",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := keysOfServer(cmd, f.conf)
			if err != nil {
				return err
			}
			return f.printKeys(cmd, keys)
		},
	})
}

func dkimRotateCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "rotate DOMAIN",
		Short: "Announce a new key, which signs when the DNS shows it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.changeKey(cmd, "rotate", desk.KeyRequest{Domain: args[0]})
		},
	})
}

func dkimImportCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "import DOMAIN SELECTOR FILE",
		Short: "Take over a key that another server has signed with",
		Long: `Take over a private key with the selector that the DNS shows it at: PEM with PKCS #1 or PKCS #8, as
opendkim-genkey and rspamadm write it, or the base64 of an ed25519 key. It signs when
the zone is seen to show it.`,
		Example: "  postrider dkim import example.com mail /etc/opendkim/keys/example.com/mail.private",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[2])
			if err != nil {
				return err
			}
			if _, err := sign.ReadKey(args[2], text); err != nil {
				return err
			}
			return f.changeKey(cmd, "import", desk.KeyRequest{Domain: args[0], Selector: args[1], File: string(text)})
		},
	})
}

func dkimRevokeCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "revoke DOMAIN SELECTOR",
		Short: "Take a key out of use at once, because others may have it",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.changeKey(cmd, "revoke", desk.KeyRequest{Domain: args[0], Selector: args[1]})
		},
	})
}

// change has the running server do something to a key, or does it to the files of one
// that does not run.
func (f *askFlags) changeKey(cmd *cobra.Command, action string, r desk.KeyRequest) error {
	var keys []sign.Key
	err := call(cmd, f.conf, "dkim/"+action, r, &keys)
	if errors.Is(err, control.ErrNotRunning) {
		var ring *sign.Ring
		var done func()
		if ring, done, err = openKeys(cmd, f.conf); err == nil {
			defer done()
			err = desk.SteerKey(cmd.Context(), ring, action, r)
			keys = ring.Keys()
		}
	}
	if err != nil {
		return err
	}
	return f.printKeys(cmd, keys)
}

// openKeys opens the keys of a server that does not run.
func openKeys(cmd *cobra.Command, path string) (ring *sign.Ring, done func(), err error) {
	s, err := conf.Load(confPath(path))
	if err != nil {
		return nil, nil, err
	}
	return daemon.OpenKeys(cmd.Context(), s)
}

// keysOfServer are the keys that the running server has, or those that are there for its
// start; the first one of each domain is made for it.
func keysOfServer(cmd *cobra.Command, path string) (keys []sign.Key, err error) {
	err = call(cmd, path, "dkim/list", struct{}{}, &keys)
	if !errors.Is(err, control.ErrNotRunning) {
		return keys, err
	}
	ring, done, err := openKeys(cmd, path)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := ring.Prepare(cmd.Context()); err != nil {
		return nil, err
	}
	return ring.Keys(), nil
}

// keysToShow are the keys as records; nil, with a word to the operator, where they cannot be had.
func keysToShow(cmd *cobra.Command, path string, s *conf.Settings) zone.Keys {
	keys, err := keysOfServer(cmd, path)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "The records of DKIM keys are missing here: %v\n", err)
		return nil
	}
	return published.Keys{All: keys, Settings: s}
}

func (f *askFlags) printKeys(cmd *cobra.Command, keys []sign.Key) error {
	if f.json {
		return printJSON(cmd, keys)
	}
	printKeys(plain{cmd.OutOrStdout()}, keys)
	return nil
}

func printKeys(w io.Writer, keys []sign.Key) {
	if len(keys) == 0 {
		fmt.Fprintln(w, "There are no keys.")
		return
	}
	slices.SortStableFunc(keys, func(a, b sign.Key) int { return strings.Compare(string(a.Domain), string(b.Domain)) })
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "DOMAIN\tSELECTOR\tTYPE\tSTATE\tFOR\t")
	for _, k := range keys {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Domain, k.Selector, k.Type, k.Phase, age(k.Since), k.Trouble)
	}
	t.Flush()
}
