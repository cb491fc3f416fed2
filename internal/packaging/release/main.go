// Command release makes a release of the checkout that it is called in: programs,
// Debian packages, an image, what is in them, and checksums. It publishes
// nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/packaging"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o := packaging.Options{Log: os.Stderr}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&o.Source, "source", ".", "the checkout")
	flags.StringVar(&o.Out, "out", "release", "the folder to make")
	flags.StringVar(&o.Version, "version", "", "what packages are called (default: by the tag or the commit)")
	targets := flags.String("targets", "", "GOOS/GOARCH,... (default all)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is one word too much", flags.Arg(0))
	}
	o.Targets = packaging.Targets()
	if *targets != "" {
		named := strings.Split(*targets, ",")
		o.Targets = slices.DeleteFunc(o.Targets, func(t packaging.Target) bool {
			return !slices.Contains(named, t.OS+"/"+t.Arch)
		})
		if len(o.Targets) != len(named) {
			return fmt.Errorf("-targets: not all of %s are known", *targets)
		}
	}
	return packaging.Make(context.Background(), o)
}
