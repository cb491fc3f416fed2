package web

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// golden compares with a file, or writes it where UPDATE_GOLDEN is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = "testdata/" + name
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s", name, got)
	}
}

const (
	thunderbirdPath = "/mail/config-v1.1.xml"
	wellKnownPath   = "/.well-known/autoconfig/mail/config-v1.1.xml"
	outlookPath     = "/autodiscover/autodiscover.xml"
	applePath       = "/mail/profile.mobileconfig"
)

// outlookAsks is what Outlook sends.
func outlookAsks(address, schema string) string {
	return `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>` +
		address + `</EMailAddress><AcceptableResponseSchema>` + schema + `</AcceptableResponseSchema></Request></Autodiscover>`
}

func (w *world) post(url, text string, fields ...string) *http.Response {
	return w.ask(httptest.NewRequest(http.MethodPost, url, strings.NewReader(text)), stranger, fields...)
}

func TestGoldens(t *testing.T) {
	w := newWorld()
	golden(t, "thunderbird.xml", body(t, w.get(stranger, "https://autoconfig.example.com"+thunderbirdPath)))
	golden(t, "outlook.xml", body(t, w.post("https://autodiscover.example.com"+outlookPath, outlookAsks("alice@example.com", outlookResponse))))
	golden(t, "outlook-mobile.xml", body(t, w.post("https://autodiscover.example.com"+outlookPath, outlookAsks("alice@example.com", "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"))))
	golden(t, "apple.mobileconfig", body(t, w.get(stranger, "https://mail.example.com"+applePath+"?emailaddress=alice@example.com")))
	w.site.Mail = &Mail{POP3: Port{Number: 110}, SMTP: Port{Number: 587}}
	golden(t, "thunderbird-starttls.xml", body(t, w.get(stranger, "https://autoconfig.example.com"+thunderbirdPath)))
	golden(t, "outlook-starttls.xml", body(t, w.post("https://autodiscover.example.com"+outlookPath, "")))
	// An IMAP server beside, on another host: it alone is named.
	w.site.Mail.IMAP = Port{Host: "imap.example.com", Number: 993, Implicit: true}
	golden(t, "thunderbird-imap.xml", body(t, w.get(stranger, "https://autoconfig.example.com"+thunderbirdPath)))
	golden(t, "outlook-imap.xml", body(t, w.post("https://autodiscover.example.com"+outlookPath, outlookAsks("alice@example.com", outlookResponse))))
	golden(t, "apple-imap.mobileconfig", body(t, w.get(stranger, "https://mail.example.com"+applePath+"?emailaddress=alice@example.com")))
}

// TestSameForAll: nobody learns whether an account is there, and the file is the same octets for
// whoever it is asked for, in whatever way.
func TestSameForAll(t *testing.T) {
	w := newWorld()
	want := body(t, w.get(stranger, "https://autoconfig.example.com"+thunderbirdPath))
	for _, url := range []string{
		"https://autoconfig.example.com" + thunderbirdPath + "?emailaddress=alice@example.com",
		"https://autoconfig.example.com" + thunderbirdPath + "?emailaddress=nobody%40example.com",
		"https://autoconfig.example.com" + thunderbirdPath + "?emailaddress=EVOLUTIONUSER%40example.com&emailmd5=00",
		"https://autoconfig.example.com" + thunderbirdPath + "?emailaddress=a+b@EXAMPLE.com",
		"https://autoconfig.example.com" + thunderbirdPath + "?emailaddress=" + strings.Repeat("a", 10<<10) + "@example.com",
		"https://autoconfig.example.com" + thunderbirdPath + "?emailaddress=%3Cscript%3E",
		"http://autoconfig.example.com" + thunderbirdPath,
		"https://AUTOCONFIG.example.com:443" + wellKnownPath,
		"https://example.com" + wellKnownPath + "?emailaddress=alice@example.com",
		"https://mail.example.com" + wellKnownPath + "?emailaddress=alice@example.com",
		"https://198.51.100.1" + wellKnownPath + "?emailaddress=alice@example.com",
	} {
		got := w.get(stranger, url)
		if got.StatusCode != 200 || body(t, got) != want || got.Header.Get("Content-Type") != "application/xml; charset=utf-8" {
			t.Errorf("%.80s: %s", url, got.Status)
		}
	}
}

// TestOnlyOurs: there is nothing about domains of others, and nothing at all where it is not wanted.
func TestOnlyOurs(t *testing.T) {
	w := newWorld()
	const ours = "https://autoconfig.example.com" + thunderbirdPath
	for _, url := range []string{
		"https://autoconfig.other.test" + thunderbirdPath, "https://other.test" + wellKnownPath,
		"https://mail.example.com" + thunderbirdPath + "?emailaddress=a@other.test", "https://198.51.100.1" + thunderbirdPath,
		"https://198.51.100.1" + applePath + "?emailaddress=a@other.test", "https://autoconfig.example.com/", "https://autodiscover.example.com/mail",
		"https://autoconfig.com" + thunderbirdPath, "https://mta-sts.example.com" + thunderbirdPath,
	} {
		if got := w.get(stranger, url); got.StatusCode != 404 {
			t.Errorf("%s: %s", url, got.Status)
		}
	}
	if got := w.post("https://mail.example.com"+outlookPath, outlookAsks("a@other.test", outlookResponse)); got.StatusCode != 404 {
		t.Error(got.Status)
	}
	if got := w.get(stranger, ours); got.StatusCode != 200 {
		t.Error(got.Status)
	}
	if got := w.get(stranger, "https://autoconfig.bücher.example"+thunderbirdPath); got.StatusCode != 200 || !strings.Contains(body(t, got), `id="xn--bcher-kva.example"`) {
		t.Error("a name beyond ASCII:", got.Status)
	}
	w.site.Mail = nil
	for _, url := range []string{ours, "https://example.com" + wellKnownPath, "https://example.com" + applePath + "?emailaddress=a@example.com", "https://autodiscover.example.com" + outlookPath} {
		if got := w.get(stranger, url); got.StatusCode != 404 {
			t.Errorf("switched off: %s: %s", url, got.Status)
		}
	}
}

// TestOutlook: what comes in many spellings is answered, never with a demand to log in and never as
// a fault.
func TestOutlook(t *testing.T) {
	w := newWorld()
	usual := outlookAsks("alice@example.com", outlookResponse)
	bomb := `<!DOCTYPE x [<!ENTITY a "` + strings.Repeat("x", 100) + `"><!ENTITY b SYSTEM "file:///etc/passwd">]>` + outlookAsks("&a;&b;", "")
	for _, tt := range []struct {
		name, method, url, body string
		want                    int
	}{
		{"usual", "POST", "https://autodiscover.example.com" + outlookPath, usual, 200},
		{"at the domain", "POST", "https://example.com" + outlookPath, usual, 200},
		{"by SRV", "POST", "https://mail.example.com" + outlookPath, usual, 200},
		{"capitals", "POST", "https://autodiscover.example.com/Autodiscover/Autodiscover.xml", usual, 200},
		{"other capitals", "POST", "https://autodiscover.example.com/AutoDiscover/AutoDiscover.XML", usual, 200},
		{"a slash too many", "POST", "https://autodiscover.example.com" + outlookPath + "/", usual, 200},
		{"GET", "GET", "https://autodiscover.example.com" + outlookPath, "", 200},
		{"HEAD", "HEAD", "https://autodiscover.example.com" + outlookPath, "", 200},
		{"PUT", "PUT", "https://autodiscover.example.com" + outlookPath, "", 405},
		{"nothing", "POST", "https://autodiscover.example.com" + outlookPath, "", 200},
		{"broken", "POST", "https://autodiscover.example.com" + outlookPath, "<Autodiscover><Requ", 200},
		{"a bomb", "POST", "https://autodiscover.example.com" + outlookPath, bomb, 200},
		{"endless", "POST", "https://autodiscover.example.com" + outlookPath, strings.Repeat("<a>", 1<<20), 200},
		{"JSON", "GET", "https://autodiscover.example.com/autodiscover/autodiscover.json?Email=a@example.com&Protocol=Autodiscoverv1&RedirectCount=1", "", 200},
		{"JSON, other capitals", "GET", "https://autodiscover.example.com/autodiscover/autodiscover.json?Protocol=AutodiscoverV1", "", 200},
		{"JSON with the address in the path", "GET", "https://autodiscover.example.com/autodiscover/autodiscover.json/v1.0/a@example.com?protocol=autodiscoverv1", "", 200},
		{"JSON for another protocol", "GET", "https://autodiscover.example.com/autodiscover/autodiscover.json?Protocol=ActiveSync", "", 400},
		{"JSON for nothing", "GET", "https://autodiscover.example.com/autodiscover.json/v1.0/a@example.com", "", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.ask(httptest.NewRequest(tt.method, tt.url, strings.NewReader(tt.body)), stranger)
			text := body(t, got)
			if got.StatusCode != tt.want || got.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s, want %d: %s", got.Status, tt.want, text)
			}
			if strings.Contains(text, "root:") || strings.Contains(text, "xxxx") {
				t.Error("entities are put in:", text)
			}
			if strings.Contains(tt.url, "json") && !json.Valid([]byte(text)) {
				t.Error(text)
			}
			var said struct{ Protocol, Url, ErrorCode, ErrorMessage string }
			if strings.Contains(tt.url, "json") {
				json.Unmarshal([]byte(text), &said)
				if told := said.Protocol == "Autodiscoverv1" && said.Url == "https://mail.example.com/autodiscover/autodiscover.xml" && said.ErrorCode == ""; told != (tt.want == 200) || (said.ErrorCode == "InvalidProtocol" && said.ErrorMessage != "") == told {
					t.Errorf("%+v", said)
				}
			}
		})
	}
}

// TestLoginName: an address is written back only as what it is.
func TestLoginName(t *testing.T) {
	w := newWorld()
	for address, want := range map[string]string{
		"alice@example.com": "alice@example.com", "a@example.com": "a@example.com", " a+b@EXAMPLE.com ": "a+b@EXAMPLE.com", "o'x&amp;y@example.com": "o'x&y@example.com",
		"a&#13;&#10;b@example.com": "", "@example.com": "", "alice": "", "a@other.test": "", strings.Repeat("a", 400) + "@example.com": "",
	} {
		got := body(t, w.post("https://autodiscover.example.com"+outlookPath, outlookAsks(address, outlookResponse)))
		var a struct {
			Names []string `xml:"Response>Account>Protocol>LoginName"`
		}
		if err := xml.Unmarshal([]byte(got), &a); err != nil {
			t.Errorf("%.40q: %v", address, err)
		}
		if want == "" && len(a.Names) > 0 || want != "" && !slices.Equal(a.Names, []string{want, want}) {
			t.Errorf("%.40q: %q", address, a.Names)
		}
	}
}

// TestLongQuestion: what is longer than a question ever is, is not read, and answered all the same.
func TestLongQuestion(t *testing.T) {
	w := newWorld()
	question := outlookAsks("alice@example.com", outlookResponse)
	for padding, read := range map[int]bool{outlookOctets - len(question): true, outlookOctets - len(question) + 1: false} {
		got := w.post("https://autodiscover.example.com"+outlookPath, question+strings.Repeat(" ", padding))
		if strings.Contains(body(t, got), "alice") != read || got.StatusCode != 200 {
			t.Errorf("%d octets: %s, read: %v", len(question)+padding, got.Status, !read)
		}
	}
}

// TestProtection: the three ways in which programs read Outlook's answer come to the same protection.
func TestProtection(t *testing.T) {
	w := newWorld()
	for _, tt := range []struct {
		mail Mail
		want string // of POP3, then of SMTP
	}{
		{Mail{POP3: Port{Number: 995, Implicit: true}, SMTP: Port{Number: 465, Implicit: true}}, "on SSL 995 on SSL 465"},
		{Mail{POP3: Port{Number: 110}, SMTP: Port{Number: 587}}, "on TLS 110 on TLS 587"},
		{Mail{IMAP: Port{Number: 993, Implicit: true}, POP3: Port{Number: 110}, SMTP: Port{Number: 587}}, "on SSL 993 on TLS 587"},
	} {
		w.site.Mail = &tt.mail
		got := body(t, w.post("https://autodiscover.example.com"+outlookPath, ""))
		var all []string
		for _, m := range regexp.MustCompile(`(?s)<Port>(\d+)</Port>.*?<SPA>off</SPA>.*?<SSL>(\w+)</SSL>.*?<Encryption>(\w+)</Encryption>`).FindAllStringSubmatch(got, -1) {
			all = append(all, m[2], m[3], m[1])
		}
		if strings.Join(all, " ") != tt.want {
			t.Errorf("%q, not %q", all, tt.want)
		}
	}
}

// TestNeverAPassword: what is sent along to log in with changes nothing, and is in no log.
func TestNeverAPassword(t *testing.T) {
	w := newWorld()
	var answers []string
	for _, auth := range []string{"", "Basic YWxpY2VAZXhhbXBsZS5jb206c2VjcmV0", "Basic !", "Bearer c2VjcmV0"} {
		var fields []string
		if auth != "" {
			fields = []string{"Authorization", auth}
		}
		got := w.post("https://autodiscover.example.com"+outlookPath, outlookAsks("alice@example.com", outlookResponse), fields...)
		answers = append(answers, got.Status+body(t, got))
		got = w.get(stranger, "https://autoconfig.example.com"+thunderbirdPath+"?emailaddress=alice@example.com", fields...)
		answers[len(answers)-1] += got.Status + body(t, got)
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("%d different answers", len(slices.Compact(answers)))
	}
	if log := w.log.String(); strings.Contains(log, "c2VjcmV0") || strings.Contains(log, "alice") {
		t.Error(log)
	}
}

// TestThunderbird: the file is read as the strictest programs read it: one server for each
// way, no attribute but those of the format, and the host that the certificate is for.
func TestThunderbird(t *testing.T) {
	w := newWorld()
	d := xml.NewDecoder(w.get(stranger, "http://autoconfig.example.com"+thunderbirdPath, "X-Forwarded-Host", "evil.test").Body)
	count := map[string]int{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		count[e.Name.Local]++
		allowed := map[string]string{"clientConfig": "version", "emailProvider": "id", "incomingServer": "type", "outgoingServer": "type"}[e.Name.Local]
		for _, a := range e.Attr {
			if a.Name.Local != allowed {
				t.Errorf("%s has the attribute %s", e.Name.Local, a.Name.Local)
			}
		}
		if e.Name.Local == "hostname" {
			if text, _ := d.Token(); string(text.(xml.CharData)) != "mail.example.com" {
				t.Errorf("host %s", text)
			}
		}
	}
	if count["incomingServer"] != 1 || count["outgoingServer"] != 1 || count["hostname"] != 2 {
		t.Error(count)
	}
}

// TestProfile: a second one for an account replaces the first, another account's stands beside it.
func TestProfile(t *testing.T) {
	w := newWorld()
	get := func(address string) *http.Response {
		return w.get(stranger, "https://mail.example.com"+applePath+"?emailaddress="+address)
	}
	identity := regexp.MustCompile(`<string>(postrider\.[^<]*|[0-9A-F-]{36})</string>`)
	ids := func(address string) string {
		return strings.Join(identity.FindAllString(body(t, get(address)), -1), " ")
	}
	one := ids("alice@example.com")
	if n := strings.Count(one, " "); n != 3 {
		t.Fatalf("%d identifiers: %s", n+1, one)
	}
	if again := ids("Alice@Example.com"); again != one {
		t.Errorf("%s and %s", one, again)
	}
	if other := ids("bob@example.com"); other == one {
		t.Error(other)
	}
	got := get("alice@example.com")
	if got.Header.Get("Content-Type") != "application/x-apple-aspen-config" || got.Header.Get("Content-Disposition") != `attachment; filename="example.com.mobileconfig"` {
		t.Error(got.Header)
	}
	text := body(t, get("o'x%26%3Cb%3E@example.com"))
	if err := xml.Unmarshal([]byte(text), new(struct{})); err != nil || strings.Contains(text, "<b>") {
		t.Errorf("%v in %s", err, text)
	}
	for _, bad := range []string{"", "alice", "@example.com", "a%0Ab@example.com", "%ff@example.com"} {
		if got := get(bad); got.StatusCode != 400 && got.StatusCode != 404 {
			t.Errorf("%q: %s", bad, got.Status)
		}
	}
}

// FuzzOutlook: whatever is sent gets an answer that is a whole document.
func FuzzOutlook(f *testing.F) {
	f.Add("alice@example.com", outlookAsks("alice@example.com", outlookResponse))
	f.Add("a\x00<>&]]>@example.com", "<a")
	f.Fuzz(func(t *testing.T, address, text string) {
		w := newWorld()
		for _, text := range []string{text, outlookAsks(address, "")} {
			got := w.post("https://autodiscover.example.com"+outlookPath, text)
			if err := xml.Unmarshal([]byte(body(t, got)), new(struct{})); got.StatusCode != 200 || err != nil {
				t.Errorf("%s, %v", got.Status, err)
			}
		}
	})
}

// entry is a server as programs read it.
type entry struct{ Kind, Type, Host, Port, Socket string }

// entries are those of a file in Mozilla's format, in their order; attributes says whether one has any but its type.
func entries(t *testing.T, file string) (all []entry, attributes bool) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(file))
	var field string
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all, attributes
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if field = e.Name.Local; field == "incomingServer" || field == "outgoingServer" {
				all = append(all, entry{Kind: field, Type: e.Attr[0].Value})
				attributes = attributes || len(e.Attr) > 1
			}
		case xml.CharData:
			text := strings.TrimSpace(string(e))
			if len(all) == 0 || text == "" {
				continue
			}
			switch last := &all[len(all)-1]; field {
			case "hostname":
				last.Host = text
			case "port":
				last.Port = text
			case "socketType":
				last.Socket = text
			}
		}
	}
}

// TestReaders: programs that take the first entry, the last, or one type alone come to the same ports, and those that know IMAP alone find what there is of it
// or send their users to set up by hand. What each does was seen in 2026.
func TestReaders(t *testing.T) {
	first := func(all []entry, kind string, types ...string) string {
		for _, e := range all {
			if e.Kind == kind && slices.Contains(types, e.Type) {
				return e.Port + " " + e.Socket
			}
		}
		return "by hand"
	}
	last := func(all []entry, kind string, types ...string) string {
		slices.Reverse(all)
		defer slices.Reverse(all)
		return first(all, kind, types...)
	}
	readers := []struct {
		name         string
		strict       bool // refuses an entry with another attribute
		read         func(all []entry, kind string, types ...string) string
		in           []string
		pop3, imaps  string // of the two files
		withoutQuery bool
	}{
		{"Thunderbird", false, first, []string{"imap", "pop3"}, "995 SSL", "993 SSL", false},
		{"Thunderbird, by the domain of the MX", false, first, []string{"imap", "pop3"}, "995 SSL", "993 SSL", true},
		{"Thunderbird for Android", true, first, []string{"imap"}, "by hand", "993 SSL", false},
		{"FairEmail", false, last, []string{"imap"}, "by hand", "993 SSL", false},
		{"Evolution", true, last, []string{"pop3", "imap"}, "995 SSL", "993 SSL", false},
		{"KMail", false, first, []string{"imap", "pop3"}, "995 SSL", "993 SSL", false},
	}
	for _, r := range readers {
		for _, imap := range []bool{false, true} {
			w := newWorld()
			w.site.Mail = &Mail{POP3: Port{Number: 995, Implicit: true}, SMTP: Port{Number: 465, Implicit: true}}
			want := r.pop3
			if imap {
				w.site.Mail.IMAP, want = Port{Number: 993, Implicit: true}, r.imaps
			}
			query := "?emailaddress=alice%40example.com"
			if r.withoutQuery {
				query = ""
			}
			got := w.get(stranger, "https://autoconfig.example.com"+thunderbirdPath+query)
			if kind := got.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/xml") && !strings.HasPrefix(kind, "text/xml") {
				t.Errorf("%s does not read %s", r.name, kind)
			}
			all, attributes := entries(t, body(t, got))
			if attributes && r.strict {
				t.Errorf("%s refuses the file", r.name)
			}
			if in, out := r.read(all, "incomingServer", r.in...), r.read(all, "outgoingServer", "smtp"); in != want || out != "465 SSL" {
				t.Errorf("%s fetches at %s (not %s) and sends at %s", r.name, in, want, out)
			}
		}
	}
}
