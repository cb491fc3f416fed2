package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version, the commit it was built from, and with what. --json has the settings of
the build as well.`,
		Example: "  postrider version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				info, _ := debug.ReadBuildInfo()
				return printJSON(cmd, buildOf(info))
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), programVersion())
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

// build is what the go command wrote into the program.
type build struct {
	// Version is the module's: of a tag, made of a commit, or "devel".
	Version string `json:"version"`
	// Commit is what it was built from, and Time when that was made; Changed says
	// that there were changes nobody had committed.
	Commit  string `json:"commit,omitempty"`
	Time    string `json:"time,omitempty"`
	Changed bool   `json:"changed"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Settings are those of the go command: "-trimpath", "CGO_ENABLED".
	Settings map[string]string `json:"settings,omitempty"`
}

func buildOf(info *debug.BuildInfo) build {
	b := build{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info == nil {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	b.Settings = make(map[string]string)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Changed = s.Value == "true"
		default:
			if !strings.HasPrefix(s.Key, "vcs") {
				b.Settings[s.Key] = s.Value
			}
		}
	}
	return b
}

func programVersion() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

// versionOf tells in a line what the go command wrote into the program.
func versionOf(info *debug.BuildInfo) string {
	b := buildOf(info)
	text := "postrider " + b.Version
	if b.Commit != "" {
		text += " " + b.Commit[:min(12, len(b.Commit))]
	}
	if b.Time != "" {
		text += " of " + b.Time
	}
	if b.Changed {
		text += " with changes"
	}
	return fmt.Sprintf("%s (%s %s/%s)", text, b.Go, b.OS, b.Arch)
}
