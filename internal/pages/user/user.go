// Package user is the pages for those who have an account for mail here.
//
//	area := pages.New(pages.Config{Name: "account", Logins: logins, Log: log})
//	user.Add(area, user.Server{})
//
// What a page needs of the server stands in Server. How a page is added is said in
// internal/pages.
package user

import (
	"context"
	"embed"
	"net/http"

	"github.com/postrider-mail/postrider/internal/pages"
)

//go:embed templates
var templates embed.FS

// Server is what the pages show and change. What is nil leaves its page, or its part of one, out.
type Server struct {
	// Ways are how mail programs fetch and send, by the settings of the moment, and whether programs find that by
	// themselves; none: they cannot from other hosts.
	Ways func() (ways []Way, found bool)
	// Use is what somebody's mailbox holds.
	Use func(ctx context.Context, who string) (Use, error)
	// Own is what users decide themselves.
	Own Own
	// Mail answers below mail/ with what is in somebody's mailbox; pages.ErrNotFound where the settings let nobody look, as
	// MailShown tells as well.
	Mail      func(w http.ResponseWriter, r *pages.Request) error
	MailShown func(from pages.Visitor) bool
}

// Add adds the pages to their area.
func Add(area *pages.Area, s Server) { area.Add(templates, s.pages()...) }

// pages is the table of them, in the order of the navigation.
func (s Server) pages() []pages.Page {
	all := []pages.Page{{Path: "", Menu: "Account", Title: "Your account", Template: "account.html", Show: s.account}}
	if s.Mail != nil {
		all = append(all, pages.Page{Path: "mail/", Title: "Mail", Send: s.Mail}, pages.Page{Path: "mail/{rest...}", Title: "Mail", Send: s.Mail})
	}
	if s.Own == nil {
		return all
	}
	return append(all,
		s.allowed(MayPassword, pages.Page{Path: "password", Menu: "Password", Title: "Password", Template: "password.html", Show: s.decided,
			Do: map[string]pages.Action{"change": s.setPassword}}),
		s.allowed(MayAppPasswords, pages.Page{Path: "devices", Menu: "Devices", Title: "Passwords for devices", Template: "devices.html", Show: s.decided,
			Do: map[string]pages.Action{"add": s.addApp, "revoke": s.revokeApp, "only": s.setOnlyApps}}),
		s.allowed(MayAppPasswords, pages.Page{Path: "devices/phone", Title: "A telephone by a code", Template: "phone.html", Show: s.phone,
			Do: map[string]pages.Action{"ask": s.askPhone}}),
		pages.Page{Path: "setup/{token}", Title: "Profile", Open: true, Send: s.setUp},
		s.allowed(MayForward, pages.Page{Path: "forward", Menu: "Forwarding", Title: "Forwarding", Template: "forward.html", Show: s.decided,
			Do: map[string]pages.Action{"ask": s.askForward, "confirm": s.confirmForward, "end": s.endForward}}),
		s.allowed(MayAbsence, pages.Page{Path: "absence", Menu: "Absence", Title: "While you are away", Template: "absence.html", Show: s.decided,
			Do: map[string]pages.Action{"keep": s.setAbsence, "end": s.endAbsence}}),
		s.allowed(MayJunk, pages.Page{Path: "junk", Menu: "Junk", Title: "Put aside for you", Template: "junk.html", Show: s.junk,
			Do: map[string]pages.Action{"release": s.release}}),
	)
}
