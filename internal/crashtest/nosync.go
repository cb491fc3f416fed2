package crashtest

import "github.com/postrider-mail/postrider/mailstore/durable"

// NoSync is a file system whose syncs do nothing: for looking at thousands of
// crashed disks, which need not last.
type NoSync struct{ durable.FS }

// SyncAll implements durable.FS.
func (NoSync) SyncAll() error { return nil }

// SyncDir implements durable.FS.
func (NoSync) SyncDir(string) error { return nil }

// Create implements durable.FS.
func (n NoSync) Create(name string) (durable.File, error) { return noSyncFile(n.FS.Create(name)) }

// CreateUnnamed implements durable.FS.
func (n NoSync) CreateUnnamed(dir string) (durable.File, error) {
	return noSyncFile(n.FS.CreateUnnamed(dir))
}

// LinkFile implements durable.FS.
func (n NoSync) LinkFile(f durable.File, newname string) error {
	return n.FS.LinkFile(f.(quickFile).File, newname)
}

// quickFile is a file that is not synced.
type quickFile struct{ durable.File }

func (quickFile) Sync() error { return nil }

func noSyncFile(f durable.File, err error) (durable.File, error) {
	if err != nil {
		return nil, err
	}
	return quickFile{f}, nil
}
