package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// dataFormat is how this version keeps what is below data_dir. A version that keeps it in a way which older ones would misread counts on,
// and writes its number into the file "format" there before it changes anything. There is none in the first format.
const dataFormat = 1

// checkFormat refuses what a later version keeps: an older one would take mail that it cannot see for none.
func checkFormat(dir string) error {
	name := filepath.Join(dir, "format")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		return fmt.Errorf("%s is no number of a format: it says how what is in %s is kept", name, dir)
	case n > dataFormat:
		return fmt.Errorf("%s: what is in %s is kept by a later version, in format %d, and this one knows %d: start that version, or restore a backup from before it", name, dir, n, dataFormat)
	}
	return nil
}
