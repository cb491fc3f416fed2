package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/domains"
)

func aliasCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "alias",
		Short: "Add, remove, list and import aliases",
		Long: `Add, remove, list and import aliases: addresses that lead to others. The files they
stand in keep their comments and layout. A running server is told, unless --no-reload
is given.`,
	}, aliasAddCommand(), aliasRemoveCommand(), aliasListCommand(), aliasImportCommand())
}

func aliasAddCommand() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:   "add ADDRESS TARGET...",
		Short: "Have an address lead to others",
		Long: `Have an address lead to others, beside those that it leads to already. "*@example.com"
is for whatever nobody else takes.`,
		Example: `  postrider alias add -c /etc/postrider sales@example.com alice@example.com bob@example.com
  postrider alias add -c /etc/postrider '*@example.org' alice@example.com`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var at domains.Address
			out, err := f.apply(cmd, change.Single(func(s *conf.Settings) (*conf.Edit, error) {
				at = address(s, args[0])
				targets := make([]string, len(args)-1)
				for i, t := range args[1:] {
					if targets[i] = t; !strings.Contains(t, "@") {
						targets[i] = t + "@" + at.Domain().String()
					}
				}
				return s.AddAlias(confPath(f.path), at, targets)
			}))
			if err != nil {
				return err
			}
			out.Address = at.String()
			return f.finish(cmd, out, out.Address+" is in "+out.Files[0])
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(c)
	return c
}

func aliasRemoveCommand() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use:     "remove ADDRESS [TARGET...]",
		Aliases: []string{"rm"},
		Short:   "Remove an alias, or some of what it leads to",
		Example: "  postrider alias remove -c /etc/postrider sales@example.com bob@example.com",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var at domains.Address
			out, err := f.apply(cmd, func(s *conf.Settings) ([]*conf.Edit, error) {
				at = address(s, args[0])
				edits, err := s.RemoveAlias(at, args[1:])
				if err != nil {
					if near := conf.Nearest(at, slices.Collect(maps.Keys(s.Book().Aliases))); near != "" && near != at {
						err = fmt.Errorf("%w; did you mean %s?", err, near)
					}
				}
				return edits, err
			})
			if err != nil {
				return err
			}
			out.Address = at.String()
			what := out.Address
			if len(args) > 1 {
				what = "the way from " + what + " to " + strings.Join(args[1:], ", ")
			}
			return f.finish(cmd, out, what+" is removed from "+strings.Join(out.Files, ", "))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(c)
	return c
}

// aliasView is an alias as "alias list" shows it.
type aliasView struct {
	Address domains.Address `json:"address"`
	Targets []string        `json:"targets"`
	Default bool            `json:"default"` // no file has it: postmaster and abuse
}

// written are targets as mail for them is addressed.
func written(targets []conf.Target) []string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.String()
	}
	return all
}

func aliasListCommand() *cobra.Command {
	return listCommand(&cobra.Command{
		Short:   "List the aliases, those that hold by default as well",
		Example: "  postrider alias list -c /etc/postrider",
	}, "ALIAS\tLEADS TO", aliasViews, func(v aliasView) string {
		text := fmt.Sprintf("%s\t%s", v.Address, strings.Join(v.Targets, " "))
		if v.Default {
			text += " (by default)"
		}
		return text
	})
}

func aliasViews(_ context.Context, s *conf.Settings) (views []aliasView, err error) {
	all := s.Book().Aliases
	for _, name := range slices.Sorted(maps.Keys(all)) {
		views = append(views, aliasView{name, written(all[name]), !s.HasAlias(name)})
	}
	return views, nil
}
