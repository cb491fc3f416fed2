package smtp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// catcher is a Server that keeps what it gets.
type catcher struct {
	mu   sync.Mutex
	from []string
	to   []string
	got  []string
	par  []Params
}

func (k *catcher) ServeSMTP(_ context.Context, e *Envelope) error {
	body, err := io.ReadAll(e.Data)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.from = append(k.from, e.From.String())
	for _, to := range e.To {
		k.to = append(k.to, to.Path.String())
	}
	k.got = append(k.got, string(body))
	k.par = append(k.par, e.Params)
	return nil
}

// serve starts a Server that accepts all but no@d, and returns its address.
func serve(t *testing.T, network, addr string, srv *Server) (*catcher, string) {
	t.Helper()
	k := new(catcher)
	srv.Handler = k
	srv.Hostname = "mx.example"
	srv.CheckRcpt = func(_ context.Context, _ *Session, to *Recipient) error {
		if to.Path.Local == "no" {
			return ErrNoSuchUser
		}
		return nil
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return k, l.Addr().String()
}

const sample = "Subject: x\r\n\r\n.one\r\n..\r\nlast"

func TestSendMail(t *testing.T) {
	ctx := context.Background()
	k, addr := serve(t, "tcp", "127.0.0.1:0", new(Server))
	if err := SendMail(ctx, addr, "a@b.example", []string{"r1@d", "r2@d"}, strings.NewReader(sample)); err != nil {
		t.Fatal(err)
	}
	err := SendMail(ctx, addr, "", []string{"r1@d", "no@d"}, io.MultiReader(strings.NewReader(sample)))
	var some *SendError
	if !errors.As(err, &some) || some.Results[0].Err != nil || !errors.Is(some.Results[1].Err, ErrNoSuchUser) || !errors.Is(err, ErrNoSuchUser) {
		t.Fatal(err)
	}
	if !strings.Contains(err.Error(), "1 of 2 recipients failed: no@d: RCPT: 550 5.1.1") {
		t.Error(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.got) != 2 || strings.TrimSuffix(k.got[0], "\r\n") != sample || k.got[1] != k.got[0] {
		t.Errorf("%q", k.got)
	}
	if strings.Join(k.from, ",") != "a@b.example," || strings.Join(k.to, ",") != "r1@d,r2@d,r1@d" {
		t.Errorf("%q, %q", k.from, k.to)
	}
	if k.par[0].Size != int64(len(sample)) || k.par[0].Body != "7BIT" || k.par[1].Body != "8BITMIME" {
		t.Errorf("%+v", k.par)
	}
	for _, bad := range []struct {
		from string
		to   []string
	}{{"a@b", nil}, {"a b c", []string{"r@d"}}, {"", []string{"<>"}}} {
		if err := SendMail(ctx, addr, bad.from, bad.to, strings.NewReader("")); err == nil {
			t.Errorf("sent from %q to %q", bad.from, bad.to)
		}
	}
}

// The two engines of this package against each other, by DATA and by BDAT, in
// the clear and under TLS, over TCP.
func TestClientAndServer(t *testing.T) {
	server, config := certificate(t)
	for name, d := range map[string]Dialer{
		"BDAT":        {TLS: TLSNever},
		"DATA":        {TLS: TLSNever, NoChunking: true},
		"TLS":         {TLS: TLSRequired},
		"TLS, DATA":   {TLS: TLSRequired, NoChunking: true},
		"implicitTLS": {TLS: TLSFromStart},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &Server{TLSConfig: server}
			if d.TLS == TLSFromStart {
				srv.TLSMode = ImplicitTLS
			}
			k, addr := serve(t, "tcp", "127.0.0.1:0", srv)
			d.TLSConfig = config.Clone()
			d.TLSConfig.ServerName = "mx.example"
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
			c, err := d.Dial(context.Background(), addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var want []string
			for _, size := range []int{0, 1, 70_000, 3 << 20} {
				body := strings.Repeat("..x and some more text\r\n.\r\n", size/27)
				want = append(want, body)
				results, err := c.Send(context.Background(), mail("a@b", "r@d", "no@d"), strings.NewReader(body))
				if err != nil || results[0].Err != nil || !errors.Is(results[1].Err, ErrNoSuchUser) {
					t.Fatal(err, outcome(results))
				}
			}
			if err := c.Quit(context.Background()); err != nil {
				t.Error(err)
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			for i := range want {
				if i >= len(k.got) || k.got[i] != want[i] {
					t.Errorf("message %d differs", i)
				}
			}
		})
	}
}

func TestDial(t *testing.T) {
	ctx := context.Background()
	sock := filepath.Join(t.TempDir(), "s")
	k, _ := serve(t, "unix", sock, &Server{LMTP: true})
	d := &Dialer{LMTP: true}
	c, err := d.Dial(ctx, sock)
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.Send(ctx, mail("a@b", "r1@d", "r2@d"), bytes.NewReader([]byte("x\r\n")))
	if err != nil || outcome(results) != "ok, ok" || len(k.got) != 1 {
		t.Error(outcome(results), err)
	}
	c.Quit(ctx)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var e *ClientError
	if _, err := Dial(ctx, l.Addr().String()); !errors.As(err, &e) || e.Op != "dial" || !e.Temporary() {
		t.Error(err)
	}
	if _, err := DialTLS(ctx, l.Addr().String(), nil); !errors.As(err, &e) || e.Op != "dial" {
		t.Error(err)
	}
	d = &Dialer{Timeouts: ClientTimeouts{Connect: time.Millisecond}, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	if _, err := d.Dial(ctx, "mx.example:25"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestClientErrorTemporary(t *testing.T) {
	for err, want := range map[*ClientError]bool{
		{Reply: &Response{Code: 450}}:             true,
		{Reply: &Response{Code: 550}}:             false,
		{Reply: &Response{Code: 0}}:               true,
		{Err: os.ErrDeadlineExceeded}:             true,
		{Err: ErrUnsupported}:                     false,
		{Err: ErrBadCommand}:                      false,
		{Err: ErrTooBigForServer}:                 false,
		{Err: ErrRecipients}:                      true,
		{Err: ErrProtocol, Reply: &Response{}}:    true,
		{Err: ErrInDoubt, Reply: new(Response)}:   true,
		{Op: "dial", Err: context.Canceled}:       true,
		{Op: "AUTH", Reply: &Response{Code: 535}}: false,
		{Op: "AUTH", Reply: &Response{Code: 454}}: true,
		{Op: "EHLO", Err: io.ErrUnexpectedEOF}:    true,
		{Op: "EHLO", Reply: &Response{Code: 554}}: false,
		{Op: "RSET", Reply: &Response{Code: 421}}: true,
		{Op: "MAIL", Err: errors.New("hello?")}:   true,
	} {
		if err.Temporary() != want {
			t.Errorf("%v: temporary is %v", err, !want)
		}
	}
}
