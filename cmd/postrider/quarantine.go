package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/quarantine"
)

func quarantineCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "quarantine",
		Short: "See and give free mail that was put aside",
		Long: `See and give free the mail of strangers that was put aside ("Verify": {"quarantine": …}), by asking the
running server. It is removed when it has been there for "quarantine_keep".`,
	}, quarantineListCommand(), quarantineShowCommand(), quarantineReleaseCommand())
}

func quarantineListCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:     "list",
		Short:   "List what was put aside, the oldest first",
		Example: "  postrider quarantine list -c /etc/postrider",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list daemon.QuarantineList
			if err := call(cmd, f.conf, "quarantine/list", daemon.QuarantineRequest{}, &list); err != nil {
				return err
			}
			err := printTable(cmd, f.json, "ID\tSINCE\tSIZE\tFOR\tFROM\tSUBJECT\tWHY", list.Items, func(i quarantine.Item) string {
				return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", i.ID, i.Since.Local().Format("2006-01-02 15:04"), size(i.Size), addresses(i),
					oneLine(i.From), oneLine(i.Subject), oneLine(reason(i)))
			})
			if err == nil && list.Problem != "" {
				err = errors.New("not all can be seen: " + list.Problem)
			}
			return err
		},
	})
}

// reason is why a message was put aside.
func reason(i quarantine.Item) string {
	if i.Unsafe {
		return "unsafe: " + i.Why
	}
	return i.Why
}

// addresses are those that a message was for.
func addresses(i quarantine.Item) string {
	var all []string
	for _, a := range i.For {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

// oneLine is what a stranger wrote as it can stand in a column.
func oneLine(s string) string {
	const room = 60
	printable := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}
	text := []rune(strings.Join(strings.Fields(strings.Map(printable, s)), " "))
	if len(text) > room {
		return string(text[:room-1]) + "…"
	}
	return string(text)
}

func quarantineShowCommand() *cobra.Command {
	var f askFlags
	return f.add(&cobra.Command{
		Use:   "show ID",
		Short: "Print a message that was put aside, a mebibyte of it at most",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var text string
			if err := call(cmd, f.conf, "quarantine/show", daemon.QuarantineRequest{ID: args[0]}, &text); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd, text)
			}
			_, err := io.WriteString(plain{cmd.OutOrStdout()}, strings.ReplaceAll(text, "\r\n", "\n"))
			return err
		},
	})
}

func quarantineReleaseCommand() *cobra.Command {
	var f askFlags
	var anyway bool
	c := f.add(&cobra.Command{
		Use:   "release ID...",
		Short: "Deliver messages to those they were for, once",
		Long: `Deliver messages to those they were for, once, without what quarantine has put on top of them.

A message that a milter has put aside, as one does that looks for viruses, is not released
unless you say --anyway: its recipients will have it as it came.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := []changed{}
			for _, id := range args {
				var item quarantine.Item
				if err := call(cmd, f.conf, "quarantine/release", daemon.QuarantineRequest{ID: id, Anyway: anyway}, &item); err != nil {
					if strings.Contains(err.Error(), quarantine.ErrUnsafe.Error()) {
						return fmt.Errorf("release: %w; --anyway releases it all the same", err)
					}
					return fmt.Errorf("release: %w", err)
				}
				done := changed{id, "delivered to " + addresses(item)}
				if all = append(all, done); !f.json {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", done.ID, done.Done)
				}
			}
			if f.json {
				return printJSON(cmd, all)
			}
			return nil
		},
	})
	c.Flags().BoolVar(&anyway, "anyway", false, "release also what a scanner has found something in")
	return c
}
