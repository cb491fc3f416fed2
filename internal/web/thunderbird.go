package web

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"net/http"
	"strings"
)

// clientConfig is Mozilla's format of settings, version 1.1. There is one server for each way
// and no attribute but type: some programs take the first entry, some the last, and
// some refuse a file with more.
type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider struct {
		ID        string         `xml:"id,attr"`
		Domain    string         `xml:"domain"`
		Name      string         `xml:"displayName"`
		ShortName string         `xml:"displayShortName"`
		Incoming  incomingServer `xml:"incomingServer"`
		Outgoing  mailServer     `xml:"outgoingServer"`
	} `xml:"emailProvider"`
}

type mailServer struct {
	Type           string `xml:"type,attr"`
	Hostname       string `xml:"hostname"`
	Port           uint16 `xml:"port"`
	SocketType     string `xml:"socketType"`
	Username       string `xml:"username"`
	Authentication string `xml:"authentication"`
}

type incomingServer struct {
	mailServer
	POP3 *leaving `xml:"pop3"`
}

// leaving says what becomes of mail that was fetched.
type leaving struct {
	Leave    bool `xml:"leaveMessagesOnServer"`
	Biff     bool `xml:"downloadOnBiff"`
	DaysLeft int  `xml:"daysToLeaveMessagesOnServer"`
}

// server is an entry. The program puts the user's address in place of the name, so that the
// answer is the same to whoever asks.
func (site *Site) server(kind string, p Port) mailServer {
	return mailServer{kind, cmp.Or(p.Host, site.Host), p.Number, p.SSL(), "%EMAILADDRESS%", "password-cleartext"}
}

// thunderbird answers in Mozilla's format, which many programs read.
func (c *settings) thunderbird(w http.ResponseWriter, _ *http.Request, _ string) {
	config := clientConfig{Version: "1.1"}
	p := &config.Provider
	p.ID, p.Domain, p.Name, p.ShortName = c.domain.String(), c.domain.String(), c.domain.String(), c.domain.String()
	protocol, in := c.site.Mail.Incoming()
	p.Incoming.mailServer = c.site.server(strings.ToLower(protocol), in)
	if protocol == "POP3" {
		p.Incoming.POP3 = &leaving{Leave: true, Biff: true, DaysLeft: 14}
	}
	p.Outgoing = c.site.server("smtp", c.site.Mail.SMTP)
	answer(w, "application/xml; charset=utf-8", xmlDocument(config))
}

// xmlDocument is a whole XML document.
func xmlDocument(v any) string {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	if err := e.Encode(v); err != nil { // our own types
		panic(err)
	}
	b.WriteByte('\n')
	return b.String()
}
