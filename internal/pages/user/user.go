// Package user is the pages for those who have an account for mail here.
//
//	area := pages.New(pages.Config{Name: "account", Logins: logins, Log: log})
//	user.Add(area, user.Server{})
//
// What a page needs of the server stands in Server. How a page is added is said in
// internal/pages.
package user

import (
	"embed"

	"github.com/postrider-mail/postrider/internal/pages"
)

//go:embed templates
var templates embed.FS

// Server is what the pages show and change. What is nil leaves its page, or its part of one, out.
type Server struct {
	// Ways are how mail programs fetch and send, by the settings of the moment; none: nobody is told.
	Ways func() []Way
}

// Add adds the pages to their area.
func Add(area *pages.Area, s Server) { area.Add(templates, s.pages()...) }

// pages is the table of them, in the order of the navigation.
func (s Server) pages() []pages.Page {
	return []pages.Page{
		{Path: "", Menu: "Account", Title: "Your account", Template: "account.html", Show: s.account},
	}
}
