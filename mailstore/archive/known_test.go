package archive_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider-mail/postrider/internal/mailtest"
	"github.com/postrider-mail/postrider/mailstore/archive"
	"github.com/postrider-mail/postrider/mailstore/maildir"
)

// TestParseUIDL: formats are those of Dovecot.
func TestParseUIDL(t *testing.T) {
	for in, want := range map[string]archive.UIDL{
		"": "", "auto": "", "dovecot": "%08Xu%08Xv", "uw": "%08Xv%08Xu", "cyrus": "%v.%u", "courier": "UID%u-%v", "none": archive.UIDLNone,
		"%v-%u": "%v-%u", "%Mf": "%Mf", "%%%u": "%%%u",
	} {
		if got, err := archive.ParseUIDL(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"dovcot", "%q", "%", "%08", "x", "%99u", "%Xf", "%Qu", "%8"} {
		if got, err := archive.ParseUIDL(in); err == nil {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

// TestKnownIDs: the lists that servers leave in a Maildir are read as they are meant.
func TestKnownIDs(t *testing.T) {
	const v3 = "3 V1690000000 N4 Gabc\n1 P0000abcd1 :17.M1P1.host,S=66,W=70\n2 G00ff W7 :18.M2P1.host\n3 :19.M3,S=6:2,S\n"
	for _, c := range []struct {
		name, text string
		uidl       archive.UIDL
		want       map[string]string
		bad        string // in the error
	}{
		{"dovecot-uidlist", v3, "", map[string]string{"17.M1P1.host": "0000abcd1", "18.M2P1.host": "0000000264bb5a80", "19.M3": "0000000364bb5a80"}, ""},
		{"dovecot-uidlist", v3, archive.UIDLCyrus, map[string]string{"17.M1P1.host": "0000abcd1", "18.M2P1.host": "1690000000.2", "19.M3": "1690000000.3"}, ""},
		{"dovecot-uidlist", v3, archive.UIDLNone, nil, ""},
		{"dovecot-uidlist", "1 1690000000 3\n1 17.M1P1.host,S=66,W=70\n2 18.M2P1.host\n", "", map[string]string{"17.M1P1.host": "0000000164bb5a80", "18.M2P1.host": "0000000264bb5a80"}, ""},
		{"dovecot-uidlist", v3, "%f", map[string]string{"17.M1P1.host": "0000abcd1", "18.M2P1.host": "18.M2P1.host", "19.M3": "19.M3,S=6"}, ""},
		{"dovecot-uidlist", v3, "%g", map[string]string{"17.M1P1.host": "0000abcd1", "18.M2P1.host": "00ff", "19.M3": "19.M3,S=6"}, ""},
		{"dovecot-uidlist", v3, "%5u-%UXv", map[string]string{"17.M1P1.host": "0000abcd1", "18.M2P1.host": "2-64bb5a80", "19.M3": "3-64bb5a80"}, ""},
		{"dovecot-uidlist", v3, "%2v%Mf", map[string]string{"17.M1P1.host": "0000abcd1", "18.M2P1.host": "16cd33d0a79ca0f4c9ce74e6e345c396e4", "19.M3": "16a3aa0a53e2b2eb5eaa1bfb5c42d02985"}, ""},
		{"dovecot-uidlist", "3 V1690000000 N4\nx :17.M1\n2 :18.M2\n3\n4 Gx\n0 :20\n", "", map[string]string{"18.M2": "0000000264bb5a80"}, "line 2, 4, 5, 6"},
		{"dovecot-uidlist", "2 V1690000000 N4\n1 :17.M1\n", "", map[string]string{}, "first line"},
		{"dovecot-uidlist", "3 N4 G5\n1 :17.M1\n", "", map[string]string{}, "first line"},
		{"courierimapuiddb", "1 1690000000 3\n1 17.M1\n", "", nil, ""},
		{"courierimapuiddb", "1 1690000000 3\n1 17.M1\n", archive.UIDLCourier, map[string]string{"17.M1": "UID1-1690000000"}, ""},
		{"courierpop3dsizelist", "/3 5 1690000000\n17.M1,S=66:2,S 70 1:1690000000:0\n18.M2 70 2:0:1\n19.M'3+,S=5:2, 70 0:0\n", archive.UIDLDovecot,
			map[string]string{"17.M1": "UID1-1690000000", "18.M2": "UID2", "19.M'3+": "19.M+273+2B,S=5"}, ""},
		{"courierpop3dsizelist", "/2 5 1690000000\n17.M1 70 1:1690000000\n", "", map[string]string{"17.M1": "UID1-1690000000"}, ""},
		{"courierpop3dsizelist", "/2 5 1690000000\n17.M1 70\n\n17.M2 70 x:1\n17.M3 70 1:x\n 1 1:1\n18.M 1 2:3\n", "", map[string]string{"18.M": "UID2-3"}, "line 2, 3, 4, 5, 6"},
		{"courierpop3dsizelist", "17.M1 70\n", "", map[string]string{}, "first line"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.name), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := archive.KnownIDs(dir, c.uidl)
		if !maps.Equal(k.IDs, c.want) {
			t.Errorf("%s, %s: %q, want %q", c.text, c.uidl, k.IDs, c.want)
		}
		if (err != nil) != (c.bad != "") || err != nil && (!errors.Is(err, archive.ErrUIDList) || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.bad)
		}
		if (k.File != "") != (c.want != nil) {
			t.Errorf("%s: found in %q", c.text, k.File)
		}
	}
}

// TestKnownIDsWhich: of two lists counts the one that was written last; a link is no list.
func TestKnownIDsWhich(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, sec int64) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), time.Unix(sec, 0), time.Unix(sec, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if k, err := archive.KnownIDs(dir, ""); err != nil || k.File != "" || k.IDs != nil {
		t.Errorf("none: %+v, %v", k, err)
	}
	put("courierpop3dsizelist", "/3 5 9\n17.M1 70 1:9:0\n", 100)
	for sec, want := range map[int64]string{99: "UID1-9", 101: "0000000164bb5a80"} {
		put("dovecot-uidlist", "3 V1690000000 N4\n1 :17.M1\n", sec)
		if k, err := archive.KnownIDs(dir, ""); err != nil || k.IDs["17.M1"] != want {
			t.Errorf("%d: %+v, %v", sec, k, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "dovecot-uidlist")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("courierpop3dsizelist", filepath.Join(dir, "dovecot-uidlist")); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.KnownIDs(dir, ""); err == nil {
		t.Error("a link is followed")
	}
}

// TestWithIDs: the messages come with the ids they were known by; one that was not keeps
// that of its name.
func TestWithIDs(t *testing.T) {
	dir := t.TempDir()
	single := store(t, dir, maildir.Single(), maildir.WithMode(maildir.Share))
	fill(t, single, "Subject: a\r\n\r\n.\r\n", "Subject: b\r\n\r\n.\r\n")
	ids, want := holds(t, single)
	src := archive.WithIDs(archive.FromMaildrop(t.Context(), drop(t, single)), map[string]string{ids[0]: "known"})
	dst := store(t, t.TempDir())
	if s, err := archive.Import(context.Background(), dst, user, src, archive.Options{}); err != nil || s.Done != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	got, bodies := holds(t, dst)
	if !slices.Equal(got, []string{"known", ids[1]}) || !slices.Equal(bodies, want) {
		t.Errorf("ids %q, messages %q", got, bodies)
	}
}

// TestListLines: a line of a list is read up to 64 KiB with its end, and a longer one is said and not held.
func TestListLines(t *testing.T) {
	dir := t.TempDir()
	mailtest.Edge(t, "line of a list", 64<<10-1, func(n int) bool {
		text := "3 V1690000000 N4\n1 :" + strings.Repeat("x", n-len("1 :")) + "\n2 :y\n"
		if err := os.WriteFile(filepath.Join(dir, "dovecot-uidlist"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := archive.KnownIDs(dir, "")
		if good := len(k.IDs) == 2; good != (err == nil) || err != nil && !errors.Is(err, archive.ErrUIDList) {
			t.Errorf("%d octets: %d ids, %v", n, len(k.IDs), err)
		}
		return err == nil
	})
}
