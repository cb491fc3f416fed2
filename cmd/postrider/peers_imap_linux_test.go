package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	netsmtp "net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/peertest"
	"github.com/postrider-mail/postrider/pop3"
)

// imap is a connection to an IMAP server, driven by hand.
type imap struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
	n int
}

// dialIMAP connects and logs in.
func dialIMAP(t *testing.T, addr, login string) *imap {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c := &imap{t: t, c: conn, r: bufio.NewReader(conn)}
	c.line()
	for range 3 { // Dovecot looks at the file of accounts once a second, and lets who fails wait
		said, ok := c.do("LOGIN %q %q", login, password)
		if ok {
			return c
		}
		t.Log(said)
	}
	t.Fatalf("IMAP lets %s not in", login)
	return nil
}

// line reads a line, with the literals that it goes on with.
func (c *imap) line() string {
	c.t.Helper()
	text, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Errorf("IMAP: %v (%q)", err, text)
		panic(err)
	}
	if i := strings.LastIndexByte(text, '{'); i >= 0 && strings.HasSuffix(text, "}\r\n") {
		n, _ := strconv.Atoi(text[i+1 : len(text)-3])
		literal := make([]byte, n)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			panic(err)
		}
		return text + string(literal) + c.line()
	}
	return text
}

// do carries out a command and returns all that is said.
func (c *imap) do(format string, args ...any) (said string, ok bool) {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("a%d ", c.n)
	fmt.Fprintf(c.c, tag+format+"\r\n", args...)
	for {
		line := c.line()
		said += line
		if strings.HasPrefix(line, tag) {
			return said, strings.HasPrefix(line, tag+"OK")
		}
	}
}

func (c *imap) ok(format string, args ...any) string {
	c.t.Helper()
	said, ok := c.do(format, args...)
	if !ok {
		c.t.Errorf("%s: %s", fmt.Sprintf(format, args...), said)
	}
	return said
}

// uids are the numbers of all messages of the folder that is selected.
func (c *imap) uids() []string {
	c.t.Helper()
	for line := range strings.Lines(c.ok("UID SEARCH ALL")) {
		if rest, found := strings.CutPrefix(line, "* SEARCH"); found {
			return strings.Fields(rest)
		}
	}
	return nil
}

// imapWorld is the program and Dovecot on the same mailboxes.
type imapWorld struct {
	*world
	*peertest.Dovecot
}

// newIMAPWorld sets both up as docs/imap.md says: its commands are carried out, with files in a
// folder of the test's and ports that are free.
func newIMAPWorld(t *testing.T, replace ...string) *imapWorld {
	t.Helper()
	page, err := os.ReadFile("../../docs/imap.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string, n int) string {
		all := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1)
		if len(all) <= n {
			t.Fatalf("docs/imap.md has %d pieces in %s", len(all), language)
		}
		return all[n][1]
	}
	w := newWorldStopped(t, replace...)
	n := peertest.AsOrdinary(t, w.dir)
	text, err := os.ReadFile(filepath.Join(w.dir, "mail.conf"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("mail.conf", strings.Replace(string(text), "{", "{\n"+block("jsonc", 0), 1))
	dovecot := filepath.Join(t.TempDir(), "dovecot")
	if err := os.Mkdir(dovecot, 0o755); err != nil {
		t.Fatal(err)
	}
	imaps := peertest.FreePort(t)
	here := strings.NewReplacer("/etc/dovecot", dovecot, "/etc/postrider/tls/fullchain.pem", w.cert, "/etc/postrider/tls/privkey.pem", filepath.Join(w.dir, "mail.key"),
		"/etc/postrider", w.dir, "port = 993", fmt.Sprintf("address = 127.0.0.1\n    port = %d", imaps), "-o dovecot -g dovecot", "-o "+n.Name+" -g "+n.Group,
		"apt-get", ": apt-get", "systemctl", ": systemctl", "/etc/cron.d", dovecot)
	n.Own(t, w.dir)
	n.Own(t, dovecot)
	w.attr = n.Attr()
	if err := os.Chmod(filepath.Dir(binary(t)), 0o755); err != nil { // who runs it is another user
		t.Fatal(err)
	}
	w.start()
	bin := t.TempDir()
	if err := os.Symlink(binary(t), filepath.Join(bin, "postrider")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		cmd := exec.Command("sh", "-ec", here.Replace(block("sh", i)))
		cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/sbin:/usr/bin:/sbin:/bin")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", block("sh", i), err, out)
		}
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(imaps))
	d := peertest.StartDovecot(t, n, dovecot, "# what the page says\n"+here.Replace(block("conf", 0)), addr)
	d.IMAP = addr
	return &imapWorld{world: w, Dovecot: d}
}

// popAs logs in to our POP3 server.
func (w *imapWorld) popAs(t *testing.T, login string) *pop3.Client {
	t.Helper()
	d := pop3.Dialer{User: login, Password: password, TLS: pop3.TLSFromStart, TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	c, err := d.Dial(context.Background(), w.addrs["pop3s"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (w *imapWorld) popIDs(t *testing.T, login string) (ids []string) {
	t.Helper()
	c := w.popAs(t, login)
	all, err := c.UIDL(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		ids = append(ids, m.UID)
	}
	c.Quit(context.Background())
	return ids
}

// TestIMAPBeside: what docs/imap.md says, done to the letter, gives IMAP for our accounts; POP3 and IMAP see
// what the other does, and neither is confused by it.
func TestIMAPBeside(t *testing.T) {
	odd := "o'brien+x=y@mail.test"
	w := newIMAPWorld(t)
	must(t, password, "user", "add", "-c", w.dir, "--stdin", odd)
	must(t, "", "user", "export", "-c", w.dir, "--format", "dovecot", filepath.Join(filepath.Dir(w.Conf), "postrider.users"))
	ctx := context.Background()
	for i := range 5 {
		w.world.deliver(fmt.Sprintf("Subject: %d\r\n\r\n.x\r\n%s\r\n", i, strings.Repeat("long ", 100*i)), user)
	}
	before := w.popIDs(t, user)
	c := dialIMAP(t, w.IMAP, user)
	if said := c.ok("SELECT INBOX"); !strings.Contains(said, "* 5 EXISTS") {
		t.Fatalf("%s", said)
	}

	// Sizes are the same, and unique ids stay while messages are marked.
	p := w.popAs(t, user)
	sizes, err := p.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p.Quit(ctx)
	for i, m := range sizes {
		if said := c.ok("FETCH %d RFC822.SIZE", i+1); !strings.Contains(said, fmt.Sprintf("RFC822.SIZE %d)", m.Size)) {
			t.Errorf("message %d has %d octets by POP3: %s", i+1, m.Size, said)
		}
	}
	c.ok(`STORE 1:3 +FLAGS (\Seen \Flagged Important)`)
	if after := w.popIDs(t, user); !slices.Equal(after, before) {
		t.Errorf("ids %v became %v", before, after)
	}

	// Who waits hears of a delivery.
	fmt.Fprint(c.c, "i IDLE\r\n")
	c.line()
	w.world.deliver("Subject: late\r\n\r\nlate\r\n", user)
	if said := c.line(); !strings.Contains(said, "6 EXISTS") {
		t.Errorf("IDLE heard %s", said)
	}
	fmt.Fprint(c.c, "DONE\r\n")
	for !strings.HasPrefix(c.line(), "i OK") {
	}

	// What POP3 removes, IMAP sees go.
	p = w.popAs(t, user)
	if err := p.Dele(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := p.Quit(ctx); err != nil {
		t.Fatal(err)
	}
	gone := false
	for range 1800 {
		if said := c.ok("NOOP"); strings.Contains(said, "2 EXPUNGE") {
			gone = true
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !gone {
		t.Error("IMAP does not see what POP3 has removed")
	}

	// What IMAP removes is refused in a session that had it, which ends well.
	p = w.popAs(t, user)
	c.ok(`STORE 1 +FLAGS (\Deleted)`)
	c.ok("EXPUNGE")
	if _, err := p.Retr(ctx, 1); err == nil {
		t.Error("POP3 gives out what IMAP has removed")
	}
	text, err := p.Retr(ctx, 2)
	if err == nil {
		_, err = io.Copy(io.Discard, text)
	}
	if err == nil {
		err = p.Dele(ctx, 1)
	}
	if err == nil {
		err = p.Quit(ctx)
	}
	if err != nil {
		t.Errorf("POP3 behind EXPUNGE: %v", err)
	}

	// Odd names lead both to one directory.
	o := dialIMAP(t, w.IMAP, odd)
	o.ok("APPEND INBOX {21}\r\nSubject: mine\r\n\r\nx\r\n\r\n")
	if ids := w.popIDs(t, odd); len(ids) != 1 {
		t.Errorf("%s has %v by POP3", odd, ids)
	}
	must(t, "", "store", "verify", "-c", w.dir)

	// An account that is blocked now does not open.
	must(t, "", "user", "block", "-c", w.dir, odd)
	must(t, "", "user", "export", "-c", w.dir, "--format", "dovecot", filepath.Join(filepath.Dir(w.Conf), "postrider.users"))
	time.Sleep(1100 * time.Millisecond) // Dovecot looks at the file once a second
	for _, login := range []string{strconv.Quote(odd) + " " + strconv.Quote(password)} {
		conn, err := tls.Dial("tcp", w.IMAP, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		b := &imap{t: t, c: conn, r: bufio.NewReader(conn)}
		conn.SetDeadline(time.Now().Add(3 * time.Minute))
		b.line()
		if said, ok := b.do("LOGIN %s", login); ok {
			t.Errorf("%s: %s", login, said)
		}
		conn.Close()
	}
	if errs := w.Errors(); len(errs) > 0 {
		t.Errorf("Dovecot says:\n%s", strings.Join(errs, "\n"))
	}
}

// imapState is what clients of IMAP go by, of each folder.
func imapState(t *testing.T, addr, login string) string {
	c := dialIMAP(t, addr, login)
	state := c.ok("LSUB \"\" *")
	for _, folder := range []string{"INBOX", "Sent", "Work.2026"} {
		said := c.ok("EXAMINE %s", folder)
		state += folder + regexp.MustCompile(`UIDVALIDITY \d+`).FindString(said) + "\n"
		state += c.ok("UID FETCH 1:* FLAGS")
	}
	// Not what differs each time.
	return regexp.MustCompile(`(?m)^a\d+ .*\r\n|\\Recent ?`).ReplaceAllString(state, "")
}

// TestIMAPState: UIDVALIDITY, UIDs, keywords and subscriptions outlive a backup and what is restored of it, retention
// and POP3's DELE, and a change of the account's name.
func TestIMAPState(t *testing.T) {
	w := newIMAPWorld(t)
	for i := range 6 {
		w.world.deliver(fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), user)
	}
	c := dialIMAP(t, w.IMAP, user)
	c.ok("CREATE Work.2026")
	c.ok("SUBSCRIBE Work.2026")
	c.ok("SELECT INBOX")
	c.ok(`STORE 2 +FLAGS (Important Later)`)
	c.ok("MOVE 4 Work.2026")
	c.ok("COPY 1 Sent")
	p := w.popAs(t, user)
	if p.Dele(context.Background(), 1) != nil || p.Quit(context.Background()) != nil {
		t.Fatal("POP3 removes nothing")
	}
	c.ok("LOGOUT")
	want := imapState(t, w.IMAP, user)
	for _, part := range []string{"Important", "Later", "Work.2026", "UIDVALIDITY"} {
		if !strings.Contains(want, part) {
			t.Fatalf("no %s in %s", part, want)
		}
	}
	mail := filepath.Join(w.dir, "data", "mail")
	backup := filepath.Join(t.TempDir(), "backup")
	w.Own(t, filepath.Dir(backup))
	run := func(args ...string) {
		t.Helper()
		if said, code := w.Run(t, "", binary(t), args...); code != exitOK {
			t.Fatalf("%v: exit %d, %s", args, code, said)
		}
	}
	run("backup", "-c", w.dir, backup)
	if err := os.RemoveAll(filepath.Join(mail, "mail.test", "alice")); err != nil {
		t.Fatal(err)
	}
	run("restore", "-c", w.dir, backup)
	if got := imapState(t, w.IMAP, user); got != want {
		t.Errorf("behind a restore:\n%s\nbefore:\n%s", got, want)
	}
	// Into a mailbox that is whole, nothing changes.
	run("restore", "-c", w.dir, backup)
	if got := imapState(t, w.IMAP, user); got != want {
		t.Errorf("behind a second restore:\n%s", got)
	}
	run("user", "rename", "-c", w.dir, user, "alison@mail.test")
	must(t, "", "user", "export", "-c", w.dir, "--format", "dovecot", filepath.Join(filepath.Dir(w.Conf), "postrider.users"))
	if got := imapState(t, w.IMAP, "alison@mail.test"); got != want {
		t.Errorf("behind a rename:\n%s", got)
	}
	if errs := w.Errors(); len(errs) > 0 {
		t.Errorf("Dovecot says:\n%s", strings.Join(errs, "\n"))
	}
}

// subjectsBelow counts the subjects of all messages below a Maildir.
func subjectsBelow(t *testing.T, dir string) map[string]int {
	t.Helper()
	found := make(map[string]int)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !slices.Contains([]string{"new", "cur"}, filepath.Base(filepath.Dir(path))) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		// What the name says of the size is so (Dovecot goes by it).
		if m := regexp.MustCompile(`,S=(\d+),W=(\d+)`).FindStringSubmatch(path); m == nil || m[1] != fmt.Sprint(info.Size()) || m[2] != fmt.Sprint(len(text)+strings.Count(string(text), "\n")) {
			t.Errorf("%s has %d octets", path, info.Size())
		}
		_, subject, _ := strings.Cut(string(text), "\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\n")
		found[subject]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestIMAPAccounting: a thousand messages are delivered while two IMAP clients mark them and move them to folders,
// and a POP3 client fetches and removes some: in the end each is somewhere once, or was removed.
func TestIMAPAccounting(t *testing.T) {
	w := newIMAPWorld(t)
	const messages, senders = 1000, 4
	var sending, working sync.WaitGroup
	var over atomic.Bool
	for s := range senders {
		sending.Go(func() {
			c, err := netsmtp.Dial(w.addrs["smtp"])
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for i := range messages / senders {
				err := c.Mail("s@elsewhere.test")
				if err == nil {
					err = c.Rcpt(user)
				}
				var d io.WriteCloser
				if err == nil {
					d, err = c.Data()
				}
				if err == nil {
					fmt.Fprintf(d, "Subject: %d\r\n\r\n%s\r\n", s*messages/senders+i, strings.Repeat("filler\r\n", i%50))
					err = d.Close()
				}
				if err != nil {
					t.Errorf("delivery: %v", err)
					return
				}
			}
		})
	}
	for i := range 2 {
		working.Go(func() {
			folder := fmt.Sprint("Folder", i)
			c := dialIMAP(t, w.IMAP, user)
			c.ok("CREATE %s", folder)
			c.ok("SELECT INBOX")
			for !over.Load() {
				uids := c.uids()
				for n, uid := range uids {
					number, _ := strconv.Atoi(uid)
					switch {
					case number%7 == i: // Dovecot itself doubles what two move at the same moment
						c.do("UID MOVE %s %s", uid, folder) // POP3 may have removed it
					case number%7 == 2+i:
						c.do(`UID STORE %s +FLAGS (\Seen $Label%d)`, uid, i)
					}
					if n > 60 {
						break
					}
				}
				if len(uids) == 0 {
					time.Sleep(5 * time.Millisecond)
				}
			}
			c.ok("LOGOUT")
		})
	}
	removed := make(map[string]bool)
	working.Go(func() {
		ctx := context.Background()
		for !over.Load() {
			c := w.popAs(t, user)
			n, _, err := c.Stat(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			var marked []string
			for i := 1; i <= min(n, 20); i += 4 {
				text, err := c.Retr(ctx, i)
				if err != nil {
					continue // was moved
				}
				all, err := io.ReadAll(text)
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.Dele(ctx, i); err != nil {
					t.Error(err)
					return
				}
				_, subject, _ := strings.Cut(string(all), "\r\nSubject: ")
				subject, _, _ = strings.Cut(subject, "\r\n")
				marked = append(marked, subject)
			}
			if err := c.Quit(ctx); err != nil {
				t.Errorf("QUIT: %v", err)
				return
			}
			for _, subject := range marked {
				removed[subject] = true
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	sending.Wait()
	over.Store(true)
	working.Wait()
	found := subjectsBelow(t, filepath.Join(w.dir, "data", "mail", "mail.test", "alice"))
	lost, doubled := 0, 0
	for i := range messages {
		switch n := found[fmt.Sprint(i)]; {
		case n > 1:
			doubled++
		case n == 0 && !removed[fmt.Sprint(i)]:
			lost++
		}
	}
	moved := len(subjectsBelow(t, filepath.Join(w.dir, "data", "mail", "mail.test", "alice", ".Folder0")))
	if lost+doubled > 0 || len(removed) == 0 || moved == 0 {
		t.Errorf("%d lost, %d doubled; %d removed by POP3, %d moved to the first folder", lost, doubled, len(removed), moved)
	}
	if errs := w.Errors(); len(errs) > 0 {
		t.Errorf("Dovecot says:\n%s", strings.Join(errs, "\n"))
	}
	must(t, "", "store", "verify", "-c", w.dir)
	t.Logf("%d removed by POP3, %d moved to the first folder", len(removed), moved)
}
