package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	netsmtp "net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// send is somebody's client.
func send(addr string, to ...string) {
	err := netsmtp.SendMail(addr, nil, "ann@example.net", to, []byte("Subject: hello\r\n\r\nHello Bob.\r\n"))
	if err != nil {
		fmt.Println(err)
	}
}

// stdout prints lines as this system ends them.
type stdout struct{}

func (stdout) Write(p []byte) (int, error) {
	fmt.Print(strings.ReplaceAll(string(p), "\r", ""))
	return len(p), nil
}

// refusal is what the server said, without the session's id.
func refusal(err error) string {
	var e *textproto.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	text, _, _ := strings.Cut(e.Msg, " (")
	return fmt.Sprint(e.Code, " ", text)
}

// quiet keeps the log out of the examples' output.
var quiet = slog.New(slog.DiscardHandler)

// loopback serves srv on an address of its own, as ListenAndServe does on
// srv.Addr.
func loopback(srv *smtp.Server) (addr string) {
	srv.Hostname, srv.Log = "mx.example.com", quiet
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go srv.Serve(l)
	return l.Addr().String()
}

// A server in ten lines.
func Example() {
	srv := &smtp.Server{
		Addr:      ":2525",
		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error { return nil },
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			fmt.Printf("from %s to %s:\n", e.From, e.To[0].Path)
			_, err := io.Copy(stdout{}, e.Data)
			return err
		}),
	}
	// log.Fatal(srv.ListenAndServe())
	send(loopback(srv), "bob@example.com")
	srv.Shutdown(context.Background())
	// Output:
	// from ann@example.net to bob@example.com:
	// Subject: hello
	//
	// Hello Bob.
}

// Routes by address, in the manner of net/http: what no pattern matches is
// refused at RCPT. Each message becomes a file, and the file is there before
// the client hears 250.
func ExampleServeMux() {
	dir, _ := os.MkdirTemp("", "emails")
	defer os.RemoveAll(dir)
	mux := smtp.NewServeMux()
	mux.HandleFunc("*@example.com", func(ctx context.Context, e *smtp.Envelope) error {
		f, err := os.Create(filepath.Join(dir, e.ID+".eml"))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(f, e.Data); err != nil {
			return err
		}
		return f.Sync() // and the directory too, in a real store
	})
	// log.Fatal(smtp.ListenAndServe(":smtp", mux))
	srv := &smtp.Server{Handler: mux}
	addr := loopback(srv)
	send(addr, "bob@example.com")
	if err := netsmtp.SendMail(addr, nil, "ann@example.net", []string{"bob@example.org"}, nil); err != nil {
		fmt.Println(refusal(err))
	}
	srv.Shutdown(context.Background())
	files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	fmt.Println(len(files), "file")
	// Output:
	// 550 5.1.1 No such user here
	// 1 file
}

// A submission server that knows one account, with functions for the two
// questions: who are you, and may you send there.
func ExampleServer_auth() {
	srv := &smtp.Server{
		Addr: ":3333",
		Credentials: sasl.PasswordFunc(func(user, password, remoteAddr string) error {
			if user == "ann" && password == "sesame" {
				return nil
			}
			return sasl.ErrDenied
		}),
		CheckRcpt: smtp.Addressable(func(user, address string) bool {
			return user != "" || strings.HasSuffix(address, "@example.com")
		}),
		CleartextAuth: true, // for this example, which has no certificate
		Limits:        smtp.Limits{MessageSize: 5 << 20, Recipients: 200, Errors: 5},
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error {
			_, err := io.Copy(io.Discard, e.Data)
			fmt.Printf("%q sends to %s by %s\n", e.Session.User, e.To[0].Path, e.Protocol())
			return err
		}),
	}
	addr := loopback(srv)
	if err := netsmtp.SendMail(addr, nil, "ann@example.net", []string{"far@example.org"}, nil); err != nil {
		fmt.Println(refusal(err))
	}
	send(addr, "bob@example.com")
	auth := netsmtp.PlainAuth("", "ann", "sesame", "127.0.0.1")
	if err := netsmtp.SendMail(addr, auth, "ann@example.net", []string{"far@example.org"}, nil); err != nil {
		fmt.Println(err)
	}
	srv.Shutdown(context.Background())
	// Output:
	// 550 5.7.1 Relaying denied
	// "" sends to bob@example.com by UTF8SMTP
	// "ann" sends to far@example.org by UTF8SMTPA
}

// Callbacks for each phase. A *Reply chooses the answer; any other error is
// 451 for the client, and itself for the log.
func ExampleServer_callbacks() {
	srv := &smtp.Server{
		CheckSender: func(ctx context.Context, s *smtp.Session, from smtp.Path, p *smtp.Params) error {
			if p.Size > 1<<20 {
				return smtp.ErrTooBig
			}
			return nil
		},
		CheckRcpt: func(ctx context.Context, s *smtp.Session, to *smtp.Recipient) error {
			switch to.Path.Local {
			case "bob":
				return nil
			case "carol":
				return smtp.ErrMailboxFull
			case "dave":
				return &smtp.Reply{Code: 551, Enhanced: "5.1.6", Text: "Dave has moved to dave@example.org"}
			}
			return smtp.ErrNoSuchUser
		},
		Handler: smtp.HandlerFunc(func(ctx context.Context, e *smtp.Envelope) error { return nil }),
	}
	c, err := netsmtp.Dial(loopback(srv))
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Mail("ann@example.net")
	for _, to := range []string{"bob", "carol", "dave", "eve"} {
		fmt.Println(to+":", refusal(c.Rcpt(to+"@example.com")))
	}
	c.Quit()
	srv.Shutdown(context.Background())
	// Output:
	// bob: <nil>
	// carol: 452 4.2.2 Mailbox is full
	// dave: 551 5.1.6 Dave has moved to dave@example.org
	// eve: 550 5.1.1 No such user here
}

// The same engine as a loop over what happens: for servers that decide as the
// dialogue goes, such as a trap for spam.
func ExampleConn_Events() {
	client, server := net.Pipe()
	go func() {
		c, err := netsmtp.NewClient(client, "mx.example.com")
		if err != nil {
			return
		}
		c.Mail("ann@example.net")
		c.Rcpt("nobody@example.com")
		c.Rcpt("bob@example.com")
		w, _ := c.Data()
		io.WriteString(w, "Hello Bob.\r\n")
		w.Close()
		c.Quit()
	}()
	srv := &smtp.Server{Hostname: "mx.example.com", Log: slog.New(slog.DiscardHandler)}
	for ev := range smtp.NewConn(server, srv).Events(context.Background()) {
		fmt.Print(ev.What, " <", ev.Path, ">\n")
		switch ev.What {
		case smtp.EventRcpt:
			if ev.Path.Local == "nobody" {
				ev.Reject(smtp.ErrNoSuchUser)
			}
		case smtp.EventMessage:
			io.Copy(stdout{}, ev.Data)
			ev.Accept("I have put it in a can")
		}
	}
	// Output:
	// Connect <>
	// Helo <>
	// Mail <ann@example.net>
	// Rcpt <nobody@example.com>
	// Rcpt <bob@example.com>
	// Data <>
	// Message <>
	// Hello Bob.
	// Done <>
}

// Behind a proxy that speaks the PROXY protocol, wrap the listener. The
// header comes before everything else, TLS from the first octet included. Only
// named networks may send one; RemoteAddr is then the original client's.
func ExampleServer_Serve_proxyProtocol() {
	trusted := netip.MustParsePrefix("127.0.0.0/8")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	proxied := &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: 10 * time.Second,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			from, err := netip.ParseAddrPort(o.Upstream.String())
			if err == nil && trusted.Contains(from.Addr()) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.REJECT, nil
		},
	}
	srv := &smtp.Server{
		Hostname: "mx.example.com",
		Log:      slog.New(slog.DiscardHandler),
		CheckConn: func(ctx context.Context, s *smtp.Session) error {
			fmt.Println("client is", s.RemoteAddr)
			return nil
		},
	}
	go srv.Serve(proxied)

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintf(c, "PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\n")
	b := make([]byte, 100)
	n, _ := c.Read(b)
	fmt.Printf("%s", b[:n])
	c.Close()
	srv.Shutdown(context.Background())
	// Output:
	// client is 192.0.2.7:40000
	// 220 mx.example.com ESMTP
}

// A transcript of the dialogue, credentials left out.
func ExampleTraceWriter() {
	client, server := net.Pipe()
	var transcript strings.Builder
	srv := &smtp.Server{
		Hostname:      "mx.example.com",
		Log:           slog.New(slog.DiscardHandler),
		Credentials:   sasl.PasswordFunc(func(user, password, remoteAddr string) error { return nil }),
		CleartextAuth: true,
		Trace:         smtp.TraceWriter(&transcript),
	}
	go func() {
		io.WriteString(client, "HELO client.example.net\r\nAUTH PLAIN AGFubgBzZXNhbWU=\r\nQUIT\r\n")
	}()
	go io.Copy(io.Discard, client)
	srv.ServeConn(server)
	for line := range strings.Lines(transcript.String()) {
		_, line, _ = strings.Cut(line, " ") // the session's id
		fmt.Print(line)
	}
	// Output:
	// w 220 mx.example.com ESMTP
	// r HELO client.example.net
	// w 250 mx.example.com
	// r AUTH PLAIN ***
	// w 235 2.7.0 Authentication successful
	// r QUIT
	// w 221 2.0.0 Goodbye
}

// In the manner of net/http: handlers for patterns, and a server for all of them.
func ExampleHandleFunc() {
	smtp.HandleFunc("*@shop.example", func(ctx context.Context, e *smtp.Envelope) error {
		fmt.Println("for the shop:", e.To)
		return nil
	})
	smtp.HandleFunc("abuse@*", func(ctx context.Context, e *smtp.Envelope) error {
		fmt.Println("complaint:", e.To)
		return nil
	})
	// log.Fatal(smtp.ListenAndServe(":smtp", nil))
	srv := &smtp.Server{Handler: smtp.DefaultServeMux}
	send(loopback(srv), "orders@shop.example", "abuse@example.org")
	srv.Shutdown(context.Background())
	// Output:
	// for the shop: [orders@shop.example]
	// complaint: [abuse@example.org]
}
