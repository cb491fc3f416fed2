package reports

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/rfc2822"
)

// TestSameRow: messages are one row where all that is told of them is alike, their number aside.
func TestSameRow(t *testing.T) {
	row := func() countedRow {
		return countedRow{Source: netip.MustParseAddr("192.0.2.1"), Overrides: []Override{{"a", "b"}}, Signatures: []Signature{{"a", "b", "pass"}}}
	}
	a, b := row(), row()
	b.Count = 7
	if !a.same(&b) {
		t.Error("alike, and two rows")
	}
	fields := reflect.VisibleFields(reflect.TypeFor[countedRow]())
	for _, f := range fields {
		if f.Name == "Count" {
			continue
		}
		b := row()
		switch v := reflect.ValueOf(&b).Elem().FieldByIndex(f.Index); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		default:
			v.SetZero()
		}
		if a.same(&b) {
			t.Errorf("one row, whatever %s is", f.Name)
		}
	}
}

// TestPreferred: of many signatures the reporter tells of those that speak for the author first, each kind in its
// order, and of so many; whose list it is keeps it.
func TestPreferred(t *testing.T) {
	given := []Signature{{"other.example", "1", "fail"}, {"list.example", "2", "pass"}, {"sub.a.example", "3", "pass"}, {"example", "4", "pass"}, {"A.example", "5", "pass"}, {"a.example", "6", "fail"}, {"a.example", "7", "pass"}}
	before := slices.Clone(given)
	order := ""
	for _, s := range preferred(given, "a.example") {
		order += s.Selector
	}
	if order != "5734216" || !slices.Equal(given, before) {
		t.Errorf("%s, and the list is %v", order, given)
	}
	if n := len(preferred(make([]Signature, 2*maxSignatures), "a.example")); n != maxSignatures {
		t.Errorf("%d are told of", n)
	}
}

// TestRecords: what a record leaves out is taken from what it has; one that has nothing is none.
func TestRecords(t *testing.T) {
	for record, want := range map[string]string{
		"":                            "",
		"<row/>":                      "",
		"<row><count>0</count></row>": "invalid IP 0 fail fail ",
		"<row><source_ip>192.0.2.1</source_ip></row>":                                                                                                              "192.0.2.1 1 fail fail ",
		"<auth_results><spf><domain>a.example</domain><result>pass</result></spf></auth_results>":                                                                  "invalid IP 1 fail pass spf=pass a.example",
		"<identifiers><header_from>a.example</header_from></identifiers><auth_results><dkim><domain>a.example</domain><result>pass</result></dkim></auth_results>": "invalid IP 1 pass fail dkim=pass a.example",
		"<auth_results><dkim><domain>a.example</domain></dkim></auth_results>":                                                                                     "",
	} {
		doc := `<feedback><policy_published><domain>a.example</domain></policy_published><record>` + record + `</record></feedback>`
		r, err := readDMARC(strings.NewReader(doc), &unpacker{left: maxUnpacked})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range r.Rows {
			got = append(got, fmt.Sprint(row.Source, " ", row.Count, " ", row.DKIM, " ", row.SPF, " ", row.Auth))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: %q, want %q", record, got, want)
		}
	}
}

// TestNoEmptySessions: a policy that only failed has no sessions that went well, one without any has none that failed.
func TestNoEmptySessions(t *testing.T) {
	for summary, want := range map[string]string{
		`"total-successful-session-count":0,"total-failure-session-count":3`: "unspecified 3",
		`"total-successful-session-count":5,"total-failure-session-count":3`: " 5, unspecified 3",
		`"total-successful-session-count":5,"total-failure-session-count":0`: " 5",
		`"total-successful-session-count":0,"total-failure-session-count":0`: " 0",
	} {
		doc := `{"organization-name":"x","policies":[{"policy":{"policy-type":"sts","policy-domain":"a.example"},"summary":{` + summary + `}}]}`
		r, err := readTLS(strings.NewReader(doc), &unpacker{left: maxUnpacked})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range r.Sessions {
			got = append(got, fmt.Sprint(s.Failure, " ", s.Count))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %q", summary, got, want)
		}
	}
}

// TestReplaced: what no document may have is shown to be missing, all else stays.
func TestReplaced(t *testing.T) {
	for _, c := range []string{"\t", "\n", "\r", " ", "~", "\x7f", "ä", "€", "\uE000", "\uFFFC", "\uFFFD", "😀"} {
		if got, _ := io.ReadAll(newText(strings.NewReader("a" + c))); string(got) != "a"+c {
			t.Errorf("%q became %q", c, got)
		}
	}
	for _, c := range []string{"\x00", "\x08", "\x0b", "\x1f", "\uFFFE", "\uFFFF", "\xff"} {
		if got, _ := io.ReadAll(newText(strings.NewReader("a" + c))); string(got) != "a\uFFFD" {
			t.Errorf("%q became %q", c, got)
		}
	}
}

// TestMostFirst: what concerns the most messages stands first.
func TestMostFirst(t *testing.T) {
	var rows []Row
	for i, n := range []int64{3, 9, 1, 9} {
		rows = append(rows, Row{Source: ip(fmt.Sprint("203.0.113.", i)), Count: n, DKIM: "fail", SPF: "fail", From: string(rune('a'+i)) + ".example"})
	}
	var got []string
	for _, s := range Summarize([]*Report{dmarcReport("x", rows...)}, Query{Own: own}).Strangers {
		got = append(got, fmt.Sprint(s.Address, " ", s.Messages))
	}
	if want := "203.0.113.1 9, 203.0.113.3 9, 203.0.113.0 3, 203.0.113.2 1"; strings.Join(got, ", ") != want {
		t.Errorf("%s, want %s", strings.Join(got, ", "), want)
	}
}

// TestReaderSurvives: a mistake in the reader costs one message.
func TestReaderSurvives(t *testing.T) {
	m, err := readMessage(func() (io.ReadCloser, error) { panic("a mistake") })
	if err != nil || m == nil || m.err == nil || !strings.Contains(m.err.Error(), "a mistake") {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestNobodyKnowsBounces: where nobody sends reports, a bounce is none of them.
func TestNobodyKnowsBounces(t *testing.T) {
	inWorld(t, func(w *world) {
		var b bytes.Buffer
		report := &rfc2822.Report{To: box, ReportingMTA: "mx.big.example", Original: strings.NewReader("Message-ID: <id@ours.example>\r\n\r\nx\r\n"),
			Recipients: []rfc2822.RecipientStatus{{FinalRecipient: "a@big.example", Action: rfc2822.Failed, Status: "5.1.1"}}}
		if _, err := report.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		w.deliver(b.Bytes())
		w.reader.Read(w.t.Context())
		if all := w.all(); len(all) != 1 || all[0].Kind != Unreadable || w.waiting() != 1 {
			t.Errorf("%+v", all)
		}
	})
}

// shut are mailboxes that cannot be opened.
type shut struct{ why error }

func (s shut) Open(context.Context, string) (mailstore.Maildrop, error) { return nil, s.why }

// TestShutMailbox: that a mailbox cannot be read is said, and one that is not there yet is no fault.
func TestShutMailbox(t *testing.T) {
	for why, told := range map[error]bool{errors.New("input/output error"): true, mailstore.ErrNoMailbox: false, mailstore.ErrLocked: false} {
		inWorld(t, func(w *world) {
			var log bytes.Buffer
			w.reader.Mailboxes, w.reader.Log = shut{fmt.Errorf("%w: %s", why, box)}, slog.New(slog.NewTextHandler(&log, nil))
			w.reader.Read(w.t.Context())
			if said := strings.Contains(log.String(), fmt.Sprintf("err=%q", why.Error()+": "+box)); said != told {
				t.Errorf("%v: %s", why, log.String())
			}
		})
	}
}
