package admin

import (
	"time"

	"github.com/postrider-mail/postrider/internal/pages"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Overview says how the server is.
type Overview interface {
	Standing() Standing
}

// Standing is how the server is at a moment.
type Standing struct {
	Name, Version string
	Since         time.Time
	Sessions      int
	Most          int // sessions that there can be
	Queue         *queue.Counters
	Problems      []Problem // the worst first
	Ports         []Port
	Certificates  []Certificate
	Rooms         []Room
	Leaves        string // by which addresses mail leaves, where the settings choose some
}

// Problem is something that is not as it should be.
type Problem struct {
	Text string
	Do   string // what to do about it
	// Bad: mail is lost or late by it. Otherwise it is worth knowing.
	Bad bool
}

// Port is a place where the server listens.
type Port struct{ Address, Protocol, TLS string }

// Certificate is one in use, or one that is waited for.
type Certificate struct {
	Names    []string
	NotAfter time.Time // zero: it is not there yet
	From     string    // who made it
	Soon     bool      // it ends soon
	Problem  string
	Renews   time.Time // when an authority is asked for the next one; zero: it is renewed by somebody else
	Retry    time.Time // when a missing one is asked for again
	Own      bool      // this server has made it itself
}

// Room is what is free on the disk of a directory.
type Room struct {
	Dir    string // the setting that names it
	Octets int64
	Files  int64
	Short  bool // less than what is kept free
}

// overviewData is what the page shows.
type overviewData struct {
	Standing
	Flows []flow
	Queue bool // there are pages about the queue
	Mail  *queue.Counters
}

func (s Server) overview(*pages.Request) (any, error) {
	d := overviewData{Standing: s.Overview.Standing(), Queue: s.Queue != nil}
	d.Mail = d.Standing.Queue
	if s.Flows != nil {
		d.Flows = []flow{newFlow("The last hour", s.Flows(60, 1)), newFlow("The last day", s.Flows(96, 15))}
	}
	return d, nil
}
