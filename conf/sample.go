package conf

import (
	"embed"
	"io/fs"
)

//go:embed default/*.conf
var samples embed.FS

// Samples are the annotated .conf files to start a real domain with.
func Samples() fs.FS {
	dir, err := fs.Sub(samples, "default")
	if err != nil { // only of a bad name
		return samples
	}
	return dir
}
