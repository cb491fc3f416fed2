package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Dumps of databases of virtual users, as mysqldump, mariadb-dump and pg_dump write them. What is read are the rows of the
// tables that mail systems are known to keep accounts and aliases in; the rest passes unread.

// sqlRow is a row of a table, by column. What is NULL is not in it.
type sqlRow map[string]string

// rowsOf hands the rows of these tables to do, with the line where each begins.
func rowsOf(r io.Reader, tables []string, do func(table string, line int, row sqlRow)) error {
	b, start := begins(r)
	d := &sqlDump{r: b, line: 1, columns: make(map[string][]string), want: tables, do: do}
	d.mysql = strings.Contains(start, "MySQL dump") || strings.Contains(start, "MariaDB dump")
	for {
		t, err := d.token()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case t.is("CREATE"):
			err = d.create()
		case t.is("INSERT"), t.is("REPLACE"):
			err = d.insert()
		case t.is("COPY"):
			err = d.copied()
		case t.kind == 0 && t.text == ";":
		default:
			err = d.skip()
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("line %d: the dump makes no sense: %w", d.line, err)
		}
	}
}

type sqlDump struct {
	r       *bufio.Reader
	line    int
	mysql   bool // backslashes in strings escape: seen by its first lines, or its names in backticks, before any string
	columns map[string][]string
	want    []string
	do      func(string, int, sqlRow)
}

// sqlToken is a word as it stands ('w'), a name in quotes ('n'), a string ('s'), which is a name in MySQL's ANSI mode, or one character (0).
type sqlToken struct {
	kind byte
	text string
}

func (t sqlToken) is(word string) bool { return t.kind == 'w' && strings.EqualFold(t.text, word) }

// longestToken bounds a string, in octets. No address or hash comes near.
const longestToken = 16 << 20

func (d *sqlDump) octet() (byte, error) {
	c, err := d.r.ReadByte()
	if c == '\n' {
		d.line++
	}
	return c, err
}

func (d *sqlDump) next(text string) bool {
	ahead, _ := d.r.Peek(len(text))
	return string(ahead) == text
}

// through reads up to the end of a comment.
func (d *sqlDump) through(end string) error {
	for !d.next(end) {
		if _, err := d.octet(); err != nil {
			return err
		}
	}
	for range len(end) {
		if _, err := d.octet(); err != nil {
			return err
		}
	}
	return nil
}

func (d *sqlDump) token() (sqlToken, error) {
	for {
		switch {
		case d.next("--"), d.next(`\`): // comments, and commands to psql
			if err := d.through("\n"); err != nil {
				return sqlToken{}, err
			}
			continue
		case d.next("/*"):
			if err := d.through("*/"); err != nil {
				return sqlToken{}, err
			}
			continue
		}
		c, err := d.octet()
		switch {
		case err != nil:
			return sqlToken{}, err
		case strings.IndexByte(" \t\r\n", c) >= 0:
			continue
		case c == '`', c == '"' && !d.mysql:
			d.mysql = d.mysql || c == '`'
			text, err := d.quoted(c, false)
			return sqlToken{'n', text}, err
		case c == '\'', c == '"':
			text, err := d.quoted(c, d.mysql)
			return sqlToken{'s', text}, err
		case c == '$' && !d.mysql: // the body of a function, between two tags
			ahead, _ := d.r.Peek(64)
			if end := strings.IndexByte(string(ahead), '$'); end >= 0 && !strings.ContainsFunc(string(ahead[:end]), func(r rune) bool { return r >= 0x80 || !sqlWord(byte(r)) }) {
				tag := "$" + string(ahead[:end+1])
				d.r.Discard(end + 1)
				return sqlToken{'s', ""}, d.through(tag)
			}
		case !sqlWord(c):
			return sqlToken{0, string(rune(c))}, nil
		}
		word := []byte{c}
		for {
			ahead, _ := d.r.Peek(1)
			if len(ahead) == 0 || !sqlWord(ahead[0]) || len(word) > longestLine {
				break
			}
			d.r.Discard(1)
			word = append(word, ahead[0])
		}
		if d.next("'") && strings.EqualFold(string(word), "E") { // PostgreSQL's string with escapes
			d.r.Discard(1)
			text, err := d.quoted('\'', true)
			return sqlToken{'s', text}, err
		}
		return sqlToken{'w', string(word)}, nil
	}
}

func sqlWord(c byte) bool {
	return c >= 0x80 || c == '_' || c == '$' || c == '.' || c == '-' || c == '+' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// quoted reads up to the closing quote; a doubled one is one.
func (d *sqlDump) quoted(quote byte, escapes bool) (string, error) {
	var b strings.Builder
	for b.Len() < longestToken {
		c, err := d.octet()
		if err != nil {
			return "", err
		}
		switch {
		case c == '\\' && escapes:
			if c, err = d.octet(); err != nil {
				return "", err
			}
			b.WriteByte(unescaped(c))
		case c == quote && d.next(string(quote)):
			d.r.Discard(1)
			b.WriteByte(c)
		case c == quote:
			return b.String(), nil
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("a string does not end")
}

// unescaped is what stands for an octet behind a backslash.
func unescaped(c byte) byte {
	if i := strings.IndexByte("0ntrbZ", c); i >= 0 {
		return "\x00\n\t\r\b\x1a"[i]
	}
	return c
}

// skip reads up to the end of a statement.
func (d *sqlDump) skip() error {
	for {
		if t, err := d.token(); err != nil || t.kind == 0 && t.text == ";" {
			return err
		}
	}
}

// name reads a table's name without its schema, and what follows it.
func (d *sqlDump) name() (name string, after sqlToken, err error) {
	for {
		t, err := d.token()
		if err != nil {
			return "", t, err
		}
		switch {
		case t.is("IF"), t.is("NOT"), t.is("EXISTS"), t.is("IGNORE"), t.is("INTO"), t.is("ONLY"), t.is("TABLE"):
		case t.kind != 0:
			name += t.text // a schema in quotes ends with a dot of its own
		default:
			return strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]), t, nil
		}
		if t.is("VALUES") {
			name = strings.TrimSuffix(name, t.text)
			return strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]), t, nil
		}
	}
}

// create learns the columns of a table.
func (d *sqlDump) create() error {
	t, err := d.token()
	if err != nil {
		return err
	}
	if !t.is("TABLE") {
		return d.skip()
	}
	name, after, err := d.name()
	if err != nil || after.text != "(" {
		return err
	}
	var columns []string
	for depth, first := 1, true; depth > 0; {
		if t, err = d.token(); err != nil {
			return err
		}
		switch {
		case t.kind == 0 && t.text == "(":
			depth++
		case t.kind == 0 && t.text == ")":
			depth--
		case t.kind == 0 && t.text == "," && depth == 1:
			first = true
			continue
		case first && (t.kind == 'n' || t.kind == 's' || t.kind == 'w' && !slices.Contains([]string{"PRIMARY", "KEY", "UNIQUE", "CONSTRAINT", "INDEX", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK"}, strings.ToUpper(t.text))):
			columns = append(columns, strings.ToLower(t.text))
		}
		first = false
	}
	d.columns[name] = columns
	return d.skip()
}

// insert reads the rows of INSERT INTO.
func (d *sqlDump) insert() error {
	name, t, err := d.name()
	if err != nil {
		return err
	}
	columns := d.columns[name]
	if t.kind == 0 && t.text == "(" {
		columns = nil
		for t.text != ")" || t.kind != 0 {
			if t, err = d.token(); err != nil {
				return err
			}
			if t.kind != 0 {
				columns = append(columns, strings.ToLower(t.text))
			}
		}
		if t, err = d.token(); err != nil {
			return err
		}
	}
	if !slices.Contains(d.want, name) || !t.is("VALUES") {
		return d.skip()
	}
	row, values, depth := sqlRow{}, 0, 0
	for {
		if t, err = d.token(); err != nil {
			return err
		}
		switch {
		case t.kind == 0 && t.text == ";" && depth == 0:
			return nil
		case t.kind == 0 && t.text == "(":
			if depth++; depth == 1 {
				row, values = sqlRow{}, 0
			}
		case t.kind == 0 && t.text == ")":
			if depth--; depth == 0 {
				if values++; values != len(columns) {
					return fmt.Errorf("a row of %s has %d values, and the table %d columns", name, values, len(columns))
				}
				d.do(name, d.line, row)
			}
		case t.kind == 0 && t.text == "," && depth == 1:
			values++
		case depth == 1 && values < len(columns) && !t.is("NULL") && !t.is("_binary"):
			row[columns[values]] += t.text
		}
	}
}

// copied reads the rows of COPY ... FROM stdin: a line each, with tabs between, up to a line "\.".
func (d *sqlDump) copied() error {
	name, t, err := d.name()
	var columns []string
	for err == nil && !(t.kind == 0 && t.text == ";") {
		if t.kind != 0 && !t.is("FROM") && !t.is("stdin") {
			columns = append(columns, strings.ToLower(t.text))
		}
		t, err = d.token()
	}
	if err != nil {
		return err
	}
	if err := d.through("\n"); err != nil {
		return err
	}
	for {
		text, err := d.r.ReadString('\n')
		if err != nil {
			return err
		}
		d.line++
		text = strings.TrimRight(text, "\r\n")
		if text == `\.` {
			return nil
		}
		if !slices.Contains(d.want, name) {
			continue
		}
		values := strings.Split(text, "\t")
		if len(values) != len(columns) {
			return fmt.Errorf("a row of %s has %d values, and the table %d columns", name, len(values), len(columns))
		}
		row := sqlRow{}
		for i, v := range values {
			if v != `\N` {
				row[columns[i]] = uncopied(v)
			}
		}
		d.do(name, d.line-1, row)
	}
}

func uncopied(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
			b.WriteByte(unescaped(v[i]))
		} else {
			b.WriteByte(v[i])
		}
	}
	return b.String()
}
