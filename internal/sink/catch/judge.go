package catch

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/smtp/resolver"
)

// judge asks the DNS only for those who want it.
func (o *Options) judge() (*sink.Judge, error) {
	j := &sink.Judge{Leaving: o.Leaving}
	var servers []string
	switch o.DNS {
	case "":
		return j, nil
	case "system":
		var err error
		if servers, err = resolver.ResolvConf("/etc/resolv.conf"); err != nil || len(servers) == 0 {
			o.Log.Debug("the DNS cannot be asked", "error", err)
			return j, nil // a container may have none, and nobody has asked yet
		}
	default:
		for _, server := range strings.Split(o.DNS, ",") {
			server = strings.TrimSpace(server)
			host, _, err := net.SplitHostPort(server)
			if err != nil {
				host = server
			}
			if _, err := netip.ParseAddr(host); err != nil {
				return nil, fmt.Errorf("dns: %q is no address of a server", server)
			}
			servers = append(servers, server)
		}
	}
	j.DNS = resolver.New(resolver.Config{Servers: servers})
	return j, nil
}
