package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), programVersion())
			return err
		},
	}
}

func programVersion() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

// versionOf tells what the go command wrote into the program: the module's
// version if it was installed as one, else the commit it was built from.
func versionOf(info *debug.BuildInfo) string {
	version, commit, when, changed := "devel", "", "", ""
	if info != nil {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			version = v
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = " " + s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.time":
				when = " of " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	return fmt.Sprintf("postrider %s%s%s%s (%s %s/%s)", version, commit, when, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
