package reports

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a document. A stranger may have written it.
const (
	maxDepth = 16       // levels of elements or objects
	maxToken = 64 << 10 // octets of one tag, text or string
	maxName  = 64       // octets of a name that can be one of a report

	// tokenCost is what a tag or a text costs, as octets that were unpacked: a document
	// of nothing but "<a/>" is much more work than its size says.
	tokenCost = 32
)

var (
	errTooDeep  = fmt.Errorf("nested deeper than %d levels", maxDepth)
	errLongText = fmt.Errorf("one value is longer than %d octets", maxToken)
)

// visitor is told of each element or value when it ends: the names from the root to
// it, in lower case, and the text directly in it. path is only valid during the call.
type visitor func(path []string, text string)

// nameIn is a name as it stands in a path. One too long for any that is looked for has none there: who
// is told of a value is told of all the names above it, and many small values below long
// names would be far more work than the document's size says.
func nameIn(name string) string {
	if len(name) > maxName {
		return ""
	}
	return strings.ToLower(name)
}

// pieces reads a document for a decoder that holds no more of it than one token, and
// ends it where a token is too long.
type pieces struct {
	r interface {
		io.Reader
		io.ByteReader
	}
	n int // octets since the last token
}

// ReadByte implements io.ByteReader, without which the decoder of XML would read ahead.
func (p *pieces) ReadByte() (byte, error) {
	if p.n++; p.n > maxToken {
		return 0, errLongText
	}
	return p.r.ReadByte()
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if p.n > maxToken {
		return 0, errLongText
	}
	n, err := p.r.Read(b)
	p.n += n
	return n, err
}

// walkXML goes through an XML document up to the end of its root element. It is not
// strict: a bare "&" stands for itself. Entities of the document's own are not
// expanded.
func walkXML(r io.Reader, u *unpacker, visit visitor) error {
	p := &pieces{r: newText(r)}
	d := xml.NewDecoder(p)
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // newText has seen to it
	var path []string
	var texts [maxDepth][]byte // of each element of path
	for {
		p.n = 0
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return errors.New("XML without any element")
		}
		if err == nil {
			err = u.spend(tokenCost)
		}
		if err != nil {
			return named("XML", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(path) == maxDepth {
				return errTooDeep
			}
			texts[len(path)] = texts[len(path)][:0]
			path = append(path, nameIn(t.Name.Local))
		case xml.CharData:
			if n := len(path) - 1; n >= 0 && len(texts[n])+len(t) <= maxToken { // else it is in many pieces
				texts[n] = append(texts[n], t...)
			}
		case xml.EndElement:
			n := len(path) - 1
			visit(path, string(texts[n]))
			if path = path[:n]; n == 0 {
				return nil // what follows is nobody's business
			}
		}
	}
}

// walkJSON goes through a JSON document. The items of a list have the list's own name.
func walkJSON(r io.Reader, u *unpacker, visit visitor) error {
	p := &pieces{r: newText(r)}
	d := json.NewDecoder(p)
	d.UseNumber()
	var open []bool       // objects (true) and lists
	var path []string     // the name in each open object that is being read
	var key bool          // a name comes next, or the object's end
	done := func() bool { // a value has ended
		key = len(open) > 0 && open[len(open)-1]
		if key {
			path = path[:len(path)-1]
		}
		return len(open) == 0
	}
	for {
		p.n = 0
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			err = u.spend(tokenCost)
		}
		if err != nil {
			return named("JSON", err)
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{', '[':
				if len(open) == maxDepth {
					return errTooDeep
				}
				open, key = append(open, t == '{'), t == '{'
				continue
			case '}':
				visit(path, "")
			}
			open = open[:len(open)-1]
		case string:
			if key {
				path, key = append(path, nameIn(t)), false
				continue
			}
			visit(path, t)
		case nil:
		default:
			visit(path, fmt.Sprint(t))
		}
		if done() {
			return nil
		}
	}
}

// named says in what kind of document an error was found.
func named(kind string, err error) error {
	if text := err.Error(); strings.HasPrefix(text, kind) {
		return err
	}
	return fmt.Errorf("%s: %w", kind, err)
}
