package daemon

import (
	"time"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/verify"
	"github.com/postrider-mail/postrider/internal/web"
	"github.com/postrider-mail/postrider/smtp"
)

// moment is what the metrics say is so now.
func (d *Daemon) moment() web.Moment {
	st := d.state()
	m := web.Moment{
		Version: d.Version, Healthy: d.ready() == nil,
		Connections: d.sessions(), MaxConnections: d.most(),
		Rooms: rooms(st.settings), DNS: d.dns.Stats(),
		Keys: make(map[string]int), Limited: make(map[string]int), Lockouts: len(st.credentials.Lockouts()), Throttled: st.credentials.Throttled(), LeftOut: d.logFile.LeftOut(),
	}
	for _, l := range d.post.Full() {
		if l.Limit != "" {
			m.Limited[l.Whose.String()]++
		}
	}
	for _, e := range st.elsewhere().Standing() {
		m.Elsewhere = append(m.Elsewhere, web.Place{Name: e.Place, Away: e.Away, Asked: e.Asked, Failed: e.Failed})
	}
	for _, disk := range d.disks {
		m.Store.Add(disk.Stats())
		m.StoreFailed = m.StoreFailed || disk.Err() != nil
	}
	m.Full, m.Listed = d.fullness.full(), d.own.count()
	m.Signed, m.Unsigned = d.keys.Signatures()
	m.Records, m.Looked = d.desk.Zones().Faults()
	if out := d.post.Outbound; out != nil {
		counters := out.Queue().Counters()
		m.Queue = &counters
	}
	if st.issuer != nil {
		m.AuthorityTroubles = st.issuer.Problems()
	}
	for _, c := range st.certificates() {
		for _, name := range c.Names {
			m.Certificates = append(m.Certificates, web.Certificate{Name: name, NotAfter: c.NotAfter, Trouble: c.Problem != ""})
		}
	}
	for _, k := range d.keys.Keys() {
		m.Keys[string(k.Phase)]++
		if k.Trouble != "" {
			m.KeysInTrouble++
		}
	}
	return m
}

// rooms is what is free in the directories of these settings.
func rooms(s *conf.Settings) (all []web.Room) {
	dirs := []struct{ name, path string }{{"data_dir", s.DataDir}, {"mail_dir", s.MailDir}, {"queue_dir", s.QueueDir}}
	for _, dir := range dirs {
		f, err := freeNear(dir.path)
		if err != nil {
			continue
		}
		all = append(all, web.Room{Dir: dir.name, Octets: f.Octets, Files: f.Files, Short: f.Short(KeepFree(s, dir.path)) != nil})
	}
	return all
}

// refused tells of a refusal whoever wants to know.
func (d *Daemon) refused(service string, then func(*smtp.Session, *smtp.Refusal)) func(*smtp.Session, *smtp.Refusal) {
	return func(s *smtp.Session, f *smtp.Refusal) {
		d.metrics.SMTPRefused(service, f)
		then(s, f)
	}
}

// observe tells of a verdict whoever wants to know.
func (d *Daemon) observe(v *verify.Verdict) {
	d.metrics.Verified(v)
	d.posing.saw(v, time.Now())
	if d.reporting != nil && v.DMARC.Record != nil {
		d.reporting.Count(reportable(v))
	}
}
