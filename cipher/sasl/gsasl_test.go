package sasl_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"crypto/tls"

	"github.com/postrider-mail/postrider/cipher/certs"
	"github.com/postrider-mail/postrider/cipher/sasl"
)

// program skips the test where it is not installed, except in CI.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not installed", name)
	default:
		t.Skipf("%s is not installed", name)
	}
	return path
}

// toy speaks as much SMTP as an AUTH needs.
type toy struct {
	set     *certs.TLS
	account string // who logged in
}

func (s *toy) serve(conn net.Conn) {
	defer conn.Close()
	c := newBook()
	peer := &sasl.Peer{Service: "smtp", Hostname: "mail.example.com"}
	r := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 mail.example.com\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			var names []string
			for _, m := range sasl.Offered(c, peer, true) {
				names = append(names, m.Name)
			}
			fmt.Fprintf(conn, "250-mail.example.com\r\n250-AUTH %s\r\n250 STARTTLS\r\n", strings.Join(names, " "))
		case "STARTTLS":
			fmt.Fprint(conn, "220 go\r\n")
			over, err := certs.Upgrade(context.Background(), conn, r.Buffered(), s.set.Config())
			if err != nil {
				return
			}
			cs := over.ConnectionState()
			conn, r, peer.TLS = over, bufio.NewReader(over), &cs
		case "AUTH":
			s.account = s.auth(conn, r, sasl.WithPeer(context.Background(), peer), c, rest)
		case "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "500 what\r\n")
		}
	}
}

func (s *toy) auth(conn net.Conn, r *bufio.Reader, ctx context.Context, c sasl.Credentials, args string) string {
	name, initial, has := strings.Cut(args, " ")
	m, err := sasl.Find(sasl.Mechanisms(), name)
	if err != nil {
		fmt.Fprint(conn, "504 what\r\n")
		return ""
	}
	var response []byte
	if has {
		response, _ = base64.StdEncoding.DecodeString(strings.TrimPrefix(initial, "="))
	}
	server := m.New(c)
	for {
		challenge, account, done, err := server.Next(ctx, response)
		if err != nil {
			fmt.Fprintf(conn, "535 %v\r\n", err)
			return ""
		}
		if challenge != nil {
			fmt.Fprintf(conn, "334 %s\r\n", base64.StdEncoding.EncodeToString(challenge))
			line, err := r.ReadString('\n')
			if err != nil {
				return ""
			}
			response, _ = base64.StdEncoding.DecodeString(strings.TrimSpace(line))
			if response == nil {
				response = []byte{}
			}
		}
		if done {
			fmt.Fprint(conn, "235 welcome\r\n")
			return account
		}
	}
}

// GNU SASL's client, an independent implementation, logs in by every mechanism
// it knows, with TLS 1.2 and 1.3, and does not get in with a wrong password.
func TestGNUSASL(t *testing.T) {
	gsasl := program(t, "gsasl")
	out, err := exec.Command(gsasl, "--client-mechanisms").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields(string(out))
	_, _, set := tlsPair(t, tls.VersionTLS13)
	for _, name := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"} {
		if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+name+" ") {
			t.Logf("gsasl knows no %s", name)
			continue
		}
		for _, version := range []string{"", "NORMAL:-VERS-TLS1.3", "NORMAL"} {
			if version == "" && strings.HasSuffix(name, "-PLUS") {
				continue
			}
			for password, want := range map[string]string{"secret": "alice", "wrong": ""} {
				account, said := gsaslLogin(t, gsasl, set, name, version, password)
				if account != want {
					t.Errorf("%s, TLS %q, password %s: logged in as %q\n%s", name, version, password, account, said)
				}
			}
		}
	}
}

func gsaslLogin(t *testing.T, gsasl string, set *certs.TLS, mechanism, version, password string) (account, said string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &toy{set: set}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			s.serve(conn)
		}
	}()
	args := []string{"--smtp", "--connect=" + l.Addr().String(), "-m", mechanism, "-a", "alice", "-p", password, "--no-client-first",
		"--hostname=mail.example.com", "--service=smtp", "--quiet"}
	if version == "" {
		args = append(args, "--no-starttls")
	} else {
		if !strings.HasSuffix(mechanism, "-PLUS") {
			args = append(args, "--no-cb") // it refuses to leave a binding out that was offered
		}
		args = append(args, "--starttls", "--x509-ca-file=", "--priority="+version)
	}
	cmd := exec.Command(gsasl, args...)
	cmd.Stdin = strings.NewReader("")
	out, _ := cmd.CombinedOutput()
	l.Close()
	<-done
	return s.account, string(out)
}
