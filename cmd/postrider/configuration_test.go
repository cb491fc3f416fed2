package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inDir runs the built program in a folder, with more in its environment.
func inDir(t *testing.T, dir string, env []string, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Who names no configuration means the one of the environment, else that of a
// quick start in this folder, else that of the host.
func TestConfigurationIsFound(t *testing.T) {
	named, here, empty := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(dir, name string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x.conf"), []byte(`{"server_name": "`+name+`", "data_dir": "data"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(named, "named.test")
	write(filepath.Join(here, quickStartDir), "here.test")
	shown := func(dir string, env []string, args ...string) string {
		_, out := inDir(t, dir, env, append([]string{"conf", "show"}, args...)...)
		return out
	}
	for _, c := range []struct {
		what, out, want string
	}{
		{"the environment", shown(here, []string{"POSTRIDER_CONF=" + named}), `"named.test"`},
		{"-c before the environment", shown(empty, []string{"POSTRIDER_CONF=" + named}, "-c", filepath.Join(here, quickStartDir)), `"here.test"`},
		{"this folder", shown(here, []string{"POSTRIDER_CONF="}), `"here.test"`},
	} {
		if !strings.Contains(c.out, c.want) {
			t.Errorf("%s: %s", c.what, c.out)
		}
	}
	if _, err := os.Stat(systemDir); err == nil {
		t.Skipf("there is a %s here", systemDir)
	}
	for _, args := range [][]string{{"conf", "show"}, {"check"}, {"status"}, {"queue", "list"}, {"user", "list"}} {
		code, out := inDir(t, empty, []string{"POSTRIDER_CONF="}, args...)
		if code != exitError || !strings.Contains(out, "neither ./"+quickStartDir+" nor "+systemDir) || !strings.Contains(out, "POSTRIDER_CONF") {
			t.Errorf("%v without any: %d %s", args, code, out)
		}
	}
}
