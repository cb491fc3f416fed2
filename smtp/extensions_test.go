package smtp

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestExtensionTable: a keyword and a parameter have one row each, each row can
// be hidden, and what is written for the next hop is read there.
func TestExtensionTable(t *testing.T) {
	var keywords []string
	for i := range table {
		x := &table[i]
		if slices.Contains(keywords, x.keyword) || x.keyword != strings.ToUpper(x.keyword) {
			t.Errorf("%s has two rows, or small letters", x.keyword)
		}
		keywords = append(keywords, x.keyword)
		for j := range x.params {
			p := &x.params[j]
			if p.parse == nil || p.write == nil && p.name != "HOLDFOR" {
				t.Errorf("%s cannot be read or written", p.name)
			}
			if at, found, _ := findParam(p.verb, strings.ToLower(p.name)); at != i || found != p {
				t.Errorf("%s is found in the row of %s", p.name, table[at].keyword)
			}
		}
		everything := Extensions{DSN: true, RequireTLS: true, BinaryMIME: true, FutureRelease: 1, DeliverBy: true, Priority: true, RRVS: true}
		for _, hide := range []bool{false, true} {
			if everything.Hide = nil; hide {
				everything.Hide = []string{strings.ToLower(x.keyword)}
			}
			c, err := (&Server{Extensions: everything}).newSetup(false)
			if err != nil {
				t.Fatal(err)
			}
			if c.offers[i] && hide || c.offers[i] != c.offered[x.keyword] {
				t.Errorf("%s: hidden %v, offered %v", x.keyword, hide, c.offers[i])
			}
		}
	}
	for _, want := range []string{"FUTURERELEASE", "DELIVERBY", "MT-PRIORITY", "RRVS", "SIZE", "DSN"} {
		if !slices.Contains(keywords, want) {
			t.Errorf("%s has no row", want)
		}
	}
}

// TestMissing: a message or a recipient that cannot do without an extension is kept
// from a server that lacks it, with a code for the sender's report, and from no other.
func TestMissing(t *testing.T) {
	at := time.Now().Add(time.Hour)
	all := make(map[string]string)
	for i := range table {
		all[table[i].keyword] = ""
	}
	for _, c := range []struct {
		keyword, enhanced string
		mail              Params
		rcpt              RcptParams
	}{
		{"8BITMIME", "5.6.3", Params{Body: Body8BitMIME}, RcptParams{}},
		{"SMTPUTF8", "5.6.7", Params{SMTPUTF8: true}, RcptParams{}},
		{"CHUNKING", "5.6.3", Params{Body: BodyBinaryMIME}, RcptParams{}},
		{"BINARYMIME", "5.6.3", Params{Body: BodyBinaryMIME}, RcptParams{}},
		{"REQUIRETLS", "5.7.30", Params{RequireTLS: true}, RcptParams{}},
		{"FUTURERELEASE", "5.3.3", Params{HoldUntil: at}, RcptParams{}},
		{"DELIVERBY", "5.3.3", Params{By: &DeliverBy{By: at, Return: true}}, RcptParams{}},
		{"RRVS", "5.7.19", Params{}, RcptParams{RRVS: at, RRVSReject: true}},
		// What can be left out:
		{"DELIVERBY", "", Params{By: &DeliverBy{By: at}}, RcptParams{}},
		{"RRVS", "", Params{}, RcptParams{RRVS: at}},
		{"MT-PRIORITY", "", Params{Priority: 3}, RcptParams{}},
		{"SIZE", "", Params{Size: 1}, RcptParams{}},
		{"AUTH", "", Params{Auth: "<>"}, RcptParams{}},
		{"DSN", "", Params{Ret: RetFull, EnvID: "x"}, RcptParams{Notify: NotifyNever, ORcpt: "x"}},
		{"8BITMIME", "", Params{Body: Body7Bit}, RcptParams{}},
	} {
		lacking := &Client{ext: maps.Clone(all)}
		delete(lacking.ext, c.keyword)
		err := lacking.Missing(&c.mail, &c.rcpt)
		var m *MissingError
		switch {
		case c.enhanced == "":
			if err != nil {
				t.Errorf("without %s: %v", c.keyword, err)
			}
		case !errors.As(err, &m) || !errors.Is(err, ErrUnsupported) || m.Keyword != c.keyword || m.Enhanced != c.enhanced || m.Reason == "":
			t.Errorf("without %s: %#v", c.keyword, err)
		}
		if err := (&Client{ext: all}).Missing(&c.mail, &c.rcpt); err != nil {
			t.Errorf("with %s: %v", c.keyword, err)
		}
	}
	if (&Client{ext: all}).Missing(nil, nil) != nil || (&Client{}).Missing(&Params{}, &RcptParams{}) != nil {
		t.Error("where nothing was wished for, nothing is missing")
	}
	both := &Params{SMTPUTF8: true, By: &DeliverBy{Return: true}}
	if err := (&Client{}).Missing(both, nil); err == nil || err.Error() != ErrUnsupported.Error()+": DELIVERBY" {
		t.Errorf("of two: %v", err)
	}
}
