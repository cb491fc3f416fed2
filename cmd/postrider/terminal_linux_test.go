package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what a person types is written to the
// first end.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	missing := t.Skip
	if os.Getenv("CI") == "true" {
		missing = t.Fatal
	}
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		missing("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		missing("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// typing answers each prompt with the next line, as a person does: not before
// the echo is off.
type typing struct {
	prompts bytes.Buffer
	to      *os.File
	lines   []string
	typed   sync.WaitGroup
}

func (p *typing) Write(b []byte) (int, error) {
	if bytes.HasSuffix(b, []byte(": ")) && len(p.lines) > 0 {
		line := p.lines[0]
		p.lines = p.lines[1:]
		p.typed.Go(func() {
			for {
				mode, err := unix.IoctlGetTermios(int(p.to.Fd()), unix.TCGETS)
				if err != nil || mode.Lflag&unix.ECHO == 0 {
					break
				}
				runtime.Gosched()
			}
			fmt.Fprintln(p.to, line)
		})
	}
	return p.prompts.Write(b)
}

func TestTerminal(t *testing.T) {
	dir := confDir(t, userConf)
	person, program := terminal(t)
	for _, c := range []struct {
		args  []string
		lines []string
		code  int
		want  string
	}{
		{[]string{"user", "add", "-c", dir, "boss"}, []string{"pass word", "pass word"}, exitOK, "New password for boss@mail.test: \nThe same again for boss@mail.test: \n"},
		{[]string{"user", "test", "-c", dir, "boss"}, []string{"pass word"}, exitOK, "Password for boss@mail.test: \n"},
		{[]string{"user", "passwd", "-c", dir, "boss"}, []string{"password a", "password b"}, exitError, "the two are not the same; nothing was changed"},
		{[]string{"user", "passwd", "-c", dir, "boss"}, []string{""}, exitError, "an empty password is no password"},
		{[]string{"user", "test", "-c", dir, "boss"}, []string{"wrong"}, exitError, "this is not the password"},
	} {
		p := &typing{to: person, lines: c.lines}
		var out bytes.Buffer
		code := run(c.args, program, &out, p)
		p.typed.Wait()
		if code != c.code || !strings.Contains(p.prompts.String(), c.want) {
			t.Errorf("%v: exit %d, said %q, want %q", c.args, code, p.prompts.String(), c.want)
		}
	}
	program.Close()
	if echo, _ := io.ReadAll(person); strings.Contains(string(echo), "pass word") {
		t.Errorf("the password was shown: %q", echo)
	}
}

// execCommand starts the built program at a terminal of its own.
func execCommand(t *testing.T, terminal *os.File, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

// A password prompt that is interrupted leaves the terminal as it was.
func TestInterruptedPrompt(t *testing.T) {
	dir := confDir(t, userConf)
	person, program := terminal(t)
	cmd := execCommand(t, program, "user", "add", "-c", dir, "boss")
	echo := func() bool {
		mode, err := unix.IoctlGetTermios(int(person.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return mode.Lflag&unix.ECHO != 0
	}
	for range 18000 {
		if !echo() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if echo() {
		t.Fatal("the prompt did not come")
	}
	if _, err := io.WriteString(person, "abc\x03"); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if cmd.ProcessState.Success() || !echo() {
		t.Errorf("%v, and the echo is %v", cmd.ProcessState, echo())
	}
}
