package spf_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/smtp/spf"
)

type scenario struct {
	Description string
	Tests       map[string]suiteTest
	ZoneData    map[string][]any
}

type suiteTest struct {
	Helo, Host, MailFrom string
	Result               any // a name, or a list of them
	Explanation          string
}

func (s suiteTest) allows(result string) bool {
	if list, ok := s.Result.([]any); ok {
		return slices.Contains(list, any(result))
	}
	return s.Result == result
}

// TestSuites runs the suites of openspf.org, none of whose tests is left out.
func TestSuites(t *testing.T) {
	for name, size := range map[string]int{"rfc7208": 203, "rfc4408": 191} {
		text, err := os.ReadFile("testdata/" + name + "-tests.json")
		if err != nil {
			t.Fatal(err)
		}
		var scenarios []scenario
		if err := json.Unmarshal(text, &scenarios); err != nil {
			t.Fatal(err)
		}
		run, explained := 0, 0
		for _, s := range scenarios {
			zone := readZone(s.ZoneData)
			for id, test := range s.Tests {
				run++
				if test.Explanation != "" {
					explained++
				}
				t.Run(name+"/"+s.Description+"/"+id, func(t *testing.T) { test.run(t, zone) })
			}
		}
		if run != size || explained < 14 {
			t.Errorf("%s: %d tests, %d with an explanation", name, run, explained)
		}
	}
}

func (s suiteTest) run(t *testing.T, zone *zone) {
	r := zone.fresh()
	c := spf.Checker{Resolver: r, Receiver: "receiver.example.org", Explanation: "DEFAULT"}
	o := c.Check(t.Context(), spf.Query{IP: netip.MustParseAddr(s.Host), Helo: s.Helo, MailFrom: s.MailFrom})
	if !s.allows(o.Result.String()) {
		t.Errorf("%v by %q (%v); want %v", o.Result, o.Mechanism, o.Err, s.Result)
	}
	if s.Explanation != "" && o.Explanation != s.Explanation {
		t.Errorf("explanation %q; want %q", o.Explanation, s.Explanation)
	}
	if len(r.asked) > 15 {
		t.Errorf("%d queries: %q", len(r.asked), r.asked)
	}
	checkOutcome(t, o, r)
}

// readZone takes a suite's zone: records of type SPF stand for TXT where a name has
// no TXT of its own (the suite's convention), and TIMEOUT makes every query that is
// not answered fail.
func readZone(data map[string][]any) *zone {
	z := newZone()
	for name, records := range data {
		key := strings.ToLower(strings.TrimSuffix(name, ".")) + "."
		var old []string
		ownTXT := false
		for _, record := range records {
			if record == "TIMEOUT" {
				z.broken[key] = true
				continue
			}
			for kind, value := range record.(map[string]any) {
				switch kind {
				case "SPF":
					old = append(old, joined(value))
				case "TXT":
					ownTXT = true
					if value != "NONE" {
						z.txt[key] = append(z.txt[key], joined(value))
					}
				case "A", "AAAA":
					z.ip[key] = append(z.ip[key], netip.MustParseAddr(value.(string)))
				case "MX":
					pair := value.([]any)
					z.mx[key] = append(z.mx[key], pair[1].(string))
				case "PTR":
					z.ptr[key] = append(z.ptr[key], value.(string))
				case "CNAME":
					z.cname[key] = strings.ToLower(strings.TrimSuffix(value.(string), ".")) + "."
				default:
					panic(fmt.Sprint("record of type ", kind))
				}
			}
		}
		if !ownTXT {
			z.txt[key] = old
		}
	}
	return z
}

// joined makes octets of the suite's text.
func joined(value any) string {
	var b []byte
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, s := range list {
		for _, c := range s.(string) {
			b = append(b, byte(c))
		}
	}
	return string(b)
}
