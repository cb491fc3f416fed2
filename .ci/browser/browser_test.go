// Package browser_test walks the pages of a running Postrider with a real browser, as people do who look after
// a server and who have an account there. It is a module of its own, because nothing else needs what drives a browser.
package browser_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a tab of Debian's Chromium, and what went wrong in it.
type browser struct {
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// open starts a browser that ends with the test.
func open(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // what is shown is our own, in a container that may have no namespaces
		chromedp.WSURLReadTimeout(2*time.Minute))...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	b := &browser{ctx: ctx}
	// The browser lives as long as the context of the first call.
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	return b
}

// hear notes everything that a page without faults does not do.
func (b *browser) hear(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded: // of the browser itself: violations of the content policy, failed loads
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.fault("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			b.fault("console: %s", strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		b.fault("exception: %s", e.ExceptionDetails.Text)
	case *page.EventJavascriptDialogOpening: // what a hostile mail would do first
		b.fault("a dialog opens: %s", e.Message)
		go func() {
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}()
	}
}

func (b *browser) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// takeFaults returns what went wrong since it was last called.
func (b *browser) takeFaults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	faults := b.faults
	b.faults = nil
	return faults
}

// do runs steps; the test ends if they fail.
func (b *browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 2*time.Minute)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		late, stop := context.WithTimeout(b.ctx, 10*time.Second)
		defer stop()
		url, _ := chromedp.Run(late, chromedp.Location())
		text, _ := chromedp.Run(late, chromedp.Text("body"))
		t.Fatalf("at %s: %v; the page says %q", url, err, text)
	}
}

// ask evaluates an expression in the page that is open.
func ask[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, time.Minute)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// command sends one of the protocol's own.
func command[P, R any](t *testing.T, b *browser, c cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		t.Fatalf("%s: %v", c.Method, err)
	}
}

// view is how a page is looked at.
type view struct {
	name   string
	width  int64
	dark   bool
	script bool
}

var views = []view{
	{"desk", 1280, false, true},
	{"desk-dark", 1280, true, true},
	{"phone", 390, false, true},
	{"phone-dark", 390, true, true},
	{"desk-plain", 1280, false, false},
	{"phone-plain", 390, false, false},
}

// as makes the browser look at pages in a way.
func (b *browser) as(t *testing.T, v view) {
	t.Helper()
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	command(t, b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: v.width, Height: 900, DeviceScaleFactor: 1, Mobile: v.width < 600})
	command(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	command(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !v.script})
}

// see opens a page, which must be without fault.
func (b *browser) see(t *testing.T, url string, v view) {
	t.Helper()
	for _, f := range b.look(t, url, v) {
		t.Errorf("%s (%s): %s", url, v.name, f)
	}
}

// look opens a page and says what is wrong with it.
func (b *browser) look(t *testing.T, url string, v view) []string {
	t.Helper()
	b.takeFaults()
	b.do(t, chromedp.Navigate(url), chromedp.WaitReady("body"))
	// Where the page's scripts are off, what the protocol asks is answered all the same.
	if wide, seen := ask[int](t, b, "document.documentElement.scrollWidth"), ask[int](t, b, "document.documentElement.clientWidth"); wide > seen {
		b.fault("it is %d pixels wide, and %d are seen", wide, seen)
	}
	if ask[string](t, b, "document.title") == "" {
		b.fault("it has no title")
	}
	return b.takeFaults()
}

// keep writes a picture of the page that is open to the folder in POSTRIDER_PICTURES, if there is one.
func (b *browser) keep(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("POSTRIDER_PICTURES")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil && strings.Contains(err.Error(), "too large") { // thousands of lines of a message: as much as a window shows
		picture, err = chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// links are the addresses on the page that is open which lie below a prefix, each path once, in their order.
func (b *browser) links(t *testing.T, prefix string) (all []string) {
	t.Helper()
	for _, f := range ask[[]string](t, b, `[...document.querySelectorAll("a[href]")].map(a => a.href)`) {
		f, _, _ = strings.Cut(f, "#")
		if strings.HasPrefix(f, prefix) && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}
