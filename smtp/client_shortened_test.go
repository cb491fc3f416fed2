package smtp

import "testing"

// TestShortened: whole lines are kept as far as they fit, also the one that ends just where the room does.
func TestShortened(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"abc\nd", 3, "abc"}, {"abc\nd", 4, "abc"}, {"ab\ncd", 3, "ab"},
		{"ab\ncd\nef", 6, "ab\ncd"}, {"ab\ncd\nef", 5, "ab\ncd"}, {"ab\ncd\nef", 4, "ab"}, {"\nabc", 2, ""},
	} {
		if got := shortened(tt.text, tt.n); got != tt.want {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}
