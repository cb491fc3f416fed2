package daemon

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/postrider-mail/postrider/cipher/passwd"
	"github.com/postrider-mail/postrider/smtp/queue"
)

// visitor is a browser at the pages of a world.
type visitor struct {
	t    *testing.T
	base string
	http.Client
}

func (w *testWorld) visitor() *visitor {
	w.t.Helper()
	w.reloading.Lock()
	defer w.reloading.Unlock()
	jar, _ := cookiejar.New(nil)
	v := &visitor{t: w.t, base: "http://" + w.web.socket.Addr().String()}
	v.Jar, v.Timeout, v.Transport = jar, forEver, keptAlive{}
	return v
}

// keptAlive asks to keep connections, as browsers do.
type keptAlive struct{}

func (keptAlive) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Connection", "keep-alive")
	return http.DefaultTransport.RoundTrip(r)
}

func (v *visitor) answer(resp *http.Response, err error) (int, string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (v *visitor) see(path string) (int, string) {
	v.t.Helper()
	return v.answer(v.Get(v.base + path))
}

// post sends a form, and follows where the answer leads.
func (v *visitor) post(path string, pairs ...string) (int, string) {
	v.t.Helper()
	form := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return v.answer(v.PostForm(v.base+path, form))
}

// withAdmin are settings with pages and the administrator ann, and more.
func withAdmin(t *testing.T, more string) string {
	t.Helper()
	return fmt.Sprintf(`"Web": {"listen": "127.0.0.1:0", "admins": {"ann": %q}}, %s`, mustHash(t, testPassword), more)
}

// TestAdminPages: whoever administers the server logs in, sees what waits, and holds it.
func TestAdminPages(t *testing.T) {
	w := start(t, withAdmin(t, `"SMTP": {"relay_from": ["127.0.0.1/32"]},
		"Queue": {"Routes": [{"name": "dead", "domain": "*", "host": "127.0.0.1", "port": 9, "tls": "none"}]},`))
	w.dial("127.0.0.1:0").play("S: 220\nC: EHLO x.test\nS: 250\nC: MAIL FROM:<a@far.test>\nS: 250\nC: RCPT TO:<b@else.test>\nS: 250\nC: DATA\nS: 354\n" +
		"C: Subject: x\\r\\n\\r\\nx\\r\\n.\nS: 250\nC: QUIT\nS: 221")
	id := w.waiting().ID
	v := w.visitor()
	if code, page := v.see("/admin/queue"); code != 200 || !strings.Contains(page, `name="password"`) || strings.Contains(page, id) {
		t.Fatal("without a login:", code, page)
	}
	if code, _ := v.post("/admin/login", "name", "ann", "password", "wrong"); code != 422 {
		t.Error("a wrong password:", code)
	}
	if code, page := v.post("/admin/login", "name", "ann", "password", testPassword); code != 200 || !strings.Contains(page, "Overview") || strings.Count(page, ">1 taken<") != 2 {
		t.Fatal("login, and what came in the last hour and day:", code, page)
	}
	if code, page := v.see("/admin/queue?to=else.test"); code != 200 || !strings.Contains(page, "/admin/queue/"+id) || !strings.Contains(page, "b@else.test") {
		t.Error("queue:", code, page)
	}
	if code, _ := v.see("/admin/queue?after=garbage"); code != 404 {
		t.Error("a place that is none:", code)
	}
	if code, page := v.post("/admin/queue/"+id, "do", "hold"); code != 200 || !strings.Contains(page, "The message is held.") || !strings.Contains(page, "connection refused") {
		t.Error("hold:", code, page)
	}
	held := func() bool {
		e, err := w.post.Outbound.Queue().Show(context.Background(), id)
		return err == nil && e.Held
	}
	if !held() {
		t.Error("it is not held")
	}
	if code, _ := v.post("/admin/queue/"+id, "do", "route", "route", "none"); code != 422 {
		t.Error("a route that is none:", code)
	}
	if code, _ := v.post("/admin/queue/"+id, "do", "release"); code != 200 || held() {
		t.Error("release:", code)
	}
	if code, page := v.post("/admin/queue", "do", "remove", "id", id, "sure", "1"); code != 200 || !strings.Contains(page, "The queue is empty.") {
		t.Error("remove:", code, page)
	}
	if left, err := w.post.Outbound.Queue().List(context.Background(), queue.Filter{}); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	for _, want := range []string{
		`msg="login failed" session="" service=web remote=127.0.0.1:0 user=ann`, `msg="logged in to the pages" service=web area=admin user=ann remote=127.0.0.1`,
		`msg="changed by page" service=web area=admin user=ann remote=127.0.0.1 page="Message in the queue" action=hold queue=` + id,
	} {
		if !strings.Contains(w.logs.String(), want) {
			t.Errorf("the log lacks %s\n%s", want, w.logs)
		}
	}
}

// TestAreasApart: a user sees nothing of the administrator's, an administrator nothing of users', and neither may do what the
// other may with the password alone.
func TestAreasApart(t *testing.T) {
	w := start(t, withAdmin(t, ""))
	user, admin := w.visitor(), w.visitor()
	if code, page := user.post("/account/login", "name", "alice@mail.test", "password", testPassword); code != 200 || !strings.Contains(page, "alice@mail.test") {
		t.Fatal(code, page)
	}
	if code, page := user.see("/admin/"); code != 200 || !strings.Contains(page, `name="password"`) {
		t.Error("a user sees the pages of administrators:", code, page)
	}
	if code, _ := user.post("/admin/login", "name", "alice@mail.test", "password", testPassword); code != 422 {
		t.Error("a user logs in as administrator:", code)
	}
	admin.post("/admin/login", "name", "ann", "password", testPassword)
	if code, page := admin.see("/account/"); code != 200 || !strings.Contains(page, `name="password"`) {
		t.Error("an administrator sees the pages of users:", code, page)
	}
	if code, _ := admin.post("/account/login", "name", "ann", "password", testPassword); code != 422 {
		t.Error("an administrator logs in as user:", code)
	}
	k := w.dial("127.0.0.4:0")
	k.play("S: +OK")
	k.startTLS("STLS", "+OK")
	k.play("C: USER ann\nS: +OK\nC: PASS " + testPassword + "\nS: -ERR")
}

// TestPagesThrottled: wrong passwords at the pages and at mail count together.
func TestPagesThrottled(t *testing.T) {
	w := start(t, withAdmin(t, `"Auth": {"max_failures_per_address": 5, "max_failures_per_account": 5},`))
	v := w.visitor()
	for i := range 3 {
		if code, _ := v.post("/account/login", "name", "alice@mail.test", "password", fmt.Sprint("wrong", i)); code != 422 {
			t.Fatal(code)
		}
	}
	for i := range 2 {
		if code, _ := v.post("/admin/login", "name", "ann", "password", fmt.Sprint("wrong", i)); code != 422 {
			t.Fatal(code)
		}
	}
	for _, c := range []struct{ path, name string }{{"/admin/login", "ann"}, {"/account/login", "alice@mail.test"}} {
		if code, page := v.post(c.path, "name", c.name, "password", testPassword); code != 429 || !strings.Contains(page, "too many wrong logins") {
			t.Errorf("%s as %s: %d", c.path, c.name, code)
		}
	}
	// Behind loopback there may be many: those who have not failed are asked for their passwords.
	if code, page := v.post("/account/login", "name", "bob@mail.test", "password", testPassword); code != 303 && (code != 200 || strings.Contains(page, "too many")) {
		t.Errorf("a neighbour: %d", code)
	}
}

// TestPasswordEndsSession: an administrator who is gone from the settings, or has another password, is out at once.
func TestPasswordEndsSession(t *testing.T) {
	w := start(t, withAdmin(t, ""))
	v := w.visitor()
	v.post("/admin/login", "name", "ann", "password", testPassword)
	in := func() bool {
		_, page := v.see("/admin/")
		return strings.Contains(page, "Log out")
	}
	if !in() {
		t.Fatal("no session")
	}
	listen := fmt.Sprintf(`"Web": {"listen": "127.0.0.1:0", "admins": {"ann": %q}},`, mustHash(t, "another one"))
	if err := w.rewrite(listen); err != nil {
		t.Fatal(err)
	}
	if in() {
		t.Error("the session has outlived its password")
	}
	if code, page := v.post("/admin/login", "name", "ann", "password", "another one"); code != 200 || !in() {
		t.Fatal(code, page)
	}
	if err := w.rewrite(`"Web": {"listen": "127.0.0.1:0"},`); err != nil {
		t.Fatal(err)
	}
	if _, page := v.see("/admin/"); !strings.Contains(page, "postrider admin add") {
		t.Error("there is nobody, and the page does not say so:", page)
	}
}

func mustHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := passwd.Hash([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}
