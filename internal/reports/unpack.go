package reports

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of what one message may hold.
const (
	maxPacked   = 10 << 20  // octets of an attachment or archive as it came
	maxUnpacked = 100 << 20 // octets of all its documents, and of what they were packed in
	maxRatio    = 100       // of unpacked to packed octets, above the first MiB
	ratioFrom   = 1 << 20
	maxLevels   = 3     // a document, packed, packed again
	maxFiles    = 20    // in one archive
	maxListed   = 10000 // in one archive and those in it
	// fileCost is what a file of an archive costs, as octets that were unpacked: each can be a
	// report that is kept, or the cause of an error that is told.
	fileCost = 256 << 10
)

var (
	errPacked   = fmt.Errorf("larger than %d MiB", maxPacked>>20)
	errUnpacked = fmt.Errorf("more than %d MiB when unpacked, or as much work", maxUnpacked>>20)
	errRatio    = fmt.Errorf("more than %d times as large when unpacked", maxRatio)
	errLevels   = fmt.Errorf("packed more than %d times", maxLevels)
	errFiles    = fmt.Errorf("an archive of more than %d files", maxFiles)
	errForm     = errors.New("neither XML, JSON, gzip nor zip")
	errSealed   = errors.New("zip: encrypted")
)

// unpacker reads the documents of one message.
type unpacker struct {
	left  int64 // octets that may still be unpacked
	found []*Report
}

// form is what octets begin like.
type form int

const (
	formOther form = iota
	formGzip
	formZip
	formXML
	formJSON
)

// formOf knows a document or archive by its first octets.
func formOf(begin []byte) form {
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		return formGzip
	case bytes.HasPrefix(begin, []byte("PK\x03\x04")):
		return formZip
	case bytes.HasPrefix(begin, []byte{0xff, 0xfe, '<', 0}), bytes.HasPrefix(begin, []byte{0xfe, 0xff, 0, '<'}):
		return formXML
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(begin, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		return formXML
	case bytes.HasPrefix(text, []byte("{")):
		return formJSON
	}
	return formOther
}

// read reads a document, or all of an archive, and keeps the reports in it. What was
// found before an error stays found.
func (u *unpacker) read(r io.Reader, level int) error {
	b := bufio.NewReader(r)
	begin, err := b.Peek(64)
	if len(begin) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch kind := formOf(begin); kind {
	case formGzip, formZip:
		if level == maxLevels {
			return errLevels
		}
		if kind == formGzip {
			return u.readGzip(b, level)
		}
		return u.readZip(b, level)
	case formXML:
		return u.keep(readDMARC(b, u))
	case formJSON:
		return u.keep(readTLS(b, u))
	}
	return errForm
}

// spend takes octets of what may be unpacked.
func (u *unpacker) spend(n int64) error {
	if u.left -= n; u.left < 0 {
		return errUnpacked
	}
	return nil
}

func (u *unpacker) keep(r *Report, err error) error {
	if err == nil {
		u.found = append(u.found, r)
	}
	return err
}

func (u *unpacker) readGzip(r io.Reader, level int) error {
	packed := &counter{r: r}
	z, err := gzip.NewReader(packed)
	if err != nil {
		return named("gzip", err)
	}
	err = u.read(&bounded{u: u, r: z, packed: func() int64 { return packed.n }}, level+1)
	if errors.Is(err, errForm) {
		return fmt.Errorf("gzip: %w in it", err)
	}
	return err
}

// readZip holds the archive in memory: its list of files stands at its end.
func (u *unpacker) readZip(r io.Reader, level int) error {
	data, err := io.ReadAll(io.LimitReader(r, maxPacked+1))
	if err != nil {
		return err
	}
	if len(data) > maxPacked {
		return errPacked
	}
	// The list of files is bounded before it is held in memory. These octets begin each file in it,
	// and also each in an archive that is stored in this one as it is.
	if bytes.Count(data, []byte("PK\x01\x02")) > maxListed {
		return errFiles
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return named("zip", err)
	}
	if len(archive.File) > maxFiles {
		return errFiles
	}
	var errs []error
	files := 0
	for _, f := range archive.File {
		if f.FileInfo().IsDir() || strings.HasPrefix(f.Name, "__MACOSX/") {
			continue
		}
		files++
		if err := u.readFile(f, int64(len(data)), level); err != nil {
			errs = append(errs, fmt.Errorf("%q in a zip archive: %w", clean(f.Name), err))
		}
	}
	if files == 0 {
		return errors.New("zip: nothing in it")
	}
	return errors.Join(errs...)
}

func (u *unpacker) readFile(f *zip.File, packed int64, level int) error {
	if f.Flags&1 != 0 {
		return errSealed
	}
	if err := u.spend(fileCost); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return u.read(&bounded{u: u, r: r, packed: func() int64 { return packed }}, level+1)
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded ends what is unpacked where it becomes too much.
type bounded struct {
	u      *unpacker
	r      io.Reader
	n      int64
	packed func() int64 // octets it came from so far
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.n += int64(n); b.n > ratioFrom && b.n > maxRatio*b.packed() {
		return 0, errRatio
	}
	if spent := b.u.spend(int64(n)); spent != nil {
		return 0, spent
	}
	return n, err
}
