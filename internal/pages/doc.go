// Package pages is what all pages for people have in common: logins and sessions, the layout with
// its navigation, forms, and what is written down about changes.
//
//	area := pages.New(pages.Config{Name: "admin", Title: "Postrider", Logins: logins, Log: log})
//	area.Add(templates, pages.Page{
//		Path: "queue/{id}", Title: "Queue entry", Template: "entry.html",
//		Show: func(r *pages.Request) (any, error) { return q.Explain(r.Context(), r.PathValue("id")) },
//		Do:   map[string]pages.Action{"hold": hold},
//	})
//	handler.Admin = area // of internal/web, which says who asks (WithVisitor)
//
// # A new page
//
// A page is one function, one template and one row of the table in its area (admin.Pages,
// user.Pages):
//
//  1. The function returns what the page shows; what it needs of the server it asks of a narrow
//     interface that the area's package declares and the daemon implements. ErrNotFound is 404, ErrForbidden 403.
//  2. The template, in the area's folder templates, defines "content". It finds what the function
//     returned in .Data, the form in .Form, who has logged in in .Who. A form names what it does:
//     <button name="do" value="hold">. {{template "field" (field .Form "name" "label" "text")}} is an
//     input whose value is kept, with the reason beside it, if it was wrong; {{template "pager" .Data.Pager}}
//     leads on in a list. The functions are those of funcs.go; what several templates of an area use stands in its shared.html.
//  3. The row: {Path: "queue", Menu: "Queue", Title: "Queue", Template: "queue.html", Show: s.queue, Do: …}.
//     With a Menu it is in the navigation. Send takes the place of Show and Template for what is
//     no page (a download, a stream).
//
// An Action reads r.Form.Value and refuses a value by r.Form.Wrong: the page is shown again with the
// values kept, and nothing has changed. What has been done it says by r.Done, which the next page shows
// and the log keeps: who, what, and from where. Then the browser is sent on (303) to r.Next or to the same page.
//
// No page works by script alone, and there is none in a page, nor any style: the content policy forbids it.
// What words of strangers become is html/template's business, so that nothing here makes HTML of text.
package pages
