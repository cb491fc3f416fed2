package conf

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed default/*.conf
var samples embed.FS

// Samples returns the annotated .conf files to start a real domain with, by
// their names, made out to a server's name ("mail.example.com"). Its domain is
// what follows the first dot, unless that is a top-level domain.
func Samples(serverName string) (map[string][]byte, error) {
	if err := checkDomain(serverName); err != nil {
		return nil, err
	}
	domain := serverName
	if _, parent, ok := strings.Cut(serverName, "."); ok && strings.Contains(parent, ".") {
		domain = parent
	}
	texts := make(map[string][]byte)
	err := fs.WalkDir(samples, "default", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := samples.ReadFile(path)
		made := strings.ReplaceAll(string(text), "mail.example.com", serverName)
		texts[d.Name()] = []byte(strings.ReplaceAll(made, "example.com", domain))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the samples: %w", err)
	}
	return texts, nil
}
