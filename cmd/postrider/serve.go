package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/service"
	"github.com/postrider-mail/postrider/internal/sys"
)

// quickStartDir is where "serve" without a configuration keeps everything,
// below the folder it is started in.
const quickStartDir = "postrider-data"

func serveCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve [-c DIR]",
		Short: "Run the mail server",
		Long: `Run the mail server until it is told to stop (SIGTERM or SIGINT).

With -c (or $POSTRIDER_CONF) it reads every *.conf file in DIR, in the order of their names. SIGHUP
or "postrider reload" makes it read them again without ending a session.

Where DIR has no settings yet, $POSTRIDER_SERVER_NAME makes it some: those of "postrider conf init",
at ports that need no privileges (2525, 2587, 2465, 2110, 2995). Containers are started so.

Without any of these it makes itself a configuration in ./` + quickStartDir + ` that listens on
this machine only, and prints how to send a message and fetch it back.`,
		Example: "  postrider serve\n  postrider serve -c /etc/postrider",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd, path)
		},
	}
	c.Flags().StringVarP(&path, "conf", "c", "", "folder of *.conf files, or one file")
	c.MarkFlagDirname("conf")
	return c
}

func serve(cmd *cobra.Command, path string) error {
	withoutCores()
	manager, err := service.FromEnvironment()
	if err != nil {
		return err
	}
	defer manager.Close()
	introduce := func() {}
	if path == "" {
		path = os.Getenv(confVariable)
	}
	if path == "" {
		dir, err := filepath.Abs(quickStartDir)
		if err != nil {
			return err
		}
		start, err := daemon.QuickStart(dir)
		if err != nil {
			return err
		}
		// Until it listens, the lines would talk to whoever else does.
		defer start.Forget()
		introduce = func() { start.Introduce(cmd.OutOrStdout()) }
		path = dir
	}
	if err := firstStart(cmd, path); err != nil {
		return err
	}
	if err := change.Recover(cmd.Context(), path); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), err) // it may start all the same
	}
	// From before anybody can see that it is there: who asks it to stop or to reload meanwhile is heard when it has started.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	d, err := daemon.NewUnder(manager, func() (*conf.Settings, error) { return conf.Load(path) }, cmd.ErrOrStderr())
	if err == nil {
		d.Version, d.Configuration = programVersion(), path
	}
	if errors.Is(err, sys.AddrInUse) {
		return fmt.Errorf("%w; stop it, or change Listeners in %s", err, path)
	}
	if err != nil {
		return err
	}
	introduce()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				d.Reload() // it logs what is wrong
			}
		}
	}()
	return d.Run(ctx)
}

func reloadCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "reload [-c DIR]",
		Short: "Make the running server read its configuration again",
		Long: `Make the running server read its configuration again. If something is wrong with
it, that is said here and in the log, and the old settings stay in force.`,
		Example: "  postrider reload -c /etc/postrider",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := call(cmd, path, "reload", nil, nil); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the new settings are in force")
			return nil
		},
	}
	confFlag(c, &path)
	return c
}

// call asks the daemon that runs with the configuration at path.
func call(cmd *cobra.Command, path, action string, in, out any) error {
	s, err := conf.Load(confPath(path))
	if err != nil {
		return err
	}
	return control.NewClient(s.Admin.Socket).Call(cmd.Context(), action, in, out)
}
