package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// runAs calls the program once more, with the same words, as another user, who may read
// everything as root does: the mail that is brought in belongs to somebody else.
func runAs(cmd *cobra.Command, uid, gid int) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	run := func(caps []uintptr) error {
		c := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
		c.Args[0] = os.Args[0]
		c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
		c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, AmbientCaps: caps}
		return c.Run()
	}
	err := run([]uintptr{unix.CAP_DAC_READ_SEARCH})
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		err = run(nil) // containers have a root without it: what that user may read, then
	}
	if errors.As(err, &ended) {
		return errSaid
	}
	return err
}

// readsAll reports whether this process may read what its user may not.
func readsAll() bool {
	if os.Geteuid() == 0 {
		return true
	}
	set, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_DAC_READ_SEARCH, 0, 0)
	return err == nil && set == 1
}
