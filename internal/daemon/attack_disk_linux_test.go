package daemon

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// smallDisk is a fresh file system for the mailboxes; the test is skipped where
// none can be mounted.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting is not allowed here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func onDisk(t *testing.T, dir string) durable.Free {
	t.Helper()
	f, err := durable.FreeOn(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// user is a session on the submission port of somebody who has logged in.
func (v *victim) user(from int, account string) *talk {
	v.t.Helper()
	k := v.attacker(from, "submission")
	k.play("S: 220\nC: EHLO user.test\nS: 250")
	fmt.Fprint(k.c, "STARTTLS\r\n")
	k.reply()
	c := tls.Client(k.c, &tls.Config{InsecureSkipVerify: true})
	k.c, k.r = c, bufio.NewReader(c)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + account + "\x00" + testPassword))
	k.play("C: EHLO user.test\nS: 250\nC: AUTH PLAIN " + plain + "\nS: 235")
	return k
}

func (v *victim) status() (s Status) {
	v.t.Helper()
	if err := control.NewClient(filepath.Join(v.dir, "data", "control.sock")).Call(context.Background(), "status", nil, &s); err != nil {
		v.t.Fatal(err)
	}
	return s
}

// TestAttackUnfinished: a stranger has messages half way on their way in, more than
// the disk takes, and drips on. What is to be left free stays free; another stranger
// and users get their mail in, and for theirs the stranger's makes room.
func TestAttackUnfinished(t *testing.T) {
	const keep = 16 << 20
	disk := smallDisk(t, "size=48m")
	v := underAttack(t, fmt.Sprintf(`"mail_dir": %q, "Store": {"keep_free": "16MiB"}, "SMTP": {"tarpit": "0s"},`, disk))
	before, empty := v.cost(), onDisk(t, disk)
	least := func() {
		t.Helper()
		// A piece of each may be counted and not yet written.
		if f := onDisk(t, disk); f.Octets < keep-(1<<20) {
			t.Fatalf("%d octets are left of %d", f.Octets, keep)
		}
	}
	var attackers []*talk
	for range 10 {
		k := v.attacker(1, "smtp")
		k.play("S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<x@far.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354")
		io.WriteString(k.c, "Subject: x\r\n\r\n")
		attackers = append(attackers, k)
	}
	piece := strings.Repeat(strings.Repeat("z", 998)+"\r\n", 100)
	send := func(pieces int) {
		t.Helper()
		for range pieces {
			for _, k := range attackers {
				io.WriteString(k.c, piece)
				least()
			}
		}
	}
	send(28)
	if !within(forEver, func() bool { return onDisk(t, disk).Octets <= keep+(6<<20) }) {
		t.Fatalf("28 MB were sent, and %d octets are free of %d", onDisk(t, disk).Octets, empty.Octets)
	}
	for round := range 3 {
		for _, k := range attackers {
			io.WriteString(k.c, strings.Repeat("z", 998)+"\r\n")
		}
		v.serves()
		k := v.user(2+round, "bob@mail.test")
		k.play("C: MAIL FROM:<bob@mail.test>\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354")
		io.WriteString(k.c, "Subject: large\r\n\r\n"+strings.Repeat(piece, 80))
		k.play("C: .\nS: 250")
		k.c.Close()
		least()
	}
	if s := v.status(); !s.Healthy {
		t.Errorf("mail can be taken, and the status says: %s", s.Problem)
	}
	send(30) // what is left of theirs does not get in
	refused := 0
	for _, k := range attackers {
		io.WriteString(k.c, "\r\n.\r\n")
		if strings.HasPrefix(k.reply(), "452 4.3.1") {
			refused++
		}
		k.c.Close()
	}
	if refused < 7 {
		t.Errorf("%d of the attacker's messages made room", refused)
	}
	v.recovered(before)
	for _, u := range []string{"alice@mail.test", "bob@mail.test"} {
		v.empties(u)
	}
	if f := onDisk(t, disk); f.Octets < empty.Octets-(1<<20) {
		t.Errorf("%d octets are free, %d were before", f.Octets, empty.Octets)
	}
}

// empties removes all of a mailbox as its owner would.
func (v *victim) empties(user string) {
	v.t.Helper()
	k := v.owner(9, user)
	if k == nil {
		v.t.Fatalf("%s cannot log in", user)
	}
	var n, size int
	fmt.Sscanf(k.play("C: STAT\nS: +OK"), "+OK %d %d", &n, &size)
	for i := range n {
		k.play(fmt.Sprintf("C: RETR %d\nS: +OK", i+1))
		if !k.until(".\r\n") {
			v.t.Fatalf("message %d of %s cannot be read", i+1, user)
		}
		k.play(fmt.Sprintf("C: DELE %d\nS: +OK", i+1))
	}
	k.play("C: QUIT\nS: +OK")
	k.c.Close()
}

// TestAttackInodes: mail has used up the inodes. Recipients are refused before the
// message is sent, the status says why, users fetch and delete what they have never
// opened, and mail flows again.
func TestAttackInodes(t *testing.T) {
	disk := smallDisk(t, "size=48m,nr_inodes=150")
	v := underAttack(t, fmt.Sprintf(`"mail_dir": %q, "Store": {"keep_free": "16MiB"}, "SMTP": {"tarpit": "0s", "max_errors": 1000},`, disk))
	k := v.attacker(1, "smtp")
	k.play("S: 220\nC: EHLO x\nS: 250")
	sent := 0
	for ; ; sent++ {
		user := [...]string{"alice", "bob"}[sent%2]
		k.play("C: MAIL FROM:<x@far.test>\nS: 250")
		fmt.Fprintf(k.c, "RCPT TO:<%s@mail.test>\r\n", user)
		if answer := k.reply(); !strings.HasPrefix(answer, "250") {
			if !strings.HasPrefix(answer, "452 4.3.1") {
				t.Fatalf("message %d: %s", sent, answer)
			}
			break
		}
		k.play("C: DATA\nS: 354\nC: Subject: n\\r\\n\\r\\nbody\\r\\n.\nS: 250")
	}
	if s := v.status(); s.Healthy || !strings.Contains(s.Problem, "inodes") || !strings.Contains(s.Problem, disk) {
		t.Errorf("the status: healthy %v, %q", s.Healthy, s.Problem)
	}
	for i := 0; ; i++ { // other programs take the rest
		if os.WriteFile(filepath.Join(disk, fmt.Sprint("other", i)), nil, 0o600) != nil {
			break
		}
	}
	if f := onDisk(t, disk); f.Files != 0 || sent < 50 {
		t.Fatalf("after %d messages %d inodes are left", sent, f.Files)
	}
	v.empties("alice@mail.test")
	v.empties("bob@mail.test")
	v.serves()
	if s := v.status(); !s.Healthy {
		t.Errorf("the status: %s", s.Problem)
	}
}
