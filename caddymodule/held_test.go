package caddymodule_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A form that met a rule is sent on once its person proved who they are, through
// handlers in front and behind that look at the request: they see the form, and no
// trace of how the browser came back.
func TestHeldFormThroughCaddy(t *testing.T) {
	var got []string
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.Join([]string{r.Method, r.RequestURI, string(body), r.Header.Get("X-Method"), r.Header.Get("X-Original"), r.Header.Get("X-User"), r.Header.Get("Content-Type"), r.Header.Get("Cookie")}, " | "))
		io.WriteString(w, "paid")
	}))
	defer shop.Close()
	b := newBed(t)
	b.Load(`{
	admin localhost:{{admin}}
	step_up {
		store badger {
			dir {{dir}}/data
		}
		` + keyFile + `
		enrollment first_use
		allow_plain_http
	}
}

http://localhost:{{port}} {
	vars user {header.X-Test-User}
	handle_path /shop/* {
		step_up {
			identity placeholder {http.vars.user}
			protect PAY {
				unsafe
				grant one_time 2m
			}
		}
		@forms method POST
		reverse_proxy @forms ` + strings.TrimPrefix(shop.URL, "http://") + ` {
			header_up X-Method {http.request.method}
			header_up X-Original {http.request.orig_uri}
			header_up X-User {http.vars.user}
		}
	}
	handle {
		respond "elsewhere"
	}
}
`)
	// The pages are under the base of handle_path, and so is the API.
	p := &person{b: b, name: "alice"}
	call := func(method, path, contentType, body string, cookies []*http.Cookie, more ...string) (*http.Response, map[string]any) {
		t.Helper()
		r, err := http.NewRequest(method, b.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Test-User", "alice")
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		for i := 0; i < len(more); i += 2 {
			r.Header.Set(more[i], more[i+1])
		}
		for _, c := range cookies {
			r.AddCookie(c)
		}
		return b.send(r)
	}
	const form = "application/x-www-form-urlencoded"
	navigation := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document", "Accept", "text/html"}

	resp, begun := call("POST", "/shop/.step-up/api/totp", "application/json", "{}", nil)
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.StatusCode, begun)
	}
	p.secret = begun["secret"].(string)
	if resp, done := call("POST", "/shop/.step-up/api/totp/"+begun["id"].(string)+"/confirm", "application/json", `{"code":"`+p.code()+`"}`, nil); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.StatusCode, done)
	}

	resp, _ = call("POST", "/shop/pay?to=a&to=b", form, "amount=5&amount=6", nil, navigation...)
	page := resp.Header.Get("Location")
	id, ok := strings.CutPrefix(page, "/shop/.step-up/challenge/")
	if resp.StatusCode != http.StatusSeeOther || !ok || len(got) != 0 {
		t.Fatalf("%d to %q, the application saw %q", resp.StatusCode, page, got)
	}
	jar := resp.Cookies()
	if resp, answer := call("GET", page, "", "", jar, navigation...); resp.StatusCode != http.StatusOK || !strings.Contains(answer["text"].(string), "kept what you entered") {
		t.Errorf("the page does not say that the form is kept: %d %v", resp.StatusCode, answer)
	}
	resp, won := call("POST", "/shop/.step-up/api/challenges/"+id+"/verify", "application/json", `{"method":"totp","code":"`+p.code()+`"}`, jar)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.StatusCode, won)
	}
	jar = append(jar, resp.Cookies()...)
	back := won["resume_url"].(string)
	for i, want := range []int{http.StatusOK, http.StatusSeeOther} {
		resp, _ := call("GET", back, "", "", jar, navigation...)
		if resp.StatusCode != want {
			t.Fatalf("time %d: %d %v", i+1, resp.StatusCode, resp.Header)
		}
		if want == http.StatusSeeOther && resp.Header.Get("Location") != "/shop/pay?to=a&to=b" {
			t.Errorf("a used handle leads to %q", resp.Header.Get("Location"))
		}
	}
	if want := "POST | /pay?to=a&to=b | amount=5&amount=6 | POST | /shop/pay?to=a&to=b | alice | " + form + " | "; len(got) != 1 || got[0] != want {
		t.Errorf("the application saw\n%q, want\n%q", got, want)
	}
}
