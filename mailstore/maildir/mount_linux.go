package maildir

import "golang.org/x/sys/unix"

// mountOf tells mounts apart: link and rename stay within one, also where two
// show the same file system. 0 if the directory cannot be asked.
func mountOf(dir string) uint64 {
	var x unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID, &x) == nil && x.Mask&unix.STATX_MNT_ID != 0 {
		return x.Mnt_id
	}
	// Linux before 5.8: the device will do, but for bind mounts.
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return 0
	}
	return uint64(st.Dev)
}
