package admin

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postrider-mail/postrider/internal/pages"
)

// Setting is a value in force.
type Setting struct {
	Path, Value string // a secret is stars
	From        string // a place in a file, "default", or "environment NAME"
	Default     bool
}

// Files are those of the settings.
type Files interface {
	// Unread are those that were edited and that the server has not read since. An error says why they cannot be read.
	Unread() ([]string, error)
	// Reload reads all of them, or changes nothing.
	Reload() error
}

// settingsData is what the page shows.
type settingsData struct {
	Slice
	All bool // those as well that are as they are by default
	// Unread are files that were edited and are not read yet, and Broken why they could not be.
	Unread []string
	Broken string
	Rows   []Setting
	Pager  pages.Pager
}

// settings shows what is in force; only what some file says, unless it is asked for more.
func (s Server) settings(r *pages.Request) (any, error) {
	const onPage = 100
	d := settingsData{Slice: slice(r), All: r.URL.Query().Get("all") != ""}
	find := strings.ToLower(d.Find)
	rows := slices.DeleteFunc(s.Settings(), func(v Setting) bool {
		return v.Default && !d.All || !strings.Contains(strings.ToLower(v.Path), find)
	})
	from, _ := strconv.Atoi(d.After)
	from = max(0, min(from, len(rows)))
	to, next := min(from+onPage, len(rows)), ""
	if to < len(rows) {
		next = strconv.Itoa(to)
	}
	d.Rows, d.Pager = rows[from:to], r.Pager(next, "")
	if s.Files != nil {
		unread, err := s.Files.Unread()
		if d.Unread = unread; err != nil {
			d.Broken = err.Error()
		}
	}
	return d, nil
}

// reload reads the files again.
func (s Server) reload(r *pages.Request) error {
	if s.Files == nil {
		return pages.ErrNotFound
	}
	if err := s.Files.Reload(); err != nil {
		return err
	}
	r.Done("The files are read, and in force.")
	return nil
}
