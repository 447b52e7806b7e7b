package caddymodule_test

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends a request line with fields as they stand, as alice, and returns the
// status and the action that is asked for.
func (b *bed) raw(line string, fields ...string) (status int, asks string) {
	b.t.Helper()
	conn, err := net.Dial("tcp", "localhost:"+b.Port)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	all := append([]string{line + " HTTP/1.1", "X-Test-User: alice", "Connection: close", "Content-Length: 0"}, fields...)
	if _, err := conn.Write([]byte(strings.Join(all, "\r\n") + "\r\n\r\n")); err != nil {
		b.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		b.t.Fatal(line, fields, err)
	}
	defer res.Body.Close()
	_, asks, _ = strings.Cut(res.Header.Get("WWW-Authenticate"), `acr_values="`)
	asks, _, _ = strings.Cut(asks, `"`)
	return res.StatusCode, asks
}

// A rule on a host is not left by another way to write the host, nor by naming it
// where an application may look for it.
func TestS06HostRules(t *testing.T) {
	b := newBed(t)
	b.Load(strings.Replace(b.config(keyFile, `protect ADMIN {
			match {
				host admin.test xn--mller-kva.test
			}
			grant time_based 10m
		}
		protect DELETE {
			match {
				expression {http.request.host}.startsWith('files.') && {http.request.method} == 'DELETE'
			}
			grant time_based 10m
		}
		protect OTHER {
			match {
				host other.test
			}
			grant time_based 10m
		}`, ""), "http://localhost:", "http://:", 1))
	for _, tt := range []struct {
		line   string
		fields []string
		want   string // the action; "ambiguous"; "" passes
	}{
		{"GET /", []string{"Host: admin.test"}, "ADMIN"},
		{"GET /", []string{"Host: ADMIN.test:8080"}, "ADMIN"},
		{"GET /", []string{"Host: admin.test."}, "ADMIN"},
		{"GET /", []string{"Host: Admin.Test.:80"}, "ADMIN"},
		{"GET /", []string{"Host: admin.test:80:90"}, "ADMIN"},
		{"GET /", []string{"Host: %61dmin.test"}, "ADMIN"},
		{"GET /", []string{"Host: x@admin.test"}, "ambiguous"}, // by net/http
		{"GET /", []string{"Host: m%C3%BCller.test"}, "ADMIN"},
		{"GET http://admin.test/", []string{"Host: public.test"}, "ADMIN"},
		{"GET http://admin.test./", []string{"Host: public.test"}, "ADMIN"},
		{"GET http://public.test/", []string{"Host: admin.test"}, ""},
		{"GET /", []string{"Host: public.test", "X-Forwarded-Host: admin.test"}, "ADMIN"},
		{"GET /", []string{"Host: public.test", "X-Forwarded-Host: a.test, admin.test."}, "ADMIN"},
		{"GET /", []string{"Host: public.test", "Forwarded: for=1.2.3.4;host=admin.test"}, "ADMIN"},
		{"GET /", []string{"Host: public.test", "X-Host: admin.test"}, "ADMIN"},
		{"GET /", []string{"Host: other.test", "X-Original-Host: admin.test"}, "ambiguous"},
		{"DELETE /", []string{"Host: files.test."}, "DELETE"},
		{"GET /?_method=frob", []string{"Host: files.test."}, "DELETE"},
		{"GET /", []string{"Host: files.test."}, ""},
		{"GET /", []string{"Host: public.test."}, ""},
		{"GET /", []string{"Host: public.test", "X-Forwarded-Host: public.test"}, ""},
		{"GET /", []string{"Host: admin.test.evil"}, ""},
		{"GET /", []string{"Host: [::1]:80"}, ""},
	} {
		status, asks := b.raw(tt.line, tt.fields...)
		got := asks
		switch {
		case status == 400:
			got = "ambiguous"
		case status != 200 && status != 401:
			got = http.StatusText(status)
		}
		if got != tt.want {
			t.Errorf("%s %q: %d, asks for %q, want %q", tt.line, tt.fields, status, got, tt.want)
		}
	}
}
