package daemon

import (
	"testing"

	"github.com/postrider-mail/postrider/conf"
)

func TestConnectionsWith(t *testing.T) {
	s := conf.New()
	s.ServerName = "mail.test"
	for files, want := range map[uint64]int{0: 32, 100: 32, 1024: 84, 4096: 1620, 20000: 9572, 1 << 62: 1 << 30} {
		if got := connectionsWith(files, s); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", files, got, want)
		}
	}
	s.Listeners = []conf.Listener{{Protocol: conf.ProtocolSMTP}, {Protocol: conf.ProtocolPOP3, Limits: &conf.ListenerLimits{MaxConnections: 7}}}
	if got := wantedConnections(s); got != 2007 {
		t.Errorf("the settings allow %d connections, want 2007", got)
	}
}
