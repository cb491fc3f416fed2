package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/trace"
)

// logFlags are those of commands that read the log.
type logFlags struct {
	conf, log string
}

func (f *logFlags) add(c *cobra.Command) {
	confFlag(c, &f.conf)
	c.Flags().StringVar(&f.log, "log", "", `the log file, or "-" for standard input (default what the settings say)`)
}

// open finds the log. done is to be called in the end.
func (f *logFlags) open(cmd *cobra.Command) (log trace.Log, done func(), err error) {
	name := f.log
	if name == "" {
		s, err := conf.Load(confPath(f.conf))
		if err != nil {
			return nil, nil, err
		}
		if name = s.Log.File; name == "" {
			return nil, nil, errors.New("the settings send the log to standard error, where systemd's journal takes it; try: journalctl -u postrider | " + cmd.CommandPath() + " --log -")
		}
	}
	if name != "-" {
		return trace.Files(name), func() {}, nil
	}
	// It is read from its end, and more than once.
	file, err := os.CreateTemp("", "postrider-trace-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { file.Close(); os.Remove(file.Name()) }
	size, err := io.Copy(file, cmd.InOrStdin())
	if err != nil {
		done()
		return nil, nil, err
	}
	return trace.Text{ReaderAt: file, Size: size}, done, nil
}

// sayLeft says what of the log was not looked at.
func sayLeft(cmd *cobra.Command, left *trace.Left) {
	if left != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "postrider: %v\n", left)
	}
}
