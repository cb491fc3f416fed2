package smtp_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/sasl"
	"github.com/postrider-mail/postrider/smtp"
)

// TestTraceHidesSecrets: a transcript has no password, also where one was typed in
// the place of the mechanism or run into it.
func TestTraceHidesSecrets(t *testing.T) {
	for line, want := range map[string]string{
		"AUTH sesame":       "AUTH ***",
		"AUTH PLAINsesame":  "AUTH ***",
		"AUTH sesame PLAIN": "AUTH ***",
		"AUTH plain sesame": "AUTH plain ***",
		"AUTH  sesame":      "AUTH ***",
		"AUTH":              "AUTH",
		"AUTHsesame":        "unknown command of 10 octets",
		// The words of a challenge may be of what was answered.
		"AUTH LOGIN\r\nc2VzYW1l\r\nc2VzYW1l": "***",
		"AUTH PLAIN\r\n*":                    "*",
	} {
		client, server := net.Pipe()
		var transcript strings.Builder
		srv := &smtp.Server{
			Hostname: "mx.example.com", Log: slog.New(slog.DiscardHandler), CleartextAuth: true,
			Credentials: sasl.PasswordFunc(func(user, password, remoteAddr string) error { return nil }),
			Trace:       smtp.TraceWriter(&transcript),
		}
		go io.WriteString(client, "EHLO client.example.net\r\n"+line+"\r\nQUIT\r\n")
		go io.Copy(io.Discard, client)
		srv.ServeConn(server)
		text := transcript.String()
		if strings.Contains(text, "sesame") || strings.Contains(text, "c2VzYW1l") || !strings.Contains(text, " r "+want+"\n") {
			t.Errorf("%q: want %q in\n%s", line, want, text)
		}
		if challenges := strings.Count(text, " w 334 "); challenges != strings.Count(text, " w 334 ***\n") || (challenges > 0) != strings.Contains(line, "\r\n") {
			t.Errorf("%q: a challenge is shown in\n%s", line, text)
		}
	}
}

// TestDialogueInLog: at debug the log has the dialogue, unless somebody else is shown it; above debug it has not.
func TestDialogueInLog(t *testing.T) {
	for _, c := range []struct {
		level         slog.Level
		traced, inLog bool
	}{{slog.LevelDebug, false, true}, {slog.LevelInfo, false, false}, {slog.LevelDebug, true, false}, {slog.LevelInfo, true, false}} {
		var log, transcript bytes.Buffer
		srv := &smtp.Server{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: c.level}))}
		if c.traced {
			srv.Trace = smtp.TraceWriter(&transcript)
		}
		answering(srv, "", nil)
		if inLog := strings.Contains(log.String(), "RCPT TO:<c@d.example>"); inLog != c.inLog {
			t.Errorf("%v, traced %v: in the log %v", c.level, c.traced, inLog)
		}
		if seen := strings.Contains(transcript.String(), "RCPT TO:<c@d.example>"); seen != c.traced {
			t.Errorf("%v, traced %v: in the transcript %v", c.level, c.traced, seen)
		}
	}
}
