package published

import (
	"slices"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/web"
	"github.com/postrider-mail/postrider/internal/zone"
)

// services are those for users, with IMAP where another server has it. What is not served is named
// as well, so that programs do not look for it.
func services(s *conf.Settings) []zone.Service {
	all := []zone.Service{{Name: "submissions"}, {Name: "submission"}, {Name: "pop3s"}, {Name: "pop3"}, {Name: "imaps"}, {Name: "imap"}}
	for _, l := range s.Listeners {
		_, port, ok := reachable(l)
		name := map[conf.Protocol]string{conf.ProtocolSubmission: "submission", conf.ProtocolPOP3: "pop3"}[l.Protocol]
		if !ok || name == "" || l.TLS == conf.TLSOff {
			continue
		}
		if l.TLS == conf.TLSImplicit {
			name += "s"
		}
		i := slices.IndexFunc(all, func(s zone.Service) bool { return s.Name == name })
		if all[i].Port == 0 {
			all[i].Port = port
		}
	}
	if host, port := s.IMAP.Where(s.ServerName); port > 0 {
		name := "imap"
		if s.IMAP.Secure() {
			name = "imaps"
		}
		i := slices.IndexFunc(all, func(s zone.Service) bool { return s.Name == name })
		if all[i].Port = port; canonical(host) != canonical(s.ServerName) {
			all[i].Host = canonical(host)
		}
	}
	return all
}

// MailSettings are the ports that mail programs are told of; nil where accounts can either not
// fetch or not send from elsewhere.
func MailSettings(s *conf.Settings) *web.Mail { return mailPorts(services(s)) }

// mailPorts are those that mail programs are told of; nil where accounts can either not fetch
// or not send from elsewhere.
func mailPorts(all []zone.Service) *web.Mail {
	best := func(implicit, starttls string) web.Port {
		for _, name := range []string{implicit, starttls} {
			i := slices.IndexFunc(all, func(s zone.Service) bool { return s.Name == name && s.Port != 0 })
			if i >= 0 {
				return web.Port{Host: all[i].Host, Number: all[i].Port, Implicit: name == implicit}
			}
		}
		return web.Port{}
	}
	m := &web.Mail{IMAP: best("imaps", "imap"), POP3: best("pop3s", "pop3"), SMTP: best("submissions", "submission")}
	if m.POP3.Number == 0 && m.IMAP.Number == 0 || m.SMTP.Number == 0 {
		return nil
	}
	return m
}
