// Command postrider is a mail server: SMTP in, POP3 out, and a durable queue
// for what must leave. See the README for a first start, and
// "postrider help" for its subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(arguments(os.Args), os.Stdin, os.Stdout, os.Stderr)) }

// arguments are those of the command line. Called by the name of a program of
// sendmail's, it is "postrider sendmail" in the mode of that program.
func arguments(args []string) []string {
	switch filepath.Base(args[0]) {
	case "sendmail":
		return append([]string{"sendmail"}, args[1:]...)
	case "mailq":
		return append([]string{"sendmail", "-bp"}, args[1:]...)
	case "newaliases":
		return append([]string{"sendmail", "-bi"}, args[1:]...)
	}
	return args[1:]
}

// The exit codes.
const (
	exitOK    = 0
	exitError = 1 // something is wrong, and was said
	exitUsage = 2 // the command line was
)

// run carries out one command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(oldSinkArgs(args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	completeHelp(root)
	err := root.ExecuteContext(context.Background())
	var usage *usageError
	var coded *codedError
	errors.As(err, &coded)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "postrider: %v\n\n%s", err, usage.help)
		return codeOf(coded, exitUsage)
	case !errors.Is(err, errSaid):
		fmt.Fprintf(stderr, "postrider: %v\n", hint(err))
	}
	return codeOf(coded, exitError)
}

// codeOf is the error's own exit code, if it has one.
func codeOf(coded *codedError, usual int) int {
	if coded != nil {
		return coded.code
	}
	return usual
}

// errSaid: what is wrong has been printed already.
var errSaid = errors.New("said already")

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "postrider",
		Short:         "A mail server: SMTP in, POP3 out, one folder of settings",
		Version:       programVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		serveCommand(),
		reloadCommand(),
		statusCommand(),
		checkCommand(),
		confCommand(),
		dnsCommand(),
		dkimCommand(),
		rulesCommand(),
		userCommand(),
		adminCommand(),
		domainCommand(),
		aliasCommand(),
		queueCommand(),
		quarantineCommand(),
		traceCommand(),
		reportsCommand(),
		sendmailCommand(),
		storeCommand(),
		importCommand(),
		fetchCommand(),
		moveCommand(),
		exportCommand(),
		backupCommand(),
		restoreCommand(),
		sinkCommand(),
		versionCommand(),
		docCommand(),
	)
	usageErrors(root)
	return root
}
