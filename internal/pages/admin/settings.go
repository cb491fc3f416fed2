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

// settingsData is what the page shows.
type settingsData struct {
	Slice
	All   bool // those as well that are as they are by default
	Rows  []Setting
	Pager pages.Pager
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
	return d, nil
}
