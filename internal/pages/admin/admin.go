// Package admin is the pages for administrators.
//
//	area := pages.New(pages.Config{Name: "admin", Logins: logins, Codes: true, Log: log})
//	admin.Add(area, admin.Server{Overview: overview, Queue: queue})
//
// Each page asks the server by a small interface of its own, so that the daemon can give and a test
// can stand in for it. How a page is added is said in internal/pages.
package admin

import (
	"embed"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/internal/trace"
)

//go:embed templates
var templates embed.FS

// Server is what the pages show and steer. A nil interface leaves its pages, or its part of one, out.
type Server struct {
	Overview Overview
	// Flows is what came and went in the last n spans of so many minutes each, the oldest first; the
	// last one has not ended.
	Flows func(n, minutes int) []Traffic
	Queue Queue
	// Mail is the log in which the ways of messages are looked for, and Lines its newest lines.
	Mail  trace.Log
	Lines *trace.Ring
	// Leads says in a sentence where mail for an address would go now; empty if it is none.
	Leads func(address string) string
	// Reports are those of other hosts.
	Reports Reports

	Accounts Accounts
	Devices  Devices
	Aliases  Aliases
	Domains  Domains
	Lockouts Lockouts
	// Settings are those in force, in the order of the manual, and Files what they were read of; nil: they cannot be read again here.
	Settings func() []Setting
	Files    Files
	// Quarantine is mail that was put aside.
	Quarantine Quarantine
	// DNS is what the DNS should have of the domains, and has.
	DNS DNS
}

// Add adds the pages to their area.
func Add(area *pages.Area, s Server) { area.Add(templates, s.pages()...) }

// pages is the table of them, in the order of the navigation.
func (s Server) pages() (all []pages.Page) {
	if s.Overview != nil {
		all = append(all, pages.Page{Path: "", Menu: "Overview", Title: "Overview", Template: "overview.html", Show: s.overview})
	}
	if s.Queue != nil {
		all = append(all, s.queuePages()...)
	}
	if s.Mail != nil {
		all = append(all, s.mailPages()...)
	}
	if s.Lines != nil {
		all = append(all, s.tailPages()...)
	}
	if s.Quarantine != nil {
		all = append(all, s.quarantinePages()...)
	}
	all = append(all, s.reportPages()...)
	if s.Accounts != nil {
		all = append(all, s.accountPages()...)
	}
	if s.Aliases != nil {
		all = append(all, s.aliasPages()...)
	}
	if s.Domains != nil {
		all = append(all, s.domainPages()...)
	}
	if s.Lockouts != nil {
		all = append(all, pages.Page{Path: "lockouts", Menu: "Lock-outs", Title: "Lock-outs", Template: "lockouts.html", Show: s.lockouts,
			Do: map[string]pages.Action{"lift": s.liftOne}})
	}
	if s.DNS != nil {
		all = append(all, s.dnsPages()...)
	}
	if s.Overview != nil {
		all = append(all, pages.Page{Path: "certificates", Menu: "Certificates", Title: "Certificates", Template: "certificates.html", Show: s.certificates})
	}
	if s.Settings != nil {
		all = append(all, pages.Page{Path: "settings", Menu: "Settings", Title: "Settings in force", Template: "settings.html", Show: s.settings,
			Do: map[string]pages.Action{"reload": s.reload}})
	}
	return all
}
