package daemon

import (
	"cmp"
	"fmt"

	"github.com/postrider-mail/postrider/internal/conf"
)

const (
	// connectionFiles is how many descriptors a connection may hold: its own,
	// and the file of the message that comes or goes through it.
	connectionFiles = 2
	// deliveryFiles is how many a delivery to another host may hold: the
	// connection, the message, and a question to the DNS.
	deliveryFiles = 3
	// otherFiles is for the log, directories, listeners, certificates that are
	// read again, and the local sockets.
	otherFiles = 256
	// leastConnections are served however few descriptors there are.
	leastConnections = 32
)

// mostConnections is how many connections all listeners may have together, so
// that deliveries find descriptors as well; 0 if nobody knows how many there
// are. The Go runtime has raised the limit as far as it can be when the program
// started.
func mostConnections(s *conf.Settings) int {
	files := openFiles()
	if files == 0 {
		return 0
	}
	return connectionsWith(files, s)
}

// Descriptors reports whether the descriptors that this process may have are
// enough for all the connections that the settings allow.
func Descriptors(s *conf.Settings) error {
	most, wanted := mostConnections(s), wantedConnections(s)
	if most == 0 || most >= wanted {
		return nil
	}
	return fmt.Errorf("%d open files (ulimit -n, LimitNOFILE) are enough for %d connections at a time, the settings allow %d: raise the one, or lower max_connections", openFiles(), most, wanted)
}

// connectionsWith is how many connections so many descriptors are enough for.
func connectionsWith(files uint64, s *conf.Settings) int {
	reserve := uint64(otherFiles + deliveryFiles*max(0, s.Queue.Concurrency) + webConnectionsWith(files, s))
	if files < reserve {
		return leastConnections
	}
	return int(max(leastConnections, min((files-reserve)/uint64(filesOfConnection(s)), 1<<30)))
}

// filesOfConnection is how many descriptors a connection may hold, with those to whom its message is shown.
func filesOfConnection(s *conf.Settings) int {
	n := connectionFiles + len(s.Verify.Milters)
	if s.Verify.Scanner.URL != "" {
		n++
	}
	return n
}

// webConnections is how many connections there may be for HTTP.
func webConnections(s *conf.Settings) int { return webConnectionsWith(openFiles(), s) }

// webConnectionsWith leaves those of mail most of so many descriptors; 0: nobody knows how
// many there are.
func webConnectionsWith(files uint64, s *conf.Settings) int {
	const share = 8
	switch {
	case s.Web.Listen == "":
		return 0
	case files == 0:
		return s.Web.MaxConnections
	}
	return int(min(uint64(s.Web.MaxConnections), max(1, files/share)))
}

// wantedConnections is what the settings allow.
func wantedConnections(s *conf.Settings) (n int) {
	for _, l := range s.Listeners {
		most := s.SMTP.MaxConnections
		if l.Protocol == conf.ProtocolPOP3 {
			most = s.POP3.MaxConnections
		}
		if l.Limits != nil {
			most = cmp.Or(l.Limits.MaxConnections, most)
		}
		n += most
	}
	return n
}
