package change

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/config"
)

// ErrChanged: somebody has changed a file by hand between reading and writing it. Nothing was written; the same
// change may well succeed when it is made again.
var ErrChanged = errors.New("was changed by somebody else at the same moment; nothing was written")

// Files is a configuration on disk. It may be used concurrently, also by several processes.
type Files struct {
	// Path is the folder of *.conf files, or the one file.
	Path string
	// Probes are those of the check that a change has to pass.
	Probes conf.Probes
	// Accept, if not nil, says why settings could not come into force, though a server would start with them, or with
	// what was wrong before. It is asked of those that a change leads to, and refuses it.
	Accept func(after *conf.Settings) error

	step func() // tests are told of each step that could be the last one
}

// Editor makes edits of the settings as they are at the moment. No edits: nothing is written.
type Editor func(*conf.Settings) ([]*conf.Edit, error)

// Single is an editor of one file.
func Single(change func(*conf.Settings) (*conf.Edit, error)) Editor {
	return func(s *conf.Settings) ([]*conf.Edit, error) {
		e, err := change(s)
		if err != nil {
			return nil, err
		}
		return []*conf.Edit{e}, nil
	}
}

// Refused is a change after which the configuration would be wrong in ways in which it is not now. Nothing
// was written.
type Refused struct {
	Problems []error // each with the place it would have
}

// Error implements error: a line for each problem.
func (r *Refused) Error() string {
	text := "nothing was changed: with that the configuration is wrong, and no server would start with it"
	for _, p := range r.Problems {
		text += "\n" + p.Error()
	}
	return text
}

// Reasons are the problems without their places, which are those of a text that nobody has.
func (r *Refused) Reasons() []string {
	all := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		all[i] = reason(p)
	}
	return all
}

// Apply makes a change and returns the names of the files that it changed. An error, of which the editor's is one, means that nothing
// was: ErrChanged, *Refused, or why a file cannot be written.
func (f Files) Apply(ctx context.Context, edit Editor) ([]string, error) {
	unlock, err := lock(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := recoverIn(ctx, folderOf(f.Path)); err != nil {
		return nil, err
	}
	s, err := conf.Load(f.Path)
	if err != nil {
		return nil, err
	}
	edits, err := edit(s)
	if err != nil || len(edits) == 0 {
		return []string{}, err
	}
	after, err := f.check(edits)
	if err != nil {
		return nil, err
	}
	if f.Accept != nil {
		if err := f.Accept(after); err != nil {
			return nil, err
		}
	}
	holds := after.HoldSecrets()
	p := &publication{folder: folderOf(f.Path), step: f.step}
	defer p.clean()
	for _, e := range edits {
		if err := p.prepare(e, holds[e.File]); err != nil {
			return nil, fmt.Errorf("%s is not changed: %w", e.File, err)
		}
	}
	if err := p.publish(ctx); err != nil {
		return nil, err
	}
	names := make([]string, len(edits))
	for i, e := range edits {
		names[i] = e.File
	}
	return names, nil
}

// check refuses what the configuration has not been wrong in before. What was wrong before is not the
// change's doing.
func (f Files) check(edits []*conf.Edit) (*conf.Settings, error) {
	after, problems := conf.VerifyEdited(f.Path, edits, f.Probes)
	if len(problems) == 0 {
		return after, nil
	}
	_, before := conf.Verify(f.Path, f.Probes)
	known := make(map[string]bool, len(before))
	for _, p := range before {
		known[reason(p)] = true
	}
	problems = slices.DeleteFunc(problems, func(p error) bool { return known[reason(p)] })
	if len(problems) > 0 || after == nil {
		return nil, &Refused{problems}
	}
	return after, nil
}

// reason is a problem without its place, which changes with every line, and without what is near it.
func reason(problem error) string {
	text := problem.Error()
	if placed := (*config.Error)(nil); errors.As(problem, &placed) {
		text = placed.Err.Error()
	}
	text, _, _ = strings.Cut(text, "; did you mean")
	return text
}

// New writes files that are not there yet into a folder, as the samples of a new configuration: all or none.
func New(ctx context.Context, folder string, edits []*conf.Edit) error {
	p := &publication{folder: folder}
	defer p.clean()
	for _, e := range edits {
		if err := p.prepare(e, true); err != nil {
			return err
		}
	}
	return p.publish(ctx)
}
