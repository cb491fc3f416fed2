package main

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/fetch"
	"github.com/postrider-mail/postrider/internal/sys"
	"github.com/postrider-mail/postrider/mailstore/maildir"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/pop3"
)

// fetchFlags say from where mail is fetched, and how.
type fetchFlags struct {
	storeFlags
	remoteFlags
	state  string
	atOnce int
	remove bool
	size   sizeFlag
}

// remoteFlags say how another server is talked to; "move check" has them too.
type remoteFlags struct {
	server string
	tls    string
	ca     string
}

// tlsModes are the values of --tls with their ports.
var tlsModes = map[string]struct {
	policy pop3.TLSPolicy
	port   string
}{"implicit": {pop3.TLSFromStart, "995"}, "starttls": {pop3.TLSRequired, "110"}, "off": {pop3.TLSNever, "110"}}

func (f *remoteFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.server, "server", "", "the other server, HOST or HOST:PORT, where the list names none")
	c.Flags().StringVar(&f.tls, "tls", "implicit", "implicit (port 995), starttls (port 110), or off: passwords and mail in clear")
	c.Flags().StringVar(&f.ca, "ca", "", "PEM file with the other server's certificate, or that of its authority")
	_ = c.RegisterFlagCompletionFunc("tls", cobra.FixedCompletions([]string{"implicit", "starttls", "off"}, cobra.ShellCompDirectiveNoFileComp))
}

// dialer is how the other server is talked to.
func (f *remoteFlags) dialer(cmd *cobra.Command) (d pop3.Dialer, err error) {
	mode, ok := tlsModes[f.tls]
	if !ok {
		return d, usage(cmd, fmt.Errorf("--tls: there is no %q; there are implicit, starttls and off", f.tls))
	}
	d.TLS, d.AllowCleartextAuth = mode.policy, f.tls == "off"
	if f.ca == "" {
		return d, nil
	}
	text, err := os.ReadFile(f.ca)
	if err != nil {
		return d, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return d, fmt.Errorf("%s holds no certificate in PEM", f.ca)
	}
	d.TLSConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return d, nil
}

const listHelp = `

LIST has a line for each maildrop: its login and password there, the address here,
and its server where that is another than --server says, parted by blanks or tabs. A word
with blanks or # stands in double quotes, with \" and \\ for these two. Without an
address it is that of the login. As it holds passwords, the file must be its owner's
alone; "-" is standard input.`

func fetchCommand() *cobra.Command {
	var f fetchFlags
	c := &cobra.Command{
		Use:   "fetch [-c DIR] [--server HOST] LIST",
		Short: "Take over mail from another server by POP3",
		Long: `Take over the mail of many accounts from any server that speaks POP3. Each message comes
once, with the octets, the order and the unique id it has there, so that clients that
leave mail on the server fetch nothing again. Nothing changes there: messages are
removed with --delete only, once they are on stable storage here.

What has come is written down below the data folder. Called again, after an interruption or when
mail has come in on the other side meanwhile, it fetches what is missing; so it can be called first
while the other server is in use, and last when mail comes here.

A message that cannot be taken, and an account that cannot, is named, and the exit code is 1.` + listHelp,
		Example: `  postrider fetch -c /etc/postrider --server pop.old.example list
  postrider fetch -c /etc/postrider --server 192.0.2.7 --tls starttls --ca old.pem --at-once 8 list
  printf 'al "my password" alice@example.com\n' | postrider fetch --server pop.old.example -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dialer, err := f.dialer(cmd)
			if err != nil {
				return err
			}
			if f.atOnce < 1 || f.atOnce > 100 {
				return usage(cmd, errors.New("--at-once: from 1 to 100"))
			}
			return f.asOwner(cmd, true, func(s *maildir.Store) error {
				accounts, err := f.list(cmd, args[0])
				if err != nil {
					return err
				}
				return f.fetch(cmd, s, dialer, accounts)
			})
		},
	}
	f.storeFlags.add(c)
	f.remoteFlags.add(c)
	c.Flags().IntVar(&f.atOnce, "at-once", 4, "maildrops at a time")
	f.size.add(c)
	c.Flags().BoolVar(&f.remove, "delete", false, "remove there what has come")
	c.Flags().StringVar(&f.state, "state", "", "folder that says what has come (default: fetch in the data folder)")
	c.MarkFlagDirname("state")
	return c
}

// list reads the list of maildrops; one that has a line that makes no sense is not begun with.
func (f *remoteFlags) list(cmd *cobra.Command, name string) ([]fetch.Account, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		file, err := openSource(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() && sys.Others(info.Mode()) != 0 {
			return nil, fmt.Errorf("%s holds passwords and is open to others (mode %04o); run: chmod 600 %[1]s", name, info.Mode().Perm())
		}
		in = file
	}
	accounts, bad := readLogins(in, f.server, tlsModes[f.tls].port)
	for _, err := range bad {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", name, err)
	}
	switch {
	case len(bad) > 0:
		return nil, errSaid
	case len(accounts) == 0:
		return nil, fmt.Errorf("%s names no account", name)
	}
	return accounts, nil
}

// readLogins reads a list of maildrops. What is wrong is named by its line, without what
// stands there: it may be a password.
func readLogins(r io.Reader, server, port string) (all []fetch.Account, bad []error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	seen := make(map[fetch.Account]int)
	for n := 1; lines.Scan(); n++ {
		words, err := words(lines.Text())
		switch {
		case err != nil:
			bad = append(bad, fmt.Errorf("line %d: %w", n, err))
			continue
		case len(words) == 0:
			continue
		case len(words) == 1 || len(words) > 4:
			bad = append(bad, fmt.Errorf("line %d: has %d words; it takes a login, a password, an address and perhaps a server", n, len(words)))
			continue
		}
		words = append(words, "", "")
		a := fetch.Account{Login: words[0], Password: words[1], Address: cmp.Or(words[2], words[0]), Server: cmp.Or(words[3], server)}
		if i := strings.LastIndexByte(a.Address, '@'); i <= 0 || i == len(a.Address)-1 {
			bad = append(bad, fmt.Errorf("line %d: the login is no address, so an address must stand behind the password, as alice@example.com", n))
			continue
		}
		a.Address = domains.CanonicalAddress(a.Address).String()
		if a.Server == "" {
			bad = append(bad, fmt.Errorf("line %d: no server is named, here or by --server", n))
			continue
		}
		if _, _, err := net.SplitHostPort(a.Server); err != nil {
			a.Server = net.JoinHostPort(strings.Trim(a.Server, "[]"), port)
		}
		key := a
		key.Password = ""
		if first := seen[key]; first > 0 {
			bad = append(bad, fmt.Errorf("line %d: %s is in line %d already", n, a.String(), first))
			continue
		}
		seen[key] = n
		all = append(all, a)
	}
	if err := lines.Err(); err != nil {
		bad = append(bad, err)
	}
	return all, bad
}

// words parts a line at blanks that are not within quotes; # begins a comment.
func words(line string) (all []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t\r")
		switch {
		case line == "" || line[0] == '#':
			return all, nil
		case line[0] != '"':
			end := strings.IndexAny(line+" ", " \t\r")
			all, line = append(all, line[:end]), line[end:]
			continue
		}
		var word strings.Builder
		i := 1
		for ; i < len(line) && line[i] != '"'; i++ {
			if line[i] == '\\' && i+1 < len(line) {
				i++
			}
			word.WriteByte(line[i])
		}
		if i >= len(line) {
			return nil, errors.New("a quote is not closed")
		}
		if all, line = append(all, word.String()), line[i+1:]; line != "" && !strings.ContainsRune(" \t\r", rune(line[0])) {
			return nil, errors.New("something stands right behind a quote")
		}
	}
}

// stateDir is where it is written down what has come.
func (f *fetchFlags) stateDir(mail string) string {
	switch {
	case f.state != "":
		return f.state
	case f.settings != nil:
		return filepath.Join(f.settings.DataDir, "fetch")
	}
	return filepath.Join(filepath.Dir(filepath.Clean(mail)), "fetch")
}

func (f *fetchFlags) fetch(cmd *cobra.Command, s *maildir.Store, dialer pop3.Dialer, accounts []fetch.Account) error {
	if f.tls == "off" && slices.ContainsFunc(accounts, func(a fetch.Account) bool { return !isLoopback(a.Server) }) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: passwords and mail cross the network in clear")
	}
	for _, a := range accounts {
		f.noteStranger(cmd, a.Address)
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	board := &board{bar: newProgress(cmd, 0), now: make(map[*fetch.Account]fetch.Result), all: len(accounts)}
	fetcher := &fetch.Fetcher{Store: f.sealing(s), Dialer: dialer, State: f.stateDir(f.mail), AtOnce: f.atOnce, Delete: f.remove, Progress: board.progress}
	var err error
	if fetcher.MaxMessage, err = f.size.octets(cmd, f.settings); err != nil {
		return err
	}
	failed := 0
	fetcher.All(ctx, accounts, func(r fetch.Result) {
		board.done(r, func() { sayFetched(cmd, &r) })
		if !r.Complete() {
			failed++
		}
	})
	if failed > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of %s not complete: see above; call it again to go on\n", failed, count(len(accounts), "account"))
		return errSaid
	}
	return nil
}

func isLoopback(server string) bool {
	host, _, _ := net.SplitHostPort(server)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sayFetched says what became of an account.
func sayFetched(cmd *cobra.Command, r *fetch.Result) {
	removed := ""
	if r.Removed > 0 {
		removed = fmt.Sprintf(", %d removed there", r.Removed)
	}
	if r.Listed > 0 || r.Err == nil {
		fmt.Fprintf(plain{cmd.OutOrStdout()}, "%s: %d of %d messages fetched (%s), %d there already, %d not taken%s\n",
			r.Account, r.Done, r.Listed, size(r.Octets), r.There, len(r.Failed), removed)
	}
	w := plain{cmd.ErrOrStderr()}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "%s: note: %s\n", r.Account.Address, note)
	}
	for _, name := range r.Failed {
		fmt.Fprintf(w, "%s: %s\n", r.Account.Address, name)
	}
	if r.Err != nil {
		fmt.Fprintf(w, "%s: not complete: %v%s\n", r.Account.Address, r.Err, hintRemote(r.Err))
	}
}

// hintRemote says what may help against an error of the other server's.
func hintRemote(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return "; if that is the other server's certificate, name a file with it: --ca"
	case errors.As(err, &host):
		return "; name the server as its certificate does"
	case errors.Is(err, pop3.ErrCleartext):
		return "; --tls off allows it"
	}
	return ""
}

// board shows on a terminal how far all accounts are together.
type board struct {
	mu   sync.Mutex
	bar  *progress
	now  map[*fetch.Account]fetch.Result
	all  int
	ends int
}

func (b *board) progress(r fetch.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now[r.Account] = r
	b.show()
}

func (b *board) show() {
	var listed, done, octets int64
	for _, r := range b.now {
		listed, done, octets = listed+int64(r.Listed), done+r.Done+r.There, octets+r.Octets
	}
	b.bar.total = listed
	b.bar.show(done, fmt.Sprintf("%d of %d messages, %s; %d of %s done", done, listed, size(octets), b.ends, count(b.all, "account")))
}

// done shows a line for good, and the bar below it.
func (b *board) done(r fetch.Result, say func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now[r.Account] = r
	b.ends++
	b.bar.clear()
	say()
	if b.show(); b.ends == b.all {
		b.bar.end()
	}
}
