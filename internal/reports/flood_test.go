package reports

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
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

// crowded is a zip archive whose list names n files, and nothing else.
func crowded(n int) []byte {
	entry := make([]byte, 46)
	copy(entry, "PK\x01\x02")
	list := bytes.Repeat(entry, n)
	begin := []byte("PK\x03\x04")
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(list)))
	binary.LittleEndian.PutUint32(end[16:], uint32(len(begin)))
	return slices.Concat(begin, list, end)
}

// TestCrowdedArchive: the list of an archive with very many files is not even read.
func TestCrowdedArchive(t *testing.T) {
	for _, n := range []int{maxFiles + 1, 220000} {
		data := crowded(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := (&unpacker{left: maxUnpacked}).read(bytes.NewReader(data), 0)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, errFiles) {
			t.Errorf("%d files: %v", n, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(6*len(data))+1<<20 {
			t.Errorf("%d files: %d MiB of memory", n, used>>20)
		}
	}
}
