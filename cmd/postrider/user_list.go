package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/preferences"
	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func userListCommand() *cobra.Command {
	return listCommand(&cobra.Command{
		Short: "List the accounts",
		Long: `List the accounts: how the password is stored, for which mechanisms there are keys,
what the mailbox may hold and holds, which aliases lead to it, and where the account is kept.
"own" is a password that the user has set at the pages; --json has what else he has decided
there. Of accounts in a directory those are listed that have a mailbox; the directory is not
asked ("postrider check --login" asks it).`,
		Example: "  postrider user list -c /etc/postrider",
	}, "ACCOUNT\tPASSWORD\tKEYS\tQUOTA\tUSED\tMESSAGES\tALIASES\tSOURCE", userViews, func(v userView) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s", v.Address, v.Password, orDash(v.Keys), v.Quota, size(v.Octets), v.Messages, orDash(texts(v.Aliases)), v.Source)
	})
}

// userView is an account as "user list" shows it.
type userView struct {
	Address  domains.Address   `json:"address"`
	Password string            `json:"password"` // how it is stored
	Keys     []string          `json:"keys"`     // mechanisms
	Disabled bool              `json:"disabled"`
	Quota    string            `json:"quota"` // in force; "none" for no limit
	Messages int64             `json:"messages"`
	Octets   int64             `json:"octets"`
	Aliases  []domains.Address `json:"aliases"` // that lead to it
	Source   string            `json:"source"`  // who keeps it: "settings", or a place elsewhere

	// What its user has decided at the pages.
	OwnPassword bool   `json:"own_password"` // in place of that of the settings
	Devices     int    `json:"devices"`      // that have a password
	Forward     string `json:"forward"`      // where mail goes on to; empty: nowhere
	Absence     bool   `json:"absence"`      // senders are answered now
}

// decided adds what the user has decided, as far as it can be read.
func (v *userView) decided(kept *preferences.Store, a *conf.Account) {
	p, err := kept.Of(v.Address)
	if err != nil || p == nil {
		return
	}
	v.OwnPassword, v.Devices, v.Absence = accounts.OwnPassword(a, p), len(p.Apps), p.Absence.Active(time.Now())
	if v.OwnPassword {
		v.Password += ", own"
	}
	if p.Forward != nil {
		v.Forward = p.Forward.To
	}
}

func orDash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, " ")
}

func userViews(ctx context.Context, s *conf.Settings) ([]userView, error) {
	use := func(domains.Address) (mailstore.Usage, error) { return mailstore.Usage{}, nil }
	var boxes []string
	if store, err := lookInto(ctx, s); err == nil {
		defer store.Close()
		use = func(a domains.Address) (mailstore.Usage, error) { return store.Usage(ctx, a.String()) }
		for user, err := range store.Users(ctx) {
			if err != nil {
				return nil, err
			}
			if !s.Elsewhere.HasAccounts() {
				break
			}
			boxes = append(boxes, user)
		}
	}
	leading := make(map[domains.Address][]domains.Address)
	book := s.Book()
	for _, from := range slices.Sorted(maps.Keys(book.Aliases)) {
		for _, to := range book.Aliases[from] {
			leading[to.Address] = append(leading[to.Address], from)
		}
	}
	all, kept := book.Accounts, preferences.Look(preferences.Dir(s.DataDir))
	views := make([]userView, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		used, err := use(name)
		if err != nil {
			return nil, err
		}
		quota, _ := s.QuotaOf(name.Domain(), a).MarshalText()
		views = append(views, userView{
			Address: name, Password: passwordKind(a), Keys: a.Mechanisms(), Disabled: a.Disabled, Quota: string(quota),
			Messages: used.Messages, Octets: used.Octets, Aliases: leading[name], Source: "settings",
		})
		views[len(views)-1].decided(kept, a)
	}
	more, err := viewsElsewhere(s, boxes)
	if err != nil {
		return nil, err
	}
	for i := range more {
		v := &more[i]
		if all[v.Address] != nil || book.Reports[v.Address] {
			continue
		}
		used, err := use(v.Address)
		if err != nil {
			return nil, err
		}
		v.Messages, v.Octets, v.Aliases = used.Messages, used.Octets, leading[v.Address]
		v.decided(kept, nil)
		views = append(views, *v)
	}
	return views, nil
}

// viewsElsewhere are accounts that others keep, as far as it is known without asking a directory about each: those of passwd-files, and those with one
// of these mailboxes.
func viewsElsewhere(s *conf.Settings, boxes []string) (views []userView, err error) {
	if !s.Elsewhere.HasAccounts() {
		return nil, nil
	}
	e, err := accounts.OpenElsewhere(s, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer e.CloseBut(nil)
	listed, err := e.List()
	if err != nil {
		return nil, err
	}
	seen, blocked := make(map[domains.Address]bool), s.Elsewhere.Blocked()
	add := func(at domains.Address, password string, own conf.Quota, source string) {
		quota, _ := s.QuotaOf(at.Domain(), &conf.Account{Quota: own}).MarshalText()
		if seen[at] = true; blocked[at] {
			password = "disabled"
		}
		views = append(views, userView{Address: at, Password: cmp.Or(password, "-"), Keys: []string{}, Disabled: password == "disabled", Quota: string(quota), Source: source})
	}
	for _, k := range listed {
		add(k.Address, k.Scheme(), k.Quota, k.Place)
	}
	for _, box := range boxes {
		at := domains.Address(box)
		if directory := e.Directory(at.Domain()); directory != "" && !seen[at] {
			add(at, "", 0, directory)
		}
	}
	slices.SortFunc(views, func(a, b userView) int { return cmp.Compare(a.Address, b.Address) })
	return views, nil
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

func userTestCommand() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "test ADDRESS",
		Short: "Say whether a password is the account's",
		Long: `Say whether a password is the account's. The exit code is 0 if it is, 1 if not.
The password is asked for, or read from standard input with --stdin.`,
		Example: "  postrider user test -c /etc/postrider alice@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, at, err := f.load(args[0])
			if err != nil {
				return err
			}
			password, err := askPassword(cmd, at.String(), f.stdin, false)
			if err != nil {
				return err
			}
			a := s.Book().Accounts[at]
			p, err := preferences.Look(preferences.Dir(s.DataDir)).Of(at)
			switch {
			case err != nil:
			case p != nil && accounts.OwnPassword(a, p):
				err = testPassword(&conf.Account{Password: conf.Secret(p.Password.Hash), Disabled: a.Disabled}, at, password)
			default:
				err = testPassword(a, at, password)
			}
			if f.json {
				return errors.Join(printJSON(cmd, testView{at, err == nil, textOf(err)}), err)
			}
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "this is the password of %s\n", at)
			}
			return err
		},
		ValidArgsFunction: f.complete,
	}
	confFlag(c, &f.path)
	c.Flags().BoolVar(&f.stdin, "stdin", false, "read the password from standard input")
	jsonFlag(c, &f.json)
	return c
}

// testView is what "user test" found out.
type testView struct {
	Address domains.Address `json:"address"`
	Right   bool            `json:"right"`
	Problem string          `json:"problem,omitempty"`
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// testPassword checks a password against everything the account keeps of it.
func testPassword(a *conf.Account, at domains.Address, password []byte) error {
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
	return nil
}
