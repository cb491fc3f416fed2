package main

import (
	"encoding/json"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp"
	"github.com/postrider-mail/postrider/smtp/smtptest"
)

// testingDoc is docs/testing.md, and its pieces of code in a language.
func testingDoc(t *testing.T, language string) (text string, pieces []string) {
	t.Helper()
	read, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(read), -1) {
		pieces = append(pieces, m[1])
	}
	if len(pieces) == 0 {
		t.Fatalf("no piece of %s", language)
	}
	return string(read), pieces
}

// here are the ports that the documentation names, where this sink has them.
func (s *sinkProcess) here(text string) string {
	_, port, _ := net.SplitHostPort(s.smtp)
	return strings.NewReplacer("http://127.0.0.1:8025", s.http, `"127.0.0.1", 1025`, `"127.0.0.1", `+port).Replace(text)
}

// TestTestingDocPython: the recipe prints what the documentation says.
func TestTestingDocPython(t *testing.T) {
	text, pieces := testingDoc(t, "python")
	s := startSink(t, nil)
	for _, p := range pieces {
		out, err := runPeer(t, t.TempDir(), s.here(p), "python3", "-")
		if err != nil || !strings.Contains(text, "It prints `"+strings.TrimSpace(out)+"`.") {
			t.Errorf("it prints %q: %v", out, err)
		}
	}
}

// TestTestingDocCurl: each command that asks the API is answered, in the form that is shown.
func TestTestingDocCurl(t *testing.T) {
	peer(t, "curl")
	_, shell := testingDoc(t, "sh")
	_, shown := testingDoc(t, "json")
	s := startSink(t, nil)
	var asked []string
	for _, p := range shell {
		if !strings.HasPrefix(p, "curl ") {
			continue
		}
		out, err := runPeer(t, t.TempDir(), "", "sh", "-c", s.here(strings.Replace(p, "curl ", "curl -sSf ", 1)))
		if err != nil {
			t.Errorf("%s: %v %s", p, err, out)
		}
		asked = append(asked, out)
	}
	if len(asked) != 2 || !strings.Contains(asked[1], "No such user") {
		t.Fatalf("%q", asked)
	}
	var got, want map[string]any
	if err := json.Unmarshal([]byte(asked[0]), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(shown[0]), &want); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if _, ok := got[name]; !ok || len(got) != len(want) {
			t.Errorf("%q is shown, and the answer is %s", name, asked[0])
		}
	}
}

// TestTestingDocPaths: every path that is named is served.
func TestTestingDocPaths(t *testing.T) {
	text, _ := testingDoc(t, "sh")
	s := startSink(t, nil)
	var d struct {
		Paths map[string]map[string]any
	}
	s.get(t, "/api/v1/openapi.json", &d)
	names := regexp.MustCompile("`(GET|PUT|POST|DELETE) (/[^`? ]*)").FindAllStringSubmatch(text, -1)
	if len(names) < 8 {
		t.Errorf("%d are named", len(names))
	}
	for _, m := range names {
		path := strings.NewReplacer("/NAME", "/{inbox}", "/sessions/ID", "/sessions/{id}", "/ID", "/{id}").Replace(m[2])
		if _, ok := d.Paths[path][strings.ToLower(m[1])]; !ok && path != "/readyz" && path != "/api/v1/openapi.json" {
			t.Errorf("%s %s is not served", m[1], path)
		}
	}
}

// TestTestingDocFaults: the command that makes mail fail does what stands below it.
func TestTestingDocFaults(t *testing.T) {
	_, shell := testingDoc(t, "sh")
	i := slices.IndexFunc(shell, func(p string) bool { return strings.HasPrefix(p, "postrider sink --rule") })
	if i < 0 {
		t.Fatal("the documentation makes no mail fail")
	}
	var rules []string
	for _, m := range regexp.MustCompile(`--rule '([^']*)'`).FindAllStringSubmatch(shell[i], -1) {
		rules = append(rules, "--rule", m[1])
	}
	if len(rules) != 6 {
		t.Fatalf("%q", rules)
	}
	s := startSink(t, nil, rules...)
	failed := func(to string, n int) (list []int) {
		for i := range n {
			if err := smtp.SendMail(t.Context(), s.smtp, "a@b.test", []string{to}, strings.NewReader("\r\n")); err != nil {
				list = append(list, i+1)
			}
		}
		return list
	}
	if got := failed("bob@x.test", 3); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("bob: attempts %v fail", got)
	}
	// That was one message; of the next ones the ninth is the tenth.
	if got := failed("carol@x.test", 12); !slices.Equal(got, []int{9}) {
		t.Errorf("others: messages %v fail", got)
	}
	var l struct{ Total int }
	if s.get(t, "/api/v1/messages", &l); l.Total != 13 {
		t.Errorf("%d were taken", l.Total)
	}
}

// TestTestingDocSettings: the settings of the service's example are known.
func TestTestingDocSettings(t *testing.T) {
	_, pieces := testingDoc(t, "yaml")
	var env []string
	for _, m := range regexp.MustCompile(`(MP_\w+): "([^"]*)"`).FindAllStringSubmatch(pieces[0], -1) {
		env = append(env, m[1]+"=127.0.0.1:0")
	}
	if len(env) != 2 {
		t.Fatalf("%q", env)
	}
	startSink(t, env) // the command line wins; what is not known would be an error or a line in the log
}

// TestTestingDocGo: the Go recipe is the one below, which compiles and works.
func TestTestingDocGo(t *testing.T) {
	_, pieces := testingDoc(t, "go")
	self, err := os.ReadFile("sink_docs_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(pieces[0]) {
		if !strings.Contains(string(self), "\t"+strings.TrimSpace(line)+"\n") {
			t.Errorf("%q is not what is tested", line)
		}
	}
	s := smtptest.NewServer(smtptest.Greylist(2))
	defer s.Close()
	// the code under test sends to s.Addr
	tries := 0
	for ; smtp.SendMail(t.Context(), s.Addr, "a@b.test", []string{"c@d.test"}, strings.NewReader("Subject: x\r\n\r\n")) != nil && tries < 5; tries++ {
	}
	m, err := s.Next(t.Context())
	if err != nil || tries != 2 || len(m.Data) == 0 {
		t.Errorf("after %d tries: %v, %v", tries, m, err)
	}
}
