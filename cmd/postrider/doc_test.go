package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestManPages: each command has a page, each setting a paragraph, and man has
// nothing to say against any.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SOURCE_DATE_EPOCH", "1800000000")
	must(t, "", "doc", "man", dir, "../../docs/rules.md", "../../docs/log.md")
	var commands func(c *cobra.Command)
	n := 0
	commands = func(c *cobra.Command) {
		n++
		text, err := os.ReadFile(filepath.Join(dir, "man1", strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil || !bytes.Contains(text, []byte(`"2027\-01\-15"`)) {
			t.Errorf("%s: %v", c.CommandPath(), err)
		}
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				commands(sub)
			}
		}
	}
	commands(rootCommand())
	settings, err := os.ReadFile(filepath.Join(dir, "man5", "postrider.conf.5"))
	if err != nil {
		t.Fatal(err)
	}
	var reference bytes.Buffer
	if err := conf.Reference(&reference); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"server_name", "Listeners[].address", "SMTP.tarpit", "Domains.NAME.Aliases", "TLS.ACME.accept_terms", "Queue.Routes[].password_file"} {
		if !bytes.Contains(settings, []byte(`\fB`+key+`\fR`)) {
			t.Errorf("postrider.conf(5) has no %s", key)
		}
	}
	// All that the reference explains is on the page, as often.
	explained := bytes.Count(reference.Bytes(), []byte("At most 2147483647."))
	if on := bytes.Count(settings, []byte("At most 2147483647.")); on != explained || explained == 0 {
		t.Errorf("%d settings have a bound in the reference, %d on the page", explained, on)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man[158]", "*"))
	if err != nil || len(pages) < n+6 {
		t.Fatalf("%d pages for %d commands, %v", len(pages), n, err)
	}
	peer(t, "groff")
	peer(t, "man")
	for _, page := range pages {
		cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANROFFSEQ=", "MANWIDTH=80")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil || said.Len() > 0 {
			t.Errorf("%s: %v %s", page, err, said.Bytes())
		}
	}
}

// TestCompletionSyntax: zsh and fish read what they are given.
func TestCompletionSyntax(t *testing.T) {
	for _, shell := range []string{"zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			peer(t, shell)
			script, _ := must(t, "", "completion", shell)
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(shell, "-n", file).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
