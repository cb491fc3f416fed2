package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
)

// group is a command that is nothing but its subcommands.
func group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	c.AddCommand(below...)
	return c
}

// listCommand makes of c, which says what it is about, a command that lists what find
// finds in the settings: a table, whose rows have their columns parted by tabs as the
// header has, or JSON.
func listCommand[V any](c *cobra.Command, header string, find func(context.Context, *conf.Settings) ([]V, error), row func(V) string) *cobra.Command {
	var path string
	var asJSON bool
	c.Use, c.Aliases, c.Args, c.ValidArgsFunction = "list", []string{"ls"}, cobra.NoArgs, cobra.NoFileCompletions
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := conf.Load(confPath(path))
		if err != nil {
			return err
		}
		views, err := find(cmd.Context(), s)
		if err != nil {
			return err
		}
		return printTable(cmd, asJSON, header, views, row)
	}
	confFlag(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

// jsonFlag gives a command the --json flag.
func jsonFlag(c *cobra.Command, asJSON *bool) {
	c.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

// printTable prints a row for each view below a header, or all of them as JSON.
func printTable[V any](cmd *cobra.Command, asJSON bool, header string, views []V, row func(V) string) error {
	if asJSON {
		return printJSON(cmd, views)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, header)
	for _, v := range views {
		fmt.Fprintln(w, row(v))
	}
	return w.Flush()
}
