package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/peertest"
)

// blocks are the blocks of code of a page's part, without their fences, each below what kind it is of.
func blocks(t *testing.T, page, part string) (all [][2]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, of, ok := strings.Cut(string(text), "\n## "+part+"\n")
	if !ok {
		t.Fatalf("%s has no part %q", page, part)
	}
	of, _, _ = strings.Cut(of, "\n## ")
	for _, m := range regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$").FindAllStringSubmatch(of, -1) {
		all = append(all, [2]string{m[1], m[2]})
	}
	return all
}

// TestTwoMachines does what docs/cluster.md says, with two databases and two servers on this machine: mail goes in and out at both, the first
// database dies, and with what the page says then nothing is missing.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	setup, steps := blocks(t, "cluster.md", "Setting it up"), blocks(t, "cluster.md", "Two machines, step by step")
	if len(setup) < 2 || len(steps) != 6 {
		t.Fatalf("the page has other steps: %q, %q", setup, steps)
	}
	first := peertest.Postgres(t, strings.ReplaceAll(steps[0][1], "'*'", "'127.0.0.1'"))
	second := peertest.NoDatabase(t)
	play := func(d *peertest.Database, text string) {
		t.Helper()
		text = strings.NewReplacer("/var/lib/postgresql/15/main", second.Dir(), "-h first", fmt.Sprint("-h 127.0.0.1 -p ", first.Port), "host=first", fmt.Sprint("host=127.0.0.1 port=", first.Port)).Replace(text)
		for line := range strings.Lines(text) {
			d.Play(t, strings.TrimSpace(line))
		}
	}
	play(first, setup[0][1])
	play(first, steps[1][1])
	play(second, steps[2][1])
	second.Play(t, fmt.Sprintf("echo 'port = %d' >> %s/postgresql.auto.conf", second.Port, second.Dir())) // it is on the same machine
	second.Start(t)
	play(first, steps[3][1])
	ports := fmt.Sprintf("mail@127.0.0.1:%d,127.0.0.1:%d/mail?sslmode=disable", first.Port, second.Port)
	settings := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(steps[4][1]), "{"), "}")
	settings = strings.ReplaceAll(settings, "mail@first,second/mail", ports)
	var both []*world
	for range 2 {
		both = append(both, newWorld(t, `"data_dir": "data",`, `"data_dir": "data",`+settings+","))
	}
	for i, w := range both {
		bring(t, w.addrs["smtp"], fmt.Sprintf("Subject: before %d\r\n\r\ntext\r\n", i))
	}
	first.Kill()
	play(second, steps[5][1])
	for i, w := range both {
		w.cmd.Process.Signal(os.Interrupt)
		<-w.ended
		w.edit(`"replicas": 1`, `"replicas": 0`)
		w.start()
		bring(t, w.addrs["smtp"], fmt.Sprintf("Subject: after %d\r\n\r\ntext\r\n", i))
	}
	if got := both[0].fetchAll(user); len(got) != 4 {
		t.Errorf("%d messages of 4: %q", len(got), got)
	}
}
