package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/postrider-mail/postrider/parsers/config"
)

// loaded is a pattern file that was read.
type loaded struct {
	table *table
	spans *spans
}

// fileOf is the file that a pattern names, if it does.
func (p *parser) fileOf(arg token) (name string, ok bool) {
	name, ok = strings.CutPrefix(arg.text, "file:")
	if ok || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") {
		return p.beside(name), true
	}
	return "", false
}

// read reads a file whose octets are bounded.
func (w *work) read(name string, most int64) ([]byte, error) {
	f, err := w.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := int64(0)
	if s, ok := f.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := s.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	b := bytes.NewBuffer(make([]byte, 0, min(size, most)+bytes.MinRead+1))
	n, err := b.ReadFrom(io.LimitReader(f, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("%s: %w", name, errTooLarge)
	}
	return b.Bytes(), err
}

// openFile opens a file, and nothing that would keep who reads it waiting for ever.
func openFile(name string) (io.ReadCloser, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it is no file")}
	}
	if err != nil {
		return nil, err
	}
	return os.Open(name)
}

// closedPath is an error without what was done when it came.
func closedPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// file returns what is in a pattern file, read by parse where it was not yet: never is what it must be told by
// if it is missing or empty.
func (p *parser) file(arg token, name, as string, parse func(text []byte, fail func(number int, line string, err error)) *loaded) (*loaded, error) {
	key := as + " " + name
	l, ok := p.tables[key]
	if !ok {
		p.note(name)
		text, err := p.read(name, longestTable)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.warn(arg.at, "%w; the rule is never true", closedPath(err))
		case err != nil:
			return nil, closedPath(err)
		default:
			bad := len(p.errs)
			l = parse(text, func(number int, line string, err error) {
				if len(p.errs) < bad+mostErrors {
					e := config.NewText(name, []byte(line)).ErrorAt(0, err)
					e.Line = number
					p.errs = append(p.errs, e)
				}
			})
			if len(p.errs) == bad && (l.table == nil || len(l.table.text) == 0) && (l.spans == nil || l.spans.empty()) {
				p.warn(arg.at, "%s holds no patterns; the rule is never true", name)
				l = nil
			}
		}
		p.tables[key] = l
	}
	if l == nil {
		p.clause.never = true
		return &loaded{table: newTable(nil, false), spans: &spans{}}, nil
	}
	return l, nil
}

// patterns is the set that an argument names: a pattern, or a file of them.
func (p *parser) patterns(arg token, fact Fact, form syntaxOf) (matcher, error) {
	hosts := fact == Helo || fact == Host || fact == Signer
	if name, ok := p.fileOf(arg); ok {
		kind := "addresses"
		if hosts {
			kind = "hosts"
		}
		l, err := p.file(arg, name, kind, func(text []byte, fail func(int, string, error)) *loaded {
			return &loaded{table: newTable(entries(text, hosts, form, fail), hosts)}
		})
		if err != nil {
			return nil, err
		}
		return l.table, nil
	}
	canonical, err := form(arg.text)
	if err != nil {
		return nil, err
	}
	return newOne(canonical, hosts), nil
}

// addresses is the set of addresses that an argument names.
func (p *parser) addresses(arg token) (*spans, error) {
	loose := func(at int, text string) {
		p.warn(at, "%q is an address within a network, and stands for all of it", text)
	}
	if name, ok := p.fileOf(arg); ok {
		l, err := p.file(arg, name, "ip", func(text []byte, fail func(int, string, error)) *loaded {
			all := make([]span, 0, bytes.Count(text, []byte{'\n'})+1)
			eachLine(text, func(number int, entry []byte) {
				s, err := parseSpan(string(entry))
				switch {
				case err == errLoose:
					loose(arg.at, fmt.Sprintf("%s:%d: %s", name, number, entry))
				case err != nil:
					fail(number, string(entry), err)
				}
				all = append(all, s)
			})
			set := newSpans(all)
			return &loaded{spans: &set}
		})
		if err != nil {
			return nil, err
		}
		return l.spans, nil
	}
	s, err := parseSpan(arg.text)
	if err == errLoose {
		loose(arg.at, arg.text)
		err = nil
	}
	set := newSpans([]span{s})
	return &set, err
}
