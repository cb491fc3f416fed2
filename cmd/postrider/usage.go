package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is a command line that makes no sense.
type usageError struct {
	err  error
	help string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage is the error of a command line, with what is worth knowing then: how
// the command is written, and where the rest stands. All of the help would push
// the error off the screen.
func usage(c *cobra.Command, err error) error {
	help := fmt.Sprintf("Usage:\n  %s\n\n", c.UseLine())
	if c.HasAvailableSubCommands() {
		help = fmt.Sprintf("Usage:\n  %s COMMAND\n\n", c.CommandPath())
	}
	return &usageError{err, help + fmt.Sprintf("%q says more.\n", c.CommandPath()+" --help")}
}

// usageErrors marks what is wrong with a command line, as opposed to what went
// wrong in carrying it out, in c and all commands below it.
func usageErrors(c *cobra.Command) {
	c.SetFlagErrorFunc(usage)
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, a []string) error {
			if args(c, a) != nil {
				return usage(c, wrongOperands(c, a))
			}
			if err := errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
				return usage(c, wrongFlags(err))
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageErrors(sub)
	}
}

// wrongOperands says what is missing or too much.
func wrongOperands(c *cobra.Command, a []string) error {
	if c.HasAvailableSubCommands() {
		err := fmt.Errorf("unknown command %q", c.CommandPath()+" "+a[0])
		if near := c.SuggestionsFor(a[0]); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean %q?", err, c.CommandPath()+" "+near[0])
		}
		return err
	}
	if names := operands(c.Use); len(a) < len(names) {
		return fmt.Errorf("%s is missing", strings.TrimSuffix(names[len(a)], "..."))
	}
	return fmt.Errorf("%q is one word too much", a[len(a)-1])
}

var (
	bothSet = regexp.MustCompile(`\[([^\[]*)\] were all set$`)
	unset   = regexp.MustCompile(`^required flag\(s\) "([^"]*)"`)
)

// wrongFlags names a flag that is missing, and flags that exclude each other, in our words.
func wrongFlags(err error) error {
	if flag := unset.FindStringSubmatch(err.Error()); flag != nil {
		return fmt.Errorf("--%s is missing", flag[1])
	}
	if set := bothSet.FindStringSubmatch(err.Error()); set != nil {
		return fmt.Errorf("--%s: one of them at a time", strings.ReplaceAll(set[1], " ", " and --"))
	}
	return err
}

var notOperands = regexp.MustCompile(`\[[^]]*\]|-\S+ \S+`)

// operands are the words that must follow a command, as its usage line
// names them: neither what stands in brackets, nor flags with their values.
func operands(use string) []string {
	return strings.Fields(notOperands.ReplaceAllString(use, ""))[1:]
}

// completeHelp makes the two commands that come with the library as exact as
// ours.
func completeHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				if about, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return usage(about, wrongOperands(about, append(rest, args...)))
				}
				return nil
			}
			c.SetFlagErrorFunc(usage)
		case "completion":
			c.Args = cobra.NoArgs
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
			usageErrors(c)
		}
	}
}
