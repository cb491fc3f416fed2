package published

import (
	"cmp"
	"path/filepath"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/internal/zone"
)

// auto is the setting by which MTA-STS policies ripen.
const auto = "auto"

// Ripens reports whether the MTA-STS policies of these settings become strict by
// themselves; see zone.Ripening.
func Ripens(s *conf.Settings) bool { return s.DNS.MTASTS == auto }

// ModesFile is where it is kept how far they have ripened.
func ModesFile(s *conf.Settings) string { return filepath.Join(s.DataDir, "mta-sts.json") }

// ripened are the modes that policies have ripened to, by domain.
func ripened(s *conf.Settings) map[string]zone.STSMode {
	if !Ripens(s) {
		return nil
	}
	modes, _ := zone.ReadModes(ModesFile(s)) // who writes the file tells of an error
	return modes
}

// PolicyPlan is as much of a plan as its MTA-STS policy is made of: what is served over HTTPS is
// what the DNS has the id of.
func PolicyPlan(s *conf.Settings, domain string, modes map[string]zone.STSMode) *zone.Plan {
	p := &zone.Plan{Domain: canonical(domain), Host: canonical(s.ServerName), OtherMX: s.DNS.OtherMX}
	switch s.DNS.MTASTS {
	case "off":
	case auto:
		p.STS = cmp.Or(modes[p.Domain], zone.STSTesting)
	default:
		p.STS = zone.STSMode(s.DNS.MTASTS)
	}
	return p
}
