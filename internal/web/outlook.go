package web

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
)

const (
	outlookResponse = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
	anyResponse     = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	// outlookOctets is how much of a request is read. Real ones have 400.
	outlookOctets = 8 << 10
)

// discovered is an answer of autodiscover (POX).
type discovered struct {
	XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
	Response any
}

type outlookAnswer struct {
	XMLName xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a Response"`
	Account struct {
		AccountType string
		Action      string
		Protocol    []outlookProtocol
	}
}

// outlookProtocol says how to protect a connection in both ways that there are, as some
// programs read one and some the other. SPA has to be said: where it is not, it is on.
type outlookProtocol struct {
	Type         string
	Server       string
	Port         uint16
	LoginName    string `xml:",omitempty"`
	DomainReq    string `xml:"DomainRequired"`
	SPA          string
	SSL          string
	Encryption   string
	AuthRequired string
	UsePOPAuth   string `xml:",omitempty"`
	SMTPLast     string `xml:",omitempty"`
}

type outlookError struct {
	XMLName xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Response"`
	Error   struct {
		ErrorCode int
		Message   string
		DebugData string
	}
}

// outlookQuestion is what is read of a request.
type outlookQuestion struct {
	Address string `xml:"Request>EMailAddress"`
	Schema  string `xml:"Request>AcceptableResponseSchema"`
}

// outlook answers as Outlook wants it. Whatever is sent is answered without a demand to log in: some
// programs take a 401 for a wrong password, and send the password unasked.
func (c *settings) outlook(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && !reading(w, r) {
		return
	}
	var q outlookQuestion
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, outlookOctets))
	if err == nil {
		xml.Unmarshal(body, &q) // what cannot be read asks for nothing in particular
	}
	q.Address = strings.TrimSpace(q.Address)
	if !c.choose(q.Address) {
		http.Error(w, "there is nothing here about that domain", http.StatusNotFound)
		return
	}
	if strings.Contains(q.Schema, "mobilesync") {
		var e outlookError
		protocol, _ := c.site.Mail.Incoming()
		e.Error.ErrorCode, e.Error.Message = 600, "Mail is fetched by "+protocol+" here"
		answer(w, "application/xml; charset=utf-8", xmlDocument(discovered{Response: e}))
		return
	}
	if !c.plainAddress(q.Address) {
		q.Address = ""
	}
	var a outlookAnswer
	a.Account.AccountType, a.Account.Action = "email", "settings"
	kind, port := c.site.Mail.Incoming()
	in := c.protocol(kind, port, q.Address)
	smtp := c.protocol("SMTP", c.site.Mail.SMTP, q.Address)
	smtp.UsePOPAuth, smtp.SMTPLast = "on", "off"
	a.Account.Protocol = []outlookProtocol{in, smtp}
	answer(w, "application/xml; charset=utf-8", xmlDocument(discovered{Response: a}))
}

func (c *settings) protocol(kind string, p Port, login string) outlookProtocol {
	o := outlookProtocol{Type: kind, Server: cmp.Or(p.Host, c.site.Host), Port: p.Number, LoginName: login, DomainReq: "off", SPA: "off", SSL: "on", Encryption: "SSL", AuthRequired: "on"}
	if !p.Implicit {
		o.Encryption = "TLS"
	}
	return o
}

// outlookJSON leads those who ask by JSON to what they can be told.
func (c *settings) outlookJSON(w http.ResponseWriter, r *http.Request, _ string) {
	protocol := ""
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, "Protocol") {
			protocol = values[0]
		}
	}
	var text any = map[string]string{"ErrorCode": "InvalidProtocol", "ErrorMessage": "Only Autodiscoverv1 is told here"}
	if strings.EqualFold(protocol, "Autodiscoverv1") {
		text = map[string]string{"Protocol": "Autodiscoverv1", "Url": "https://" + c.site.Host + "/autodiscover/autodiscover.xml"}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if _, wrong := text.(map[string]string)["ErrorCode"]; wrong {
		w.WriteHeader(http.StatusBadRequest)
	}
	json.NewEncoder(w).Encode(text)
}
