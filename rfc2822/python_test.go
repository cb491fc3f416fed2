package rfc2822

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// likePython writes what Python's email makes of each of the messages given to it in
// JSON, in the words of seenByUs.
const likePython = `
import email, email.policy, email.utils, hashlib, json, re, sys
def addresses(values):
    try: return email.utils.getaddresses(values, strict=False) # as it was before 3.13
    except TypeError: return email.utils.getaddresses(values)
def lines(b): return b.replace(b"\r\n", b"\n").rstrip(b"\n")
def seen(text):
    m = email.message_from_bytes(text, policy=email.policy.compat32)
    out = ["field " + k for k, _ in m._headers]
    for name in ("From", "To", "Cc", "Reply-To", "Sender"):
        for value in m.get_all(name, []):
            if isinstance(value, str):
                out += [name + " " + a for _, a in addresses([re.sub(r"\r?\n", "", value)]) if re.fullmatch(r".+@.+", a)]
    t = email.utils.parsedate_tz(m["Date"]) if isinstance(m["Date"], str) else None
    if t: out.append("date %d" % email.utils.mktime_tz(t))
    def walk(p, path):
        inner = p.get_payload()
        if p.get_content_type() in ("message/delivery-status", "message/external-body"): inner = ""
        line = "part %s %s" % (".".join(map(str, path)), p.get_content_type())
        if isinstance(inner, list):
            out.append(line)
            for i, c in enumerate(inner): walk(c, path + [i + 1])
        elif p.get_content_type().startswith("message/"):
            out.append(line)
        else:
            name = p.get_filename() or ""
            out.append("%s %s %s" % (line, hashlib.sha256(lines(p.get_payload(decode=True) or b"")).hexdigest()[:12], name.encode("ascii", "replace").decode()))
    walk(m, [])
    return out
texts = json.load(sys.stdin)
json.dump({k: seen(v.encode("latin1")) for k, v in texts.items()}, sys.stdout)
`

// seenByUs is what this package makes of a message.
func seenByUs(t *testing.T, text string) (out []string) {
	m, _ := ReadString(text)
	for f := range m.Header.All() {
		if f.Name() != "" {
			out = append(out, "field "+f.Name())
		}
	}
	for _, name := range []string{"From", "To", "Cc", "Reply-To", "Sender"} {
		for _, f := range m.Header.Named(name) {
			list, _ := ReadAddressList(f.Value())
			for _, a := range list {
				out = append(out, name+" "+a.Addr())
			}
		}
	}
	if d, err := ParseDate(m.Header.Get("Date")); err == nil {
		out = append(out, fmt.Sprintf("date %d", d.Unix()))
	}
	err := m.Walk(Limits{}, func(_ []int, p *Part) error {
		line := "part " + p.Path() + " " + p.MediaType
		if p.IsMultipart() && p.Params["boundary"] != "" || strings.HasPrefix(p.MediaType, "message/") {
			out = append(out, line)
			return nil
		}
		b, err := io.ReadAll(p.Decoded())
		b = bytes.TrimRight(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), "\n")
		name := strings.Map(func(c rune) rune {
			if c >= 0x80 {
				return '?'
			}
			return c
		}, p.FileName())
		out = append(out, fmt.Sprintf("%s %.6x %s", line, sha256.Sum256(b), name))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// otherThanPython: where we read samples otherwise on purpose, and why.
var otherThanPython = map[string]string{
	"8bit-header.eml":                               "raw 8-bit data in an address is no obstacle",
	"bad-base64.eml":                                "what can be decoded is",
	"bare-cr.eml":                                   "a bare CR ends no line",
	"cpython/msg_05.txt":                            "a mailbox without a domain is read",
	"ruby-mail/mime-raw_email11.eml":                "a mailbox without a domain is read",
	"cpython/msg_15.txt":                            "the boundary of an outer multipart ends the inner one",
	"cpython/msg_17.txt":                            "the body of a multipart without parts is a part within it",
	"cpython/msg_31.txt":                            "the body of a multipart without parts is a part within it",
	"cpython/msg_37.txt":                            "each boundary line begins a part, which may be empty",
	"cpython/msg_39.txt":                            "an inner multipart may have the boundary of the outer one",
	"cpython/msg_42.txt":                            "the body of a multipart without parts is a part within it",
	"enmime/header-only.raw":                        "the body of a multipart without parts is a part within it",
	"enmime/low-quality-bad-header-wrap.raw":        "a junk line does not end a header",
	"enmime/mime-bad-8bit-filename.raw":             "raw UTF-8 in parameters is read",
	"enmime/mime-bad-content-transfer-encoding.raw": "what can be decoded is",
	"enmime/mime-bad-content-type.raw":              "a media type ends at a blank",
	"enmime/parts-ctype-invalid-characters.raw":     "a media type is made of tokens",
	"enmime/mime-blank-media-name.raw":              "a media type ends at a blank",
	"enmime/parts-extra-base64-character.raw":       "what can be decoded is",
	"junk-line.eml":                                 "a junk line does not end a header",
	"latin1-header.eml":                             "raw 8-bit data in an address is no obstacle",
	"mixed-related.eml":                             "names are safe to use",
	"ruby-mail/attachment-attachment_message_rfc822_inline_image.eml": "blanks at the end of a line are no data (RFC 2045 §6.7 (3)); no parts",
	"ruby-mail/attachment-attachment_nonascii_filename.eml":           "raw UTF-8 in parameters is read",
	"ruby-mail/attachment-attachment_with_base64_encoded_name.eml":    "encoded words in parameters are decoded",
	"ruby-mail/error-bad_date_header2.eml":                            "a time of 59:10 is none; no parts",
	"ruby-mail/error-empty_in_reply_to.eml":                           "the body of a multipart without parts is a part within it",
	"ruby-mail/error-missing_body.eml":                                "the body of a multipart without parts is a part within it",
	"ruby-mail/error-must_supply_encoding.eml":                        "raw 8-bit data in an address is no obstacle; no parts",
	"ruby-mail/multi_charset-japanese_attachment.eml":                 "encoded words in parameters are decoded",
	"ruby-mail/plain-mix_caps_content_type.eml":                       "the last word is the address, not all of them",
	"ruby-mail/plain-raw_email_incorrect_header.eml":                  "a junk line does not end a header",
	"ruby-mail/plain-raw_email_multiple_from.eml":                     "addresses without a comma between them are all read",
	"ruby-mail/plain-raw_email_string_in_date_field.eml":              "raw 8-bit data in a date's comment is no obstacle",
	"ruby-mail/plain-raw_email_with_at_display_name.eml":              "an address as a display name is a name",
	"ruby-mail/rfc2822-example13.eml":                                 "a junk line does not end a header",
	"ruby-mail/rfc6532-utf8_headers.eml":                              "raw 8-bit data in an address is no obstacle",
}

// TestAsPython reads every sample with this package and with Python's email and
// compares fields, addresses, date, tree, decoded contents and file names. With the
// environment variable RFC2822_CORPUS, the path of a folder, it lists the differences for the
// files in it.
func TestAsPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is not installed")
		}
		t.Skip("python3 is not installed")
	}
	texts, more := corpus(t), os.Getenv("RFC2822_CORPUS")
	if more != "" {
		texts = map[string]string{}
		err := filepath.WalkDir(more, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				b, _ := os.ReadFile(path)
				texts[strings.TrimPrefix(path, more)] = string(b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	latin1 := map[string]string{} // JSON carries no octets
	for name, text := range texts {
		runes := make([]rune, len(text))
		for i := range len(text) {
			runes[i] = rune(text[i])
		}
		latin1[name] = string(runes)
	}
	in, _ := json.Marshal(latin1)
	cmd := exec.CommandContext(t.Context(), python, "-c", likePython)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs map[string][]string
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		ours, differ := seenByUs(t, text), ""
		for _, line := range ours {
			if !slices.Contains(theirs[name], line) {
				differ += "\n  ours   " + line
			}
		}
		for _, line := range theirs[name] {
			if !slices.Contains(ours, line) {
				differ += "\n  theirs " + line
			}
		}
		switch why := otherThanPython[name]; {
		case more != "" && differ != "":
			t.Logf("%s:%s", name, differ)
		case more == "" && differ != "" && why == "":
			t.Errorf("%s:%s", name, differ)
		case more == "" && differ == "" && why != "":
			t.Errorf("%s is read as by Python, but was to differ: %s", name, why)
		}
	}
}
