package daemon

import (
	"fmt"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/internal/pages/admin"
	"github.com/postrider-mail/postrider/internal/post"
	"github.com/postrider-mail/postrider/internal/published"
)

// overview tells the pages how the server is.
type overview struct{ d *Daemon }

// Standing implements admin.Overview.
func (o overview) Standing() admin.Standing {
	s := o.d.status(o.d.born)
	at := admin.Standing{Name: s.Name, Version: s.Version, Since: s.Since, Sessions: s.Sessions, Most: s.Most, Queue: s.Queue, Problems: s.problems(), Leaves: s.Leaves}
	for _, p := range s.Ports {
		at.Ports = append(at.Ports, admin.Port{Address: p.Bound, Protocol: p.Protocol, TLS: p.TLS})
	}
	for _, c := range s.Certificates {
		at.Certificates = append(at.Certificates, admin.Certificate{Names: c.Names, NotAfter: c.NotAfter, From: c.From, Soon: c.Soon, Problem: c.Problem, Renews: c.Renews, Retry: c.Retry,
			Own: c.From == published.SelfSigned(o.d.state().settings).Cert})
	}
	for _, r := range rooms(o.d.state().settings) {
		at.Rooms = append(at.Rooms, admin.Room{Dir: r.Dir, Octets: r.Octets, Files: r.Files, Short: r.Short})
	}
	return at
}

// problems is what is not as it should be, the worst first, and what to do about it.
func (s *Status) problems() (all []admin.Problem) {
	bad := func(text, do string) { all = append(all, admin.Problem{Text: text, Do: do, Bad: true}) }
	note := func(text, do string) { all = append(all, admin.Problem{Text: text, Do: do}) }
	if !s.Healthy {
		bad("Mail cannot be kept: "+s.Problem, "Nothing is taken until that is mended; other hosts wait and try again.")
	}
	for _, c := range s.Certificates {
		name := strings.Join(c.Names, ", ")
		switch {
		case c.Soon:
			bad("The certificate for "+name+" ends at "+clock(c.NotAfter)+".", c.Problem)
		case c.Problem != "":
			note("No certificate could be got for "+name+": "+c.Problem, "")
		}
	}
	if len(s.Starving) > 0 {
		bad("Mail waits for a place in the queue: "+strings.Join(s.Starving, ", ")+".", "See which destinations take long, on the page of the queue.")
	}
	if s.Queue != nil && s.Queue.Corrupt > 0 {
		bad(fmt.Sprintf("Messages in the queue cannot be read: %d.", s.Queue.Corrupt), `They are in the folder "corrupt" of queue_dir.`)
	}
	for _, e := range s.Errors {
		bad(e, "")
	}
	for _, w := range s.Warnings {
		note(w, "")
	}
	for _, l := range s.Limits {
		if !l.Lifted.IsZero() {
			note(l.Name+" may send without limits until "+clock(l.Lifted)+".", "")
			continue
		}
		do := ""
		if l.Limit != "" {
			do = "More is taken at " + clock(l.Until) + ". "
		}
		if l.Held {
			do += `What it had in the queue is held: the page of the account releases it or throws it away, and so do "postrider user lift" and "discard". `
		}
		if l.Whose == post.OfAccount {
			do += "If that was not the user, set another password."
		}
		note(l.String()+".", do)
	}
	for i := range s.Posing {
		note(s.Posing[i].String()+".", "If it is one of yours, it passes if "+s.Posing[i].PassesIf+".")
	}
	if s.MorePosing > 0 {
		note(fmt.Sprintf("%d other hosts were refused as writing in the name of a domain of this host.", s.MorePosing), `See "refused" on the page of reports.`)
	}
	for _, g := range s.Guessing {
		note(fmt.Sprintf("%s has asked for %d recipients that do not exist since %s.", g.Network, g.Unknown, clock(g.Since)), "")
	}
	if n := len(s.Lockouts); n > 0 {
		l := s.Lockouts[0]
		note(fmt.Sprintf("Too many failed logins: %d accounts or networks are locked out, the last of them until %s (%s).", n, clock(l.Until),
			strings.TrimSpace(l.Account.String()+" "+l.Address)), "")
	}
	return all
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
