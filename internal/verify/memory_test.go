package verify

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/postrider-mail/postrider/parsers/lineserver"
	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/spf"
)

// remembered is a memory of a world: of what was asked for through it.
type remembered struct {
	*world
	mu    sync.Mutex
	knows map[string]bool
}

func (m *remembered) look(what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.knows[what] {
		return &net.DNSError{Err: "not remembered", IsTemporary: true}
	}
	return nil
}

func (m *remembered) put(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.knows[what] = true
}

func (m *remembered) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := m.look(name); err != nil {
		return nil, err
	}
	return m.world.LookupTXT(ctx, name)
}

func (m *remembered) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := m.look(network + host); err != nil {
		return nil, err
	}
	return m.world.LookupNetIP(ctx, network, host)
}

func (m *remembered) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if err := m.look(addr); err != nil {
		return nil, err
	}
	return m.world.LookupAddr(ctx, addr)
}

func (m *remembered) NameExists(ctx context.Context, name string) (bool, error) {
	if err := m.look("exists " + name); err != nil {
		return false, err
	}
	return m.world.NameExists(ctx, name)
}

// asker is the world itself, whose answers are remembered.
type asker struct {
	*world
	memory *remembered
	asked  *int
}

func (a asker) note(what string) {
	a.memory.put(what)
	a.memory.mu.Lock()
	defer a.memory.mu.Unlock()
	*a.asked++
}

func (a asker) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a.note(name)
	return a.world.LookupTXT(ctx, name)
}

func (a asker) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	a.note(network + host)
	return a.world.LookupNetIP(ctx, network, host)
}

func (a asker) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	a.note(addr)
	return a.world.LookupAddr(ctx, addr)
}

func (a asker) NameExists(ctx context.Context, name string) (bool, error) {
	a.note("exists " + name)
	return a.world.NameExists(ctx, name)
}

// signed is the beginning of a signature.
var signed = regexp.MustCompile(`header\.b=\S+`)

// TestMemory: what is remembered of a sender and a message has the same result as what was asked for, whatever part of it is
// remembered; with all of it nobody is asked, and the sender is known when MAIL is answered.
func TestMemory(t *testing.T) {
	w, signers := newWorld(t)
	w.gone = map[string]bool{"nowhere.test.": true}
	for name, m := range map[string]mail{
		"all that speaks for it":  {from: "ann@a.test", header: "From: ann@a.test"},
		"signed":                  {from: "ann@a.test", header: "From: ann@reject.test", signed: "reject.test"},
		"changed":                 {from: "ann@a.test", header: "From: ann@reject.test", signed: "reject.test", changed: true},
		"forged":                  {from: "ann@other.test", header: "From: ann@quarantine.test"},
		"refused":                 {from: "ann@other.test", header: "From: ann@reject.test"},
		"of nobody":               {from: "", header: "From: ann@none.test"},
		"of a name there is not":  {from: "ann@a.test", header: "From: ann@a.test", helo: "nowhere.test", client: "192.0.2.8"},
		"by a host without names": {from: "ann@a.test", header: "From: ann@a.test", client: "192.0.2.77"},
	} {
		t.Run(name, func(t *testing.T) {
			plain := newVerifier(w, &rules)
			want, refused := bring(t, plain, signers, m)
			text := func() string {
				if refused != nil {
					return refused.Error()
				}
				return signed.ReplaceAllString(strings.Join(want.Results, ""), "") // it has the time
			}
			first := text()
			memory, asked := &remembered{world: w, knows: make(map[string]bool)}, 0
			v := newVerifier(asker{w, memory, &asked}, &rules)
			v.Memory = memory
			again := func(what string) {
				t.Helper()
				if want, refused = bring(t, v, signers, m); text() != first {
					t.Errorf("%s: %s, and asked: %s", what, text(), first)
				}
			}
			again("nothing remembered")
			if asked == 0 {
				t.Fatal("nothing was asked")
			}
			asked = 0
			again("all remembered")
			if asked != 0 {
				t.Errorf("%d questions for what is remembered", asked)
			}
			var all []string
			for one := range memory.knows {
				all = append(all, one)
			}
			for _, one := range all {
				delete(memory.knows, one)
				again("all but " + one)
				memory.put(one)
			}
		})
	}
}

// TestMemoryAtOnce: a sender of whom all is remembered is known at MAIL, without a goroutine; one of whom the DNS did
// not answer is asked about as ever, and does not keep MAIL waiting.
func TestMemoryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newWorld(t)
		memory, asked := &remembered{world: w, knows: map[string]bool{"a.test.": true, "mx.a.test.": true, client: true, "ip4mx.a.test.": true}}, 0
		v := newVerifier(asker{w, memory, &asked}, &rules)
		v.Memory = memory
		for from, known := range map[string]bool{"a.test": true, "slow.test": false} {
			session := &smtp.Session{Identity: lineserver.Identity{ID: "s", RemoteAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 4000))}, Helo: "mx.a.test"}
			if err := v.Sender(t.Context(), session, smtp.Path{Local: "ann", Domain: from}, false); err != nil {
				t.Fatal(err)
			}
			s := session.Values[v].(*sender)
			select {
			case <-s.done:
				if !known {
					t.Error("known, as nobody can be")
				}
				if s.spf.Result != spf.Pass || s.iprev.result != "pass" || s.named != goodName {
					t.Errorf("%+v %+v %q", s.spf, s.iprev, s.named)
				}
			default:
				if known {
					t.Error("not known at MAIL")
				}
				s.forget()
			}
		}
	})
}
