package admin

import (
	"context"
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
)

// DNS says what the DNS should have of our domains, and what it was found to have.
type DNS interface {
	// Zones are a part of the domains with what was found last; next is empty at the end.
	Zones(s Slice) (part []Zone, next string)
	// Zone is one with all that is known; pages.ErrNotFound if its mail is not kept here. Nobody is asked.
	Zone(domain string) (Zone, error)
	// Check asks the servers of a zone, and returns after a moment, whether they have answered or not: then the check goes on.
	// One that runs already, or several of other zones, are not joined by another.
	Check(ctx context.Context, domain string) error
}

// Zone is what the DNS has, and should have, of a domain.
type Zone struct {
	Domain   string
	At       time.Time // of the last check; zero: there was none since the start
	Checking bool      // one is under way
	Faults   int
	Found    []Found // in the order of their weight
	Records  []Record
	Notes    []string // what the records could not be made of
	File     string   // the records as a zone file
	Keys     []Key
}

// Found is something that a check has found.
type Found struct {
	Name, Type, State, Text string
	Fault                   bool // something has to be done
	OK                      bool // all is well
}

// Record is one that should be there.
type Record struct {
	Name, Type, Value, Purpose string
	Need                       string // "must", "should" or "may"
	Elsewhere                  bool   // whoever gave us the address sets it
}

// Key is one that mail is signed with.
type Key struct {
	Selector, Type, State string
	Since                 time.Time // it is in that state
	Trouble               string
}

func (s Server) dnsPages() []pages.Page {
	return []pages.Page{
		{Path: "dns", Menu: "DNS", Title: "DNS", Template: "zones.html", Show: s.zones},
		{Path: "dns/{domain}", Title: "DNS of a domain", Template: "zone.html", Show: s.zone, Do: map[string]pages.Action{"check": s.checkZone}},
	}
}

// zonesData is what the list shows.
type zonesData struct {
	Slice
	Rows  []Zone
	Pager pages.Pager
}

func (s Server) zones(r *pages.Request) (any, error) {
	d := zonesData{Slice: slice(r)}
	rows, next := s.DNS.Zones(d.Slice)
	d.Rows, d.Pager = rows, r.Pager(next, "")
	return d, nil
}

func (s Server) zone(r *pages.Request) (any, error) { return s.DNS.Zone(r.PathValue("domain")) }

func (s Server) checkZone(r *pages.Request) error {
	domain := r.PathValue("domain")
	if err := s.DNS.Check(r.Context(), domain); err != nil {
		return err
	}
	r.Done("The servers of the zone were asked, or are being asked.", "domain", domain)
	return nil
}

func (s Server) certificates(*pages.Request) (any, error) {
	return s.Overview.Standing().Certificates, nil
}
