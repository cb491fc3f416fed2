package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/postrider-mail/postrider/parsers/domains"
)

// loginsFile is where it is kept, within the data directory, who has logged in
// from where and how many logins have failed, from one start to the next.
const loginsFile = "logins.json"

// recallLogins takes up what the last run knew. Without it the daemon works as
// well, and has to get to know everybody again.
func (d *Daemon) recallLogins() {
	st := d.state()
	st.credentials.KeepCodes(d.writeLogins)
	memory, err := os.ReadFile(filepath.Join(st.settings.DataDir, loginsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = st.credentials.Recall(memory)
	}
	if err != nil {
		d.log.Warn("it is forgotten who has logged in before", "err", err)
	}
}

// loginsKept is how often it is written down what the next run is to know, should this
// one be killed.
const loginsKept = 5 * time.Minute

// keepLogins writes down what the next run is to know.
func (d *Daemon) keepLogins() {
	if err := d.writeLogins(); err != nil {
		d.log.Warn("it will be forgotten who has logged in before", "err", err)
	}
}

// sentFile is where it is kept, within the data directory, what was sent by whom in this
// hour and day.
const sentFile = "sent.json"

// sentKept is how often that is written down, if anything was sent.
const sentKept = time.Minute

// recallSent takes up what the last run had counted, so that a restart gives nobody a
// new day.
func (d *Daemon) recallSent() {
	counts, err := os.ReadFile(filepath.Join(d.state().settings.DataDir, sentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = d.post.Recount(counts)
	}
	if err != nil {
		d.log.Warn("it is forgotten what users have sent", "err", err)
	}
}

// keepSent writes it down.
func (d *Daemon) keepSent() {
	d.keepingSent.Lock()
	defer d.keepingSent.Unlock()
	dir := d.state().settings.DataDir
	counts, err := d.post.Counts()
	if err == nil && counts != nil {
		err = writeDurably(dir, filepath.Join(dir, sentFile), string(counts))
	}
	if err != nil {
		d.log.Warn("it will be forgotten what users have sent", "err", err)
	}
}

// posingFile is where it is kept, within the data directory, who was refused as one of us. It is written as often as what was
// sent, if there was anybody.
const posingFile = "posing.json"

// recallPosing takes up what the last run knew.
func (d *Daemon) recallPosing() {
	st := d.state()
	memory, err := os.ReadFile(filepath.Join(st.settings.DataDir, posingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		own := st.settings.Book().Domains()
		err = d.posing.recall(memory, func(n domains.Name) bool { return slices.Contains(own, n) }, time.Now())
	}
	if err != nil {
		d.log.Warn("it is forgotten who was refused as one of us", "err", err)
	}
}

// keepPosing writes it down.
func (d *Daemon) keepPosing() {
	dir := d.state().settings.DataDir
	memory, err := d.posing.memory(time.Now())
	if err == nil && memory != nil {
		err = writeDurably(dir, filepath.Join(dir, posingFile), string(memory))
	}
	if err != nil {
		d.posing.lost()
		d.log.Warn("it will be forgotten who was refused as one of us", "err", err)
	}
}

func (d *Daemon) writeLogins() error {
	d.remembering.Lock()
	defer d.remembering.Unlock()
	st := d.state()
	memory, err := st.credentials.Memory()
	if err != nil {
		return err
	}
	return writeDurably(st.settings.DataDir, filepath.Join(st.settings.DataDir, loginsFile), string(memory))
}
