package daemon

import (
	"strings"
	"testing"
)

// flat is a message with what folds its fields taken out.
func flat(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "rfc822; ", "rfc822;"), "\r\n ", " ")
}

// TestSuccessHere: who asks hears that a message is in the mailbox; once for
// all recipients, with their own names for them.
func TestSuccessHere(t *testing.T) {
	w, _ := startRelaying(t)
	w.greeted().send("<bob@mail.test> RET=FULL ENVID=QQ+2B314", []string{
		"<alice+x@mail.test> NOTIFY=SUCCESS ORCPT=rfc822;Al+2Bice@old.test",
		"<team@mail.test> NOTIFY=SUCCESS,FAILURE",
	}, "Subject: news\r\n\r\nthe body")
	here := w.waitFor("bob@mail.test", 2) // the report, and the copy for the team
	report := here[0]
	if !strings.HasPrefix(report, "Return-Path: <>\r\n") {
		report = here[1]
	}
	report = flat(report)
	for _, want := range []string{"Return-Path: <>\r\n", "multipart/report", "To: bob@mail.test", "Auto-Submitted: auto-replied", "Reporting-MTA: dns; mail.test\r\n",
		"Original-Envelope-Id: QQ+314\r\n", "Original-Recipient: rfc822;Al+ice@old.test\r\n", "Final-Recipient: rfc822;alice+x@mail.test\r\n",
		"Final-Recipient: rfc822;team@mail.test\r\n", "Action: delivered\r\n", "Status: 2.0.0\r\n", "Subject: news\r\n"} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is not in\n%s", want, report)
		}
	}
	if strings.Contains(report, "the body") || strings.Contains(report, "Final-Recipient: rfc822;bob@") {
		t.Errorf("the report tells too much:\n%s", report)
	}
}

// TestSuccessNotAsked: no report where none was asked for, none for a report,
// and none of a message that was refused.
func TestSuccessNotAsked(t *testing.T) {
	w, _ := startRelaying(t)
	for _, c := range []struct{ from, params string }{
		{"<bob@mail.test>", ""},
		{"<bob@mail.test>", " NOTIFY=NEVER"},
		{"<bob@mail.test>", " NOTIFY=FAILURE,DELAY"},
		{"<>", " NOTIFY=SUCCESS"},
	} {
		w.greeted().send(c.from, []string{"<alice@mail.test>" + c.params}, "Subject: s\r\n\r\nx")
	}
	k := w.greeted()
	k.play(`
		C: MAIL FROM:<bob@mail.test>
		S: 250
		C: RCPT TO:<alice@mail.test> NOTIFY=SUCCESS
		S: 250
		C: DATA
		S: 354`)
	k.play("C: " + strings.Repeat(`Received: from x by y; Fri, 20 Nov 2026 10:00:00 +0000\r\n`, 101) + `\r\nx\r\n.` + "\nS: 554 5.4.6")
	// Reports are written before the 250, so there is nothing to wait for.
	if n := len(w.mailbox("bob@mail.test")); n != 0 {
		t.Errorf("%d reports", n)
	}
	if n := len(w.mailbox("alice@mail.test")); n != 4 {
		t.Errorf("%d messages", n)
	}
}

// TestSuccessElsewhere: a sender elsewhere gets the report through the queue;
// an alias with several targets is reported as expanded, and NOTIFY goes on
// without SUCCESS; one with a single target hands everything on.
func TestSuccessElsewhere(t *testing.T) {
	w, got := startRelaying(t)
	w.greeted().send("<Ann@third.test>", []string{"<alice@mail.test> NOTIFY=SUCCESS", "<away@mail.test> NOTIFY=SUCCESS"}, "Subject: s\r\n\r\nx")
	for range 2 {
		m := flat(receive(t, got))
		if strings.HasPrefix(m, "<SRS0=") {
			continue // the forwarded copy
		}
		for _, want := range []string{"<> <Ann@third.test>\n", "Final-Recipient: rfc822;alice@mail.test\r\nAction: delivered\r\n",
			"Final-Recipient: rfc822;away@mail.test\r\nAction: expanded\r\n"} {
			if !strings.Contains(m, want) {
				t.Errorf("%q is not in\n%s", want, m)
			}
		}
	}
	// The sink speaks no DSN, so the queue says "relayed" for what is handed on.
	w.greeted().send("<Ann@third.test>", []string{"<only@mail.test> NOTIFY=SUCCESS"}, "Subject: s\r\n\r\nx")
	for range 2 {
		m := flat(receive(t, got))
		if strings.HasPrefix(m, "<SRS0=") {
			continue
		}
		for _, want := range []string{"<> <Ann@third.test>\n", "Original-Recipient: rfc822;only@mail.test\r\n", "Action: relayed\r\n"} {
			if !strings.Contains(m, want) {
				t.Errorf("%q is not in\n%s", want, m)
			}
		}
	}
	w.drained()
	select {
	case m := <-got:
		t.Errorf("one more: %q", m)
	default:
	}
}
