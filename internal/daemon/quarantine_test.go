package daemon

import (
	"context"
	"fmt"
	"html"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/control"
	"github.com/postrider-mail/postrider/internal/quarantine"
	"github.com/postrider-mail/postrider/mailstore"
)

const asideMail = "X-Quarantine: for bob@mail.test; forged\r\nFrom: x@quarantine.test\r\nSubject: [SPAM] put aside\r\n\r\nbody\r\n"

// asks calls the running server.
func (w *testWorld) asks(action, id string, out any) error {
	return control.NewClient(filepath.Join(w.dir, "data", "control.sock")).Call(w.t.Context(), "quarantine/"+action, QuarantineRequest{ID: id}, out)
}

// quarantined are the messages that were put aside.
func (w *testWorld) quarantined() []quarantine.Item {
	w.t.Helper()
	var list QuarantineList
	if err := w.asks("list", "", &list); err != nil || list.Problem != "" {
		w.t.Fatal(err, list.Problem)
	}
	return list.Items
}

// TestQuarantine: what a domain asks to have put aside is in the junk of its user, as a message that POP3 fetches, and once it is released in his
// mailbox, octet for octet, once.
func TestQuarantine(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", `"Verify": {"quarantine": "+junk"}, "Accounts": {"alice+junk@mail.test": `+testAccount(t)+`},`)
	k := w.from(stranger)
	if reply := k.bring("<x@good.test>", []string{"alice@mail.test", "bob@mail.test"}, asideMail); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	w.logged("delivered", "to=alice@mail.test", "mailbox=alice+junk@mail.test", "aside=", "p=quarantine", "marked=")
	// Bob has no such place, and gets it marked.
	if _, above, rest := stored(t, w.only("bob@mail.test")); !slices.Contains(above, "X-Spam-Flag") || rest != asideMail {
		t.Errorf("bob: %q %q", above, rest)
	}
	w.nothing("put aside")
	junk := w.fetch("alice+junk@mail.test")
	if len(junk) != 1 || !strings.HasPrefix(junk[0], "X-Quarantine: the domain quarantine.test asks for p=quarantine") || !strings.Contains(junk[0], "X-Spam-Flag: YES") || strings.Contains(junk[0], "Subject: [SPAM] [") {
		t.Fatalf("junk: %q", junk)
	}
	// What comes the usual way stays there; neither is what somebody writes to the junk himself of interest.
	if reply := w.from(stranger).bring("<x@good.test>", []string{"alice+junk@mail.test"}, "From: x@good.test\r\n\r\nx\r\n"); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	all := w.quarantined()
	if len(all) != 1 || all[0].Subject != "[SPAM] put aside" || all[0].From != "x@quarantine.test" || all[0].Sender != "x@good.test" || fmt.Sprint(all[0].For) != "[alice@mail.test]" || all[0].Since.IsZero() {
		t.Fatalf("%+v", all)
	}
	id := all[0].ID
	var text string
	if err := w.asks("show", id, &text); err != nil || text != junk[0] {
		t.Errorf("shown: %v, %q", err, text)
	}
	// While somebody is logged in there nothing can be released, and nothing is lost.
	box, err := w.store.Open(t.Context(), "alice+junk@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.asks("release", id, nil); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("released from a locked mailbox: %v", err)
	}
	box.Close()
	if err := w.asks("release", "nonsense", nil); err == nil || !strings.Contains(err.Error(), "no such message") {
		t.Errorf("released what is not there: %v", err)
	}
	if err := w.asks("release", id, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.asks("release", id, nil); err == nil {
		t.Error("released twice")
	}
	_, want, _ := strings.Cut(junk[0], "Return-Path:")
	if got := w.fetch("alice@mail.test"); len(got) != 1 || got[0] != "Return-Path:"+want || !strings.HasSuffix(got[0], asideMail) {
		t.Errorf("released: %q", got)
	}
	if left := w.fetch("alice+junk@mail.test"); len(left) != 1 || strings.Contains(left[0], "put aside") {
		t.Errorf("left: %q", left)
	}
	w.logged("released from quarantine", "uid="+id)
}

// TestQuarantineShared: a mailbox for the junk of all knows whose it is, and tells nobody of another; a list's code leads there as well.
func TestQuarantineShared(t *testing.T) {
	l := newLab(t)
	l.add(t, "2.0.0.127.bl.test. 60 IN A 127.0.0.2", "66.100.51.198.bl.test. 60 IN A 127.0.0.7")
	w := startTrusting(t, l, "", `"Verify": {"quarantine": "junk@mail.test", "Lists": [{"zone": "bl.test", "Codes": [{"codes": "127.0.0.7", "action": "quarantine"}]}]},
		"Accounts": {"junk@mail.test": `+testAccount(t)+`}, "Aliases": {"all@mail.test": ["alice@mail.test", "bob@mail.test"]},`)
	const text = "From: x@plain.test\r\n\r\nlisted\r\n"
	if reply := w.from("198.51.100.66").bring("<x@none.example>", []string{"all@mail.test"}, text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	all := w.quarantined()
	if len(all) != 1 || fmt.Sprint(all[0].For) != "[alice@mail.test bob@mail.test]" || !strings.HasPrefix(all[0].Why, "bl.test lists 198.51.100.66 (127.0.0.7)") {
		t.Fatalf("%+v", all)
	}
	w.nothing("put aside")
	if err := w.asks("release", all[0].ID, nil); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"alice@mail.test", "bob@mail.test"} {
		if got := w.only(user); !strings.HasPrefix(got, "Return-Path:") || !strings.HasSuffix(got, text) || strings.Contains(got, "bob@") && strings.Contains(got, "alice@") {
			t.Errorf("%s: %q", user, got)
		}
	}
}

// TestQuarantineFull: where the place is full the message is delivered, marked.
func TestQuarantineFull(t *testing.T) {
	l := newLab(t)
	account := strings.Replace(testAccount(t), "{", `{"quota": "1kB", `, 1)
	w := startTrusting(t, l, "", `"Verify": {"quarantine": "+junk"}, "Accounts": {"alice+junk@mail.test": `+account+`},`)
	w.put(0, "x")
	if err := deliverTo(w, "alice+junk@mail.test", strings.Repeat("0123456789\r\n", 80)); err != nil {
		t.Fatal(err)
	}
	reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, asideMail+strings.Repeat("x\r\n", 200))
	if strings.HasPrefix(reply, "452") { // it turned out at the end: it comes again
		k := w.from(stranger)
		k.play("C: MAIL FROM:<x@good.test> SIZE=900\nS: 250\nC: RSET\nS: 250")
		k.play("C: MAIL FROM:<x@good.test> SIZE=900\nS: 250\nC: RCPT TO:<alice@mail.test>\nS: 250\nC: DATA\nS: 354\nC: " + strings.ReplaceAll(asideMail+strings.Repeat("x\r\n", 200), "\r\n", `\r\n`) + ".\nS: 250")
	} else if !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	found := false
	for _, text := range w.fetch("alice@mail.test") {
		found = found || strings.Contains(text, "X-Spam-Flag: YES")
	}
	if !found {
		t.Error("it is nowhere")
	}
}

func deliverTo(w *testWorld, user, text string) error {
	d, err := w.store.Create(context.Background(), mailstore.Meta{}, user)
	if err != nil {
		return err
	}
	defer d.Abort()
	if _, err := d.Write([]byte(text)); err != nil {
		return err
	}
	return d.Commit(context.Background(), nil)
}

// TestQuarantineRetention: what was put aside goes after its time, and nothing else does.
func TestQuarantineRetention(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", `"Verify": {"quarantine": "+junk"}, "Accounts": {"alice+junk@mail.test": `+testAccount(t)+`},`)
	for age, text := range map[time.Duration]string{
		32 * 24 * time.Hour: quarantine.Note("old", false) + asideMail, 30 * 24 * time.Hour: quarantine.Note("young", false) + asideMail, 33 * 24 * time.Hour: "Return-Path: <>\r\n" + quarantine.Note("a stranger's", false) + "\r\nx\r\n",
	} {
		d, err := w.store.Create(t.Context(), mailstore.Meta{Received: time.Now().Add(-age)}, "alice+junk@mail.test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	w.emptyQuarantine(t.Context())
	left := strings.Join(w.fetch("alice+junk@mail.test"), "")
	if strings.Contains(left, ": old") || !strings.Contains(left, ": young") || !strings.Contains(left, "a stranger's") {
		t.Errorf("left: %q", left)
	}
	w.logged("old mail in quarantine was removed", "messages=1")
}

// TestNoBounceOfForgeries: whatever is done with mail of a forged sender, nothing is sent to him.
func TestNoBounceOfForgeries(t *testing.T) {
	l := newLab(t)
	l.add(t, "2.0.0.127.bl.test. 60 IN A 127.0.0.2")
	actions := []string{"refuse", "quarantine", "mark", "note", "allow"}
	var codes []string
	for i, action := range actions {
		l.add(t, fmt.Sprintf("%d.100.51.198.bl.test. 60 IN A 127.0.0.%d", 60+i, 10+i))
		codes = append(codes, fmt.Sprintf(`{"codes": "127.0.0.%d", "action": %q}`, 10+i, action))
	}
	w := startTrusting(t, l, "", `"Verify": {"quarantine": "+junk", "Lists": [{"zone": "bl.test", "Codes": [`+strings.Join(codes, ", ")+`]}]}, "Accounts": {"alice+junk@mail.test": `+testAccount(t)+`},`)
	for i, action := range actions {
		k := w.from(fmt.Sprintf("198.51.100.%d", 60+i))
		k.play("C: MAIL FROM:<victim@far.test>\nS: 250")
		fmt.Fprintf(k.c, "RCPT TO:<alice@mail.test> NOTIFY=FAILURE,DELAY\r\n")
		if reply := k.reply(); strings.HasPrefix(reply, "250") == (action == "refuse") {
			t.Errorf("%s: %s", action, reply)
		} else if action == "refuse" {
			continue
		}
		k.play("C: DATA\nS: 354\nC: From: victim@far.test\\r\\n\\r\\nx\\r\\n.")
		if reply := k.reply(); !strings.HasPrefix(reply, "250") {
			t.Errorf("%s: %s", action, reply)
		}
	}
	if n := w.post.Outbound.Queue().Counters().Accepted; n > 0 {
		t.Errorf("%d messages were sent to the forged sender", n)
	}
}

// TestJunkPage: a user sees what was put aside for him and nobody else's, and has it come into his mailbox, octet for octet and once; what strangers
// write there stays text.
func TestJunkPage(t *testing.T) {
	l := newLab(t)
	w := startTrusting(t, l, "", `"Verify": {"quarantine": "+junk"}, "Accounts": {"alice+junk@mail.test": `+testAccount(t)+`}, "Web": {"listen": "127.0.0.1:0"},`)
	const mail = "From: <script>alert(1)</script> <x@quarantine.test>\r\nSubject: =?utf-8?q?<b>_=E2=80=AEaside?=\r\n\r\nbody\r\n"
	for range 3 {
		if reply := w.from(stranger).bring("<x@good.test>", []string{"alice@mail.test"}, mail); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
	}
	alice, bob := w.user("alice@mail.test", testPassword), w.user("bob@mail.test", testPassword)
	if _, page := bob.see("/account/junk"); !strings.Contains(page, "Nothing is put aside for you") {
		t.Error("bob sees", page)
	}
	_, page := alice.see("/account/junk")
	ids := regexp.MustCompile(`name="id" value="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(ids) != 3 || strings.Contains(page, "<script>alert") || strings.Contains(page, "<b>") || !strings.Contains(page, "p=quarantine") || !strings.Contains(page, "after 31 days") {
		t.Fatal(page)
	}
	if code, page := bob.post("/account/junk", "do", "release", "id", ids[0][1]); code != 422 || !strings.Contains(page, "not there any more") {
		t.Error("bob:", code, page)
	}
	if code, page := alice.post("/account/junk", "do", "release"); code != 422 || !strings.Contains(page, "tick what is to come") {
		t.Error("nothing ticked:", code, page)
	}
	box, err := w.store.Open(t.Context(), "alice+junk@mail.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, page := alice.see("/account/junk"); !strings.Contains(page, "reads that mailbox at this moment") {
		t.Error("while it is read:", page)
	}
	if code, page := alice.post("/account/junk", "do", "release", "id", ids[0][1]); code != 422 || !strings.Contains(page, "try again") {
		t.Error("while it is read:", code, page)
	}
	box.Close()
	if code, page := alice.post("/account/junk", "do", "release", "id", ids[0][1], "id", ids[1][1]); code != 200 || !strings.Contains(page, "2 messages came into your mailbox") {
		t.Error(code, page)
	}
	if code, _ := alice.post("/account/junk", "do", "release", "id", ids[0][1]); code != 422 {
		t.Error("twice:", code)
	}
	got := w.fetch("alice@mail.test")
	if len(got) != 2 || !strings.HasSuffix(got[0], mail) || strings.Contains(got[0], quarantine.Field) {
		t.Errorf("%q", got)
	}
	if left := w.fetch("alice+junk@mail.test"); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
	w.logged("released from quarantine", "uid="+ids[0][1], "to=alice@mail.test")
}

// TestQuarantinePage: administrators see what was put aside, of all or of one account, and release it; what a scanner has found something in is asked back.
func TestQuarantinePage(t *testing.T) {
	w := start(t, withAdmin(t, `"Verify": {"check": false, "quarantine": "+junk"}, "Accounts": {"alice+junk@mail.test": `+testAccount(t)+`},`))
	put := func(why, subject string) {
		w.deliver(quarantine.Note(why, false)+"Return-Path: <x@far.test>\r\nFrom: x@far.test\r\nSubject: "+subject+"\r\n\r\nbody\r\n", "alice+junk@mail.test")
	}
	put("it looks like junk", "first")
	put(quarantine.Unsafe("Eicar"), "second")
	v := w.admin()
	_, page := v.see("/admin/quarantine")
	for _, want := range []string{"first", "second", "alice@mail.test", "it looks like junk", ">unsafe<", "31 days"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if _, page := v.see("/admin/quarantine?find=bob@mail.test"); strings.Contains(page, "first") || !strings.Contains(page, "Nothing is put aside for bob@mail.test") {
		t.Error(page)
	}
	marks := regexp.MustCompile(`name="id" value="([^"]+)"`).FindAllStringSubmatch(html.UnescapeString(page), -1)
	if len(marks) != 2 {
		t.Fatal(page)
	}
	if code, page := v.post("/admin/quarantine", "do", "release"); code != 422 || !strings.Contains(page, "No message is ticked") {
		t.Error(code, page)
	}
	code, page := v.post("/admin/quarantine", "do", "release", "id", marks[0][1], "id", marks[1][1])
	if code != 422 || !strings.Contains(page, "A scanner has found something in 1 message") || !strings.Contains(page, `name="sure"`) || !strings.Contains(page, " checked") || strings.Contains(page, "first") {
		t.Error(code, page)
	}
	w.only("alice@mail.test")
	left := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(html.UnescapeString(page))
	if left == nil {
		t.Fatal(page)
	}
	if code, page := v.post("/admin/quarantine", "do", "release", "id", left[1], "sure", "1"); code != 200 || !strings.Contains(page, "1 message was released") || strings.Contains(page, "second") {
		t.Error(code, page)
	}
	if code, page := v.post("/admin/quarantine", "do", "release", "id", left[1]); code != 422 || !strings.Contains(page, "there no more") {
		t.Error(code, page)
	}
	if code, page := v.post("/admin/quarantine", "do", "release", "id", "x alice@mail.test"); code != 422 || !strings.Contains(page, "there no more") {
		t.Error("from a mailbox that is none of quarantine:", code, page)
	}
	w.logged("released from quarantine", "uid=")
	w.logged("changed by page", "action=release", "messages=1")
}
