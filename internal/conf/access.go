package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/postrider-mail/postrider/internal/sys"
)

// runner is the user whose rights count: who runs this, or, where root does, the
// one that the data belongs to, as whom the server will run.
type runner struct {
	uid    int
	groups []int
	other  bool // not who runs this
}

// runnerOf is the runner of a server with this data directory.
func runnerOf(dataDir string) runner {
	self := runner{uid: os.Geteuid()}
	info, err := os.Stat(dataDir)
	if err != nil || self.uid != 0 {
		return self
	}
	uid, gid, ok := sys.Owner(info)
	if !ok || uid == 0 {
		return self
	}
	r := runner{uid: uid, groups: []int{gid}, other: true}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		ids, _ := u.GroupIds()
		for _, id := range ids {
			if n, err := strconv.Atoi(id); err == nil {
				r.groups = append(r.groups, n)
			}
		}
	}
	return r
}

// String names the runner in errors.
func (r runner) String() string {
	switch {
	case !r.other && r.uid < 0: // where users have no numbers
		return "the user whom this runs as"
	case !r.other:
		return fmt.Sprintf("user %d, which this runs as", r.uid)
	}
	name := strconv.Itoa(r.uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("user %s, whom the data belong to", name)
}

// may reports whether the runner has these rights (of sys.Access) to what is
// at path.
func (r runner) may(path string, rights uint32) bool {
	if !r.other {
		return sys.Access(path, rights) == nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for ; ; rights, real = sys.Search, filepath.Dir(real) {
		info, err := os.Stat(real)
		if err != nil || !r.allowed(info, rights) {
			return false
		}
		if real == filepath.Dir(real) {
			return true
		}
	}
}

// allowed looks at the mode of one file. Access control lists are not looked at;
// what they grant shows as a right of the group.
func (r runner) allowed(info fs.FileInfo, rights uint32) bool {
	uid, gid, ok := sys.Owner(info)
	mode := uint32(info.Mode().Perm())
	switch {
	case !ok:
		return true
	case uid == r.uid:
		mode >>= 6
	case slices.Contains(r.groups, gid):
		mode >>= 3
	}
	return mode&rights == rights
}

// canRead says why a file cannot be read.
func (r runner) canRead(file string) error {
	if r.may(file, sys.Read) {
		return nil
	}
	return fmt.Errorf("%s cannot be read by %s; run: chown --reference=%s %s", file, r, filepath.Dir(file), file)
}

// canMakeDir says why a directory cannot be written to, or made where it is
// not there yet.
func (r runner) canMakeDir(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			continue
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is not a directory", at)
		case r.may(at, sys.Write|sys.Search):
			return nil
		case at == dir:
			return fmt.Errorf("%s cannot be written to by %s", dir, r)
		default:
			return fmt.Errorf("%s cannot be made: %s, cannot write to %s", dir, r, at)
		}
	}
}

// canAppend says why a file cannot be written to at its end, or made; its folder
// has to be there, unless it is made, which is the server's own one.
func (r runner) canAppend(file, made string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(filepath.Dir(file)); errors.Is(err, fs.ErrNotExist) && filepath.Dir(file) != made {
			return fmt.Errorf("the folder of %s is not there, and is not made", file)
		} else if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a directory", filepath.Dir(file))
		}
		return r.canMakeDir(filepath.Dir(file))
	case errors.Is(err, syscall.ENOTDIR):
		return r.canMakeDir(filepath.Dir(file))
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder; write the name of a file in it", file)
	case !r.may(file, sys.Write):
		return fmt.Errorf("%s cannot be written to by %s", file, r)
	}
	return nil
}
