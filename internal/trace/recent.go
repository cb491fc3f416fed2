package trace

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// Recent is a log whose newest lines are in memory, and the older ones in files.
type Recent struct {
	Ring  *Ring
	Files Files // empty: elsewhere
	// Elsewhere says where older lines are to be found then.
	Elsewhere string
}

// Lines implements Log.
func (r Recent) Lines(ctx context.Context, hint Hint, do func(Line) bool) error {
	s, more := r.Ring.now(), true
	err := s.lines(ctx, hint, func(l Line) bool {
		more = do(l)
		return more
	})
	if left := (*Left)(nil); err != nil && !errors.As(err, &left) {
		return err
	}
	if !more || ctx.Err() != nil {
		return err
	}
	from, to, lines := s.oldest()
	if r.Files == "" {
		return &Left{Before: from, Why: r.Elsewhere}
	}
	err = r.Files.Lines(ctx, hint, func(l Line) bool {
		if !from.IsZero() && !l.Time.Before(from) && (l.Time.After(to) || lines[l.text]) {
			return true // it was in memory
		}
		return do(l)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return &Left{Before: from, Why: err.Error()}
	}
	return err
}

// oldest are the oldest lines, and their times as they tell them: up to there files have others.
func (s *snapshot) oldest() (from, to time.Time, lines map[string]bool) {
	lines = make(map[string]bool)
	w := new(unpacking)
	for i := range len(s.blocks) + 1 {
		text, within := s.text, false
		if i < len(s.blocks) {
			var err error
			if text, err = w.unpack(s.blocks[i]); err != nil {
				return from, to, lines
			}
		}
		end := to
		backward(text, func(line []byte) bool {
			l, ok := Parse(string(line), time.Now())
			if !ok || l.Time.IsZero() || i > 0 && l.Time.After(end) {
				return true
			}
			if from.IsZero() || l.Time.Before(from) {
				from = l.Time
			}
			if l.Time.After(to) {
				to = l.Time
			}
			lines[l.text], within = true, true
			return true
		})
		if i > 0 && !within { // those that follow are later
			break
		}
	}
	return from, to, lines
}
