// Package packaging makes what a release consists of, out of the source and the
// go command alone: programs, Debian packages, an image for containers, lists of
// what is in them, and checksums. It needs no other tool, no daemon and no
// network beyond the modules, and the same commit gives the same octets
// wherever and whenever it is built. "go run ./internal/packaging/release" is the
// command.
package packaging
