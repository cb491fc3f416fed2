package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/manpage"
)

// docCommand is for who makes packages; users have what it writes.
func docCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:    "doc",
		Short:  "Write the manual, for packages",
		Hidden: true,
	}, docManCommand())
}

func docManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR [PAGE.md...]",
		Short: "Write man pages of all commands, of the settings, and of pages in Markdown",
		Long: `Write man pages into DIR: one of each command, from the texts of --help; postrider.conf(5),
from those of "postrider conf doc"; and of each PAGE.md one in section 5. $SOURCE_DATE_EPOCH is the day
that they say they are of.`,
		Example: "  postrider doc man /tmp/man docs/rules.md docs/log.md",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pages, err := manPages(cmd.Root(), args[1:])
			if err != nil {
				return err
			}
			return writeManPages(args[0], pages)
		},
	}
}

func manPages(root *cobra.Command, markdown []string) ([]*manpage.Page, error) {
	also := []string{"postrider.conf(5)"}
	var written []*manpage.Page
	for _, file := range markdown {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := "postrider-" + strings.TrimSuffix(filepath.Base(file), ".md")
		written = append(written, manpage.Markdown(name, 5, string(text)))
		also = append(also, name+"(5)")
	}
	entries, err := conf.Entries()
	if err != nil {
		return nil, err
	}
	var settings []manpage.Setting
	for _, e := range entries {
		settings = append(settings, manpage.Setting(e))
	}
	pages := append(manpage.Commands(root, also...), written...)
	pages = append(pages, manpage.Settings("postrider.conf", "the settings of the Postrider mail server", conf.About(), settings,
		"postrider(1)", "postrider-conf-doc(1)", "postrider-check(1)"))
	for _, c := range root.Commands() {
		if c.Name() == "sendmail" {
			pages = append(pages, manpage.Called(c, "sendmail", 8, "take a message from standard input"),
				manpage.Called(c, "mailq", 1, "list what waits in the queue"), manpage.Called(c, "newaliases", 1, "do nothing, successfully"))
		}
	}
	return pages, nil
}

func writeManPages(dir string, pages []*manpage.Page) error {
	date := ""
	if text := os.Getenv("SOURCE_DATE_EPOCH"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		date = time.Unix(seconds, 0).UTC().Format(time.DateOnly)
	}
	for _, p := range pages {
		file := filepath.Join(dir, filepath.FromSlash(p.File()))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, p.Roff(date, ""), 0o644); err != nil {
			return err
		}
	}
	return nil
}
