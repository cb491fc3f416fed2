package published

import (
	"fmt"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// DNS says whom one set of settings has the DNS asked.
func DNS(s *conf.Settings) (resolver.Config, error) {
	servers, err := Resolvers(s)
	return resolver.Config{Servers: servers, Trusted: s.Queue.DNSSECTrusted}, err
}

// Resolvers are the DNS servers of the settings, else the system's, else one
// on this host (resolv.conf(5)).
func Resolvers(s *conf.Settings) ([]string, error) {
	var servers []string
	for _, c := range s.Queue.DNSServers {
		a, err := conf.ResolverAddress(c)
		if err != nil {
			return nil, fmt.Errorf("DNS server: %w", err)
		}
		servers = append(servers, a.String())
	}
	if len(servers) > 0 {
		return servers, nil
	}
	if servers, err := resolver.ResolvConf("/etc/resolv.conf"); err == nil && len(servers) > 0 {
		return servers, nil
	}
	return []string{"127.0.0.1:53"}, nil
}
