package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// What other mail systems keep their aliases and passwords in.

// takeoverFlags are those of the commands that read such a file.
type takeoverFlags struct {
	changeFlags
	format string
	// domains are those of the flag. The first is that of names without one.
	domains []string
	// local knows the domains that are of this server already; may be nil.
	local  func(domains.Name) bool
	dryRun bool
	quotas string // a file of docker-mailserver's
	file   string // what is read, for words about it
}

func (f *takeoverFlags) register(c *cobra.Command, formats ...string) {
	f.add(c)
	c.Flags().StringVar(&f.format, "format", "", strings.Join(formats, ", ")+"; by default what the file looks like")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be taken over, and change nothing")
	c.Flags().StringSliceVar(&f.domains, "domain", nil, domainHelp+"; more of them, with commas between, are domains whose accounts a dump may bring")
	c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

const domainHelp = "the domain of names without one (default: the server's, or the only one there is)"

// home is the domain of names without one.
func (f *takeoverFlags) home(s *conf.Settings) domains.Name {
	switch {
	case len(f.domains) > 0:
		return domains.Canonical(f.domains[0])
	case len(s.Domains) == 1:
		for name := range s.Domains {
			return domains.Canonical(name)
		}
	}
	return domains.Canonical(s.ServerName)
}

// partly says what an account or an alias was taken over without.
type partly struct{ error }

// take carries out a command of this kind: what read found in the file is added by
// add. What cannot be is named.
func take[T any](cmd *cobra.Command, f *takeoverFlags, name, what string, read func(io.Reader, *takeoverFlags, domains.Name) ([]T, []error),
	add func(s *conf.Settings, path string, all []T) ([]*conf.Edit, int, []error, error)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	f.file = name
	var refused []error
	added := 0
	out, err := f.apply(cmd, func(s *conf.Settings) ([]*conf.Edit, error) {
		f.local = s.Book().IsLocal
		all, bad := read(file, f, f.home(s))
		edits, n, more, err := add(s, confPath(f.path), all)
		added, refused = n, append(bad, more...)
		if f.dryRun {
			edits = nil
		}
		return edits, err
	})
	if err != nil {
		return err
	}
	left := 0
	for _, r := range refused {
		if errors.As(r, new(partly)) {
			fmt.Fprintln(cmd.ErrOrStderr(), r)
			continue
		}
		left++
		fmt.Fprintf(cmd.ErrOrStderr(), "not taken over: %v\n", r)
	}
	said := fmt.Sprintf("%s of %s taken over, %d not", count(added, what), name, left)
	if f.dryRun {
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing is changed; it would be: "+said)
		if len(refused) > 0 {
			return errSaid
		}
		return nil
	}
	failed := f.finish(cmd, out, said)
	if len(refused) > 0 {
		return errors.Join(failed, errSaid)
	}
	return failed
}

func aliasImportCommand() *cobra.Command {
	var f takeoverFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over the aliases of another mail system, or its transport map",
		Long: `Take over a file of aliases: /etc/aliases, as sendmail and Postfix have it, or a
virtual alias map of Postfix (the text, not the .db), or a dump of the database that
"postrider user import" reads accounts from. What cannot be taken over is named, and the exit code is 1 then: programs, files, lists of their own, and what
would lead nowhere.

With --format transport, a transport map of Postfix, whose lines become routes (Queue.Routes): hosts
by SMTP and LMTP, and domains that go by their own MX records in spite of a wider line. What no route can say is
named with its line: single addresses, regular expressions, "error" and "discard", and services of master.cf.`,
		Example: `  postrider alias import -c /etc/postrider /etc/aliases
  postrider alias import -c /etc/postrider --format virtual /etc/postfix/virtual
  postrider alias import -c /etc/postrider --format transport /etc/postfix/transport`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.format == "transport" {
				return take(cmd, &f, args[0], "route", readTransports, (*conf.Settings).AddRoutes)
			}
			return take(cmd, &f, args[0], "alias", readAliases, (*conf.Settings).AddAliases)
		},
	}
	f.register(c, "aliases", "virtual", "transport", "dump", "mox", "stalwart")
	return c
}

func userImportCommand() *cobra.Command {
	var f takeoverFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over the accounts of another mail system",
		Long: `Take over a file of passwords: a passwd-file of Dovecot, /etc/shadow, docker-mailserver's
postfix-accounts.cf, or a dump of the database of PostfixAdmin, mailcow, ISPConfig, or one with
virtual_users or users, by mysqldump, mariadb-dump or pg_dump. Of a dump come the accounts of
domains that it says are that server's (in domain, mail_domain or virtual_domains), that are
this server's already, or that --domain names; with --format mox, the accounts of mox, whose
FILE is domains.conf, and with --format stalwart those of Stalwart's list of principals. The hashes stay
as they are: with them users log in by PLAIN and LOGIN, and by more after their next
password. What cannot be taken over is named, and the exit code is 1 then. Mail is
taken over by "postrider import".`,
		Example: `  postrider user import -c /etc/postrider --domain example.com /etc/dovecot/users
  postrider user import -c /etc/postrider --domain example.com /etc/shadow
  postrider user import -c /etc/postrider --dry-run postfix.sql
  postrider user import -c /etc/postrider --quotas dovecot-quotas.cf postfix-accounts.cf`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return take(cmd, &f, args[0], "account", readAccounts, (*conf.Settings).AddAccounts)
		},
	}
	f.register(c, "passwd-file", "shadow", "dump", "mox", "stalwart")
	c.Flags().StringVar(&f.quotas, "quotas", "", "file of quotas beside it, as docker-mailserver's dovecot-quotas.cf")
	return c
}

// longestLine bounds a line of such a file, in octets.
const longestLine = 1 << 20

// logicalLines gives the lines that hold something, with their numbers; one that
// begins with a blank goes on with the one before, where that is the custom.
func logicalLines(r io.Reader, folded bool, do func(n int, line string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	held, at, n := "", 0, 0
	give := func() {
		if held != "" {
			do(at, held)
		}
		held = ""
	}
	for lines.Scan() {
		n++
		text := strings.TrimRight(lines.Text(), " \t\r")
		switch {
		case strings.TrimSpace(text) == "" || strings.HasPrefix(strings.TrimSpace(text), "#"):
		case folded && held != "" && strings.ContainsRune(" \t", rune(text[0])):
			held += " " + strings.TrimSpace(text)
		default:
			give()
			held, at = strings.TrimSpace(text), n
		}
	}
	give()
	return lines.Err()
}

// readAliases reads aliases(5) or virtual(5).
func readAliases(r io.Reader, f *takeoverFlags, home domains.Name) (all []conf.NewAlias, bad []error) {
	r, start := begins(r)
	switch {
	case f.format == "mox":
		return readMoxAliases(r)
	case f.format == "stalwart":
		return readStalwartAliases(r)
	case f.format == "dump" || f.format == "" && isDump(start):
		return readAliasDump(r, home)
	}
	err := logicalLines(r, true, func(n int, line string) {
		name, rest, colon := cutName(line)
		if f.format == "" {
			f.format = "virtual"
			if colon {
				f.format = "aliases"
			}
		}
		if f.format == "virtual" {
			name, rest, _ = strings.Cut(strings.Replace(line, "\t", " ", 1), " ")
		} else if !colon {
			bad = append(bad, fmt.Errorf("line %d: no colon", n))
			return
		}
		if f.format == "virtual" && !strings.Contains(name, "@") && strings.Contains(name, ".") {
			bad = append(bad, fmt.Errorf("line %d: %s is a domain of its own; for one: postrider domain add %[2]s", n, name))
			return
		}
		a := conf.NewAlias{Address: domains.CanonicalAddress(inHome(strings.Trim(name, `"`), home))}
		for _, target := range splitTargets(rest) {
			if why := noAddress(target); why != "" {
				bad = append(bad, fmt.Errorf("line %d: %s: %s is %s", n, name, target, why))
				return
			}
			a.Targets = append(a.Targets, inHome(target, home))
		}
		if len(a.Targets) == 0 {
			bad = append(bad, fmt.Errorf("line %d: %s leads nowhere", n, name))
			return
		}
		all = append(all, a)
	})
	if err != nil {
		bad = append(bad, err)
	}
	return all, bad
}

// cutName parts an alias from what it leads to; the name may be quoted.
func cutName(line string) (name, rest string, colon bool) {
	if strings.HasPrefix(line, `"`) {
		if end := strings.Index(line[1:], `"`); end >= 0 {
			after := strings.TrimSpace(line[end+2:])
			rest, colon = strings.CutPrefix(after, ":")
			return line[1 : end+1], rest, colon
		}
	}
	name, rest, colon = strings.Cut(line, ":")
	return strings.TrimSpace(name), rest, colon && !strings.ContainsAny(strings.TrimSpace(name), " \t")
}

// splitTargets parts at commas and blanks that are not within quotes.
func splitTargets(text string) []string {
	quoted := false
	words := strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ',' || r == ' ' || r == '\t')
	})
	for i, w := range words {
		words[i] = strings.Trim(w, `"`)
	}
	return words
}

// noAddress says what a target is that is none.
func noAddress(target string) string {
	switch {
	case strings.HasPrefix(target, "|"):
		return "a program, which is never run here"
	case strings.HasPrefix(target, "/"):
		return "a file, which is never written to here"
	case strings.HasPrefix(target, ":include:"):
		return "a list in a file of its own; write its addresses here"
	case strings.HasPrefix(target, "@"):
		return "a whole domain"
	}
	return ""
}

// inHome gives a name its domain, and writes "@example.com" as it is written here.
func inHome(name string, home domains.Name) string {
	name = strings.TrimPrefix(name, `\`) // sendmail's "look no further"
	switch {
	case strings.HasPrefix(name, "@"):
		return "*" + name
	case !strings.Contains(name, "@"):
		return name + "@" + home.String()
	}
	return name
}

// readAccounts reads a file of accounts, and that of their quotas where there is one.
func readAccounts(r io.Reader, f *takeoverFlags, home domains.Name) (all []conf.NewAccount, bad []error) {
	r, start := begins(r)
	switch {
	case f.format == "mox":
		all, bad = readMoxAccounts(r, f)
	case f.format == "stalwart":
		all, bad = readStalwartAccounts(r)
	case f.format == "dump" || f.format == "" && isDump(start):
		all, bad = readAccountDump(r, f, home)
	default:
		all, bad = readPasswords(r, f, home)
	}
	all, twice := once(all)
	bad = append(bad, twice...)
	if f.quotas == "" {
		return all, bad
	}
	file, err := os.Open(f.quotas)
	if err != nil {
		return all, append(bad, err)
	}
	defer file.Close()
	for _, err := range readQuotas(file, all) {
		bad = append(bad, fmt.Errorf("%s: %w", f.quotas, err))
	}
	return all, bad
}

// once leaves out accounts that stand there more than once and not in the same way: which password is of the mailbox, and which one of a
// stranger at some web site whose table has the name too, nobody can tell.
func once(all []conf.NewAccount) (good []conf.NewAccount, bad []error) {
	first, doubtful := make(map[domains.Address]conf.NewAccount, len(all)), make(map[domains.Address]bool)
	for _, a := range all {
		if was, there := first[a.Address]; !there {
			first[a.Address] = a
			good = append(good, a)
		} else if was != a && !doubtful[a.Address] {
			doubtful[a.Address] = true
			bad = append(bad, fmt.Errorf("%s stands there more than once, with other passwords or limits; leave one in the file", a.Address))
		}
	}
	return slices.DeleteFunc(good, func(a conf.NewAccount) bool { return doubtful[a.Address] }), bad
}

// readPasswords reads a passwd-file of Dovecot, one of docker-mailserver, or shadow(5).
func readPasswords(r io.Reader, f *takeoverFlags, home domains.Name) (all []conf.NewAccount, bad []error) {
	err := logicalLines(r, false, func(n int, line string) {
		fields := strings.SplitN(line, ":", 8)
		if own := strings.SplitN(line, "|", 3); len(own) > 1 && !strings.Contains(own[0], ":") { // docker-mailserver's postfix-accounts.cf
			fields = own[:2]
			if len(own) == 3 {
				fields = append(fields, make([]string, 5)...)
				fields = append(fields, own[2])
			}
		}
		if len(fields) < 2 || fields[0] == "" {
			bad = append(bad, fmt.Errorf("line %d: no name and password, parted by a colon", n))
			return
		}
		a := conf.NewAccount{Address: domains.CanonicalAddress(inHome(fields[0], home)), Password: fields[1]}
		locked := a.Password == "" || strings.Trim(a.Password, "*!x") == ""
		if f.format == "shadow" || f.format == "" && isShadow(line) {
			f.format = "shadow"
			if locked {
				return // a system user, which nobody logs in as
			}
		}
		left := ""
		if len(fields) == 8 && f.format != "shadow" {
			left = extraFields(&a, fields[7])
		}
		if err := usableHash(&a); err != nil {
			bad = append(bad, fmt.Errorf("line %d: %w", n, err))
			return
		}
		if left != "" {
			bad = append(bad, partly{fmt.Errorf("line %d: %s: taken over without %s", n, a.Address, left)})
		}
		all = append(all, a)
	})
	if err != nil {
		bad = append(bad, err)
	}
	return all, bad
}

// usableHash says why an account cannot be taken over with the password that it has.
func usableHash(a *conf.NewAccount) error {
	switch err := passwd.CheckForm(a.Password); {
	case strings.Trim(a.Password, "*!x") == "" || strings.HasPrefix(a.Password, "!"):
		return fmt.Errorf("%s has no password", a.Address)
	case errors.Is(err, passwd.ErrClear) || strings.HasPrefix(strings.ToUpper(a.Password), "{PLAIN}"):
		return fmt.Errorf("%s: its password is in clear; run: postrider user add --stdin %[1]s", a.Address)
	case err != nil:
		return fmt.Errorf("%s: %w", a.Address, err)
	}
	return nil
}

// dovecotSize is a size of Dovecot's as it is written here: its units are powers of 1024.
func dovecotSize(text string) string {
	if text != "" && strings.ContainsAny(text[len(text)-1:], "bkmgtBKMGT") {
		if unit := strings.ToUpper(text[len(text)-1:]); unit != "B" {
			return text[:len(text)-1] + unit + "iB"
		}
	}
	return text
}

// isShadow knows a line of shadow(5): nine fields, behind the password only days.
func isShadow(line string) bool {
	fields := strings.Split(line, ":")
	return len(fields) == 9 && strings.Trim(strings.Join(fields[2:], ""), "0123456789") == ""
}

// extraFields takes what stands behind the seven fields of a passwd-file, and says
// what it could not take.
func extraFields(a *conf.NewAccount, text string) string {
	var left []string
	for _, field := range strings.Fields(text) {
		key, value, _ := strings.Cut(strings.TrimPrefix(field, "userdb_"), "=")
		switch storage, ok := strings.CutPrefix(value, "*:storage="); {
		case key == "quota_rule" && ok:
			storage = dovecotSize(storage)
			if _, err := config.ParseSize(storage); err != nil {
				left = append(left, field)
				continue
			}
			a.Quota = storage
		case key == "nologin" && value != "n":
			a.Disabled = true
		case key == "", key == "mail", key == "home", key == "uid", key == "gid": // where its mail was
		default:
			left = append(left, key)
		}
	}
	return strings.Join(left, ", ")
}
