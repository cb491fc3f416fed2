package web

import (
	"cmp"
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed support.txt
var supportText string

// program is one that shows mail, with the names that the table's source has for its family and what it runs on.
type program struct{ name, family, familyName, platform string }

// feature is something in HTML that not all programs show.
type feature struct {
	slug, title string
	answers     string // a letter for each program: y, a(lmost), n, u(nknown)
	kind        string // of what finds it; see used.times
	words       []string
}

type supportTable struct {
	programs []program
	features []feature
}

// readSupport reads the table; its test reads it as well, so that what is wrong is found there.
var readSupport = sync.OnceValue(func() (t supportTable) {
	for line := range strings.Lines(supportText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch f[0] {
		case "program":
			t.programs = append(t.programs, program{f[1], f[2], f[3], f[4]})
		case "feature":
			kind, words, _ := strings.Cut(f[3], ":")
			t.features = append(t.features, feature{slug: f[1], answers: f[2], kind: kind, words: strings.Fields(words), title: f[4]})
		}
	}
	return t
})

// The answer about a message's HTML, in the form of Mailpit's.
type (
	checked struct {
		Warnings  []warning
		Platforms map[string][]string
		Total     total
	}
	warning struct {
		Slug, Title, Description, URL, Category string
		Tags                                    []string
		Keywords                                string
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

// mostChecked is how much of the HTML is looked at, in octets.
const mostChecked = 1 << 20

// checkHTML finds what some programs do not show. The scores are per cent of the programs of which it is known; the total is their
// mean over what the message uses.
func checkHTML(source string) checked {
	t, u := readSupport(), usedBy(source[:min(len(source), mostChecked)])
	c := checked{Warnings: []warning{}, Platforms: make(map[string][]string), Total: total{Tests: len(t.features), Nodes: u.nodes}}
	for _, p := range t.programs {
		if list := c.Platforms[p.platform]; !slices.Contains(list, p.family) {
			c.Platforms[p.platform] = append(list, p.family)
		}
	}
	for i := range t.features {
		f := &t.features[i]
		if n := u.times(f); n > 0 {
			c.Warnings = append(c.Warnings, f.warning(n, t.programs))
		}
	}
	for _, w := range c.Warnings {
		c.Total.Partial += w.Score.Partial / float64(len(c.Warnings))
		c.Total.Unsupported += w.Score.Unsupported / float64(len(c.Warnings))
	}
	c.Total.Supported = 100 - c.Total.Partial - c.Total.Unsupported
	slices.SortStableFunc(c.Warnings, func(a, b warning) int {
		return cmp.Or(cmp.Compare(b.Score.Unsupported, a.Score.Unsupported), cmp.Compare(b.Score.Partial, a.Score.Partial))
	})
	return c
}

func (f *feature) warning(n int, programs []program) warning {
	category, _, _ := strings.Cut(f.slug, "-")
	w := warning{Slug: f.slug, Title: f.title, URL: "https://www.caniemail.com/features/" + f.slug + "/", Category: category, Tags: []string{}, Results: []support{}, NotesByNumber: map[string]string{}}
	known := float64(len(f.answers) - strings.Count(f.answers, "u"))
	for i, p := range programs {
		s := support{Name: p.name, Platform: p.platform, Family: p.familyName}
		switch f.answers[i] {
		case 'y':
			s.Support = "yes"
			w.Score.Supported += 100 / known
		case 'a':
			s.Support = "partial"
			w.Score.Partial += 100 / known
		case 'n':
			s.Support = "no"
			w.Score.Unsupported += 100 / known
		default:
			continue
		}
		w.Results = append(w.Results, s)
	}
	w.Score.Found = n
	return w
}

// Without are the programs that do not show it, and In those that do in part.
func (w warning) Without() []string { return w.programs("no") }

// InPart are the programs that show a part of it.
func (w warning) InPart() []string { return w.programs("partial") }

func (w warning) programs(how string) (names []string) {
	for _, r := range w.Results {
		if r.Support == how {
			names = append(names, r.Name)
		}
	}
	return names
}
