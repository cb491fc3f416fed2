// Package manpage writes manual pages for man(1): of commands, from the same
// texts as their --help; of settings, from the reference; and of pages in
// Markdown. It uses few of the macros of man(7), so that groff and mandoc both
// read them without a warning.
package manpage
