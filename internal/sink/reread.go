package sink

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/postrider-mail/postrider/parsers/rules"
)

// following are files of rules that are read again when they have changed. What is wrong then is told, and the last good ones
// stay in force.
type following struct {
	texts []rules.Source // behind those of the files
	names []string
	seen  string // what the files were like
	next  time.Time
	log   *slog.Logger
}

// lookEvery is how often it is looked whether files have changed.
const lookEvery = time.Second

// Follow replaces the rules for all clients by those of files, and behind them of texts, and reads the files again when they have changed,
// with what they include and their patterns. Whoever starts the sink says which they are.
func (f *Faults) Follow(log *slog.Logger, names []string, texts ...rules.Source) error {
	w := &following{texts: texts, names: names, log: log}
	set, err := w.read()
	if err != nil {
		return err
	}
	if err := f.replace("", &faultSet{text: textOf(texts), rules: set, hits: make(map[string]uint64)}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.following, w.next = w, time.Now().Add(lookEvery)
	return nil
}

func textOf(texts []rules.Source) string {
	var b strings.Builder
	for _, t := range texts {
		b.WriteString(t.Text)
	}
	return b.String()
}

func (w *following) read() (*rules.Set, error) {
	sources := make([]rules.Source, 0, len(w.names)+len(w.texts))
	for _, name := range w.names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, rules.Source{Name: name, Text: string(text)})
	}
	set, err := (&rules.Compiler{}).Compile(append(sources, w.texts...)...)
	if err == nil {
		w.seen = stamps(set.Files())
	}
	return set, err
}

// stamps is what files are like.
func stamps(names []string) string {
	var b strings.Builder
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// reread reads the files again if they have changed.
func (f *Faults) reread(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w, old := f.following, f.sets[""]
	if w == nil || now.Before(w.next) {
		return
	}
	w.next = now.Add(lookEvery)
	names := w.names
	if old != nil {
		names = old.rules.Files()
	}
	before := w.seen
	is := stamps(names)
	if is == before {
		return
	}
	set, err := w.read()
	if err != nil {
		w.seen = is // it is told once
		w.log.Error("rules that have changed are not taken", "error", err)
		return
	}
	if old == nil {
		old = &faultSet{text: textOf(w.texts), hits: make(map[string]uint64)}
	}
	set.Resume(old.rules)
	if f.sets == nil {
		f.sets = make(map[string]*faultSet)
	}
	f.sets[""] = &faultSet{text: old.text, rules: set, hits: old.hits}
	if f.given == old {
		f.given = f.sets[""]
	}
	w.log.Info("rules have changed", "rules", set.Len())
}
