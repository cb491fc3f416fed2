package sign

import "path/filepath"

// path is where a key's file is on disk.
func (r *Ring) path(k *Key) string { return filepath.Join(filepath.Dir(r.where), r.file(k)) }
