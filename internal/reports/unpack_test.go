package reports

import (
	"bytes"
	"strings"
	"testing"
)

// TestRatioFrom: a document of up to a MiB may pack as well as it likes: one that is mostly blanks does.
func TestRatioFrom(t *testing.T) {
	doc := func(size int) []byte {
		begin, row, end := "<feedback><policy_published><domain>a.example</domain></policy_published>", strings.Repeat(" ", 1000)+"<x/>", "</feedback>"
		text := begin + strings.Repeat(row, (size-len(begin)-len(end))/len(row))
		return []byte(text + strings.Repeat(" ", size-len(text)-len(end)) + end)
	}
	for size, ok := range map[int]bool{ratioFrom: true, ratioFrom + 1: false} {
		data := doc(size)
		if packed := gz(data); len(data) != size || len(packed)*maxRatio*2 > size {
			t.Fatalf("%d octets of %d: nothing to test", len(packed), len(data))
		}
		u := &unpacker{left: maxUnpacked}
		if err := u.read(bytes.NewReader(gz(data)), 0); (err == nil) != ok {
			t.Errorf("%d octets: %v", size, err)
		}
	}
}
