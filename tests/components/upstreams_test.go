//go:build components

package components

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// What the upstreams answer for the protected resources, and for nothing else.
const (
	adminMark  = "MARK-OF-THE-ADMIN-PAGE"
	reportMark = "MARK-OF-THE-REPORT"
)

// upstream is a real server that has /admin/secret and /reports/list, and reads
// paths in a way of its own.
type upstream struct {
	name string
	addr string
}

// site writes the two resources as files.
func site(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, mark := range map[string]string{"admin/secret": adminMark, "reports/list": reportMark, "index.html": "public"} {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(mark), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve runs a server's process until the test ends, and waits for its port.
func serve(t *testing.T, port string, cmd *exec.Cmd) string {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // workers of its own end with it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		log.Close()
	})
	addr := "127.0.0.1:" + port
	for range 500 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	out, _ := os.ReadFile(log.Name())
	t.Fatalf("%s does not listen: %s", cmd.Path, out)
	return ""
}

func nginx(t *testing.T) upstream {
	root, dir, port := site(t), t.TempDir(), freeport.Find(t)
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`
		user root; daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes 1;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
			server { listen 127.0.0.1:%[2]s; root %[3]s; default_type text/plain; }
		}`, dir, port, root)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return upstream{"nginx", serve(t, port, exec.Command(program(t, "nginx"), "-e", dir+"/error.log", "-c", conf))}
}

// php runs PHP's own server on a front controller such as frameworks have: it
// decodes the path, collapses and trims slashes, and does not mind case.
func php(t *testing.T) upstream {
	dir, port := t.TempDir(), freeport.Find(t)
	router := filepath.Join(dir, "router.php")
	text := `<?php
		$uri = $_SERVER['REQUEST_URI'];
		foreach ([parse_url($uri, PHP_URL_PATH), strtok($uri, '?'), $_SERVER['SCRIPT_NAME'], $_SERVER['PATH_INFO'] ?? ''] as $raw) {
			foreach ([(string)$raw, rawurldecode((string)$raw), urldecode(urldecode((string)$raw))] as $path) {
				$path = preg_replace('#/+#', '/', str_replace('\\', '/', $path));
				$path = strtolower(trim(strtok($path, "\0"), "/ .\t\r\n"));
				if ($path === 'admin/secret') { echo '` + adminMark + `'; return true; }
				if ($path === 'reports/list') { echo '` + reportMark + `'; return true; }
			}
		}
		return false;`
	if err := os.WriteFile(router, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "php"), "-S", "127.0.0.1:"+port, "-t", site(t), router)
	cmd.Env = append(os.Environ(), "PHP_CLI_SERVER_WORKERS=2")
	return upstream{"php", serve(t, port, cmd)}
}

// node reads the target as browsers do (WHATWG URL), as its old parser does,
// and as a router that strips matrix parameters does.
func node(t *testing.T) upstream {
	dir, port := t.TempDir(), freeport.Find(t)
	script := filepath.Join(dir, "server.js")
	text := `
		const http = require('http'), url = require('url'), path = require('path');
		const marks = {'/admin/secret': '` + adminMark + `', '/reports/list': '` + reportMark + `'};
		const decode = s => { try { return decodeURIComponent(s) } catch { return s } };
		http.createServer((req, res) => {
			const seen = new Set();
			const look = p => {
				if (p == null) return;
				for (const d of [p, decode(p), decode(decode(p))])
					for (const n of [d, path.posix.normalize(d), path.win32.normalize(d).replaceAll('\\', '/'), d.replace(/;[^/]*/g, ''), path.posix.normalize(d.replace(/;[^/]*/g, '')), d.normalize('NFKC')])
						seen.add(n.toLowerCase().replace(/\/+$/, ''));
			};
			try { look(new URL(req.url, 'http://x').pathname) } catch {}
			try { look(url.parse(req.url).pathname) } catch {}
			look(req.url.split('?')[0]);
			for (const p of seen) if (marks[p]) { res.end(marks[p]); return }
			res.statusCode = 404; res.end('no such page');
		}).listen(` + port + `, '127.0.0.1');`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return upstream{"node", serve(t, port, exec.Command(program(t, "node"), script))}
}

// goServer serves the files as net/http's FileServer does, without a mux that
// would redirect unclean paths first.
func goServer(t *testing.T) upstream {
	files := http.FileServer(http.Dir(site(t)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { files.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	return upstream{"net/http", strings.TrimPrefix(s.URL, "http://")}
}
