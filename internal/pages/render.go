package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// view is what the layout shows.
type view struct {
	Area  string // the title of the area
	Root  string // its path
	Title string
	Who   string // empty: nobody has logged in
	Menu  []item
	Here  string // the path of the page
	Self  string // its address, with the query
	Flash string
	// Refresh is in how many seconds the browser asks again; 0: not by itself
	Refresh int
	Form    *Form
	Data    any
}

// In reports whether a page is the one in the menu, or below it.
func (v *view) In(where string) bool {
	return v.Here == where || where != v.Root && strings.HasPrefix(v.Here, where+"/")
}

// render makes the whole page before it sends any of it.
func (a *Area) render(w http.ResponseWriter, status int, name string, v *view) {
	v.Area, v.Root = a.Title, a.root()
	if v.Form == nil {
		v.Form = &Form{}
	}
	var page bytes.Buffer
	if err := a.templates[name].Execute(&page, v); err != nil {
		a.Log.Error("a page could not be made", "area", a.Name, "template", name, "err", err)
		http.Error(w, "this page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

//go:embed assets
var assetFiles embed.FS

// asset is the name of a file in assets with a part of its hash in it: after an upgrade it is another one, so
// that no browser keeps the old.
func asset(name string) string {
	content, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		return name
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6]) + "." + name
}

// Asset is one of the files that pages are made of: pages.css, icon.svg. Pages of other servers in
// this program look alike by them.
func Asset(name string) ([]byte, error) { return assetFiles.ReadFile("assets/" + name) }

// assets serves the files of assets, to everybody.
func assets(w http.ResponseWriter, r *http.Request) {
	asked := path.Base(r.URL.Path)
	_, name, _ := strings.Cut(asked, ".")
	content, err := assetFiles.ReadFile("assets/" + name)
	if err != nil || asked != asset(name) {
		http.Error(w, "there is nothing here", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Write(content)
}
