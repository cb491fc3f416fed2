package rfc2822

import "fmt"

// DefectKind names one way in which real messages break the rules.
type DefectKind uint8

// What can be wrong with a message. None of these keeps it from being read.
const (
	// MboxFrom: the message begins with the "From " line of an mbox file.
	MboxFrom DefectKind = iota + 1
	// NoHeader: the first line is no field; all of the message is body.
	NoHeader
	// MissingSeparator: no empty line stands between header and body.
	MissingSeparator
	// JunkLine: a line between two fields is neither field nor continuation.
	JunkLine
	// LeadingFold: the header section begins with a continuation line.
	LeadingFold
	// BareCR: a CR that does not stand before an LF.
	BareCR
	// BareLF: a header line that ends in LF where others end in CRLF.
	BareLF
	// NulOctet: a NUL octet in the header section.
	NulOctet
	// NotUTF8: octets above 127 that are not UTF-8 (RFC 6532) in the header section.
	NotUTF8
	// LongLine: a header line of more than 998 octets (RFC 5322 §2.1.1).
	LongLine
	// HeaderTooLong: the header section exceeds Limits.HeaderBytes; what lies
	// beyond is given out as body.
	HeaderTooLong
	// MissingBoundary: a multipart without a boundary parameter, or whose boundary
	// lines never occur (RFC 2046 §5.1). Its parts are those of the boundary that it seems to
	// have; without any, its body is one part, of plain text.
	MissingBoundary
	// UnterminatedMultipart: the message ends before a multipart's last boundary line.
	UnterminatedMultipart
	// BadEncoding: base64 or quoted-printable data with octets that cannot be
	// decoded; the others were.
	BadEncoding
	// UnknownEncoding: a Content-Transfer-Encoding nobody has heard of; the
	// octets are given as they are.
	UnknownEncoding
	// UnknownCharset: text in a charset nobody has heard of.
	UnknownCharset
	// BadContentType: a Content-Type that could not be read; text/plain or
	// application/octet-stream is assumed (RFC 2045 §5.2).
	BadContentType
	// TooDeep: parts nested deeper than Limits.Depth; they are not taken apart.
	TooDeep
	// TooManyParts: more parts than Limits.Parts; the walk ended.
	TooManyParts
	// TooMuchWork: more octets than Limits.Work; the walk ended.
	TooMuchWork
)

var defectNames = [...]string{
	MboxFrom:              "mbox From line",
	NoHeader:              "no header",
	MissingSeparator:      "no empty line after the header",
	JunkLine:              "line is not a header field",
	LeadingFold:           "continuation without a field",
	BareCR:                "bare CR",
	BareLF:                "bare LF among CRLF",
	NulOctet:              "NUL octet",
	NotUTF8:               "octets that are not UTF-8",
	LongLine:              "line longer than 998 octets",
	HeaderTooLong:         "header section too long",
	MissingBoundary:       "multipart without boundary",
	UnterminatedMultipart: "multipart not terminated",
	BadEncoding:           "bad transfer encoding",
	UnknownEncoding:       "unknown transfer encoding",
	UnknownCharset:        "unknown charset",
	BadContentType:        "bad Content-Type",
	TooDeep:               "nested too deep",
	TooManyParts:          "too many parts",
	TooMuchWork:           "too much to read",
}

// String says in a few words what is wrong.
func (k DefectKind) String() string {
	if int(k) < len(defectNames) && defectNames[k] != "" {
		return defectNames[k]
	}
	return fmt.Sprintf("defect %d", uint8(k))
}

// Defect is one thing found wrong, and where. It is an error so that callers
// who are strict can return it.
type Defect struct {
	Kind DefectKind
	// Offset is where it stands, in octets from the start of the header section of
	// the message or of Part: the odd octet, the line that is no field or too long, the end
	// of a section that has no empty line. It is -1 where a place would mean nothing.
	Offset int64
	// Part is the path of the MIME part it concerns, such as "1.2"; empty for
	// the message itself.
	Part string
}

// Error says what is wrong, in which part, and at which octet.
func (d Defect) Error() string {
	s := "rfc2822: " + d.Kind.String()
	if d.Part != "" {
		s += " in part " + d.Part
	}
	if d.Offset >= 0 {
		s += fmt.Sprintf(" at octet %d", d.Offset)
	}
	return s
}

// maxDefects is how many defects of one header section, and how many of a walk,
// are told: nobody reads more, and a hostile message could have millions.
const maxDefects = 200

// Limits bound what reading a message may cost. The zero value of each field
// means its default.
type Limits struct {
	HeaderBytes int   // octets of one header section, of the message or of a part; default 1 MiB, at most 1 GiB
	Parts       int   // parts of all levels together; default 1000
	Depth       int   // levels of nesting that are taken apart; default 50, at most 1000
	Work        int64 // octets read in one walk; default 1 GiB
}

// maxNesting is the deepest walk: each level takes some of the stack, and each line of
// the innermost is compared with the boundaries of all.
const maxNesting = 1000

// maxHeader is the longest header section that can be read: marks are of 32 bits.
const maxHeader = 1 << 30

func (l Limits) withDefaults() Limits {
	if l.HeaderBytes <= 0 {
		l.HeaderBytes = 1 << 20
	}
	l.HeaderBytes = min(l.HeaderBytes, maxHeader)
	if l.Parts <= 0 {
		l.Parts = 1000
	}
	if l.Depth <= 0 {
		l.Depth = 50
	}
	l.Depth = min(l.Depth, maxNesting)
	if l.Work <= 0 {
		l.Work = 1 << 30
	}
	return l
}
