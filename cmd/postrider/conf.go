package main

import (
	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/conf"
)

func confCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "conf",
		Short: "Show the settings, or explain them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(confShowCommand(), confDocCommand())
	return c
}

func confShowCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "show [-c DIR]",
		Short: "Print the settings in force and where each came from",
		Long: `Print the settings in force, those that no file mentions included. Behind each
stands where it came from: file:line:col, "default", or the environment.
Secrets are shown as stars.`,
		Example: "  postrider conf show -c /etc/postrider\n  postrider conf show -c /etc/postrider | grep -v default",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := conf.Load(confPath(path))
			if err != nil {
				return err
			}
			return s.Show(cmd.OutOrStdout())
		},
	}
	confFlag(c, &path)
	return c
}

func confDocCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doc",
		Short: "Print every setting with its explanation and default",
		Long: `Print the reference of all settings: a .conf file in which each has its default
and is explained. Saved as it is, it changes nothing.`,
		Example: "  postrider conf doc | less\n  postrider conf doc | grep -A3 max_message_size",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return conf.Reference(cmd.OutOrStdout())
		},
	}
}
