package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider-mail/postrider/internal/sink"
	"github.com/postrider-mail/postrider/internal/sink/catch"
	"github.com/postrider-mail/postrider/parsers/config"
	"github.com/postrider-mail/postrider/parsers/rules"
	"github.com/postrider-mail/postrider/smtp"
)

// The flags of the sinkhole server that "postrider sink" takes the place of: its command lines, with addresses to listen at and
// names behind a single dash, go on as they were.

// oldSinkFlags are they.
type oldSinkFlags struct {
	slow, force, refuse, noStandard, perIP bool
	save, hash, log, talk, local           string
	files, from, to, helo                  []string
	count                                  int
	long, least, idleLog, pprof            string

	open []io.Closer
}

// oldSinkNames are those of more than one letter, which stood behind a single dash.
var oldSinkNames = []string{"helo", "conncfg", "smtplog", "save-hash", "force-receive", "nostdrules", "fromreject", "toaccept", "heloreject",
	"dncount", "dndur", "minphase", "dnlog", "pprof", "statsperip"}

// oldSinkArgs gives the old names of "sink" their second dash.
func oldSinkArgs(args []string) []string {
	if len(args) == 0 || args[0] != "sink" {
		return args
	}
	all := append([]string(nil), args...)
	for i, arg := range all {
		if arg == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		for _, old := range oldSinkNames {
			if name == old && arg[0] == '-' {
				all[i] = "-" + arg
			}
		}
	}
	return all
}

func (f *oldSinkFlags) add(c *cobra.Command, o *catch.Options) {
	fl := c.Flags()
	fl.StringVar(&o.Hostname, "helo", o.Hostname, "the same as --hostname")
	fl.BoolVarP(&f.slow, "slow", "S", false, "say ten octets a second")
	fl.StringVar(&f.local, "conncfg", "", "a file of lines \"LOCAL hostname=NAME cert=FILE key=FILE\", by the local address")
	fl.StringVarP(&f.save, "save", "d", "", "a folder where each message is saved as a file, with another of what is known of it")
	fl.StringVar(&f.hash, "save-hash", "all", "what the files are named by: msg, full (and the envelope) or all (and when it came)")
	fl.StringVarP(&f.log, "log", "l", "", "a file that gets a line of JSON for each message; \"-\" is standard output")
	fl.StringVar(&f.talk, "smtplog", "", "a file that gets all that is said")
	fl.BoolVar(&f.force, "force-receive", false, "with addresses as arguments: take mail that is not saved")
	fl.BoolVarP(&f.refuse, "refuse-all", "M", false, "refuse each message when it has come, and was saved")
	fl.StringSliceVarP(&f.files, "rule-files", "r", nil, "files of rules, the first of which come first")
	fl.BoolVar(&f.noStandard, "nostdrules", false, "with addresses as arguments: without the rules that are there")
	fl.StringSliceVar(&f.from, "fromreject", nil, "files of senders that are refused")
	fl.StringSliceVar(&f.to, "toaccept", nil, "a file of recipients; others are refused")
	fl.StringSliceVar(&f.helo, "heloreject", nil, "files of names that clients are refused for")
	fl.IntVar(&f.count, "dncount", 0, "how often a client may connect and do nothing, before it is turned away")
	fl.StringVar(&f.long, "dndur", "1h", "within which time, and for how long")
	fl.StringVar(&f.least, "minphase", "message", "what is something: helo, from, to, data, message or accepted")
	fl.StringVar(&f.idleLog, "dnlog", "", "a file that gets a line for each client that did nothing")
	fl.StringVar(&f.pprof, "pprof", "", "not used")
	fl.BoolVar(&f.perIP, "statsperip", false, "not used")
	for _, name := range []string{"save", "rule-files", "fromreject", "toaccept", "heloreject", "conncfg"} {
		c.MarkFlagFilename(name)
	}
	c.MarkFlagsMutuallyExclusive("helo", "hostname")
	c.MarkFlagsMutuallyExclusive("toaccept", "allowed-recipients")
}

// errKeepsNothing: whoever forgets where mail is saved would lose it without a word.
var errKeepsNothing = errors.New("nothing says where messages are saved: name a folder with -d, refuse them with -M, or take them all the same with --force-receive")

// apply makes Options of the flags. Whoever names addresses as arguments gets the sinkhole as it was: at them, with the rules that it always had, and
// no pages.
func (f *oldSinkFlags) apply(c *cobra.Command, o *catch.Options, addresses []string) (unused []string, err error) {
	var texts strings.Builder
	if len(addresses) > 0 {
		if f.save == "" && !f.refuse && !f.force && o.Dir == "" {
			return nil, errKeepsNothing
		}
		o.SMTP, o.MoreSMTP = addresses[0], addresses[1:]
		for flag, addr := range map[string]*string{"http": &o.HTTP, "pop3": &o.POP3} {
			if !c.Flags().Changed(flag) {
				*addr = ""
			}
		}
		if o.HTTP == "" && o.POP3 == "" && o.Dir == "" && !c.Flags().Changed("max-messages") {
			o.Limits.Messages = 1 // nobody could look at more
		}
		if !c.Flags().Changed("helo") && !c.Flags().Changed("hostname") {
			o.Hostname = "" // that of this host
		}
	}
	for _, s := range []struct {
		files []string
		rule  string
	}{{f.from, "@from reject from"}, {f.helo, "@helo reject helo"}, {f.to, "@to reject not to"}} {
		for _, name := range s.files {
			if name, err = filepath.Abs(name); err != nil {
				return nil, err
			}
			fmt.Fprintf(&texts, "%s %s\n", s.rule, quoted("file:"+name))
		}
	}
	if len(addresses) > 0 && !f.noStandard {
		texts.WriteString(rules.Standard)
	}
	o.RuleFiles = append(o.RuleFiles, f.files...)
	o.Rules = strings.TrimPrefix(o.Rules+"\n", "\n") + texts.String()
	o.Slow, o.ConnConfig, o.RefuseAll = f.slow, f.local, f.refuse
	for name, is := range map[string]bool{"--pprof": f.pprof != "", "--statsperip": f.perIP} {
		if is {
			unused = append(unused, name+": what the sink does is counted at /api/v1/info of its pages")
		}
	}
	return unused, errors.Join(f.applySaving(c, o), f.applyYakkers(c, o))
}

// quoted is a string as rules have it.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func (f *oldSinkFlags) applySaving(c *cobra.Command, o *catch.Options) (err error) {
	o.Save = &sink.Saver{Dir: f.save}
	if o.Save.Hash, err = sink.ParseHashOf(f.hash); err != nil {
		return fmt.Errorf("--save-hash: %w", err)
	}
	if f.log != "" {
		if o.Save.Log, err = f.lines(c, f.log); err != nil {
			return fmt.Errorf("--log: %w", err)
		}
	}
	if f.talk == "" {
		return nil
	}
	talk, err := f.lines(c, f.talk)
	if err != nil {
		return fmt.Errorf("--smtplog: %w", err)
	}
	o.Heard = func(s *smtp.Session, dir byte, text string) {
		fmt.Fprintf(talk, "%s %s %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), s.ID, s.RemoteAddr, sink.Line{From: dir, Text: text})
	}
	return nil
}

func (f *oldSinkFlags) applyYakkers(c *cobra.Command, o *catch.Options) (err error) {
	y := &sink.Yakkers{Count: f.count}
	if y.For, err = config.ParseDuration(f.long); err != nil {
		return fmt.Errorf("--dndur: %w", err)
	}
	if y.Least, err = sink.ParseReached(f.least); err != nil {
		return fmt.Errorf("--minphase: %w", err)
	}
	if f.count < 0 {
		return fmt.Errorf("--dncount: %d is no number from 0 on", f.count)
	}
	if f.idleLog != "" {
		lines, err := f.lines(c, f.idleLog)
		if err != nil {
			return fmt.Errorf("--dnlog: %w", err)
		}
		y.Log = slog.New(slog.NewJSONHandler(lines, nil))
	}
	o.Yakkers = y
	return nil
}

// lines opens a file that gets lines at its end; "-" is standard output.
func (f *oldSinkFlags) lines(c *cobra.Command, name string) (io.Writer, error) {
	if name == "-" {
		return &oneByOne{w: c.OutOrStdout()}, nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.open = append(f.open, file)
	return &oneByOne{w: file}, nil
}

// close gives back what lines opened.
func (f *oldSinkFlags) close() {
	for _, file := range f.open {
		file.Close()
	}
}

// oneByOne is a writer for several goroutines.
type oneByOne struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (o *oneByOne) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}
