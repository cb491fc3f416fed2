package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/internal/conf"
)

// transportMap has what transport(5) has, and what people write.
const transportMap = `# internal mail directly
mail.test	:
.mail.test	:
Partner.Example smtp:[mx.partner.example]:26
mx.example	smtp:mx.provider.example
  # a comment within
odd.example	relay:mail.odd.example:2525
six.example	smtp:[IPv6:2001:db8::1]:587
four.example	:[192.0.2.7]
two.example	smtp:[a.example],
	[b.example]
uneven.example	smtp:[a.example]:25, [b.example]:26
lists.example	lmtp:unix:/run/mailman.sock
near.example	lmtp:unix:private/dovecot-lmtp
lm.example	lmtp:inet:[10.0.0.7]:8024
lo.example	lmtp:lm.host.example
secure.example	smtp:[smtp.example]:submissions
.below.example	smtp:[hub.example]
deep.below.example smtp:
.other.example	smtp:
user@far.example smtp:[x.example]
gone.example	error:5.1.2 no such domain
gone.example	smtp:[back.example]
later.example	retry:come again
hole.example	discard:
slow.example	slow:
/regexp/	smtp:[x.example]
mail.test	smtp:[again.example]
kept.example	local:
bad.example	smtp:[x.example]:nosuchport
none.example	nothing
two..dots	smtp:[x.example]
*	smtp:[smarthost.example]:587
`

// transportRefused are what of it cannot be told, in words.
var transportRefused = []string{
	":14: near.example: the socket private/dovecot-lmtp is below that host's queue_directory", ":12: uneven.example: its hosts have several ports",
	": mail for .other.example would go where the DNS of each domain says, and no route says that while there is one for *",
	": user@far.example: a route is for a domain, not for one address", ": gone.example: mail for it is refused there", ": later.example: mail for it is refused",
	": hole.example: mail for it is thrown away", ": slow.example: slow is a service of that host's master.cf", ": /regexp/: a regular expression",
	": mail.test: it stands in line 2 already", ": gone.example: it stands in line 22 already", ": mail for kept.example stays on that host", `: bad.example: "[x.example]:nosuchport": there is no port nosuchport`,
	`: none.example: "nothing" has no colon`, ": mail for .mail.test would go where",
	`: domain: "two..dots" is not a domain name`,
}

func TestTransportImport(t *testing.T) {
	base := `{"server_name": "mail.test", "data_dir": "data", "Domains": {"mail.test": {"Accounts": {"boss": {}}}}, "postmaster": "boss@mail.test"%s}`
	file := put(t, transportMap, t.TempDir(), "transport")
	want := `partner.example [mx.partner.example] mx=false 26  
mx.example [mx.provider.example] mx=true 0  
odd.example [mail.odd.example] mx=true 2525  
six.example [2001:db8::1] mx=false 587  
four.example [192.0.2.7] mx=false 0  
two.example [a.example b.example] mx=false 0  
lists.example [/run/mailman.sock] mx=false 0  lmtp
lm.example [10.0.0.7] mx=false 8024  lmtp
lo.example [lm.host.example] mx=false 0  lmtp
secure.example [smtp.example] mx=false 465 implicit 
deep.below.example [deep.below.example] mx=true 0  
* [smarthost.example] mx=false 587  
.below.example [hub.example] mx=false 0  
`
	for name, more := range map[string]string{
		"none before": "",
		"empty":       ", \"Queue\": {\"Routes\": [ // stays\n]}",
		"one before":  ", \"Queue\": {\"Routes\": [\n  {\"domain\": \"there.example\", \"host\": \"there.example\"}, // stays\n]}",
	} {
		dir := confDir(t, fmt.Sprintf(base, more))
		said := fails(t, "", "alias", "import", "--format", "transport", "-c", dir, file)
		for _, w := range transportRefused {
			if !strings.Contains(said, "not taken over: "+file+":") || !strings.Contains(said, w) {
				t.Errorf("%s: %q is not named in\n%s", name, w, said)
			}
		}
		if n := strings.Count(said, "not taken over: "); n != len(transportRefused) {
			t.Errorf("%s: %d are named\n%s", name, n, said)
		}
		if strings.Contains(said, `"Routes": [`) {
			t.Errorf("%s: a line is shown that it is not about:\n%s", name, said)
		}
		must(t, "", "check", "-c", dir)
		s, err := conf.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		routes := make(map[string]bool)
		for _, r := range s.Queue.Routes {
			routes[fmt.Sprintf("%s %v mx=%v %d %s %s\n", r.Domain, []string(r.Host), r.MX, r.Port, r.TLS, r.Protocol)] = true
		}
		for line := range strings.Lines(want) {
			if !routes[line] {
				t.Errorf("%s: no route %sin %v", name, line, s.Queue.Routes)
			}
		}
		if n := strings.Count(want, "\n"); len(routes) != n && name != "one before" || len(routes) != n+1 && name == "one before" {
			t.Errorf("%s: %d routes", name, len(routes))
		}
		if text, _ := os.ReadFile(filepath.Join(dir, "mail.conf")); more != "" && !strings.Contains(string(text), "// stays") {
			t.Errorf("%s: the file is now\n%s", name, text)
		}
		if said := fails(t, "", "alias", "import", "--format", "transport", "-c", dir, file); !strings.Contains(said, "0 routes of ") || !strings.Contains(said, "there is a route for *") {
			t.Errorf("%s: a second time: %s", name, said)
		}
	}
	good := put(t, "* smtp:[smarthost.example]\n.mail.example :\n", t.TempDir(), "transport")
	dir := confDir(t, fmt.Sprintf(base, ""))
	fails(t, "", "alias", "import", "--format", "transport", "-c", dir, good)
	alone := put(t, ".mail.example :\nmail.example smtp:\n", t.TempDir(), "transport")
	must(t, "", "alias", "import", "--format", "transport", "-c", confDir(t, fmt.Sprintf(base, "")), alone)
}

// TestTransportAsPostfix: a line is what Postfix takes it for, in its own reading of the file.
func TestTransportAsPostfix(t *testing.T) {
	postmap := peer(t, "postmap")
	etc := t.TempDir()
	put(t, "", etc, "main.cf")
	put(t, "", etc, "master.cf")
	file := put(t, transportMap, etc, "transport")
	all, _ := readTransports(strings.NewReader(transportMap), &takeoverFlags{file: file}, "mail.test")
	if len(all) == 0 {
		t.Fatal("nothing was read")
	}
	for _, r := range all {
		out, err := exec.Command(postmap, "-c", etc, "-q", r.Domain, "texthash:"+file).Output()
		if err != nil {
			t.Errorf("%s is not in Postfix's map: %v", r.Domain, err)
			continue
		}
		again := conf.NewRoute{Where: r.Where, Domain: r.Domain}
		if err := transport(&again, strings.TrimSpace(string(out))); err != nil || fmt.Sprint(again) != fmt.Sprint(r) {
			t.Errorf("%s: Postfix has %q, read as %+v, here it is %+v (%v)", r.Domain, out, again, r, err)
		}
	}
}
