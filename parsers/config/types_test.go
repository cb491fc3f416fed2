package config

import (
	"math"
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Size
		out  string
	}{
		{"0", 0, "0"}, {"1", 1, "1B"}, {"1000", 1000, "1kB"}, {"1024", 1024, "1KiB"}, {"50MB", 50e6, "50MB"}, {"64KiB", 64 << 10, "64KiB"},
		{"50 MiB", 50 << 20, "50MiB"}, {"1.5 GiB", 3 << 29, "1536MiB"}, {"2gb", 2e9, "2GB"}, {"1TB", 1e12, "1TB"}, {"1tib", 1 << 40, "1TiB"},
		{"0.5kB", 500, "500B"}, {"1001B", 1001, "1001B"}, {"9223372036854775807", math.MaxInt64, "9223372036854775807B"},
	} {
		got, err := ParseSize(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", c.in, got, err, c.want)
		}
		text, _ := got.MarshalText()
		if string(text) != c.out {
			t.Errorf("%d is written %q, want %q", got, text, c.out)
		}
		if back, err := ParseSize(string(text)); err != nil || back != got {
			t.Errorf("%q came back as %d, %v", text, back, err)
		}
	}
	for _, s := range []string{"", "MB", "-1", "1..5MB", "1.5", "0.3B", "10EB", "9223372036854775808", "99999999TiB", "1e9", "0x10", "1/2",
		"11111111111111111111111111111111111111111"} {
		if n, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, n)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
		out  string
	}{
		{"0", 0, "0"}, {"30s", 30 * time.Second, "30s"}, {"5m", 5 * time.Minute, "5m"}, {"90m", 90 * time.Minute, "1h30m"},
		{"5d", 120 * time.Hour, "5d"}, {"1w", 168 * time.Hour, "7d"}, {"1d12h", 36 * time.Hour, "1d12h"}, {"1d 12h", 36 * time.Hour, "1d12h"},
		{"1.5h", 90 * time.Minute, "1h30m"}, {"100ms", 100 * time.Millisecond, "100ms"}, {"1us", time.Microsecond, "1us"}, {"3µs", 3000, "3us"},
		{"7ns", 7, "7ns"}, {" 2 h ", 2 * time.Hour, "2h"}, {"106751d", 106751 * 24 * time.Hour, "106751d"},
	} {
		got, err := ParseDuration(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", c.in, got, err, c.want)
		}
		out := FormatDuration(got)
		if out != c.out {
			t.Errorf("FormatDuration(%v) = %q, want %q", got, out, c.out)
		}
		if back, err := ParseDuration(out); err != nil || back != got {
			t.Errorf("%q came back as %v, %v", out, back, err)
		}
	}
	for _, s := range []string{"", " ", "5", "m", "-5m", "5 minutes", "5m3", "1.2.3h", "0.1ns", "106752d", "106751d1000h", "5M", "1d,2h"} {
		if d, err := ParseDuration(s); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", s, d)
		}
	}
}
