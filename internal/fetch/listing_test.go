package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/pop3"
	"github.com/postrider-mail/postrider/pop3/pop3test"
)

// said is a server that answers LIST and UIDL as told, and everything else with +OK.
func said(t *testing.T, list, uidl string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprint(c, "+OK\r\n")
				for lines := bufio.NewScanner(c); lines.Scan(); {
					switch lines.Text() {
					case "LIST":
						fmt.Fprint(c, list)
					case "UIDL":
						fmt.Fprint(c, uidl)
					case "CAPA":
						fmt.Fprint(c, "-ERR\r\n")
					default:
						fmt.Fprint(c, "+OK\r\n")
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestReadList: LIST and UIDL are one list, in the order of LIST, whatever the order of UIDL.
func TestReadList(t *testing.T) {
	t.Parallel()
	const list = "+OK\r\n1 10\r\n2 20\r\n4 40\r\n.\r\n"
	for _, c := range []struct{ name, uidl, want string }{
		{"one order", "+OK\r\n1 a\r\n2 b\r\n4 d\r\n.\r\n", "1 10 a, 2 20 b, 4 40 d"},
		{"another order", "+OK\r\n4 d\r\n1 a\r\n2 b\r\n.\r\n", "1 10 a, 2 20 b, 4 40 d"},
		{"one without", "+OK\r\n1 a\r\n4 d\r\n.\r\n", "1 10 a, 2 20 , 4 40 d"},
		{"the last without", "+OK\r\n1 a\r\n.\r\n", "1 10 a, 2 20 , 4 40 "},
		{"none", "+OK\r\n.\r\n", "1 10 , 2 20 , 4 40 "},
		{"one too many", "+OK\r\n1 a\r\n2 b\r\n3 c\r\n4 d\r\n.\r\n", "UIDL has a message 3 that LIST has not"},
		{"refused", "-ERR what?\r\n", "1 10 , 2 20 , 4 40 , no ids: what?"},
	} {
		dir := t.TempDir()
		client, err := (&pop3.Dialer{TLS: pop3.TLSNever, AllowCleartextAuth: true, User: "u", Password: "p"}).Dial(t.Context(), said(t, list, c.uidl))
		if err != nil {
			t.Fatal(err)
		}
		l, noIDs, err := readList(t.Context(), client, dir)
		var all []string
		if err == nil {
			for r, err := range l.records() {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, fmt.Sprint(r.number, " ", r.size, " ", r.uid))
			}
			l.close()
		} else {
			all = append(all, err.Error())
		}
		if noIDs != nil {
			all = append(all, "no ids: "+noIDs.Text)
		}
		if got := strings.Join(all, ", "); got != c.want && !(err != nil && errors.Is(err, pop3.ErrMalformed) && strings.Contains(got, c.want)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		client.Close()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %d files are left", c.name, len(left))
		}
	}
}

// TestPortions: however few ids are compared at once, what has come is known, doubled ids are seen, and what is removed there is what came.
func TestPortions(t *testing.T) {
	t.Parallel()
	s := pop3test.NewServer()
	t.Cleanup(s.Close)
	s.Add(mails(batch + 50)...)
	f, a := fetcher(t, s)
	f.portion = 7
	if r := f.One(t.Context(), a); !r.Complete() || r.Done != batch+50 {
		t.Fatalf("%+v", r)
	}
	if got := content(t, f.Store, box); !slices.Equal(got, wanted(s)) {
		t.Errorf("%d came, and not as they are there", len(got))
	}
	s.Add(mail(1), mail(2))
	if c, err := f.Compare(t.Context(), a); err != nil || c.Same != batch+50 || c.Missing != 2 || c.Disordered {
		t.Errorf("%+v, %v", c, err)
	}
	f.Delete = true
	if r := f.One(t.Context(), a); !r.Complete() || r.Done != 2 || r.There != batch+50 || r.Removed != batch+52 || len(s.Messages()) != 0 {
		t.Errorf("%+v, %d are left there", r, len(s.Messages()))
	}
	if r := f.One(t.Context(), a); !r.Complete() || r.Listed != 0 {
		t.Errorf("%+v", r)
	}
}
