package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/daemon"
	"github.com/postrider-mail/postrider/internal/service"
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

Without either it makes itself a configuration in ./` + quickStartDir + ` that listens on
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
	d, err := daemon.NewUnder(manager, func() (*conf.Settings, error) { return conf.Load(path) }, cmd.ErrOrStderr())
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop it, or change Listeners in %s", err, path)
	}
	if err != nil {
		return err
	}
	introduce()
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
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

func statusCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "status [-c DIR]",
		Short: "Say how the running server is",
		Long: `Say since when the server runs, how many sessions it has, where it listens, how long its
certificates are good for and who is locked out after too many failed logins. The exit code is 1
if it does not run, or runs but cannot keep mail, also for want of octets or inodes on a disk.`,
		Example: "  postrider status -c /etc/postrider",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s daemon.Status
			if err := call(cmd, path, "status", nil, &s); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s, since %s, %s of at most %d\n", s.Name, s.Since.Format("2006-01-02 15:04:05"), count(s.Sessions, "session"), s.Most)
			for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
				if addr := s.Listeners[name]; addr != name {
					name += " (" + addr + ")"
				}
				fmt.Fprintf(out, "  listening on %s\n", name)
			}
			for _, c := range s.Certificates {
				fmt.Fprintf(out, "  %s\n", describeCertificate(c))
			}
			if len(s.Starving) > 0 {
				fmt.Fprintf(out, "  mail waits for a place in the queue: %s (postrider queue counters)\n", strings.Join(s.Starving, ", "))
			}
			for _, l := range s.Lockouts {
				fmt.Fprintf(out, "  %s\n", describeLockout(l))
			}
			if !s.Healthy {
				return fmt.Errorf("not healthy: %s", s.Problem)
			}
			return nil
		},
	}
	confFlag(c, &path)
	return c
}

// describeLockout says in a line who is locked out.
func describeLockout(l accounts.Lockout) string {
	who := printable(l.Account)
	switch {
	case who == "":
		who = "logins from " + l.Address
	case l.Address != "":
		who = "logins to " + who + " from " + l.Address
	default:
		who = "logins to " + who + " from new places"
	}
	return who + " are not checked until " + l.Until.Local().Format("2006-01-02 15:04:05") + ": too many failed"
}

// describeCertificate says in a line what one needs to know of a certificate.
func describeCertificate(c daemon.Certificate) string {
	const minute = "2006-01-02 15:04"
	text := "certificate for " + strings.Join(c.Names, ", ")
	if c.NotAfter.IsZero() {
		text += ", not there yet"
	} else {
		text += " until " + c.NotAfter.Local().Format(minute)
	}
	if c.Soon {
		text += ", EXPIRES SOON"
	}
	text += ", from " + c.From
	if !c.Retry.IsZero() {
		text += ", asked for again at " + c.Retry.Local().Format(minute)
	}
	if c.Problem != "" {
		text += ": " + strconv.QuoteToASCII(c.Problem)
	}
	return text
}

// call asks the daemon that runs with the configuration at path.
func call(cmd *cobra.Command, path, action string, in, out any) error {
	s, err := conf.Load(confPath(path))
	if err != nil {
		return err
	}
	return control.NewClient(s.Admin.Socket).Call(cmd.Context(), action, in, out)
}
