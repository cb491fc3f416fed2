package change

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/postrider-mail/postrider/internal/conf"
)

// Server is a server that runs, whose files are changed through its pages: what is written comes
// into force at once, or nothing is written. It may be used concurrently.
type Server struct {
	// Configuration is the folder of *.conf files or the one file; "": the server was not told,
	// and nothing can be changed.
	Configuration func() string
	// Settings are those in force.
	Settings func() *conf.Settings
	Probes   conf.Probes
	// ReadAgain has the server read its files.
	ReadAgain func() error

	mu sync.Mutex // one change after the other
}

// Apply changes the files and puts the settings in force. It is refused where they could not come into
// force. That it is in the files and not in force is an error that says so.
func (s *Server) Apply(ctx context.Context, edit Editor) error {
	path := s.Configuration()
	if path == "" {
		return errors.New("this server was not told where the files of its settings are")
	}
	// One after the other: what the one has written and not had read yet is no stranger's edit for the next.
	s.mu.Lock()
	defer s.mu.Unlock()
	// Who has closed the window meanwhile wants it no less: it is not to stop halfway.
	ctx = context.WithoutCancel(ctx)
	var found *conf.Settings // as the files are without the change
	noting := func(now *conf.Settings) ([]*conf.Edit, error) {
		found = now
		return edit(now)
	}
	accept := func(after *conf.Settings) error { return cmp.Or(s.accept(after), s.unread(found)) }
	_, err := Files{Path: path, Probes: s.Probes, Accept: accept}.Apply(ctx, noting)
	if refused := (*Refused)(nil); errors.As(err, &refused) {
		return errors.New("nothing was changed, as no server would start with that: " + strings.Join(refused.Reasons(), "; "))
	}
	if err != nil {
		return err
	}
	if err := s.ReadAgain(); err != nil {
		return fmt.Errorf("it is written into the files, but this server goes on with what it had: %w", err)
	}
	return nil
}

// unread refuses a change while the files have others' edits that this server has not read: it would put those into force as well, which nobody
// has asked for at the page.
func (s *Server) unread(found *conf.Settings) error {
	files := s.Settings().Unread(found)
	if len(files) == 0 {
		return nil
	}
	for i, name := range files {
		files[i] = filepath.Base(name)
	}
	return fmt.Errorf(`nothing was changed: somebody has edited %s, and this server has not read that yet; it would come into force with this change. Have it read first, on the page of the settings or by "postrider reload"`,
		strings.Join(files, ", "))
}

// accept says why this server cannot go by settings.
func (s *Server) accept(after *conf.Settings) error {
	wrong := append(after.CheckWith(s.Probes), s.Settings().NeedsRestart(after)...)
	if len(wrong) > 0 {
		return fmt.Errorf("nothing was changed, as the files have something that cannot come into force, which somebody has to mend first: %w", errors.Join(wrong...))
	}
	return nil
}

// Unread are the files that have another text than this server goes by.
func (s *Server) Unread() ([]string, error) {
	path := s.Configuration()
	if path == "" {
		return nil, nil
	}
	now, err := conf.Load(path)
	if err != nil {
		return nil, err
	}
	return s.Settings().Unread(now), nil
}

// Reload puts into force what the files have.
func (s *Server) Reload() error { return s.ReadAgain() }
