package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/postrider-mail/postrider/internal/sink"
)

// mostBody is how many octets a request may have, messages to be sent aside.
const mostBody = 5 << 20

// readWithin is how long a request's body may take to come.
const readWithin = 2 * time.Minute

// answer writes a value as JSON.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// ok is the answer to a change in Mailpit's words.
func ok(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok")
}

// bad is a request that cannot be understood, or is too long to be read.
func bad(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		code = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), code)
}

// wrong answers an error of the Box.
func wrong(w http.ResponseWriter, err error) {
	if errors.Is(err, sink.ErrNotFound) {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// read reads a request's body, whatever type it is said to be. Nothing at all is an
// empty object; what is no object is an error, which names the field that is wrong.
func read(w http.ResponseWriter, r *http.Request, into any, most int64) error {
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Now().Add(readWithin)) // where it cannot be set, as in a test, there is none
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	c.SetReadDeadline(time.Time{})
	if err != nil {
		return err
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return nil
	}
	if text[0] != '{' {
		return errors.New("the body is not a JSON object")
	}
	err = json.Unmarshal(text, into)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return fmt.Errorf("%s cannot be a %s", kind.Field, kind.Value)
	}
	return err
}

// number is a parameter that is a number; what is none, and none below 0, is the default.
func number(r *http.Request, name string, otherwise int) int {
	n, err := strconv.Atoi(r.FormValue(name))
	if err != nil || n < 0 {
		return otherwise
	}
	return n
}

// zone is where times without one are.
func zone(r *http.Request) *time.Location {
	if loc, err := time.LoadLocation(r.URL.Query().Get("tz")); err == nil && r.URL.Query().Get("tz") != "" {
		return loc
	}
	return time.Local
}

// moment is a time as the API writes it: in UTC, with three digits of a second, which
// every client can read.
type moment time.Time

// MarshalJSON implements json.Marshaler.
func (m moment) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(m).UTC().Format("2006-01-02T15:04:05.000Z") + `"`), nil
}

// answerAs writes a value as JSON; the type was said before.
func answerAs(w http.ResponseWriter, v any) { json.NewEncoder(w).Encode(v) }

// readSome is a text, as far as it can be read and given out.
func readSome(r io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(r, mostText))
	return string(text)
}

// memoryInUse is what the program holds, in octets.
func memoryInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64()
}

// answerList writes an object with a list and other members, one element after another: what a list has of whole
// messages would not fit into memory. Members that tell how many there were are read when they all have been
// written. The type of the answer was said before.
func answerList(w io.Writer, name string, elements iter.Seq[any], others func() any) {
	fmt.Fprintf(w, "{%q:[", name)
	between := ""
	for e := range elements {
		text, err := json.Marshal(e)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s%s", between, text)
		}
		if err != nil {
			return // nobody reads it any more
		}
		between = ","
	}
	text, err := json.Marshal(others())
	if err != nil {
		return
	}
	fmt.Fprintf(w, "],%s\n", text[1:])
}
