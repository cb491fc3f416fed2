package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

// systemDir is where the configuration of a host is that serves mail for good.
const systemDir = "/etc/postrider"

// confVariable names the configuration in the environment.
const confVariable = "POSTRIDER_CONF"

// confFlag gives a command the -c flag.
func confFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "conf", "c", "", `folder of *.conf files, or one file (default $`+confVariable+`,
./`+quickStartDir+` if it is there, `+systemDir+`)`)
	c.MarkFlagDirname("conf")
}

// confPath is where the configuration is: where -c says, else the environment,
// else where a quick start in this folder keeps it, else where that of the host
// is.
func confPath(path string) string {
	if path != "" {
		return path
	}
	if path = os.Getenv(confVariable); path != "" {
		return path
	}
	if _, err := os.Stat(quickStartDir); err == nil {
		return quickStartDir
	}
	return systemDir
}

// hint tells who has no configuration where it was looked for, and how to name
// another.
func hint(err error) error {
	var missing *fs.PathError
	if errors.As(err, &missing) && missing.Op == "stat" && missing.Path == systemDir && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is neither ./%s nor %s; name the folder of your configuration with -c DIR or $%s", quickStartDir, systemDir, confVariable)
	}
	return err
}
