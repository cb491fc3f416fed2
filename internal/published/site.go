package published

import (
	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/web"
	"github.com/postrider-mail/postrider/parsers/domains"
)

// Site is what one set of settings says about what is served over HTTP; nil: nothing is.
func Site(s *conf.Settings) *web.Site {
	if s.Web.Listen == "" {
		return nil
	}
	site := &web.Site{
		Host: canonical(s.ServerName), Names: s.WebNames(),
		StatusFrom: s.Web.StatusFrom, ProxyFrom: s.Web.ProxyFrom, Proxies: s.Web.ProxyFrom, AdminFrom: s.Web.AdminFrom, AccountFrom: s.Web.AccountFrom,
		Domains: make(map[domains.Name]web.Domain),
	}
	modes := ripened(s)
	if len(site.ProxyFrom) == 0 { // whoever speaks for others from here takes rights away, and gives none
		site.ProxyFrom = conf.Loopback()
	}
	for _, d := range s.Book().Domains() {
		site.Domains[d] = web.Domain{Policy: PolicyPlan(s, d.String(), modes).Policy()}
	}
	if s.Web.Autoconfig {
		site.Mail = MailSettings(s)
	}
	return site
}
