package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script runs a maintainer's script in a system that is a folder, in which there are few programs, and these.
func script(t *testing.T, root, name, argument string, programs map[string]string) (said string, err error) {
	t.Helper()
	text, err := debianFiles.ReadFile("debian/" + name)
	if err != nil {
		t.Fatal(err)
	}
	there := strings.NewReplacer("/etc/", root+"/etc/", "/var/", root+"/var/", "/run/", root+"/run/", "/sys/", root+"/sys/")
	bin := t.TempDir()
	for _, tool := range []string{"sh", "find", "grep", "rm", "cat", "head"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skip(tool + " is not installed")
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	for tool, does := range programs {
		if err := os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+does+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "sh"), "-c", there.Replace(string(text)), name, argument)
	cmd.Env = []string{"PATH=" + bin}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// write makes a file and the folders above it.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPurgeKeepsMail: whatever folders the settings named, and wherever links lead, a purge removes no mail and nothing that belongs to it.
func TestPurgeKeepsMail(t *testing.T) {
	const data = "/var/lib/postrider"
	for name, c := range map[string]struct {
		file, link string // the link leads to the folder of the file
		kept       bool
	}{
		"mail":                          {file: data + "/mail/example.com/alice/cur/1", kept: true},
		"a queue":                       {file: data + "/queue/0/1", kept: true},
		"mail_dir of another name":      {file: data + "/boxes/.postrider.lock", kept: true},
		"queue_dir of another name":     {file: data + "/out/.lock", kept: true},
		"mail behind a link":            {file: "/srv/mail/1", link: data + "/mail", kept: true},
		"mail_dir behind a link":        {file: "/srv/.postrider.lock", link: data + "/boxes", kept: true},
		"data_dir beside the settings":  {file: "/etc/postrider/data/mail/.postrider.lock", kept: true},
		"nothing but what was made new": {file: data + "/secret.key"},
	} {
		root := t.TempDir()
		write(t, root+data+"/tls/self-signed.key", "key")
		write(t, root+c.file, "text")
		write(t, root+"/etc/postrider/mail.conf", "{}")
		if c.link != "" {
			if err := os.Symlink(filepath.Dir(root+c.file), root+c.link); err != nil {
				t.Fatal(err)
			}
		}
		said, err := script(t, root, "postrm", "purge", nil)
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, said)
		}
		_, file := os.Stat(root + c.file)
		_, key := os.Stat(root + data + "/tls/self-signed.key")
		beside := strings.HasPrefix(c.file, "/etc/") // then there is nothing else of value
		if c.kept != (file == nil) || c.kept != (key == nil || beside) || c.kept != strings.Contains(said, "mail is kept") {
			t.Errorf("%s: %v, %v, %q", name, file, key, said)
		}
	}
}

// TestInstallFollowsNoLink: the folder of the settings is the service's user's, and what he puts into it while root installs is neither
// written through nor given to him.
func TestInstallFollowsNoLink(t *testing.T) {
	for _, there := range []bool{true, false} {
		root := t.TempDir()
		target := filepath.Join(root, "shadow")
		if there {
			write(t, target, "secret")
		}
		for _, dir := range []string{"/etc/postrider", "/var/lib/postrider"} {
			if err := os.MkdirAll(root+dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		programs := map[string]string{"getent": "exit 0", "hostname": "echo mail.example.com", "chown": "exit 0", "chmod": "exit 0",
			"postrider": "[ -L " + root + "/etc/postrider/05-debian.conf ] || " + lookPath(t, "ln") + " -s " + target + " " + root + "/etc/postrider/05-debian.conf"}
		if said, err := script(t, root, "postinst", "configure", programs); err == nil {
			t.Errorf("it went on: %s", said)
		}
		if text, err := os.ReadFile(target); there && string(text) != "secret" || !there && err == nil {
			t.Errorf("%q was written through the link, %v", text, err)
		}
	}
	// Without such a link the file is made, and is the service's alone.
	root := t.TempDir()
	for _, dir := range []string{"/etc/postrider", "/var/lib/postrider"} {
		if err := os.MkdirAll(root+dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(root, "chown")
	said, err := script(t, root, "postinst", "configure", map[string]string{"getent": "exit 0", "hostname": "echo mail.example.com", "postrider": "exit 0", "chown": `echo "$*" >>` + log})
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	info, err := os.Stat(root + "/etc/postrider/05-debian.conf")
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.HasPrefix(string(text), "-h postrider:postrider ") {
		t.Errorf("%q, %v", text, err)
	}
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	return path
}
