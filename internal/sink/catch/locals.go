package catch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/smtp"
)

// locals are servers that differ by the address of this host that a client has reached: in their name and certificate. Which
// they are stands in a file of lines like
//
//	192.0.2.1:25 hostname=mx.example.net cert=mx.pem key=mx.key
//
// of which the first counts whose address (an address, one with a port, a network, or *) fits. Where none does it is the usual server. The file is read
// again when it has changed; what is wrong with it then is told, and what held before holds on.
type locals struct {
	file  string
	make  func(hostname string, pairs []certs.Keypair) (*smtp.Server, error)
	usual *smtp.Server
	log   *slog.Logger

	mu    sync.Mutex
	lines []local
	all   map[string]*smtp.Server // by what stands behind the address, also of lines that are no longer there
	seen  string
	next  time.Time
}

// local is one line.
type local struct {
	fits   func(netip.AddrPort) bool
	server *smtp.Server
}

// lookEvery is how often it is looked whether the file has changed.
const lookEvery = time.Second

// openLocals reads the file; "" is none.
func openLocals(l *locals) (*locals, error) {
	l.all = make(map[string]*smtp.Server)
	if l.file == "" {
		return l, nil
	}
	l.seen, l.next = stamp(l.file), time.Now().Add(lookEvery)
	return l, l.read()
}

// stamp is what a file is like.
func stamp(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// read reads all lines. The last one needs no newline.
func (l *locals) read() error {
	text, err := os.ReadFile(l.file)
	if err != nil {
		return err
	}
	var lines []local
	var wrong []error
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		one, err := l.line(fields)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", l.file, n, err))
			continue
		}
		lines = append(lines, one)
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	l.lines = lines
	return nil
}

// line reads one.
func (l *locals) line(fields []string) (one local, err error) {
	if one.fits, err = fitting(fields[0]); err != nil {
		return one, err
	}
	hostname, pair := "", certs.Keypair{}
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		switch name {
		case "hostname":
			hostname = value
		case "cert":
			pair.Cert = value
		case "key":
			pair.Key = value
		default:
			return one, fmt.Errorf("%q is none of hostname=, cert= and key=", f)
		}
	}
	var pairs []certs.Keypair
	if pair.Cert != "" || pair.Key != "" {
		pairs = []certs.Keypair{pair}
	}
	is := fmt.Sprintf("%q %q", hostname, pairs)
	if one.server = l.all[is]; one.server == nil {
		if one.server, err = l.make(hostname, pairs); err != nil {
			return one, err
		}
		l.all[is] = one.server
	}
	return one, nil
}

// fitting reads an address, one with a port, a network or "*".
func fitting(text string) (func(netip.AddrPort) bool, error) {
	if text == "*" {
		return func(netip.AddrPort) bool { return true }, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return func(a netip.AddrPort) bool { return p.Contains(a.Addr().Unmap()) }, nil
	}
	if want, err := netip.ParseAddrPort(text); err == nil {
		return func(a netip.AddrPort) bool {
			return a.Addr().Unmap() == want.Addr().Unmap() && a.Port() == want.Port()
		}, nil
	}
	if want, err := netip.ParseAddr(text); err == nil {
		return func(a netip.AddrPort) bool { return a.Addr().Unmap() == want.Unmap() }, nil
	}
	return nil, fmt.Errorf("%q is no address, no address with a port, no network and not *", text)
}

// of is the server for a connection.
func (l *locals) of(conn net.Conn) *smtp.Server {
	addr, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return l.usual
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !now.Before(l.next) {
		l.next = now.Add(lookEvery)
		if is := stamp(l.file); is != l.seen {
			l.seen = is
			if err := l.read(); err != nil {
				l.log.Error("what has changed is not taken", "error", err)
			}
		}
	}
	for _, line := range l.lines {
		if line.fits(addr.AddrPort()) {
			return line.server
		}
	}
	return l.usual
}

// serve hands out the connections of a listener, until it is closed.
func (l *locals) serve(line net.Listener) error {
	if l.file == "" {
		return l.usual.Serve(line)
	}
	for {
		conn, err := line.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return smtp.ErrServerClosed
		case err != nil: // such as too many open files
			time.Sleep(100 * time.Millisecond)
		default:
			go l.of(conn).ServeConn(conn)
		}
	}
}

// shutdown ends all servers.
func (l *locals) shutdown(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []*smtp.Server{l.usual}
	for _, s := range l.all {
		all = append(all, s)
	}
	var done sync.WaitGroup
	for _, s := range all {
		done.Go(func() { s.Shutdown(ctx) }) // what it says is that somebody was cut off
	}
	done.Wait()
}

// receiving says how a server of the sink takes mail.
func (o *Options) receiving(s *Sink) sink.Receiving {
	return sink.Receiving{
		Hostname: o.Hostname, Logins: o.Logins, RequireAuth: o.RequireAuth, TLSMode: o.SMTPMode, MessageSize: o.MessageSize,
		Recipients: o.Recipients, Allowed: o.Allowed, IgnoreOthers: o.IgnoreOther, TagLogins: o.TagLogins,
		Saver: s.saver, Yakkers: o.Yakkers, RefuseAll: o.RefuseAll, Heard: o.Heard, Log: o.Log,
	}
}
