package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"path/filepath"
	"strings"
)

func init() { recordings["git"] = git }

// escape is a name as a segment of an address, as curl and svn want it.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// git is git's own server for HTTP and gitweb, with git and wget.
func git(a *app) {
	dir := a.dir()
	env := []string{"HOME=" + dir, "GIT_AUTHOR_NAME=Zoë", "GIT_AUTHOR_EMAIL=zoe@example.com", "GIT_COMMITTER_NAME=Zoë", "GIT_COMMITTER_EMAIL=zoe@example.com", "GIT_CONFIG_NOSYSTEM=1"}
	g := func(in string, args ...string) { a.run(in, env, append([]string{"git"}, args...)...) }
	repos := []string{"plain.git", "with space.git", "sub/größe.git", "c++.git", "~user.git"}
	for _, r := range repos {
		g(dir, "init", "-q", "--bare", "-b", "main", dir+"/repos/"+r)
		g(dir+"/repos/"+r, "config", "http.receivepack", "true")
	}
	a.write(dir+"/gitweb.conf", fmt.Sprintf("our $projectroot = %q;\nour @git_base_url_list = ();\n$feature{'pathinfo'}{'default'} = [0];\n$feature{'grep'}{'default'} = [1];\n$feature{'search'}{'default'} = [1];\n", dir+"/repos"))
	mux := http.NewServeMux()
	backend := &cgi.Handler{Path: "/usr/lib/git-core/git-http-backend", Root: "/git", Env: []string{"GIT_PROJECT_ROOT=" + dir + "/repos", "GIT_HTTP_EXPORT_ALL=1"}}
	mux.Handle("/git/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/git/plain.git/git-receive-pack") {
			if _, _, ok := r.BasicAuth(); !ok {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
		}
		// CGI has no chunks.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		backend.ServeHTTP(w, r)
	}))
	mux.Handle("/", &cgi.Handler{Path: "/usr/share/gitweb/gitweb.cgi", Root: "/", Env: []string{"GITWEB_CONFIG=" + dir + "/gitweb.conf"}})
	s := httptest.NewServer(mux)
	a.Cleanup(s.Close)
	t := a.tap(strings.TrimPrefix(s.URL, "http://"))
	for n, r := range repos {
		url := t.url() + "/git/" + strings.ReplaceAll(escape(r), "%2F", "/")
		if n == 0 {
			url = strings.Replace(url, "://", "://zoe:pass%20word@", 1)
		}
		work := fmt.Sprintf("%s/w%d", dir, n)
		g(dir, "clone", "-q", url, work)
		for i, name := range fileNames(40) {
			a.write(filepath.Join(work, fmt.Sprintf("d %d", i%4), name), name)
		}
		g(work, "add", "-A")
		g(work, "commit", "-q", "-m", "first: "+name(n))
		g(work, "push", "-q", "origin", "HEAD:main")
		for i := range 12 {
			a.write(filepath.Join(work, "again", fmt.Sprint(i)), strings.Repeat(name(i), i+1))
			g(work, "add", "-A")
			g(work, "commit", "-q", "-m", name(i+n))
			// Not every name may be a branch's.
			g(work, "push", "-q", "origin", fmt.Sprintf("HEAD:refs/heads/feature/%d-%s", i, []string{"ä", "日本", "a+b", "x%2Fy", "emoji-😀", "v1.2", "user@host", "#1", "a&b", "semi;colon", "(p)", "'q'"}[i]))
		}
		g(work, "push", "-q", "origin", "HEAD:main")
		g(work, "tag", "-a", "v1.0", "-m", "one")
		g(work, "push", "-q", "--tags")
		g(work, "ls-remote", "origin")
		g(dir, "clone", "-q", "--depth", "2", url, work+"-shallow")
		g(work+"-shallow", "fetch", "-q", "--unshallow")
		g(dir, "-c", "protocol.version=0", "clone", "-q", url, work+"-old")
		g(dir, "-c", "http.postBuffer=200", "-c", "protocol.version=1", "clone", "-q", url, work+"-chunked")
		a.write(filepath.Join(work, "big"), strings.Repeat("0123456789abcdef", 4000))
		g(work, "add", "-A")
		g(work, "commit", "-q", "-m", "big")
		g(work, "-c", "http.postBuffer=1000", "push", "-q", "origin", "HEAD:main")
		g(work, "push", "-q", "origin", ":feature/0-ä")
	}
	a.run(dir, nil, "timeout", "60", "wget", "-q", "-e", "robots=off", "-r", "-l", "4", "-X", "/git", "--restrict-file-names=ascii", "-P", dir+"/crawl", t.url()+"/")
}
