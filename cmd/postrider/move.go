package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/fetch"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func moveCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "move",
		Short: "Move in from another server: what is left to do",
		Long:  "Move in from another server. The page docs/moving.md has the way.",
	}, moveCheckCommand())
}

// moveFlags say what is compared.
type moveFlags struct {
	storeFlags
	remoteFlags
	state    string
	domain   string
	aliases  []string
	virtuals []string
	dns      bool
}

func moveCheckCommand() *cobra.Command {
	var f moveFlags
	c := &cobra.Command{
		Use:   "check [-c DIR] [--server HOST] LIST",
		Short: "Compare the old server with this one, and say what is left to do",
		Long: `Log in to the old server by POP3 for each maildrop of LIST, and compare: is there an account
here, does the same password open it, and has its mailbox every message, with the same unique
id and size, in the same order. With --aliases and --virtual, compare the aliases in files of the
old server as well, and with --dns, find out what other hosts hold on to of the old server: a
policy of MTA-STS, or TLSA records, that do not know this one. Nothing changes on either side.

What is left to do is said in one screen; the exit code is 1 as long as there is something.` + listHelp,
		Example: `  postrider move check -c /etc/postrider --server pop.old.example list
  postrider move check -c /etc/postrider --server pop.old.example --aliases /etc/aliases --virtual /etc/postfix/virtual list`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.check(cmd, args[0]) },
	}
	confFlag(c, &f.conf)
	f.remoteFlags.add(c)
	c.Flags().StringVar(&f.state, "state", "", "folder that says what has come (default: fetch in the data folder)")
	c.Flags().StringVar(&f.domain, "domain", "", domainHelp)
	c.Flags().StringArrayVar(&f.aliases, "aliases", nil, "aliases of the old server, as /etc/aliases; may be repeated")
	c.Flags().StringArrayVar(&f.virtuals, "virtual", nil, "virtual aliases of the old server, as of Postfix; may be repeated")
	c.Flags().BoolVar(&f.dns, "dns", false, "ask the DNS, and for policies by HTTPS: before the MX record leads here")
	c.MarkFlagDirname("state")
	return c
}

// todo is what is left to do about one kind of thing.
type todo struct {
	what string
	all  int
	left []string
}

// find notes something that is left to do.
func (t *todo) find(format string, args ...any) {
	t.left = append(t.left, fmt.Sprintf(format, args...))
}

// todoLines is how many lines one kind of thing may take of the screen.
const todoLines = 6

// say prints how it stands.
func (t *todo) say(cmd *cobra.Command, good int) {
	w := plain{cmd.OutOrStdout()}
	fmt.Fprintf(w, "%-10s %d of %d\n", t.what, good, t.all)
	for i, line := range t.left {
		if i == todoLines && len(t.left) > todoLines+1 {
			fmt.Fprintf(w, "           … and %d more\n", len(t.left)-i)
			break
		}
		fmt.Fprintf(w, "           %s\n", line)
	}
}

func (f *moveFlags) check(cmd *cobra.Command, name string) error {
	dialer, err := f.dialer(cmd)
	if err != nil {
		return err
	}
	list, err := f.list(cmd, name)
	if err != nil {
		return err
	}
	dir, err := f.dir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("mail store: %w; nothing has been taken over yet", err)
	}
	store, err := maildir.Open(dir, maildir.WithMode(maildir.ReadOnly))
	if err != nil {
		return err
	}
	defer store.Close()
	ctx, stop := interruptible(cmd)
	defer stop()
	state := f.state
	if state == "" {
		state = filepath.Join(f.settings.DataDir, "fetch")
	}
	fetcher := &fetch.Fetcher{Store: f.sealing(store), Dialer: dialer, State: state}
	book := f.settings.Book()
	accounts, passwords := &todo{what: "accounts", all: len(list)}, &todo{what: "passwords", all: len(list)}
	mailboxes, messages := &todo{what: "mailboxes", all: len(list)}, &todo{what: "messages"}
	same := 0
	for i := range list {
		a := &list[i]
		switch account := book.Accounts[domains.CanonicalAddress(a.Address)]; {
		case account == nil:
			accounts.find("%s is none here: postrider user add, or user import", a.Address)
			passwords.all--
		case passwd.Verify(string(account.Password), []byte(a.Password)) != nil:
			passwords.find("%s: another one opens the account here, or none", a.Address)
		}
		c, err := fetcher.Compare(ctx, a)
		if err != nil {
			mailboxes.find("%s: cannot be compared: %v%s", a.Address, err, hintRemote(err))
			continue
		}
		messages.all += c.There
		same += c.Same + c.Came
		if what := differences(&c); what != "" {
			mailboxes.find("%s: %s", a.Address, what)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	accounts.say(cmd, len(list)-len(accounts.left))
	passwords.say(cmd, passwords.all-len(passwords.left))
	mailboxes.say(cmd, len(list)-len(mailboxes.left))
	messages.say(cmd, same)
	kinds := []*todo{accounts, passwords, mailboxes}
	if len(f.aliases)+len(f.virtuals) > 0 {
		aliases, err := f.compareAliases(book)
		if err != nil {
			return err
		}
		aliases.say(cmd, aliases.all-len(aliases.left))
		kinds = append(kinds, aliases)
	}
	if f.dns {
		held, err := newHeldOn(f.settings)
		if err != nil {
			return err
		}
		dns := held.check(ctx, movedDomains(list))
		dns.say(cmd, dns.all-len(dns.left))
		kinds = append(kinds, dns)
	}
	left := 0
	for _, t := range kinds {
		left += len(t.left)
	}
	if left > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s left to do\n", count(left, "thing"))
		return errSaid
	}
	fmt.Fprintln(cmd.OutOrStdout(), "nothing is left to do: the old server and this one have the same")
	return nil
}

// differences says what is left to do about a mailbox, "" for nothing.
func differences(c *fetch.Comparison) string {
	var all []string
	if c.Missing > 0 {
		all = append(all, fmt.Sprintf("%d of %s missing here: postrider fetch, or import", c.Missing, count(c.There, "message")))
	}
	if c.OtherSize > 0 {
		all = append(all, fmt.Sprintf("%s of another size", count(c.OtherSize, "message")))
	}
	if c.Disordered {
		all = append(all, "they stand in another order")
	}
	if c.NoIDs && len(all) > 0 {
		all = append(all, "some have no unique ids there, and are compared by size alone")
	}
	return strings.Join(all, "; ")
}

// compareAliases compares the aliases of the old server's files with those here.
func (f *moveFlags) compareAliases(book *conf.Book) (*todo, error) {
	t := &todo{what: "aliases"}
	for format, files := range map[string][]string{"aliases": f.aliases, "virtual": f.virtuals} {
		for _, name := range files {
			file, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			take := &takeoverFlags{format: format}
			if f.domain != "" {
				take.domains = []string{f.domain}
			}
			all, bad := readAliases(file, take, take.home(f.settings))
			file.Close()
			t.all += len(all) + len(bad)
			for _, err := range bad {
				t.find("%s: %v", name, err)
			}
			for _, a := range all {
				var want, have []string
				for _, target := range a.Targets {
					want = append(want, domains.CanonicalAddress(target).String())
				}
				for _, target := range book.Aliases[a.Address] {
					have = append(have, target.Address.String())
				}
				slices.Sort(want)
				slices.Sort(have)
				if !slices.Equal(slices.Compact(want), slices.Compact(have)) && !(len(want) == 1 && want[0] == a.Address.String()) {
					t.find("%s leads to %s there, and to %s here", a.Address, strings.Join(want, ", "), orNobody(have))
				}
			}
		}
	}
	slices.Sort(t.left)
	return t, nil
}

func orNobody(addresses []string) string {
	if len(addresses) == 0 {
		return "nobody"
	}
	return strings.Join(addresses, ", ")
}
