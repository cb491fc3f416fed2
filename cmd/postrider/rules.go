package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/conf"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/domains"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/rfc2822"
)

func rulesCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "rules",
		Short: "Check, format and try rules about mail that comes in",
		Long: `Check, format and try the rules that say what is refused, marked, slowed down or put aside:
those of the settings ("Rules"), or of files.`,
	}, rulesCheckCommand(), rulesFmtCommand(), rulesTestCommand())
}

// theRules are those of files, or of the settings where none is named.
func theRules(path string, files []string) (*rules.Set, error) {
	if len(files) > 0 {
		return rules.ParseFiles(files...)
	}
	s, err := conf.Load(confPath(path))
	if err != nil {
		return nil, err
	}
	return s.MailRules()
}

func rulesCheckCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Say everything that is wrong with rules",
		Long: `Read rules, the files that they include, and their pattern files, and say what is wrong, each
with its place. Notes tell what is not wrong, but may not be meant so: rules that are never
reached, and those that let in whoever says that he is somebody. Without FILE it is the rules
of the settings; "postrider check" checks these, too.`,
		Example: "  postrider rules check mail.rules\n  postrider rules check -c /etc/postrider",
		RunE: func(cmd *cobra.Command, files []string) error {
			set, err := theRules(path, files)
			var wrong config.Errors
			if errors.As(err, &wrong) {
				fmt.Fprintln(cmd.ErrOrStderr(), wrong)
				fmt.Fprintln(cmd.ErrOrStderr(), count(len(wrong), "problem"))
				return errSaid
			}
			if err != nil {
				return err
			}
			for _, w := range append(set.Warnings(), conf.IdleOptions(set)...) {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: %v\n", w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s, nothing wrong\n", count(set.Len(), "rule"))
			return nil
		},
	}
	confFlag(c, &path)
	return c
}

func rulesFmtCommand() *cobra.Command {
	var write, numbers bool
	c := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Put blanks and lines of rules in order",
		Long: `Print rules with their blanks and lines in order; "-" is standard input. Words, comments and the order
stay as they are: in each phase of a session the first rule that is true decides. With --numbers
each line has the number by which the log names its rule.`,
		Example: "  postrider rules fmt -w mail.rules\n  postrider rules fmt --numbers mail.rules",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			for _, name := range files {
				if err := formatRules(cmd, name, write, numbers); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&write, "write", "w", false, "write the file instead of printing it")
	c.Flags().BoolVarP(&numbers, "numbers", "n", false, "print the numbers of lines")
	c.MarkFlagsMutuallyExclusive("write", "numbers")
	return c
}

func formatRules(cmd *cobra.Command, name string, write, numbers bool) error {
	text, err := readRules(cmd, name)
	if err != nil {
		return err
	}
	formatted, err := rules.Format(name, text)
	switch {
	case err != nil:
		return err
	case write && name == "-":
		return errors.New("standard input cannot be written")
	case write && formatted == text:
		return nil
	case write:
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return replaceFile(name, formatted, info.Mode().Perm())
	case numbers:
		n := 0
		for line := range strings.Lines(formatted) {
			n++
			fmt.Fprintf(cmd.OutOrStdout(), "%4d  %s", n, line)
		}
		return nil
	}
	_, err = io.WriteString(cmd.OutOrStdout(), formatted)
	return err
}

func readRules(cmd *cobra.Command, name string) (string, error) {
	if name == "-" {
		text, err := io.ReadAll(cmd.InOrStdin())
		return string(text), err
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

// tryFlags are what a message is, for rules to be tried.
type tryFlags struct {
	conf, file                            string
	ip, localIP, helo, from, user, tls    string
	to, host, listed                      []string
	dns, spf, dkim, dmarc, trusted, clock string
	signer                                []string
}

func rulesTestCommand() *cobra.Command {
	var f tryFlags
	c := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Say which rule would decide about a message, and why",
		Long: `Go through the phases of a session with what the flags say, and print for each which rule decides, and
of the rules before it which condition was not true ("no") or not known ("unknown"). It asks neither the DNS nor the
server, and counts nothing: what no flag says is not known. Without FILE it is the rules of the
settings.`,
		Example: `  postrider rules test -f message.eml --ip 192.0.2.7 --helo mx.example.net --from ann@example.net --to bob@example.com
  postrider rules test mail.rules --from ann@example.net --to bob@example.com --spf fail`,
		RunE: func(cmd *cobra.Command, files []string) error {
			set, err := theRules(f.conf, files)
			if err != nil {
				return err
			}
			message, err := f.message()
			if err != nil {
				return err
			}
			f.try(cmd.OutOrStdout(), set, message)
			return nil
		},
	}
	confFlag(c, &f.conf)
	fl := c.Flags()
	fl.StringVarP(&f.file, "file", "f", "", "the message")
	fl.StringVar(&f.ip, "ip", "", "the client's address")
	fl.StringVar(&f.localIP, "local-ip", "", "the server's address")
	fl.StringVar(&f.helo, "helo", "", "what the client calls itself")
	fl.StringSliceVar(&f.host, "host", nil, "the client's confirmed names")
	fl.StringVar(&f.dns, "dns", "", "words about the reverse DNS, such as \"exists,good\"")
	fl.StringVar(&f.from, "from", "", `the envelope's sender, "<>" for the null sender`)
	fl.StringSliceVar(&f.to, "to", nil, "the envelope's recipients")
	fl.StringVar(&f.user, "user", "", "who has logged in (nobody)")
	fl.StringVar(&f.trusted, "trusted", "", "whether the client may send to other hosts: yes or no (whether somebody has logged in)")
	fl.StringVar(&f.tls, "tls", "", "off, 1.2 or 1.3")
	fl.StringVar(&f.spf, "spf", "", "the result of SPF")
	fl.StringVar(&f.dkim, "dkim", "", "the result of DKIM")
	fl.StringSliceVar(&f.signer, "signer", nil, "domains whose signatures pass")
	fl.StringVar(&f.dmarc, "dmarc", "", "the result of DMARC")
	fl.StringSliceVar(&f.listed, "listed", nil, "DNS lists that have the client")
	fl.StringVar(&f.clock, "time", "", "the time, as 2026-11-30T23:30 (now)")
	return c
}

// message is what the flags say.
func (f *tryFlags) message() (*rules.Case, error) {
	c := &rules.Case{Addrs: make(map[rules.Fact]netip.Addr), Text: make(map[rules.Fact][]string), Said: make(map[rules.Fact]string), Numbers: make(map[rules.Fact]int64), Now: time.Now()}
	for fact, text := range map[rules.Fact]string{rules.IP: f.ip, rules.LocalIP: f.localIP} {
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("--%s: %q is no address of a host, such as 192.0.2.7", map[rules.Fact]string{rules.IP: "ip", rules.LocalIP: "local-ip"}[fact], text)
		}
		c.Addrs[fact] = a.Unmap()
	}
	if f.clock != "" {
		var err error
		if c.Now, err = time.ParseInLocation("2006-01-02T15:04", f.clock, time.Local); err != nil {
			return nil, fmt.Errorf("%q is no time; write one like 2026-11-30T23:30", f.clock)
		}
	}
	if f.trusted == "" {
		f.trusted = map[bool]string{true: "yes", false: "no"}[f.user != ""]
	}
	if f.tls != "" && f.tls != "off" {
		f.tls = "on " + f.tls
	}
	for fact, words := range map[rules.Fact]string{rules.Host: f.dns, rules.SPF: f.spf, rules.DKIM: f.dkim, rules.DMARC: f.dmarc, rules.Trusted: f.trusted, rules.TLS: f.tls} {
		words = strings.ReplaceAll(words, ",", " ") // as they stand in rules
		for _, w := range strings.Fields(words) {
			if rules.Word(fact, w) == 0 {
				return nil, fmt.Errorf("--%s: %q is none of %s", map[rules.Fact]string{rules.Host: "dns", rules.SPF: "spf", rules.DKIM: "dkim",
					rules.DMARC: "dmarc", rules.Trusted: "trusted", rules.TLS: "tls"}[fact], w, strings.Join(rules.WordsOf(fact), ", "))
			}
		}
		if words != "" {
			c.Said[fact] = words
		}
	}
	c.Text[rules.User] = nil
	if f.user != "" {
		c.Text[rules.User] = []string{domains.CanonicalAddress(f.user).String()}
	}
	if f.helo != "" {
		c.Text[rules.Helo] = []string{f.helo}
	}
	if len(f.host) > 0 {
		c.Text[rules.Host] = f.host
	} else if f.dns == "nodns" {
		c.Text[rules.Host] = nil
	}
	if len(f.signer) > 0 {
		c.Text[rules.Signer] = f.signer
	}
	if f.from != "" {
		c.Text[rules.From] = []string{canonical(strings.Trim(f.from, "<>"))}
	}
	c.Lists = make(map[string]bool)
	for _, l := range f.listed {
		c.Lists[domains.Canonical(l).String()] = true
	}
	if f.file == "" {
		return c, nil
	}
	return c, f.read(c)
}

func canonical(address string) string {
	if address == "" {
		return ""
	}
	return domains.CanonicalAddress(address).String()
}

// read adds what the message says.
func (f *tryFlags) read(c *rules.Case) error {
	file, err := os.Open(f.file)
	if err != nil {
		return err
	}
	defer file.Close()
	header, body, err := rfc2822.Peek(file, 0)
	if err != nil {
		return err
	}
	size, err := io.Copy(io.Discard, body)
	if err != nil {
		return err
	}
	c.Numbers[rules.Size] = size
	c.Fields = make(map[string][]string)
	for field := range header.All() {
		name := strings.ToLower(field.Name())
		c.Fields[name] = append(c.Fields[name], strings.TrimSpace(field.Value()))
		if !field.Is("From") {
			continue
		}
		authors, _ := rfc2822.ReadAddressList(field.Value())
		for _, a := range authors {
			c.Text[rules.Author] = append(c.Text[rules.Author], domains.At(a.Local, domains.Canonical(a.Domain)).String())
		}
	}
	return nil
}

// try goes through the phases, until one refuses.
func (f *tryFlags) try(out io.Writer, set *rules.Set, c *rules.Case) {
	for p := rules.AtConnect; p <= rules.AtMessage; p++ {
		recipients := []string{""}
		if p == rules.AtTo && len(f.to) > 0 {
			recipients = f.to
		}
		if p > rules.AtTo {
			c.Text[rules.To] = nil
			for _, to := range f.to {
				c.Text[rules.To] = append(c.Text[rules.To], canonical(to))
			}
		}
		for i, to := range recipients {
			title := "@" + p.String()
			if to != "" {
				title += " " + to
				c.Text[rules.To] = []string{canonical(to)}
				c.Numbers[rules.Rcpts] = int64(i + 1)
			}
			d, steps := set.Explain(p, c)
			fmt.Fprintf(out, "%s: %s\n", title, decided(d))
			for _, s := range steps {
				fmt.Fprintf(out, "    %s:%d %s %s: %s\n", s.Rule.File, s.Rule.Line, s.Action, s.Text, because(s))
			}
			if d.Refuses() && p != rules.AtTo {
				return
			}
		}
	}
}

// decided tells a decision in words.
func decided(d rules.Decision) string {
	words := "no rule decides"
	if d.Action != rules.None {
		words = fmt.Sprintf("%s by %s:%d", d.Action, d.Rule.File, d.Rule.Line)
	}
	if d.Reply.Code != 0 && d.Action != rules.Drop {
		words += fmt.Sprintf(", %d %s %s", d.Reply.Code, d.Reply.Enhanced, strings.ReplaceAll(d.Reply.Text, "\n", "; "))
	}
	if d.Mailbox != "" && (d.Action == rules.Quarantine || d.Action == rules.Redirect) {
		words += ", to " + d.Mailbox
	}
	for _, t := range d.Tags {
		words += fmt.Sprintf(", %s: %s", t.Name, t.Value)
	}
	if d.Greylist.Rule.Line != 0 {
		words += fmt.Sprintf(", to come again by %s:%d", d.Greylist.Rule.File, d.Greylist.Rule.Line)
	}
	if d.Delay > 0 {
		words += ", after " + config.FormatDuration(d.Delay)
	}
	return words
}

// because tells why a clause holds or does not.
func because(s rules.Step) string {
	if s.Holds {
		return "yes"
	}
	last := s.Terms[len(s.Terms)-1]
	if len(s.Terms) == 1 && last.Text == s.Text {
		return last.Result
	}
	return fmt.Sprintf("%q: %s", last.Text, last.Result)
}
