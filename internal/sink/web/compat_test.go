package web

import (
	"slices"
	"strings"
	"testing"
)

// TestSupportTable: every line of the table can be read, and says something.
func TestSupportTable(t *testing.T) {
	s := readSupport()
	kinds := []string{"tag", "attr", "input", "prop", "display", "meta", "href", "image", "rule", "selector", "holds", "unit"}
	slugs := make(map[string]bool)
	for _, f := range s.features {
		if len(f.answers) != len(s.programs) || strings.Trim(f.answers, "yanu") != "" || !strings.ContainsAny(f.answers, "na") {
			t.Errorf("%s: %q for %d programs", f.slug, f.answers, len(s.programs))
		}
		if !slices.Contains(kinds, f.kind) || len(f.words) == 0 || f.title == "" || slugs[f.slug] {
			t.Errorf("%+v", f)
		}
		slugs[f.slug] = true
	}
	if len(s.features) < 100 || len(s.programs) < 10 || !strings.Contains(supportText, "MIT License") {
		t.Errorf("%d features, %d programs", len(s.features), len(s.programs))
	}
}

// TestUsed: each way of finding something finds it, as often as it is there, and nothing like it.
func TestUsed(t *testing.T) {
	for slug, c := range map[string]struct {
		with    string
		times   int
		without string
	}{
		"html-video":                        {`<video></video><VIDEO src=x>`, 2, `<p title="<video>">video</p>`},
		"html-srcset":                       {`<img srcset="a 1x">`, 1, `<img alt=srcset>`},
		"html-input-checkbox":               {`<input type=CheckBox>`, 1, `<button type=checkbox>`},
		"css-border-radius":                 {`<p style="a:b; Border-Radius : 3px">`, 1, `<p style="color:red" title="border-radius:3px"><style>.border-radius:hover{top:0}</style>`},
		"css-display-flex":                  {`<style>p { display: flex !important } b{display:inline-flex}</style>`, 2, `<style>p{display:block}.flex{color:red}</style>`},
		"css-display-grid":                  {`<style>@media print{p{display:grid}}</style>`, 1, `<style>/* p{display:grid} */</style>`},
		"css-important":                     {`<p style="color:red!important">`, 1, `<p style="color:red">`},
		"css-unit-vw":                       {`<p style="width:3vw"><p style="margin:0 .5vw">`, 2, `<p style="font-family:avw;width:3vwx">`},
		"css-opacity":                       {`<p style="background:url(a;b);opacity:.5;color:red"/>`, 1, `<p style="background:url(a;opacity:1)">`},
		"css-unit-rem":                      {`<p style="width:1.rem">`, 1, `<p style="width:rem">`},
		"css-function-min":                  {`<p style="width:calc(1px + min(1px,2px))">`, 1, `<p style="width:a-min(1px)">`},
		"css-unit-ch":                       {`<p style="width:30ch">`, 1, `<p style="background:url(x9ch9)">`},
		"css-function-max":                  {`<p style="width:max(1px,2px)">`, 1, `<p style="grid-template-columns:minmax(1px,2px)">`},
		"css-variables":                     {`<p style="color:var(--x)">`, 1, `<p style="color:my-var(--x)">`},
		"css-at-media":                      {`<style>@media screen{a{b:c}}</style>`, 1, `<style>a{b:c}</style>@media`},
		"css-at-import":                     {`<style>@import url(a;b.css); a{b:c}</style>`, 1, `<style>a{b:"@import x;"}</style>`},
		"css-at-media-prefers-color-scheme": {`<style>@media (prefers-color-scheme: dark){a{b:c}}</style>`, 1, `<style>@media print{a{b:c}}</style>`},
		"css-pseudo-class-hover":            {`<style>a:hover,b:hover{b:c}</style>`, 1, `<style>a{content:":hover{"}</style>`},
		"image-webp":                        {`<img src="http://x.test/A.WEBP?w=1"><p style="background:url('a.webp') red">`, 2, `<img src="a.png?x=.webp">`},
		"image-base64":                      {`<img src="data:image/png;base64,AAAA"><p style="background-image:url(data:image/png;base64,AA);color:red">`, 2, `<img src="a.png">`},
		"html-anchor-links":                 {`<a href="#top">x</a>`, 1, `<a href="http://x.test/#top">x</a>`},
		"html-meta-color-scheme":            {`<meta name="color-scheme" content="dark">`, 1, `<meta name="viewport">`},
	} {
		times := func(source string) int {
			for _, w := range checkHTML(source).Warnings {
				if w.Slug == slug {
					return w.Score.Found
				}
			}
			return 0
		}
		if n, m := times(c.with), times(c.without); n != c.times || m != 0 {
			t.Errorf("%s: %d and %d times", slug, n, m)
		}
	}
}

// TestCheckScores: scores are per cent of those of whom it is known, and their mean is the total.
func TestCheckScores(t *testing.T) {
	c := checkHTML(`<p style="display:flex"><video></video>`)
	if len(c.Warnings) != 2 || c.Warnings[0].Slug != "html-video" {
		t.Fatalf("%+v", c.Warnings)
	}
	var sum total
	for _, w := range c.Warnings {
		if all := w.Score.Supported + w.Score.Partial + w.Score.Unsupported; all < 99.99 || all > 100.01 {
			t.Errorf("%s: %v per cent", w.Slug, all)
		}
		sum.Unsupported += w.Score.Unsupported / 2
		sum.Partial += w.Score.Partial / 2
	}
	if all := c.Total.Supported + c.Total.Partial + c.Total.Unsupported; all < 99.99 || all > 100.01 || c.Total.Unsupported != sum.Unsupported || c.Total.Partial != sum.Partial || c.Total.Nodes != 2 {
		t.Errorf("%+v", c.Total)
	}
	if w := checkHTML(`<svg/><body><p style="width:1px"><style>`).Warnings; len(w) != 4 || w[0].Slug != "html-svg" || w[3].Slug != "css-width" {
		t.Errorf("they are not in the order of who does not show them: %+v", w)
	}
	if !slices.Contains(c.Warnings[0].Without(), "Gmail") || !slices.Contains(c.Platforms["ios"], "Outlook") {
		t.Errorf("%v %v", c.Warnings[0].Without(), c.Platforms)
	}
	for _, hostile := range []string{"<style>", `<style>"`, "<style>/*", "<p style='((((((;{{{{'>", strings.Repeat("<p style=a:b;c:d;>", 100_000), "<style>" + strings.Repeat("/*", 300_000)} {
		if c := checkHTML(hostile); len(c.Warnings) > 1 || len(c.Warnings) == 1 && c.Warnings[0].Slug != "html-style" {
			t.Errorf("%.20q: %d", hostile, len(c.Warnings))
		}
	}
}
