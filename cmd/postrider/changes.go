package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/change"
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// changeFlags are those of every command that changes the configuration.
type changeFlags struct {
	path     string
	noReload bool
	json     bool
}

func (f *changeFlags) add(c *cobra.Command) {
	confFlag(c, &f.path)
	c.Flags().BoolVar(&f.noReload, "no-reload", false, "do not tell a running server")
	jsonFlag(c, &f.json)
}

// outcome is what a change came to, as --json prints it.
type outcome struct {
	Address  string   `json:"address,omitempty"`
	To       string   `json:"to,omitempty"` // where it was renamed
	Password string   `json:"password,omitempty"`
	Secret   string   `json:"secret,omitempty"` // of a second factor, as people type it
	URI      string   `json:"uri,omitempty"`    // the same, as programs read it
	Files    []string `json:"files"`            // that were changed
	Reloaded bool     `json:"reloaded"`         // a running server knows it
}

// apply changes the files of the configuration, each whole or not at all; or none, if no server would
// start with what they would hold.
func (f *changeFlags) apply(cmd *cobra.Command, edit change.Editor) (*outcome, error) {
	var before *conf.Settings
	files, err := change.Files{Path: confPath(f.path), Probes: probes()}.Apply(cmd.Context(), func(s *conf.Settings) ([]*conf.Edit, error) {
		before = s
		return edit(s)
	})
	if err != nil {
		return nil, err
	}
	return &outcome{Files: files}, forgetPredecessors(cmd.Context(), f.path, before)
}

// forgetPredecessors removes what is left of users whose names have just been given to others.
func forgetPredecessors(ctx context.Context, path string, before *conf.Settings) error {
	after, err := conf.Load(confPath(path))
	if err != nil {
		return err
	}
	var fresh []domains.Address
	old := before.Book().Accounts
	for at := range after.Book().Accounts {
		if old[at] == nil {
			fresh = append(fresh, at)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return forget(ctx, after, fresh...)
}

// finish says what was done, tells it to a running server, and fails if that cannot use it.
func (f *changeFlags) finish(cmd *cobra.Command, out *outcome, done string) error {
	path := confPath(f.path)
	var failed error
	switch err := f.reload(cmd, path); {
	case err == nil:
		out.Reloaded = true
		done += ", and the running server knows it"
	case errors.Is(err, control.ErrNotRunning):
	case errors.Is(err, errNotTold):
		done += "; a running server knows it after: postrider reload -c " + path
	default:
		done += fmt.Sprintf(", but the running server does not know it: %v", err)
		failed = errSaid
	}
	fmt.Fprintln(cmd.ErrOrStderr(), done)
	if f.json {
		return errors.Join(printJSON(cmd, out), failed)
	}
	return failed
}

// errNotTold: it was not to be.
var errNotTold = errors.New("the server was not told")

// reload tells a running server that the configuration has changed.
func (f *changeFlags) reload(cmd *cobra.Command, path string) error {
	if f.noReload {
		return errNotTold
	}
	s, err := conf.Load(path)
	if err != nil {
		return err
	}
	return control.NewClient(s.Admin.Socket).Call(cmd.Context(), "reload", nil, nil)
}
