package archive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore/archive"
)

// peer finds another project's program, or skips; in CI every peer must be there.
func peer(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

var flavours = []archive.Flavour{archive.MboxO, archive.MboxRD, archive.MboxCL, archive.MboxCL2}

// mboxFile exports the hard messages.
func mboxFile(t *testing.T, f archive.Flavour, bodies []string) string {
	t.Helper()
	s := store(t, t.TempDir())
	fill(t, s, bodies...)
	var file bytes.Buffer
	if _, err := archive.ExportMbox(context.Background(), drop(t, s), archive.NewMboxWriter(&file, f), nil); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "mbox")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// readable are the hard messages as a reader sees them who takes no quoting back
// and, where the flavour has none, goes by every From_ line.
func readable(f archive.Flavour) []string {
	var out []string
	for _, m := range hard {
		switch f {
		case archive.MboxCL2:
			if strings.Contains(m, "\nFrom ") {
				continue
			}
		case archive.MboxRD:
			for _, q := range []string{">>", ">", ""} {
				m = strings.ReplaceAll(m, "\r\n"+q+"From ", "\r\n>"+q+"From ")
			}
		default:
			m = strings.ReplaceAll(m, "\r\nFrom ", "\r\n>From ")
		}
		out = append(out, strings.ReplaceAll(m, "\r\n", "\n"))
	}
	return out
}

// withoutLength takes off the field of the counted flavours; a message's own stays
// in front of it.
func withoutLength(m string) string {
	head, body, ok := strings.Cut(m, "\n\n")
	if !ok {
		head = strings.TrimSuffix(m, "\n")
	}
	i := strings.LastIndex(head, "Content-Length: ")
	if i < 0 {
		return m
	}
	head = strings.TrimSuffix(head[:i], "\n")
	if !ok {
		return head + "\n"
	}
	return head + "\n\n" + body
}

// TestPythonReadsMbox: Python's mailbox finds the messages in what was exported.
func TestPythonReadsMbox(t *testing.T) {
	python := peer(t, "python3")
	for _, f := range flavours {
		want := readable(f)
		bodies := hard
		if f == archive.MboxCL2 {
			bodies = slices.DeleteFunc(slices.Clone(hard), func(m string) bool { return strings.Contains(m, "\nFrom ") })
		}
		out, err := exec.Command(python, "-c", `
import json, mailbox, sys
box = mailbox.mbox(sys.argv[1], create=False)
json.dump([box.get_bytes(k).decode('latin-1') for k in box.iterkeys()], sys.stdout)
`, mboxFile(t, f, bodies)).Output()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("flavour %d: Python finds %d messages, want %d", f, len(got), len(want))
			continue
		}
		for i := range got {
			g := got[i]
			if f == archive.MboxCL || f == archive.MboxCL2 {
				g = withoutLength(g)
			}
			if g != want[i] {
				t.Errorf("flavour %d: Python reads %.200q\nwant %.200q", f, g, want[i])
			}
		}
	}
}

// TestPythonWritesMbox: what Python's mailbox wrote is read as it was meant.
func TestPythonWritesMbox(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mbox")
	list, err := json.Marshal(hard)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(peer(t, "python3"), "-c", `
import json, mailbox, sys
box = mailbox.mbox(sys.argv[1])
for m in json.load(sys.stdin):
    box.add(m.replace('\r\n', '\n').encode('latin-1'))
box.close()
`, name)
	cmd.Stdin = bytes.NewReader(list)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	s := store(t, t.TempDir())
	st, err := archive.Import(context.Background(), s, user, archive.FromMbox(f, archive.MboxO, ""), archive.Options{})
	if err != nil || int(st.Done) != len(hard) {
		t.Errorf("%+v, %v", st, err)
	}
	_, got := holds(t, s)
	var want []string
	for _, m := range hard {
		want = append(want, strings.ReplaceAll(m, "\r\n>From ", "\r\nFrom "))
	}
	slices.Sort(want)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("read %.200q\nwant %.200q", got[i], want[i])
		}
	}
}

// TestDovecotReadsMbox: so does Dovecot, which goes by Content-Length where one
// leads to a From_ line, and by From_ lines with a date.
func TestDovecotReadsMbox(t *testing.T) {
	doveadm := peer(t, "doveadm")
	dir, err := os.MkdirTemp("/tmp", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 65534, 65534 // it does not touch mail as root
	}
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf("base_dir = %[1]s/run\nlog_path = /dev/stderr\nmail_location = mbox:%[1]s/mail\nmail_uid = %[2]d\nmail_gid = %[3]d\n"+
		"first_valid_uid = 1\nfirst_valid_gid = 1\nssl = no\nprotocols =\nmail_privileged_group =\n", dir, uid, gid)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range flavours {
		name := fmt.Sprint("box", f)
		b, err := os.ReadFile(mboxFile(t, f, hard))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "mail"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "mail", name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{dir, filepath.Join(dir, "mail"), filepath.Join(dir, "mail", name)} {
			if err := os.Chown(path, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(doveadm, "-c", conf, "-f", "json", "fetch", "body", "mailbox", name, "all")
		cmd.Env = append(os.Environ(), "USER=nobody", "HOME="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, &stderr)
		}
		var got []struct{ Body string }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, m := range inDovecot(f) {
			_, body, _ := strings.Cut(m, "\n\n")
			want = append(want, body)
		}
		if len(got) != len(want) {
			t.Errorf("flavour %d: Dovecot finds %d messages, want %d\n%s", f, len(got), len(want), &stderr)
			continue
		}
		for i := range got {
			if g := strings.ReplaceAll(got[i].Body, "\r\n", "\n"); strings.TrimRight(g, "\n") != strings.TrimRight(want[i], "\n") {
				t.Errorf("flavour %d: Dovecot reads %.200q\nwant %.200q", f, g, want[i])
			}
		}
	}
}

// inDovecot are the hard messages as Dovecot shows them.
func inDovecot(f archive.Flavour) []string {
	if f != archive.MboxCL2 {
		return readable(f)
	}
	var out []string
	for _, m := range hard {
		out = append(out, strings.ReplaceAll(m, "\r\n", "\n"))
	}
	return out
}
