package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/internal/selfservice"
)

// userForgetCommand is for accounts whose password is not ours to change; for others "user passwd --reset" does it.
func userForgetCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "forget ADDRESS",
		Short: "Forget what the user of an account that others keep has decided",
		Long: `Forget what the user of an account that a directory or a passwd-file has decided at the
pages: passwords of devices, forwarding, absence. It is for after the account was in
other hands; its password is changed where it is kept. For an account of the settings
"postrider user passwd --reset" does both.`,
		Example: "  postrider user forget -c /etc/postrider alice@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := conf.Load(confPath(f.path))
			if err != nil {
				return err
			}
			at := address(s, args[0])
			if s.Book().Accounts[at] != nil { // its password of before may be known to others
				return fmt.Errorf("%s is an account of the settings; run: postrider user passwd --reset %s", at, at)
			}
			had := false
			err = inPreferences(s, func(kept *preferences.Store) error {
				p, err := kept.Of(at)
				had = p != nil || err != nil
				return kept.Remove(cmd.Context(), at)
			})
			switch {
			case err != nil:
				return err
			case !had: // the address may be mistyped, and the one that was meant goes on opening
				fmt.Fprintf(cmd.OutOrStdout(), "%s: nothing is known that its user had decided; is that the address of the account?\n", at)
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: what the user had decided is forgotten\n", at)
			}
			return nil
		},
	}
	confFlag(c, &f.path)
	return c
}

func userDeviceCommand() *cobra.Command {
	var f userFlags
	var r selfservice.DeviceRequest
	var end string
	var endAll bool
	c := &cobra.Command{
		Use:   "device ADDRESS",
		Short: "Show, make and end the passwords of an account's devices",
		Long: `Show the devices of an account that have a password of their own, and when each was
used last; with --add make one, which is printed this once, and with --end end it. Users
do the same at the pages for themselves. With --only fetch or --only send the device does
nothing else: a printer that sends what it has scanned need not read mail. A mail in the
mailbox tells of a new one. It is for accounts that a directory or a passwd-file has as well.`,
		Example: "  postrider user device -c /etc/postrider alice@example.com\n" +
			"  postrider user device -c /etc/postrider alice@example.com --add printer --only send",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := conf.Load(confPath(f.path))
			if err != nil {
				return err
			}
			r.Account = address(s, args[0]).String()
			action := "list"
			switch {
			case r.Device.Name != "":
				action = "add"
			case r.Device.Only != "" || r.Device.Until != "":
				return fmt.Errorf("--only and --until are of a new one; say which with --add")
			case end != "" || endAll:
				action, r.Device.Name = "end", end
			}
			var out selfservice.Devices
			if err := call(cmd, f.path, "devices/"+action, r, &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd, out)
			}
			w := plain{cmd.OutOrStdout()}
			if out.Password != "" {
				fmt.Fprintf(w, "%s: the password for %s is %s (shown this once, and kept nowhere)\n", r.Account, r.Device.Name, out.Password)
				return nil
			}
			if action == "end" {
				fmt.Fprintf(w, "%s: %s ended\n", r.Account, count(out.Ended, "password"))
				return nil
			}
			if len(out.Devices) == 0 {
				fmt.Fprintf(w, "%s: no device has a password of its own\n", r.Account)
			}
			for _, d := range out.Devices {
				line := fmt.Sprintf("%s: %s, since %s", d.Name, map[string]string{"": "fetches and sends", "fetch": "fetches only", "send": "sends only"}[d.Only], minuteOf(d.Made))
				if d.Used.IsZero() {
					line += ", never used"
				} else {
					line += fmt.Sprintf(", last used %s (%s from %s)", minuteOf(d.Used), d.Service, cmp.Or(d.From, "?"))
				}
				if d.Until != "" {
					line += ", last day " + d.Until
				}
				if d.Over {
					line += ", which has passed"
				}
				fmt.Fprintln(w, line)
			}
			return nil
		},
		ValidArgsFunction: f.complete,
	}
	confFlag(c, &f.path)
	jsonFlag(c, &f.json)
	c.Flags().StringVar(&r.Device.Name, "add", "", "make a password for a device of this name")
	c.Flags().StringVar(&r.Device.Only, "only", "", `"fetch" or "send": what the new one does, and nothing else`)
	c.Flags().StringVar(&r.Device.Until, "until", "", "the last day of the new one, as 2030-12-24")
	c.Flags().StringVar(&end, "end", "", "end the password of the device of this name")
	c.Flags().BoolVar(&endAll, "end-all", false, "end those of all its devices")
	c.MarkFlagsMutuallyExclusive("add", "end", "end-all")
	return c
}
