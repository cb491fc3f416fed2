package pop3

import (
	"strings"
	"testing"
)

// TestRedact: no transcript has a secret, in whatever wrong place it was typed.
func TestRedact(t *testing.T) {
	for line, want := range map[string]string{
		"USER ann":                       "USER ann",
		"USER ann sesame":                "USER ann ***",
		"user ann sesame two":            "USER ann ***",
		"PASS sesame":                    "PASS ***",
		"pass sesame two":                "PASS ***",
		"APOP sesame":                    "APOP ***",
		"APOP ann sesame":                "APOP ann ***",
		"APOP ann sesame sesame":         "APOP ann ***",
		"AUTH":                           "AUTH",
		"AUTH PLAIN":                     "AUTH PLAIN",
		"AUTH plain sesame":              "AUTH plain ***",
		"AUTH PLAINsesame":               "AUTH ***",
		"AUTH sesame":                    "AUTH ***",
		"AUTH sesame PLAIN":              "AUTH ***",
		"AUTH SCRAM-SHA-256-PLUS sesame": "AUTH SCRAM-SHA-256-PLUS ***",
		"RETR 1":                         "RETR 1",
		"TOP 1 0":                        "TOP 1 0",
	} {
		if got := redact(line); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
		if strings.Contains(shown(line), "sesame") {
			t.Errorf("%q is shown by the client as %q", line, shown(line))
		}
	}
	if got := nameOf("ann sesame"); got != "ann ***" {
		t.Errorf("a refusal names %q", got)
	}
}
