package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"
)

// quiet is how much light a code has around it, in its own units (ISO/IEC 18004 §6.3.8).
const quiet = 4

// drawCode draws a QR code with characters, two rows in each line. On a terminal it is black on white whatever its colours are, as not every camera reads
// a code that is light on dark; elsewhere it is drawn for dark text on light ground.
func drawCode(w io.Writer, code *qr.Code, terminal bool) {
	before, after := "", ""
	if terminal {
		before, after = "\x1b[30;107m", "\x1b[0m"
	}
	for y := -quiet; y < code.Size+quiet; y += 2 {
		var line strings.Builder
		for x := -quiet; x < code.Size+quiet; x++ {
			switch above, below := code.Black(x, y), code.Black(x, y+1); {
			case above && below:
				line.WriteRune('█')
			case above:
				line.WriteRune('▀')
			case below:
				line.WriteRune('▄')
			default:
				line.WriteByte(' ')
			}
		}
		fmt.Fprintf(w, "%s%s%s\n", before, line.String(), after)
	}
}

// isTerminal reports whether what is written is seen by somebody.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
