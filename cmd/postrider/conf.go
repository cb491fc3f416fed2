package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
)

func confCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "conf",
		Short: "Start a configuration, show the settings, or explain them",
		Long: `Start a configuration, show the settings in force, or explain every setting there is.
A configuration is a folder of *.conf files: JSON in which #, // and /* */ start
comments, read in the order of their names and merged.`,
	}, confInitCommand(), confShowCommand(), confDiffCommand(), confDocCommand(), confSealCommand())
}

func confInitCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "init -c DIR SERVER_NAME",
		Short: "Start a configuration for a real domain",
		Long: `Write annotated .conf files for a server of this name into DIR, which is made if it is
not there. Nothing that is there already is touched.`,
		Example: `  postrider conf init -c /etc/postrider mail.example.com
  postrider user add -c /etc/postrider alice@example.com
  postrider check -c /etc/postrider
  postrider dns show -c /etc/postrider
  postrider serve -c /etc/postrider`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" {
				return usage(cmd, errors.New("-c DIR is missing"))
			}
			return confInit(cmd, path, args[0])
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.Flags().StringVarP(&path, "conf", "c", "", "folder to write to")
	c.MarkFlagDirname("conf")
	return c
}

func confInit(cmd *cobra.Command, dir, name string) error {
	texts, err := conf.Samples(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if names, err := conf.Files(dir); err == nil {
		return fmt.Errorf("there is a configuration in %s already: %s", dir, filepath.Base(names[0]))
	}
	files, err := writeSettings(cmd, dir, texts)
	if err != nil {
		return err
	}
	for _, file := range files {
		fmt.Fprintln(cmd.OutOrStdout(), file)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "what the DNS has to say of it: postrider dns show -c %s\n", dir)
	return nil
}

// writeSettings puts .conf files, by their names, into a folder that has none.
func writeSettings(cmd *cobra.Command, dir string, texts map[string][]byte) (files []string, err error) {
	var edits []*conf.Edit
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		file := filepath.Join(dir, name)
		files = append(files, file)
		edits = append(edits, &conf.Edit{File: file, New: true, Text: texts[name]})
	}
	return files, change.New(cmd.Context(), dir, edits)
}

func confShowCommand() *cobra.Command {
	var path string
	var changed bool
	c := &cobra.Command{
		Use:   "show [-c DIR]",
		Short: "Print the settings in force and where each came from",
		Long: `Print the settings in force, those that no file mentions included. Behind each
stands where it came from: file:line:col, "default", or the environment.
Secrets are shown as stars. --changed leaves out what is as it is by default.`,
		Example: "  postrider conf show -c /etc/postrider\n  postrider conf show -c /etc/postrider --changed",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := conf.Load(confPath(path))
			if err != nil {
				return err
			}
			if changed {
				return s.ShowChanged(cmd.OutOrStdout())
			}
			return s.Show(cmd.OutOrStdout())
		},
	}
	confFlag(c, &path)
	c.Flags().BoolVar(&changed, "changed", false, "only what is not as it is by default")
	return c
}

func confDiffCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff [-c DIR]",
		Short: "Print in what the files differ from what the running server goes by",
		Long: `Print in what the settings in the files differ from those that the running server goes
by: what a reload, or a restart, would change. Secrets are shown as stars. The exit code
is 0 if there is no difference, 1 if there is.`,
		Example: "  postrider conf diff -c /etc/postrider",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := conf.Load(confPath(path))
			if err != nil {
				return err
			}
			var running map[string]string
			if err := call(cmd, path, "settings", nil, &running); err != nil {
				return err
			}
			return printDiff(cmd, conf.Diff(running, s.Values()), asJSON)
		},
	}
	confFlag(c, &path)
	jsonFlag(c, &asJSON)
	return c
}

// printDiff fails where there is a difference.
func printDiff(cmd *cobra.Command, differ []conf.Difference, asJSON bool) error {
	if asJSON {
		if err := printJSON(cmd, differ); err != nil {
			return err
		}
	} else {
		for _, d := range differ {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: running %s, in the files %s\n", d.Path, orNothing(d.Running), orNothing(d.Files))
		}
	}
	if len(differ) > 0 {
		return errSaid
	}
	if !asJSON {
		fmt.Fprintln(cmd.OutOrStdout(), "the running server goes by what is in the files")
	}
	return nil
}

func orNothing(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

func confDocCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doc [KEY...]",
		Short: "Print every setting with its explanation and default",
		Long: `Print the reference of all settings, or of those named: a .conf file in which each
has its default and is explained. Saved as it is, it changes nothing.`,
		Example: "  postrider conf doc | less\n  postrider conf doc SMTP TLS",
		RunE: func(cmd *cobra.Command, args []string) error {
			for i, key := range args {
				args[i], _, _ = strings.Cut(key, ".") // SMTP.tarpit is explained among its neighbours
			}
			return conf.Reference(cmd.OutOrStdout(), args...)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return conf.ReferenceKeys(), cobra.ShellCompDirectiveNoFileComp
		},
	}
}
