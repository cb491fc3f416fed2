// Package config reads configuration files written in JSON with comments, and
// changes single values in them without disturbing the rest.
//
// The format is JSON (RFC 8259) in UTF-8, with three additions:
//
//   - Comments: # and // reach to the end of the line, /* and */ enclose.
//     Inside a string all of these are plain characters: nothing needs escaping.
//   - A comma may follow the last member of an object and the last item of a list.
//   - A byte order mark at the beginning is ignored.
//
// Nothing else is added: no single quotes, no unquoted keys, no hexadecimal
// numbers, no strings of several lines.
//
// Standardize turns such a text into plain JSON of the same length, so that
// offsets stay true and any JSON parser can go on from there. Parse and Decoder
// put a text into Go values by reflection, in the way of encoding/json and with
// its struct tags, but for a person's benefit: every problem is reported, not
// only the first, each an *Error with file, line and column that prints the line
// in question; an unknown key is an error that says which key was probably meant;
// a key that stands twice is an error unless both values are objects, which are
// merged. Durations ("5m", "5d"), sizes (Size: "50MB"), networks
// (netip.Prefix) and everything that implements encoding.TextUnmarshaler are
// read from strings.
//
// Several files become one configuration by Merge, and Source.Origins tells
// where each value came from. Set and Remove edit one value in a text and keep
// every comment and the layout of everything else.
//
// A text is bounded in size, depth and number of values, so that reading it
// costs bounded memory and time whoever wrote it.
package config
