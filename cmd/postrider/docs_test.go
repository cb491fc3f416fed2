package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// TestDocumentedCommands: every command line in the pages for users, in the
// unit and in the help texts' examples is one that the program understands.
func TestDocumentedCommands(t *testing.T) {
	files, err := filepath.Glob("../../docs/*")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	line := regexp.MustCompile(`(?m)^(?:.*(?:-- |\| |&& |=/usr/local/bin/|"))?postrider ([a-z][^\n#|&<>"]*)`)
	seen := 0
	understand := func(where, text string) {
		for _, m := range line.FindAllStringSubmatch(text, -1) {
			seen++
			if err := understood(shellWord.FindAllString(m[1], -1)); err != nil {
				t.Errorf("%s: postrider %s: %v", where, m[1], err)
			}
		}
	}
	for _, file := range append(files, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			understand(file, block[1])
		}
		if strings.HasSuffix(file, ".service") {
			understand(file, string(text))
		}
	}
	pages := seen
	var examples func(args []string)
	examples = func(args []string) {
		c, _, err := rootCommand().Find(args)
		if err != nil {
			t.Fatal(err)
		}
		understand("postrider "+strings.Join(args, " ")+" --help", strings.ReplaceAll(c.Example, "  ", ""))
		for _, sub := range c.Commands() {
			examples(append(args[:len(args):len(args)], sub.Name()))
		}
	}
	examples(nil)
	if pages < 15 || seen < pages+30 {
		t.Errorf("%d command lines in pages, %d in examples: the search is broken", pages, seen-pages)
	}
}

// shellWord is a word of a command line; one in quotes has blanks, and keeps the quotes.
var shellWord = regexp.MustCompile(`'[^']*'|\S+`)

// understood carries a command line up to the point where it would be run.
func understood(args []string) error {
	root := rootCommand()
	root.SetOut(io.Discard)
	c, rest, err := root.Find(args)
	if err != nil || c.DisableFlagParsing {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	return c.ValidateArgs(c.Flags().Args())
}

// TestReadmeDomain: the configuration that the README shows is right once its one
// account is added, as it says.
func TestReadmeDomain(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```jsonc\n(\\{.*?)```").FindStringSubmatch(string(text))
	if block == nil {
		t.Fatal("the README shows no configuration")
	}
	dir := confDir(t, strings.Replace(block[1], "/var/lib/postrider", "data", 1))
	must(t, "pass word", "user", "add", "-c", dir, "--stdin", "alice@example.com")
	s, err := conf.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range s.Check() {
		t.Error(problem)
	}
}
