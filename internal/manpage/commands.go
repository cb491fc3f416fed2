package manpage

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands makes a page of root and of each command below it that its help
// lists. also are the names of pages that root's refers to, such as
// "postrider.conf(5)".
func Commands(root *cobra.Command, also ...string) []*Page {
	page := command(root, also)
	pages := []*Page{page}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			pages = append(pages, Commands(c)...)
		}
	}
	return pages
}

// pageName is "postrider-user-add" of "postrider user add".
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func command(c *cobra.Command, also []string) *Page {
	var w writer
	w.heading("SYNOPSIS")
	w.line(bold(c.CommandPath()) + operands(c))
	w.heading("DESCRIPTION")
	if c.Long != "" {
		w.plain(c.Long, false)
	} else {
		w.line(escape(c.Short) + ".")
	}
	subcommands(&w, c)
	flags(&w, c.NonInheritedFlags())
	if c.Example != "" {
		w.heading("EXAMPLES")
		w.verbatim(unindent(strings.Split(strings.Trim(c.Example, "\n"), "\n")))
	}
	if c.HasParent() {
		also = append([]string{pageName(c.Parent()) + "(1)"}, also...)
	}
	if len(also) > 0 {
		w.heading("SEE ALSO")
		w.line(escape(strings.Join(also, ", ")))
	}
	return &Page{Name: pageName(c), Section: 1, Short: c.Short, Text: w.b.String()}
}

// operands is how the command line goes on behind the command's name.
func operands(c *cobra.Command) string {
	if c.HasAvailableSubCommands() {
		return ` \fICOMMAND\fR`
	}
	_, rest, _ := strings.Cut(c.Use, " ")
	if rest = escape(rest); !c.DisableFlagParsing && c.HasAvailableFlags() {
		rest += " [flags]"
	}
	return " " + strings.TrimSpace(rest)
}

func subcommands(w *writer, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	w.heading("COMMANDS")
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			w.item(bold(pageName(sub)) + "(1)")
			w.line(escape(sub.Short))
		}
	}
}

func flags(w *writer, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	w.heading("OPTIONS")
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		tag := bold("--" + f.Name)
		if f.Shorthand != "" {
			tag = bold("-"+f.Shorthand) + ", " + tag
		}
		if value != "" {
			tag += ` \fI` + escape(value) + `\fR`
		}
		w.item(tag)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" && f.DefValue != "0s" {
			usage += " (default " + f.DefValue + ")"
		}
		w.plain(usage, true)
	})
}

// Called makes the page of a command under another name that it is called by.
func Called(c *cobra.Command, name string, section int, short string) *Page {
	var w writer
	w.heading("SYNOPSIS")
	w.line(bold(name) + operands(c))
	w.heading("DESCRIPTION")
	w.plain(c.Long, false)
	w.heading("SEE ALSO")
	w.line(escape(pageName(c) + "(1)"))
	return &Page{Name: name, Section: section, Short: short, Text: w.b.String()}
}
