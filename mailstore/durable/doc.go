// Package durable makes files durable: after a crash or a power cut, what was
// published through it is whole, and what was not is absent.
//
// # The rules
//
// A file's contents and the directory entry that names it are two things, and
// a disk may keep either without the other. So a transaction ([Tx]) has two
// phases: the files' contents are made durable, then their names are published
// by rename or link, or by giving a file that had none its first name, and then
// the directories that hold those names are made durable. Only after that does
// [Disk.Commit] return nil.
//
// A sync that failed is never repeated: the kernel may have dropped the pages
// it could not write and would report success the second time. The [Disk] is
// poisoned instead; everything after fails with [ErrPoisoned].
//
// # Group commit
//
// A sync costs the same for one file as for many. All transactions waiting at
// one moment share one sync: while it runs, others gather for the next. The
// second phase of one transaction and the first phase of another ride on the
// same sync, so that under load there is always exactly one running.
//
// How a group is synced depends on its size: a small one by fsync of its files
// and directories, which leaves the neighbours on the same file system alone; a
// larger one by a single syncfs, where the system has it. docs/storage.md holds
// the measurements behind this.
//
// So all that write to one file system should share one Disk ([Open]).
//
// # Tests
//
// [FS] is the seam: the few operations through which anything is changed. A test
// can give [New] one that records, fails or forgets. The real one is in os.go and
// file_linux.go; the transaction is in tx.go, what carries it out in disk.go, the
// group commit in group.go.
package durable
