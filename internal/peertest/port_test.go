package peertest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// TestFreePort: no port is given twice, to whichever of several programs that run beside each other.
func TestFreePort(t *testing.T) {
	const (
		programs, each = 4, 3 * blockSize
		child          = "POSTRIDER_TEST_PORTS"
	)
	if os.Getenv(child) != "" {
		for range each {
			fmt.Println("port", FreePort(t))
		}
		fmt.Println("all")
		bufio.NewReader(os.Stdin).ReadByte() // until the others have theirs
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		seen = make(map[string]int)
		all  sync.WaitGroup
	)
	note := func(port string) {
		mu.Lock()
		seen[port]++
		mu.Unlock()
	}
	for range programs {
		cmd := exec.Command(self, "-test.run", "^TestFreePort$")
		cmd.Env = append(os.Environ(), child+"=1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer in.Close()
		all.Go(func() {
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "all" {
				if port, ok := strings.CutPrefix(lines.Text(), "port "); ok {
					note(port)
				}
			}
		})
	}
	for range each {
		note(fmt.Sprint(FreePort(t)))
	}
	all.Wait()
	if want := (programs + 1) * each; len(seen) != want {
		t.Errorf("%d ports were given, want %d", len(seen), want)
	}
	for port, n := range seen {
		if n > 1 {
			t.Errorf("port %s was given %d times", port, n)
		}
	}
}
