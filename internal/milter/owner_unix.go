//go:build unix

package milter

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf is whom a file belongs to.
func ownerOf(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return name(int(s.Uid), int(s.Gid))
	}
	return "somebody"
}

// name is a user and a group, by name where they have one.
func name(uid, gid int) string {
	owner, group := strconv.Itoa(uid), strconv.Itoa(gid)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("user %s, group %s", owner, group)
}
