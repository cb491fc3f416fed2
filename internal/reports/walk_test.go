package reports

import (
	"io"
	"strings"
	"testing"
)

// TestLongNames: a document whose names are long costs no more than one whose names are
// short. Each value comes with all the names above it.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("n", 60<<10)
	for form, document := range map[string]string{
		"XML":  "<" + strings.Repeat(long+"><", 14) + "a/></x>",
		"JSON": "{" + strings.Repeat(`"`+long+`":{`, 14) + `"a":1` + strings.Repeat("}", 15),
	} {
		walk := map[string]func(io.Reader, *unpacker, visitor) error{"XML": walkXML, "JSON": walkJSON}[form]
		most, deepest := 0, 0
		walk(strings.NewReader(document), &unpacker{left: maxUnpacked}, func(path []string, _ string) {
			most, deepest = max(most, len(strings.Join(path, ""))), max(deepest, len(path))
		}) // what comes of the XML, which is not whole, is no matter
		if deepest != 15 || most > 15*maxName {
			t.Errorf("%s: %d octets of names, %d levels", form, most, deepest)
		}
	}
}

// TestLongTexts: the text of an element, which others interrupt, is kept up to its bound.
func TestLongTexts(t *testing.T) {
	for more, want := range []int{maxToken, maxToken - 100} {
		text := 0
		doc := "<x>" + strings.Repeat("y", maxToken-100) + "<a/>" + strings.Repeat("y", 100+more) + "</x>"
		if err := walkXML(strings.NewReader(doc), &unpacker{left: maxUnpacked}, func(_ []string, s string) { text = len(s) }); err != nil || text != want {
			t.Errorf("%d octets more than may be: %d are kept, %v", more, text, err)
		}
	}
}
