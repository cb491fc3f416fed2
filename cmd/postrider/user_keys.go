package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/cipher/sealedmail"
	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/mailkeys"
	"github.com/postrider-mail/postrider/mailstore/sealed"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// keyFlags say what is done with the keys of a mailbox.
type keyFlags struct {
	userFlags
	recovery bool
	rotate   bool
	fresh    bool
	check    bool
	bring    bool
	export   string
}

func userKeysCommand() *cobra.Command {
	var f keyFlags
	c := &cobra.Command{
		Use:   "keys ADDRESS",
		Short: "Say how far a mailbox is sealed, or change its keys",
		Long: `Say how far a mailbox is sealed, with which keys, and whether these are in order. No
password is needed for that. Or, with one of the options, change the keys, which asks
for the password, or with --recovery for the recovery key:

  --check-recovery  does the recovery key that you have still open the mail?
  --new-recovery    another one, in place of one that was lost or seen
  --rotate          another key for mail to come; what is there opens as before
  --bring           mail from before "user passwd --lose-mail" opens again, by a
                    password or recovery key of that time that was found
  --export FILE     write the private keys to a new file, for the age program:
                    age -d -i FILE message`,
		Example: `  postrider user keys -c /etc/postrider alice@example.com
  postrider user keys -c /etc/postrider --export keys.txt alice@example.com`,
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
		ValidArgsFunction: f.complete,
	}
	f.add(c)
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read what is asked for from standard input, a line each")
	c.Flags().BoolVar(&f.recovery, "recovery", false, "ask for the recovery key, not the password")
	c.Flags().BoolVar(&f.check, "check-recovery", false, "say whether a recovery key opens the mail")
	c.Flags().BoolVar(&f.fresh, "new-recovery", false, "make another recovery key")
	c.Flags().BoolVar(&f.rotate, "rotate", false, "make another key for mail to come")
	c.Flags().BoolVar(&f.bring, "bring", false, "open mail again whose keys were lost")
	c.Flags().StringVar(&f.export, "export", "", "write the private keys to a new file")
	c.MarkFlagsMutuallyExclusive("check-recovery", "new-recovery", "rotate", "bring", "export")
	return c
}

func (f *keyFlags) run(cmd *cobra.Command, name string) error {
	s, at, err := f.load(name)
	if err != nil {
		return err
	}
	box, err := boxOf(s, at)
	if err != nil {
		return err
	}
	if !f.check && !f.fresh && !f.rotate && !f.bring && f.export == "" {
		return f.show(cmd, s, at, box)
	}
	if box == nil {
		return fmt.Errorf("%s: %w", at, mailkeys.ErrNone)
	}
	keys, err := f.openRing(cmd, at, box.Keyring, f.recovery || f.check)
	if err != nil {
		return err
	}
	switch {
	case f.check:
		fmt.Fprintf(cmd.OutOrStdout(), "this is the recovery key of %s\n", at)
		return nil
	case f.export != "":
		return exportKeys(cmd, f.export, keys)
	case f.bring:
		return f.bringBack(cmd, s, at, keys)
	}
	return f.changeRing(cmd, s, at, box, keys)
}

// changeRing makes a new recovery key, or a new key for mail to come.
func (f *keyFlags) changeRing(cmd *cobra.Command, s *conf.Settings, at domains.Address, box *mailkeys.Box, keys *sealedmail.Unlocked) error {
	ring := box.Keyring.Clone()
	if f.fresh {
		recovery, err := ring.NewRecovery(keys)
		if err == nil {
			err = f.askBack(cmd, recovery)
		}
		if err != nil {
			return fmt.Errorf("%w; nothing was changed", err)
		}
	} else if err := ring.Rotate(keys); err != nil {
		return err
	}
	err := inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		return k.Change(cmd.Context(), at.String(), func(b *mailkeys.Box) error {
			if b.Keyring.Generation() != box.Keyring.Generation() {
				return errors.New("the keys were changed meanwhile; nothing was changed now")
			}
			b.Keyring = ring
			return nil
		})
	})
	switch {
	case err != nil:
		return err
	case f.fresh:
		fmt.Fprintf(cmd.ErrOrStderr(), "the recovery key from before opens nothing any more, but in old backups\n")
		return nil
	case s.Book().Accounts[at].Sealed == "":
		return nil
	}
	out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) { return s.SetSealed(at, ring.Recipient()) }))
	if err != nil {
		return err
	}
	out.Address = at.String()
	return f.finish(cmd, out, fmt.Sprintf("mail to %s is sealed to %s, in %s", at, ring.Recipient(), strings.Join(out.Files, ", ")))
}

// bringBack has mail opened again whose keys were lost.
func (f *keyFlags) bringBack(cmd *cobra.Command, s *conf.Settings, at domains.Address, keys *sealedmail.Unlocked) error {
	found, err := f.ask(cmd, "Password or recovery key from before")
	if err != nil {
		return err
	}
	return inKeys(s, func(_ daemon.Boxes, k *mailkeys.Store) error {
		n, err := k.Bring(cmd.Context(), at.String(), keys, found)
		if err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "mail of %s opens again\n", count(n, "lost key"))
		}
		return err
	})
}

// exportKeys writes private keys to a file that was not there.
func exportKeys(cmd *cobra.Command, name string, keys *sealedmail.Unlocked) error {
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(w, keys.Identities())
	if err = errors.Join(err, w.Close()); err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "who has %s reads all of the mail; with it, age opens a message: age -d -i %[1]s MESSAGE\n", name)
	}
	return err
}

// keysView is what "user keys" shows.
type keysView struct {
	Address   domains.Address `json:"address"`
	State     mailkeys.State  `json:"state"`             // empty: it has no keys
	Recipient string          `json:"recipient"`         // of mail to come, as the settings say; empty: it is not sealed
	Problem   string          `json:"problem,omitempty"` // why mail is kept from it
	Passwords int             `json:"passwords"`         // that open the keys; two after a change that was broken off
	Lost      int             `json:"lost,omitempty"`    // keyrings whose passwords were all forgotten
	Messages  int             `json:"messages"`
	Plain     int             `json:"plain"`           // that are in clear, of these
	Keys      map[string]int  `json:"keys"`            // messages by the key they are sealed to
	Alien     int             `json:"alien,omitempty"` // that are sealed to none of the keys
}

func (f *keyFlags) show(cmd *cobra.Command, s *conf.Settings, at domains.Address, box *mailkeys.Box) error {
	v := keysView{Address: at, Recipient: s.Book().Accounts[at].Sealed, Keys: make(map[string]int)}
	err := inKeys(s, func(boxes daemon.Boxes, k *mailkeys.Store) error {
		if err := k.Problem(at.String(), v.Recipient); err != nil {
			v.Problem = err.Error()
		}
		c, err := boxes.Count(cmd.Context(), at.String())
		v.Messages, v.Plain, v.Keys = c.Messages, c.Plain, c.Keys
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if box != nil {
		v.State, v.Passwords, v.Lost = box.State, box.Keyring.Passwords(), len(box.Lost)
		known := sealed.Names(box.Keyring.Known())
		for key, n := range v.Keys {
			if !slices.Contains(known, key) {
				v.Alien += n
			}
		}
	}
	if f.json {
		return printJSON(cmd, v)
	}
	return v.print(cmd)
}

func (v *keysView) print(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	switch {
	case v.State == "" && v.Recipient == "":
		fmt.Fprintf(w, "%s is not sealed\n", v.Address)
	case v.Recipient == "":
		fmt.Fprintf(w, "%s is not sealed, and has keys\n", v.Address)
	default:
		fmt.Fprintf(w, "%s is sealed to %s\n", v.Address, v.Recipient)
	}
	fmt.Fprintf(w, "%d of %s sealed\n", v.Messages-v.Plain, count(v.Messages, "message"))
	for _, key := range slices.Sorted(maps.Keys(v.Keys)) {
		fmt.Fprintf(w, "\t%d to age1%s...\n", v.Keys[key], key)
	}
	if v.Alien > 0 {
		fmt.Fprintf(w, "%d of them to keys that the mailbox does not have\n", v.Alien)
	}
	if v.Lost > 0 {
		fmt.Fprintf(w, "%s, see --bring\n", count(v.Lost, "lost key"))
	}
	if v.Passwords > 1 {
		fmt.Fprintf(w, "%d passwords open it: a change was broken off; the next one settles it\n", v.Passwords)
	}
	if v.Problem != "" {
		fmt.Fprintf(w, "mail is kept from it: %s\n", v.Problem)
		return errSaid
	}
	return nil
}
