package daemon

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/postrider-mail/postrider/internal/accounts"
	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// Status is what the daemon says of itself through the control socket.
type Status struct {
	Name       string            `json:"name"`
	Version    string            `json:"version,omitempty"` // of the program that runs
	Since      time.Time         `json:"since"`
	Sessions   int               `json:"sessions"`
	Most       int               `json:"most"` // sessions that there can be
	Goroutines int               `json:"goroutines"`
	Listeners  map[string]string `json:"listeners"`     // settings' address → bound address
	Ports      []Port            `json:"ports"`         // the same with what is spoken there, in the order of the ports
	Web        string            `json:"web,omitempty"` // the address in the settings that HTTP is served at
	Queue      *queue.Counters   `json:"queue,omitempty"`
	// Certificates are those in use, and those an authority was asked for.
	Certificates []Certificate `json:"certificates"`
	// Lockouts are those whose logins are not checked for now: there were too many
	// that failed.
	Lockouts []accounts.Lockout `json:"lockouts"`
	// Limits are those who have met a limit, so that nothing of theirs is taken for now, and
	// users whose limits are lifted or whose mail is held.
	Limits []post.Limited `json:"limits,omitempty"`
	// Elsewhere is how those are who keep accounts, or answer for logins.
	Elsewhere []accounts.Standing `json:"elsewhere,omitempty"`
	// Guessing are networks that ask for recipients who are not there.
	Guessing []post.Guessing `json:"guessing,omitempty"`
	// Posing are sources whose mail was refused in the last days because it is in the name of a domain of this host and nothing shows that; MorePosing
	// is how many of them are not told.
	Posing     []Posing `json:"posing,omitempty"`
	MorePosing int      `json:"more_posing,omitempty"`
	Healthy    bool     `json:"healthy"`
	Problem    string   `json:"problem,omitempty"`
	// Starving are the classes of mail that wait for places in the queue.
	Starving []string `json:"starving,omitempty"`
	// Leaves says by which addresses mail leaves, where the settings choose some.
	Leaves string `json:"leaves,omitempty"`
	// Errors are what leaves the server without its defences, though mail goes on: a sentence each, with the cure.
	Errors []string `json:"errors,omitempty"`
	// Warnings are what does not work as the settings want it, though mail goes on: a sentence
	// each.
	Warnings []string `json:"warnings,omitempty"`
}

// Port is a place where the daemon listens.
type Port struct {
	Address  string `json:"address"` // as the settings have it
	Bound    string `json:"bound"`
	Protocol string `json:"protocol"`
	TLS      string `json:"tls"`
}

// ports are the places where the daemon listens, in the order of their numbers.
func (d *Daemon) ports() []Port {
	bound := d.Addrs()
	var all []Port
	for _, l := range d.state().settings.Listeners {
		if addr := bound[l.Address]; addr != nil {
			all = append(all, Port{l.Address, addr.String(), string(l.Protocol), string(l.TLS)})
		}
	}
	number := func(p Port) int {
		_, port, _ := net.SplitHostPort(p.Bound)
		n, _ := strconv.Atoi(port)
		return n
	}
	slices.SortStableFunc(all, func(a, b Port) int {
		return cmp.Or(cmp.Compare(number(a), number(b)), cmp.Compare(a.Address, b.Address))
	})
	return all
}

// UnlockRequest names whose failed logins are to be forgotten: an account, or
// the IP address they came from.
type UnlockRequest struct {
	Who string `json:"who"`
}

// commands is what can be asked through the control socket.
func (d *Daemon) commands() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, struct{}{}, d.Reload())
	})
	mux.HandleFunc("POST /status", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, d.status(d.born), nil)
	})
	mux.HandleFunc("POST /nodes", func(w http.ResponseWriter, r *http.Request) {
		all, err := d.others(r.Context())
		control.Answer(w, all, err)
	})
	mux.HandleFunc("POST /settings", func(w http.ResponseWriter, r *http.Request) {
		control.Answer(w, d.state().settings.Values(), nil)
	})
	mux.HandleFunc("POST /unlock", func(w http.ResponseWriter, r *http.Request) {
		var who UnlockRequest
		err := control.Read(w, r, &who)
		if err == nil && !d.state().credentials.Unlock(who.Who) {
			err = fmt.Errorf("no failed logins are remembered of %s", who.Who)
		}
		control.Answer(w, struct{}{}, err)
	})
	d.service.Commands(mux)
	d.desk.Commands(mux)
	d.quarantineCommands(mux)
	d.post.Submissions(mux)
	return mux
}

// most is how many sessions there can be at a time.
func (d *Daemon) most() int {
	wanted := wantedConnections(d.state().settings)
	return min(wanted, cmp.Or(d.pool.MaxConns, wanted))
}

func (d *Daemon) status(since time.Time) Status {
	s := Status{
		Name:         d.state().settings.ServerName,
		Since:        since,
		Sessions:     d.sessions(),
		Most:         d.most(),
		Goroutines:   runtime.NumGoroutine(),
		Listeners:    make(map[string]string),
		Certificates: d.state().certificates(),
		Lockouts:     d.state().credentials.Lockouts(),
		Healthy:      true,
	}
	for name, addr := range d.Addrs() {
		s.Listeners[name] = addr.String()
	}
	s.Version, s.Ports = d.Version, d.ports()
	s.Limits, s.Guessing = d.post.Full(), d.post.Guessing()
	s.Posing, s.MorePosing = d.posing.list(time.Now())
	if d.post.Outbound != nil {
		counters := d.post.Outbound.Queue().Counters()
		s.Queue = &counters
	}
	s.Starving, s.Warnings = d.post.Outbound.Starving(), slices.Concat(d.trustProblems(), d.preferences.Problems(), d.keyProblems(), d.nodeProblems(), d.togetherProblems())
	s.Elsewhere = d.state().elsewhere().Standing()
	for _, e := range s.Elsewhere {
		if e.Away {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s is away since %s: nobody of its accounts can log in, and their mail is told to come again: %s", e.Place, clock(e.Since), e.Problem))
		}
	}
	if err := d.verifier.Problem(); err != nil {
		s.Errors = append(s.Errors, err.Error())
	}
	note, warning := d.family()
	if s.Leaves = note; warning != "" {
		s.Warnings = append(s.Warnings, warning)
	}
	web, err := d.webStanding()
	if s.Web = web; err != nil {
		s.Warnings = append(s.Warnings, err.Error())
	}
	if err := d.healthy(); err != nil {
		s.Healthy, s.Problem = false, err.Error()
	}
	return s
}
