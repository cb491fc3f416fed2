package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/daemon"
)

func checkCommand() *cobra.Command {
	var path, login string
	c := &cobra.Command{
		Use:   "check [-c DIR] [--login USER]",
		Short: "Say everything that is wrong with a configuration",
		Long: `Read the configuration and verify all of it: the text, every setting, users and
aliases, certificates and keys, directories, ports. Each problem is printed with its
place and what to write instead. Notes tell what is not wrong, but may not be
meant so; one is about each domain whose mail the DNS leads to another host, others about
whoever keeps accounts elsewhere and cannot be asked now. Nothing is changed.

With --login it says instead what account a name given at login means, or a recipient's
address, who keeps it, and what a directory was asked and has answered. No password is asked
for. The exit code is 1 if nobody has the name, or it cannot be found out.

The exit code is 0 if nothing is wrong, 1 if something is.

Run it as the user that the server runs as: whether files can be read and
directories written to depends on that.`,
		Example: "  postrider check -c /etc/postrider\n  postrider check -c /etc/postrider && postrider reload -c /etc/postrider\n  postrider check -c /etc/postrider --login alice",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("login") {
				return checkLogin(cmd, confPath(path), login)
			}
			return check(cmd, confPath(path))
		},
	}
	confFlag(c, &path)
	c.Flags().StringVar(&login, "login", "", "say what account a name given at login means")
	return c
}

// probes are the checks that need what conf does not know.
func probes() conf.Probes {
	return conf.Probes{Sealed: accounts.CheckSealed}
}

func check(cmd *cobra.Command, path string) error {
	if _, err := os.Stat(path); err != nil && path == systemDir {
		return err
	}
	p := probes()
	p.Listen = daemon.CanListen(cmd.Context())
	p.Database = daemon.CanStore(cmd.Context())
	p.Bucket = daemon.CanStoreLarge(cmd.Context())
	s, problems := conf.Verify(path, p)
	for _, p := range problems {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
	if n := len(problems); n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", path, count(n, "problem"))
		return errSaid
	}
	advice := s.Advice()
	if err := daemon.Descriptors(s); err != nil {
		advice = append(advice, fmt.Errorf("here: %w", err))
	}
	for _, short := range daemon.Space(s) {
		advice = append(advice, fmt.Errorf("here: %w", short))
	}
	book := s.Book()
	advice = append(advice, mailElsewhere(cmd.Context(), net.DefaultResolver, s.ServerName, s.SendsFrom(), keysOf(book.Details))...)
	advice = append(advice, elsewhereNotes(cmd.Context(), s)...)
	for _, advice := range advice {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %v\n", advice)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %s in %s on %s\n", path,
		count(len(book.Accounts), "account"), count(len(book.Details), "domain"), count(len(s.Listeners), "listener"))
	return nil
}

// count writes "1 problem" and "2 problems", "1 mailbox" and "2 mailboxes", "2 aliases".
func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "x") || strings.HasSuffix(what, "s") {
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
