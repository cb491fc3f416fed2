package manpage

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestRoff: text comes out of man(1) as it went in, whatever roff would take it for.
func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		".SH no request\n":           ".PP\n\\&.SH no request\n",
		"'quoted' \"so\"\n":          ".PP\n\\(aqquoted\\(aq \\(dqso\\(dq\n",
		"a \\ and --flag ~ ^ `x`\n":  ".PP\na \\e and \\-\\-flag \\(ti \\(ha \\(gax\\(ga\n",
		"one\ntwo\n\nthree\n":        ".PP\none\ntwo\n.PP\nthree\n",
		"see:\n  .x  y\n\n    z\n":   ".PP\nsee:\n.sp\n.RS\n.nf\n\\&.x  y\n.fi\n.RE\n.sp\n.RS\n.nf\n\\&z\n.fi\n.RE\n",
		"  a\n    b\nthen text\n":    ".sp\n.RS\n.nf\n\\&a\n\\&  b\n.fi\n.RE\n.PP\nthen text\n",
		"tab:\n\tone\n\t\ttwo\n":     ".PP\ntab:\n.sp\n.RS\n.nf\n\\&one\n\\&    two\n.fi\n.RE\n",
		"no newline":                 ".PP\nno newline\n",
		"":                           "",
		"über 1 < 2 > 0 & so weiter": ".PP\nüber 1 < 2 > 0 & so weiter\n",
	} {
		var w writer
		w.b.WriteString("x\n")
		w.plain(text, false)
		got := strings.TrimPrefix(w.b.String(), "x\n")
		if want = strings.TrimPrefix(want, ".PP\n"); strings.TrimPrefix(got, ".PP\n") != want {
			t.Errorf("%q:\n%s\nwant\n%s", text, got, want)
		}
	}
}

func TestCommands(t *testing.T) {
	root := &cobra.Command{Use: "house", Short: "Build", Run: func(*cobra.Command, []string) {}}
	paint := &cobra.Command{Use: "paint [WALL]", Short: "Paint a wall", Long: "Paint.\n\nTwice.", Example: "  house paint --colour red", Run: root.Run}
	paint.Flags().StringP("colour", "k", "blue", "which `name` it has")
	paint.Flags().Bool("secret", false, "")
	paint.Flags().MarkHidden("secret")
	root.AddCommand(paint, &cobra.Command{Use: "burn", Hidden: true, Run: root.Run})
	pages := Commands(root, "house.conf(5)")
	if len(pages) != 2 || pages[0].File() != "man1/house.1" || pages[1].File() != "man1/house-paint.1" {
		t.Fatalf("%d pages: %v", len(pages), pages)
	}
	for _, want := range []string{"\\fBhouse\\-paint\\fR(1)\nPaint a wall\n", "house.conf(5)"} {
		if !strings.Contains(pages[0].Text, want) {
			t.Errorf("no %q in %s", want, pages[0].Text)
		}
	}
	const want = `.TH HOUSE\-PAINT 1 "2026\-01\-02" "1.0" "Postrider"
.nh
.ad l
.SH "NAME"
house\-paint \- Paint a wall
.SH "SYNOPSIS"
\fBhouse paint\fR [WALL] [flags]
.SH "DESCRIPTION"
Paint.
.PP
Twice.
.SH "OPTIONS"
.TP
\fB\-k\fR, \fB\-\-colour\fR \fIname\fR
which name it has (default blue)
.SH "EXAMPLES"
.RS
.nf
\&house paint \-\-colour red
.fi
.RE
.SH "SEE ALSO"
house(1)
`
	if got := string(pages[1].Roff("2026-01-02", "1.0")); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestSettings(t *testing.T) {
	p := Settings("house.conf", "the house", "About.", []Setting{
		{"name", "text", "", "Its name."},
		{"Roof", "object", "", "What is above."},
		{"Roof.colour", "text", `"red"`, "First.\n\nSecond."},
		{"Doors[].wide", "true or false", "", ""},
	})
	for _, want := range []string{
		".TP\n\\fBname\\fR (text)\nIts name.\n",
		".SS \"Roof\"\n.TP\n\\fBRoof.colour\\fR (text, default \\(dqred\\(dq)\nFirst.\n.IP\nSecond.\n",
		".TP\n\\fBDoors[].wide\\fR (true or false)\n\\&\n",
	} {
		if !strings.Contains(p.Text, want) {
			t.Errorf("no %q in\n%s", want, p.Text)
		}
	}
}

func TestMarkdown(t *testing.T) {
	p := Markdown("house-walls", 5, "# Walls of a house\n\nThey *stand* in `a_row`, **all**, see\n[there](there.md) and [out](https://x.test/).\n\n## Kinds\n\n"+
		"* one\n  goes on\n2. two\n\n| wall | colour |\n|---|---|\n| `a \\| b` | red |\n\n```sh\n# no heading\npaint -x\n```\n")
	if p.Short != "walls of a house" || p.File() != "man5/house-walls.5" {
		t.Errorf("%q %s", p.Short, p.File())
	}
	const want = `.SH "DESCRIPTION"
They *stand* in \fBa_row\fR, \fBall\fR, see
there and out (https://x.test/).
.SH "Kinds"
.IP \(bu 4
one
goes on
.IP 2. 4
two
.TP
\fBa | b\fR
red\&
.sp
.RS
.nf
\&# no heading
\&paint \-x
.fi
.RE
`
	if p.Text != want {
		t.Errorf("%s\nwant\n%s", p.Text, want)
	}
}
