package maildir

import (
	"bytes"
	"io"
	"os"

	"github.com/postrider-mail/postrider/mailstore"
	"github.com/postrider-mail/postrider/mailstore/durable"
)

// What stands on top of a message is known last. A message that is still in the
// buffer gets it there, in front. A larger one has a place for it at the beginning of
// its file, which is filled before the file is made durable; where the top is shorter,
// it is padded, and where it does not fit, the message is copied behind it.

// topMost is the most that is kept free for the top, in octets.
const topMost = 8 << 10

// keepPlace says how much is kept free at the beginning of the file.
func (d *delivery) keepPlace() {
	d.place = len(d.meta.Top)
	if d.meta.Seal != nil {
		// What is sealed begins with what can be sealed last, and that is more.
		return
	}
	if !d.exact {
		var f folder
		var room [4096]byte // for a length no memory is taken, where that is enough
		if folded, n, ok := f.fold(room[:0], d.meta.Top); ok && n == len(d.meta.Top) && !f.pending {
			d.place = len(folded)
		}
	}
	d.place = min(d.place, topMost)
}

// putTop puts the top on the message, and all of both into the file.
func (d *delivery) putTop(top []byte) {
	d.wire += int64(len(top))
	if !d.exact {
		folded, ok := foldTop(top)
		if !ok {
			if d.unfold(); d.err != nil {
				return
			}
		} else {
			top = folded
		}
	}
	if d.file == nil {
		d.putFront(top)
		return
	}
	if d.flush(*d.buf); d.err != nil {
		return
	}
	if d.place == 0 && len(top) == 0 {
		return
	}
	padded, ok := mailstore.Pad(top, d.place-len(top))
	if !ok || len(top) == 0 {
		d.copyBehind(top)
		return
	}
	d.wire += d.wireLen(padded) - d.wireLen(top)
	if _, err := d.file.WriteAt(padded, 0); err != nil {
		d.err = wrap("maildir: write top of message", err)
	}
}

// foldTop is the top as it stands on the disk. ok is false where what is read would be
// another one, or the message behind it would.
func foldTop(top []byte) (folded []byte, ok bool) {
	var f folder
	folded, n, ok := f.fold(make([]byte, 0, len(top)), top)
	return folded, ok && n == len(top) && !f.pending
}

// putFront writes a message that has stayed in the buffer, in one piece.
func (d *delivery) putFront(top []byte) {
	if len(top) <= topMost {
		whole := (*d.buf)[topMost-len(top):]
		copy(whole, top)
		d.flushWhole(whole)
		return
	}
	if d.flushWhole(top); d.err == nil {
		d.flush((*d.buf)[topMost:])
	}
}

// wireLen is how many octets are read of what stands on the disk.
func (d *delivery) wireLen(p []byte) int64 {
	if d.exact {
		return int64(len(p))
	}
	return int64(len(p) + bytes.Count(p, []byte{'\n'}))
}

// copyBehind makes a new file, which has the top and then what is in the old one
// behind the place that was too small.
func (d *delivery) copyBehind(top []byte) {
	old := d.file
	defer d.discard(old)
	fresh, err := d.newFile(d.createNamed)
	if err != nil {
		d.file, d.err = nil, err
		return
	}
	body := d.disk - int64(d.place)
	d.file, d.disk = fresh, 0
	if d.flush(top); d.err == nil {
		d.spend(int(body))
	}
	if d.err == nil {
		n, err := copyFrom(fresh, old.Name(), d.place)
		d.disk += n
		if err != nil {
			d.err = wrap("maildir: copy message", err)
		}
	}
}

// copyFrom appends what is in a file behind its first octets.
func copyFrom(w durable.File, name string, first int) (int64, error) {
	in, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	if _, err := in.Seek(int64(first), io.SeekStart); err != nil {
		return 0, err
	}
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, buf[:])
}
