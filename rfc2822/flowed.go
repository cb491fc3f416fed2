package rfc2822

import "strings"

// unflow joins the lines of format=flowed text (RFC 3676) into paragraphs: one
// line each, with LF, quoted text behind its quote marks. delSp is the DelSp parameter: the
// blank at a flowed line's end is then not part of the text.
func unflow(text string, delSp bool) string {
	var b strings.Builder
	open, depth := false, 0 // the last line is flowed, at this depth
	text = strings.ReplaceAll(text, "\r\n", "\n")
	ended := strings.HasSuffix(text, "\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		quotes := len(line) - len(strings.TrimLeft(line, ">"))
		content := strings.TrimPrefix(line[quotes:], " ") // space-stuffing, §4.4
		signature := content == "-- "
		if open && (quotes != depth || signature) {
			b.WriteByte('\n') // §4.5: improperly quoted, the paragraph ends
			open = false
		}
		if !open {
			b.WriteString(strings.Repeat(">", quotes))
			if quotes > 0 && content != "" {
				b.WriteByte(' ')
			}
		}
		open, depth = strings.HasSuffix(content, " ") && !signature, quotes
		if open && delSp {
			content = content[:len(content)-1]
		}
		b.WriteString(content)
		if !open {
			b.WriteByte('\n')
		}
	}
	if open {
		b.WriteByte('\n')
	}
	if !ended {
		return strings.TrimSuffix(b.String(), "\n")
	}
	return b.String()
}
