package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// apple answers with a profile for iOS and macOS. Who installs it types his password; there is none
// in it.
func (c *settings) apple(w http.ResponseWriter, _ *http.Request, address string) {
	if !c.plainAddress(address) {
		http.Error(w, "say for whom: ?emailaddress=user@"+c.domain.String(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+c.domain.String()+`.mobileconfig"`)
	answer(w, ProfileType, Profile(c.site.Host, c.site.Mail, c.domain, address, ""))
}

// ProfileType is the Content-Type of a Profile.
const ProfileType = "application/x-apple-aspen-config"

// Profile is one for iOS and macOS that sets up an account of a domain, by the names and ports that mail programs are told; with a password,
// if it is not empty. What identifies it follows from the address, so that a second one replaces the first.
func Profile(host string, mail *Mail, domain domains.Name, address, password string) string {
	user := strings.ToLower(address)
	identifier := strings.Join([]string{"postrider", domain.String(), fmt.Sprintf("%x", sha256.Sum256([]byte(user)))[:16]}, ".")
	protocol, in := mail.Incoming()
	kind := map[string]string{"IMAP": "EmailTypeIMAP", "POP3": "EmailTypePOP"}[protocol]
	account := dict{
		{"EmailAccountDescription", domain.String()},
		{"EmailAccountName", address},
		{"EmailAccountType", kind},
		{"EmailAddress", address},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"},
		{"IncomingMailServerHostName", cmp.Or(in.Host, host)},
		{"IncomingMailServerPortNumber", int(in.Number)},
		{"IncomingMailServerUseSSL", true},
		{"IncomingMailServerUsername", address},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"},
		{"OutgoingMailServerHostName", host},
		{"OutgoingMailServerPortNumber", int(mail.SMTP.Number)},
		{"OutgoingMailServerUseSSL", true},
		{"OutgoingMailServerUsername", address},
		{"OutgoingPasswordSameAsIncomingPassword", true},
	}
	if password != "" {
		account = append(account, dict{{"IncomingPassword", password}}...)
	}
	return plist(append(dict{{"PayloadContent", []dict{append(account, payload("com.apple.mail.managed", identifier+".mail", domain.String())...)}}},
		payload("Configuration", identifier, domain.String())...))
}

// payload is what every part of a profile has.
func payload(kind, identifier, name string) dict {
	return dict{
		{"PayloadDisplayName", name},
		{"PayloadIdentifier", identifier},
		{"PayloadType", kind},
		{"PayloadUUID", uuid(identifier)},
		{"PayloadVersion", 1},
	}
}

// uuid is always the same for a text (RFC 9562 §5.8).
func uuid(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}

// dict is a dictionary of a property list, in its order.
type dict []struct {
	key   string
	value any
}

// plist is a property list in XML.
func plist(d dict) string {
	var b bytes.Buffer
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n")
	writeValue(&b, d, "")
	b.WriteString("</plist>\n")
	return b.String()
}

func writeValue(b *bytes.Buffer, value any, indent string) {
	switch v := value.(type) {
	case dict:
		b.WriteString(indent + "<dict>\n")
		for _, e := range v {
			b.WriteString(indent + "  <key>" + e.key + "</key>\n")
			writeValue(b, e.value, indent+"  ")
		}
		b.WriteString(indent + "</dict>\n")
	case []dict:
		b.WriteString(indent + "<array>\n")
		for _, d := range v {
			writeValue(b, d, indent+"  ")
		}
		b.WriteString(indent + "</array>\n")
	case bool:
		fmt.Fprintf(b, "%s<%t/>\n", indent, v)
	case int:
		fmt.Fprintf(b, "%s<integer>%d</integer>\n", indent, v)
	case string:
		b.WriteString(indent + "<string>")
		xml.EscapeText(b, []byte(v))
		b.WriteString("</string>\n")
	}
}
