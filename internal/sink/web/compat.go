package web

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// The programs that the table below knows about.
const (
	gmail   = "Gmail"
	outlook = "Outlook (Windows)"
	apple   = "Apple Mail"
	thunder = "Thunderbird"
)

var programs = []string{apple, gmail, outlook, thunder}

// feature is something in HTML that not all programs show. The table is small on purpose:
// what breaks layouts most often, as it is generally documented (caniemail.com has
// the long list, kept up to date by others).
type feature struct {
	slug, title, category string
	unsupported, partial  []string
	// tag, attribute and css find it: an element, an attribute, a part of a style.
	tag, attribute, css string
}

var features = []feature{
	{slug: "css-display-flex", title: "display: flex", category: "css", unsupported: []string{outlook}, css: "display:flex"},
	{slug: "css-display-grid", title: "display: grid", category: "css", unsupported: []string{outlook}, partial: []string{gmail}, css: "display:grid"},
	{slug: "css-position", title: "position", category: "css", unsupported: []string{gmail, outlook}, css: "position:"},
	{slug: "css-background-image", title: "background-image", category: "css", unsupported: []string{outlook}, css: "background-image:"},
	{slug: "css-border-radius", title: "border-radius", category: "css", unsupported: []string{outlook}, css: "border-radius:"},
	{slug: "css-variables", title: "variables: var(--x)", category: "css", unsupported: []string{gmail, outlook}, css: "var(--"},
	{slug: "css-animation", title: "animation", category: "css", unsupported: []string{gmail, outlook}, css: "animation"},
	{slug: "css-at-font-face", title: "@font-face", category: "css", unsupported: []string{gmail, outlook}, css: "@font-face"},
	{slug: "css-max-width", title: "max-width", category: "css", unsupported: []string{outlook}, css: "max-width:"},
	{slug: "html-svg", title: "<svg>", category: "html", unsupported: []string{gmail, outlook}, tag: "svg"},
	{slug: "html-video", title: "<video>", category: "html", unsupported: []string{gmail, outlook, thunder}, tag: "video"},
	{slug: "html-audio", title: "<audio>", category: "html", unsupported: []string{gmail, outlook, thunder}, tag: "audio"},
	{slug: "html-form", title: "<form>", category: "html", unsupported: []string{outlook}, partial: []string{gmail, apple, thunder}, tag: "form"},
	{slug: "html-link", title: "<link> to a style sheet", category: "html", unsupported: []string{gmail, outlook}, tag: "link"},
	{slug: "html-script", title: "<script>", category: "html", unsupported: programs, tag: "script"},
	{slug: "html-srcset", title: "srcset", category: "html", unsupported: []string{gmail, outlook}, attribute: "srcset"},
	{slug: "html-webp", title: "WebP images", category: "html", unsupported: []string{outlook}, css: ".webp"},
}

// The answer about a message's HTML.
type (
	checked struct {
		Warnings  []warning
		Platforms map[string][]string
		Total     total
	}
	warning struct {
		Slug, Title, Description, URL, Category string
		Tags, Keywords                          []string
		Results                                 []support
		NotesByNumber                           map[string]string
		Score                                   score
	}
	support struct{ Name, Platform, Family, Version, Support, NoteNumber string }
	score   struct {
		Found                           int
		Supported, Partial, Unsupported float64
	}
	total struct {
		Tests, Nodes                    int
		Supported, Partial, Unsupported float64
	}
)

// checkHTML finds what some programs do not show.
func checkHTML(source string) checked {
	nodes, found := count(source)
	c := checked{Warnings: []warning{}, Platforms: map[string][]string{"desktop-webmail": programs}, Total: total{Tests: len(features), Nodes: nodes}}
	for _, f := range features {
		n := found[f.slug]
		if n == 0 {
			continue
		}
		w := f.warning(n)
		c.Warnings = append(c.Warnings, w)
		c.Total.Partial += w.Score.Partial / float64(len(features))
		c.Total.Unsupported += w.Score.Unsupported / float64(len(features))
	}
	c.Total.Supported = 100 - c.Total.Partial - c.Total.Unsupported
	slices.SortFunc(c.Warnings, func(a, b warning) int { return cmp.Compare(b.Score.Unsupported, a.Score.Unsupported) })
	return c
}

func (f *feature) warning(n int) warning {
	w := warning{Slug: f.slug, Title: f.title, URL: "https://www.caniemail.com/features/" + f.slug + "/", Category: f.category, Tags: []string{}, Keywords: []string{}, NotesByNumber: map[string]string{}}
	for _, p := range programs {
		how := "yes"
		switch {
		case slices.Contains(f.unsupported, p):
			how = "no"
			w.Score.Unsupported += 100 / float64(len(programs))
		case slices.Contains(f.partial, p):
			how = "partial"
			w.Score.Partial += 100 / float64(len(programs))
		default:
			w.Score.Supported += 100 / float64(len(programs))
		}
		w.Results = append(w.Results, support{Name: p, Platform: "desktop-webmail", Family: p, Support: how})
	}
	w.Score.Found = n
	return w
}

// count is how many elements the HTML has, and how often it has each feature.
func count(source string) (nodes int, found map[string]int) {
	found = make(map[string]int)
	var styles strings.Builder
	within := ""
	for z := html.NewTokenizer(strings.NewReader(source)); ; {
		switch z.Next() {
		case html.ErrorToken:
			countStyles(styles.String(), found)
			return nodes, found
		case html.TextToken:
			if within == "style" {
				styles.Write(z.Text())
			}
		case html.EndTagToken:
			within = ""
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			nodes++
			within = t.Data
			countTag(&t, &styles, found)
		}
	}
}

func countTag(t *html.Token, styles *strings.Builder, found map[string]int) {
	has := make(map[string]bool)
	for _, a := range t.Attr {
		has[a.Key] = true
		if a.Key == "style" || a.Key == "src" {
			styles.WriteString(a.Val + ";")
		}
	}
	for _, f := range features {
		if f.tag == t.Data || f.attribute != "" && has[f.attribute] {
			found[f.slug]++
		}
	}
}

func countStyles(styles string, found map[string]int) {
	styles = strings.ToLower(strings.Join(strings.Fields(styles), ""))
	for _, f := range features {
		if f.css != "" {
			found[f.slug] += strings.Count(styles, f.css)
		}
	}
}
