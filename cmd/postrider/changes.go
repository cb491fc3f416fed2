package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/mailstore/durable"
	"github.com/postrider-mail/postrider/parsers/config"
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
	Problems []string `json:"problems"`         // that the configuration has since

	before []string // problems there were
}

// editor makes edits of the settings as they are at the moment.
type editor func(*conf.Settings) ([]*conf.Edit, error)

// single is an editor of one file.
func single(change func(*conf.Settings) (*conf.Edit, error)) editor {
	return func(s *conf.Settings) ([]*conf.Edit, error) {
		e, err := change(s)
		if err != nil {
			return nil, err
		}
		return []*conf.Edit{e}, nil
	}
}

// apply changes the files of the configuration, each whole or not at all. The
// configuration is locked and read again for that, so that two changes at the same
// time both count.
func (f *changeFlags) apply(change editor) (*outcome, error) {
	path := confPath(f.path)
	unlock, err := lock(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := conf.Load(path)
	if err != nil {
		return nil, err
	}
	edits, err := change(s)
	if err != nil {
		return nil, err
	}
	out := &outcome{Files: []string{}, Problems: []string{}, before: problemsOf(path)}
	for i, e := range edits {
		if err := publish(e); err != nil {
			var left []string
			for _, e := range edits[i:] {
				left = append(left, e.File)
			}
			return nil, fmt.Errorf("%s not changed: %w", strings.Join(left, ", "), err)
		}
		out.Files = append(out.Files, e.File)
	}
	return out, forgetPredecessors(path, s)
}

// forgetPredecessors removes what is left of users whose names have just been given to others.
func forgetPredecessors(path string, before *conf.Settings) error {
	after, err := conf.Load(path)
	if err != nil {
		return nil // finish says what is wrong with it
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
	return forget(context.Background(), after, fresh...)
}

// problemsOf are the problems of a configuration without their places, which
// change with every line.
func problemsOf(path string) []string {
	_, problems := conf.Verify(path, probes())
	texts := make([]string, len(problems))
	for i, p := range problems {
		var placed *config.Error
		if texts[i] = p.Error(); errors.As(p, &placed) {
			texts[i] = placed.Err.Error()
		}
		texts[i], _, _ = strings.Cut(texts[i], "; did you mean")
	}
	return texts
}

// finish says what was done, tells it to a running server, and fails if the
// configuration is not what a server would start with any more.
func (f *changeFlags) finish(cmd *cobra.Command, out *outcome, done string) error {
	path := confPath(f.path)
	for _, problem := range problemsOf(path) {
		if !slices.Contains(out.before, problem) { // what was wrong before is not its doing
			out.Problems = append(out.Problems, problem)
		}
	}
	var failed error
	switch err := f.reload(cmd, path); {
	case len(out.Problems) > 0:
		done += ", but with that the configuration is wrong: no server would start with it"
		failed = errSaid
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
	for _, problem := range out.Problems {
		fmt.Fprintln(cmd.ErrOrStderr(), problem)
	}
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

// lock holds the folder of a configuration until unlock.
func lock(path string) (unlock func(), err error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { dir.Close() }, nil
}

// publish writes a file with secrets durably, mode 0600. It belongs to the owner of
// the old one, or of the folder, since the server may run as another user.
func publish(e *conf.Edit) error {
	name := e.File
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real // the link stays one
	}
	dir := filepath.Dir(name)
	owner, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		owner, err = os.Stat(dir)
	}
	if err != nil {
		return err
	}
	disk, err := durable.Open(dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := disk.ReplaceFile(context.Background(), name, e.Text); err != nil {
		return err
	}
	return keepOwner(name, owner)
}
