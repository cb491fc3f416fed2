package conf

import (
	"bytes"
	"strings"
	"testing"
)

// TestEntries: there is one entry for each setting of the reference, in its order, with its text, its kind and what holds by default.
func TestEntries(t *testing.T) {
	all, err := Entries()
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[string]Entry)
	for _, e := range all {
		if _, twice := at[e.Path]; twice || e.Kind == "" || e.Text == "" {
			t.Errorf("%+v, twice %v", e, twice)
		}
		at[e.Path] = e
	}
	for path, want := range map[string][3]string{ // kind, default, a part of the text
		"server_name":             {"text", "", ""},
		"SMTP":                    {"object", "", ""},
		"SMTP.max_hops":           {"number", "100", "At least 10, at most 10000."},
		"Queue.concurrency":       {"number", "", ""},
		"Accounts.NAME.password":  {"text", "", ""},
		"Domains.NAME.catch_all":  {"text", "", ""},
		"Listeners[].address":     {"text", "", ""},
		"DNS.spf":                 {"", "", "newsletter"},
		"DNS.dmarc_policy":        {"text", `"none"`, `"none"`},
		"Verify.Greylist.on":      {"", "false", ""},
		"Verify.Lists[].zone":     {"", "", ""},
		"Elsewhere.LDAP[].filter": {"", "", ""},
	} {
		e, ok := at[path]
		if !ok || want[0] != "" && !strings.Contains(e.Kind, want[0]) || want[1] != "" && e.Default != want[1] || !strings.Contains(e.Text, want[2]) {
			t.Errorf("%s: %+v, want %q", path, e, want)
		}
	}
	for _, e := range all {
		if member := strings.Contains(e.Path, "NAME.") || strings.Contains(e.Path, "[]."); member && e.Default != "" {
			t.Errorf("a member has a default: %+v", e)
		}
	}
	// Each key of the top level is there, and in this order.
	var tops []string
	for _, e := range all {
		if !strings.ContainsAny(e.Path, ".[") {
			tops = append(tops, e.Path)
		}
	}
	if got, want := strings.Join(tops, " "), strings.Join(ReferenceKeys(), " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestAbout: what stands above the reference is text, with nothing of comments left.
func TestAbout(t *testing.T) {
	var reference bytes.Buffer
	if err := Reference(&reference); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(About(), "\n"), "\n")
	for _, line := range lines {
		if strings.HasPrefix(line, "/") || strings.HasPrefix(line, " ") {
			t.Errorf("%q", line)
		}
		if !strings.Contains(reference.String(), strings.TrimSuffix("// "+line, " ")+"\n") && line != "" {
			t.Errorf("%q is not in the reference", line)
		}
	}
	if len(lines) < 8 {
		t.Errorf("%d lines", len(lines))
	}
}
