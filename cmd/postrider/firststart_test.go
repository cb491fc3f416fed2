package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestFirstStart: a container is given a name and an empty volume, and serves;
// whatever else it finds is no first start.
func TestFirstStart(t *testing.T) {
	volume := t.TempDir()
	dir := filepath.Join(volume, "conf")
	t.Setenv(confVariable, dir)
	refused := func(want string) {
		t.Helper()
		code, _, said := command(t, "", "serve")
		if code != exitError || !strings.Contains(said, want) || strings.Count(said, "\n") != 1 {
			t.Errorf("exit %d, %s; want %s", code, said, want)
		}
	}
	refused("$POSTRIDER_SERVER_NAME=mail.example.com")
	t.Setenv(nameVariable, "not a name")
	refused("$POSTRIDER_SERVER_NAME: ")
	t.Setenv(nameVariable, "mail.example.com")
	mail := filepath.Join(volume, "data", "mail")
	if err := os.MkdirAll(mail, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("this is no first start")
	if err := os.RemoveAll(filepath.Join(volume, "data")); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(binary(t), "serve")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait() // the ports may be somebody else's here
	if err != nil || !strings.Contains(line, "settings for mail.example.com are in "+dir) {
		t.Errorf("%q, %v", line, err)
	}
	s, problems := conf.Verify(dir, conf.Probes{})
	for _, p := range problems {
		t.Error(p)
	}
	if s.DataDir != filepath.Join(volume, "data") || len(s.Listeners) != 5 || s.Listeners[0].Address != ":2525" || s.ServerName != "mail.example.com" {
		t.Errorf("%s %v", s.DataDir, s.Listeners)
	}

	// What is there is never made again.
	if err := os.Remove(filepath.Join(dir, portsFile)); err != nil {
		t.Fatal(err)
	}
	if err := firstStart(nil, dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, portsFile)); err == nil {
		t.Error("settings were made where there are some")
	}
}

// TestForeignVolume: the first error names whose the folder is, as whom this runs,
// and the command that mends it.
func TestForeignVolume(t *testing.T) {
	volume := t.TempDir()
	dir := filepath.Join(volume, "conf")
	err := notOurs(dir, &os.PathError{Op: "mkdir", Path: dir, Err: syscall.EACCES})
	for _, want := range []string{volume + " belongs to ", "and this runs as user ", "chown "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	err = notOurs(dir, &os.PathError{Op: "mkdir", Path: dir, Err: syscall.EROFS})
	if !strings.Contains(err.Error(), "mount a volume") {
		t.Error(err)
	}
	if os.Getuid() == 0 {
		return // root may write anywhere
	}
	if err := os.Chmod(volume, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(volume, 0o700)
	t.Setenv(confVariable, dir)
	t.Setenv(nameVariable, "mail.example.com")
	if code, _, said := command(t, "", "serve"); code != exitError || !strings.Contains(said, "chown") {
		t.Errorf("exit %d, %s", code, said)
	}
}

// TestComposeFile: what docs/compose.yaml maps are the ports that a first start listens at, and it holds no secret, nor takes any right from the host.
func TestComposeFile(t *testing.T) {
	text, err := os.ReadFile("../../docs/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "conf")
	t.Setenv(nameVariable, "mail.example.com")
	c := rootCommand()
	c.SetContext(t.Context())
	if err := firstStart(c, dir); err != nil {
		t.Fatal(err)
	}
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	listens := map[string]bool{strings.TrimPrefix(s.Web.Listen, ":"): true, "2080": true} // the last is for certificates
	for _, l := range s.Listeners {
		listens[strings.TrimPrefix(l.Address, ":")] = true
	}
	ports := regexp.MustCompile(`(?m)^      - "(\d+):(\d+)"`).FindAllStringSubmatch(string(text), -1)
	for _, p := range ports {
		if !listens[p[2]] {
			t.Errorf("port %s leads to %s, where nobody listens: %v", p[1], p[2], listens)
		}
	}
	if len(ports) < 5 {
		t.Errorf("%d ports", len(ports))
	}
	for _, want := range []string{"enable_ipv6: true", "cap_drop: [ALL]", "read_only: true", "no-new-privileges:true", "/var/lib/postrider"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
		}
	}
	environment := regexp.MustCompile(`(?ms)^    environment:\n(.*?)^    \w`).FindStringSubmatch(string(text))
	if environment == nil || regexp.MustCompile(`(?i)password|secret|token|key:`).MatchString(environment[1]) {
		t.Errorf("the environment has %q", environment)
	}
}
