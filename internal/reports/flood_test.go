package reports

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/rfc2822"
)

// manyReports is a mail with n different reports, in archives within archives.
func manyReports(n int) []byte {
	var outer, inner [][]byte
	for i := range n {
		inner = append(inner, fmt.Appendf(nil, "<feedback><report_metadata><report_id>%d</report_id></report_metadata><policy_published><domain>a.example</domain></policy_published></feedback>", i))
		if len(inner) == maxFiles || i == n-1 {
			outer, inner = append(outer, zipped(inner...)), nil
		}
	}
	var parts []attachment
	for len(outer) > 0 {
		some := min(len(outer), maxFiles)
		parts = append(parts, attachment{"application/zip", "r.zip", zipped(outer[:some]...)})
		outer = outer[some:]
	}
	return mailOf(parts...)
}

// TestManyReports: an honest archive of archives is read, and one message brings no more
// than some hundred reports.
func TestManyReports(t *testing.T) {
	if m := readBytes(t, manyReports(100)); len(m.reports) != 100 || m.err != nil {
		t.Errorf("%d reports, %v", len(m.reports), m.err)
	}
	m := readBytes(t, manyReports(2000))
	if len(m.reports) > maxUnpacked/fileCost || m.err == nil || !strings.Contains(m.err.Error(), errUnpacked.Error()) {
		t.Errorf("%d reports, %.500v", len(m.reports), m.err)
	}
}

// TestFlood: at no time are there many more reports on disk than are to stay, however many
// come at once.
func TestFlood(t *testing.T) {
	inWorld(t, func(w *world) {
		files, _ := bound("u")
		for i := range files {
			name := fmt.Sprintf("20200101T000000Z-u-%0*x.json", keyLength, i)
			w.store.files[name[19:19+keyLength]] = file{name, "u", 1}
			if err := os.WriteFile(w.kept()+"/"+name, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.reader.Trust = func(*rfc2822.Section, string) Trust { return Untrusted }
		most := 0
		w.reader.Kept = func(*Report, bool) { most = max(most, len(w.store.files)) }
		for i := range 5 {
			w.deliver([]byte(strings.ReplaceAll(string(manyReports(100)), "reporter.example", fmt.Sprintf("r%d.example", i))))
		}
		w.reader.Read(w.t.Context())
		if most > files+pruneAfter {
			t.Errorf("%d reports at once, and %d are to stay", most, files)
		}
	})
}
