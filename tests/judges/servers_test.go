//go:build components

package judges

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// judge is a server that reports which handler ran.
type judge struct {
	name string
	// serve is what the gateway's site ends with: directives that reach the server.
	serve string
	// suffix is put behind the paths of bodies, where scripts are named.
	suffix string
	// deaf is set for servers that read no bodies.
	deaf bool
}

// servers starts all judges at once and waits for their ports.
func servers(t *testing.T) *starter {
	s := &starter{t: t}
	python := "/usr/bin/python3" // Debian's, which has Debian's packages
	node, ruby, java, cgi := program(t, "node"), program(t, "ruby"), program(t, "java"), program(t, "php-cgi")
	jars := "/usr/share/java/"
	classpath := strings.Join([]string{jars + "tomcat10-embed-core.jar", jars + "jackson-databind.jar", jars + "jackson-core.jar", jars + "jackson-annotations.jar"}, ":")
	source := func(name string) string { return s.path("servers", name) }
	javaArgs := []string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, source("java/Judge.java")}

	s.proxied("express4", node, source("node/express.js"), "express4", "PORT", "strict")
	express := s.proxied("express5", node, source("node/express.js"), "express", "PORT")
	s.proxied("fastify", node, source("node/fastify.js"), "PORT")
	s.proxied("fastify lenient", node, source("node/fastify.js"), "PORT", "lenient")
	s.proxied("flask", python, source("python/app.py"), "flask", "PORT")
	s.proxied("starlette", python, source("python/app.py"), "starlette", "PORT")
	s.proxied("uvicorn", python, source("python/app.py"), "uvicorn", "PORT")
	s.proxied("tomcat", java, append(javaArgs, "PORT", t.TempDir())...)
	s.proxied("tomcat lenient", java, append(javaArgs, "PORT", t.TempDir(), "lenient")...)
	s.proxied("rack urlmap", ruby, source("ruby/app.rb"), "urlmap", "PORT")
	s.proxied("sinatra", ruby, source("ruby/app.rb"), "sinatra", "PORT")
	s.add(judge{name: "servemux", serve: "reverse_proxy " + serveMux(t)})

	root := phpSite(t, source("php/judge.php"))
	fpm := s.start(cgi, []string{"PHP_FCGI_CHILDREN=2", "PHP_FCGI_MAX_REQUESTS=0"}, "-b", "127.0.0.1:PORT", "-d", "display_errors=0")
	for name, how := range map[string]string{
		"php":               "php_fastcgi " + fpm,
		"php index off":     "php_fastcgi " + fpm + " {\nindex off\n}",
		"php split":         "reverse_proxy " + fpm + " {\ntransport fastcgi {\nsplit .php\n}\n}",
		"php several split": "php_fastcgi " + fpm + " {\nsplit .php .phtml .inc\nindex off\n}",
		"php try_files":     "php_fastcgi " + fpm + " {\ntry_files {path} index.php\n}",
	} {
		suffix := ".php"
		if name == "php" || name == "php try_files" {
			suffix = ""
		}
		s.add(judge{name: name, serve: "root * " + root + "\n" + how, suffix: suffix})
	}
	s.proxied("php built-in", program(t, "php"), "-S", "127.0.0.1:PORT", "-t", root, root+"/router.php")

	nginx, proxy := s.nginx(program(t, "nginx"), fpm, root, express)
	for name, addr := range nginx {
		s.add(judge{name: name, serve: "reverse_proxy " + addr, deaf: true})
	}
	s.add(judge{name: "nginx before express5", serve: "reverse_proxy " + proxy})
	s.add(judge{name: "apache", serve: "reverse_proxy " + s.apache(program(t, "apache2")), deaf: true})
	s.wait()
	return s
}

// starter runs servers until the test ends.
type starter struct {
	t      *testing.T
	judges []judge
	ports  []string // to be waited for
	logs   []string
}

func (s *starter) add(j judge) { s.judges = append(s.judges, j) }

func (s *starter) path(elem ...string) string {
	p, err := filepath.Abs(filepath.Join(elem...))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// proxied starts a server and makes it a judge behind reverse_proxy.
func (s *starter) proxied(name, command string, args ...string) (addr string) {
	addr = s.start(command, nil, args...)
	s.add(judge{name: name, serve: "reverse_proxy " + addr})
	return addr
}

// start runs a command in whose arguments PORT stands for a free port.
func (s *starter) start(command string, env []string, args ...string) (addr string) {
	s.t.Helper()
	port := freeport.Find(s.t)
	filled := make([]string, len(args))
	for i, a := range args {
		filled[i] = strings.ReplaceAll(a, "PORT", port)
	}
	log, err := os.Create(filepath.Join(s.t.TempDir(), "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(command, filled...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // workers of its own end with it
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		log.Close()
	})
	s.ports, s.logs = append(s.ports, port), append(s.logs, log.Name())
	return "127.0.0.1:" + port
}

func (s *starter) wait() {
	s.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for i, port := range s.ports {
		for {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(deadline) {
				out, _ := os.ReadFile(s.logs[i])
				s.t.Fatalf("a server does not listen: run .ci/components; it says: %s", out)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func (s *starter) write(path, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// phpSite writes the scripts, each of which says its own name.
func phpSite(t *testing.T, library string) string {
	s := &starter{t: t}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	s.write(root+"/judge.php", string(text))
	router, err := os.ReadFile(filepath.Join(filepath.Dir(library), "router.php"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(root+"/router.php", string(router))
	for file, code := range map[string]string{
		"admin.php": "ran('ADMIN')", "admin/index.php": "ran('ADMIN')", "admin/graphql.php": "ran('ADMIN')", "transfer/pay.php": "ran('TRANSFER')", "view/x.php": "ran('VIEW')", "public.php": "ran('PUBLIC')",
		"app.php": "decide('app')", "neg.php": "decide('neg')", "rpc.php": "decide('rpc')", "rpcneg.php": "decide('rpcneg')",
		"index.php": "route(($_SERVER['PATH_INFO'] ?? '') ?: (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/'))",
	} {
		s.write(root+"/"+file, "<?php require_once '"+root+"/judge.php'; "+code+";\n")
	}
	s.write(root+"/assets/logo.png", "no picture")
	return root
}

// nginx runs one process with several servers: locations by prefix, exact and
// by regular expression, scripts through FastCGI, and one before Express that
// passes on the path as it has read it.
func (s *starter) nginx(command, fpm, root, express string) (judges map[string]string, proxy string) {
	dir := s.t.TempDir()
	ports := []string{freeport.Find(s.t), freeport.Find(s.t), freeport.Find(s.t)}
	say := func(handler string) string {
		return fmt.Sprintf("{ add_header X-Ran %s always; return 200 '{\"handler\":\"%s\"}'; }\n", handler, handler)
	}
	locations := "location = /admin " + say("ADMIN") + "location /admin/ " + say("ADMIN") + "location = /exact " + say("EXACT") +
		"location = /transfer/pay " + say("TRANSFER") + "location ~* ^/view/ " + say("VIEW") + `location ~ \.do$ ` + say("SUFFIX") + "location / " + say("PUBLIC") +
		`location ~ [^/]\.php(/|$) { fastcgi_split_path_info ^(.+?\.php)(/.*)$; include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME ` + root + `$fastcgi_script_name; fastcgi_param PATH_INFO $fastcgi_path_info; fastcgi_pass ` + fpm + "; }\n"
	item := "location /item/ { add_header X-Ran $item always; return 200; }\n"
	text := fmt.Sprintf(`user root; daemon off; pid %[1]s/pid; error_log %[1]s/error.log crit; worker_processes 1;
events { worker_connections 256; }
http {
	access_log off; default_type text/plain; keepalive_requests 1000000; client_max_body_size 4m; merge_slashes on;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	map $request_method $item { DELETE ERASE; default PUBLIC; }
	server { listen 127.0.0.1:%[2]s; %[5]s }
	server { listen 127.0.0.1:%[3]s; merge_slashes off; %[5]s }
	server { listen 127.0.0.1:%[4]s; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://%[6]s/; } }
}`, dir, ports[0], ports[1], ports[2], locations+item, express)
	s.write(dir+"/nginx.conf", text)
	s.start(command, nil, "-e", dir+"/error.log", "-c", dir+"/nginx.conf")
	s.ports[len(s.ports)-1] = ports[0]
	return map[string]string{"nginx": "127.0.0.1:" + ports[0], "nginx slashes": "127.0.0.1:" + ports[1]}, "127.0.0.1:" + ports[2]
}

// apache serves files below directories, with path info and MultiViews. Only
// what is served says which directory it is from.
func (s *starter) apache(command string) (addr string) {
	dir := s.t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, file := range []string{"admin/graphql", "admin/x/y", "admin/index.html", "transfer/pay.html", "view/x", "public/y", "index.html"} {
		s.write(dir+"/root/"+file, file)
	}
	say := func(path, handler string) string {
		return fmt.Sprintf("<Directory %s/root/%s>\nHeader set X-Ran %s\n</Directory>\n", dir, path, handler)
	}
	var modules strings.Builder
	for _, m := range []string{"mpm_event", "authz_core", "headers", "mime", "dir", "negotiation"} {
		fmt.Fprintf(&modules, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	port := freeport.Find(s.t)
	s.write(dir+"/apache.conf", modules.String()+fmt.Sprintf(`ServerRoot %[1]s
PidFile %[1]s/pid
DefaultRuntimeDir %[1]s
ErrorLog %[1]s/error.log
ServerName judge.test
Listen 127.0.0.1:%[2]s
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
KeepAliveTimeout 120
MaxKeepAliveRequests 0
TypesConfig /etc/mime.types
DocumentRoot %[1]s/root
AcceptPathInfo On
AllowEncodedSlashes NoDecode
<Directory %[1]s/root>
Require all granted
Options MultiViews
</Directory>
`, dir, port)+say("admin", "ADMIN")+say("transfer", "TRANSFER")+say("view", "VIEW")+say("public", "PUBLIC"))
	s.start(command, nil, "-D", "FOREGROUND", "-f", dir+"/apache.conf")
	s.ports[len(s.ports)-1] = port
	return "127.0.0.1:" + port
}

// serveMux is Go's own router, with a mounted handler that sees the rest only.
func serveMux(t *testing.T) (addr string) {
	say := func(w http.ResponseWriter, handler string) {
		w.Header().Set("X-Ran", handler)
		fmt.Fprintf(w, `{"handler":%q}`, handler)
	}
	fixed := func(handler string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { say(w, handler) })
	}
	values := func(r *http.Request) []string {
		if strings.Contains(r.Header.Get("Content-Type"), "json") {
			var in struct{ Op string }
			if json.NewDecoder(r.Body).Decode(&in) != nil || in.Op == "" {
				return r.URL.Query()["op"]
			}
			return append(r.URL.Query()["op"], in.Op)
		}
		r.ParseMultipartForm(1 << 20)
		return r.Form["op"]
	}
	method := func(r *http.Request) string {
		var in struct {
			Method string `json:"method"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			return ""
		}
		return in.Method
	}
	when := func(handler string, is func(r *http.Request) bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if is(r) {
				say(w, handler)
				return
			}
			say(w, "PUBLIC")
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/", http.StripPrefix("/admin", fixed("ADMIN")))
	mux.Handle("/transfer/{what}", fixed("TRANSFER"))
	mux.Handle("/view/{id...}", fixed("VIEW"))
	mux.Handle("/exact", fixed("EXACT"))
	mux.Handle("DELETE /item/{id}", fixed("ERASE"))
	mux.Handle("/app", when("FORM", func(r *http.Request) bool {
		for _, v := range values(r) {
			if v == "withdraw" || v == "pay" {
				return true
			}
		}
		return false
	}))
	mux.Handle("/neg", when("NEG", func(r *http.Request) bool {
		for _, v := range values(r) {
			if v != "login" {
				return true
			}
		}
		return false
	}))
	mux.Handle("/rpc", when("RPC", func(r *http.Request) bool { return method(r) == "torrent-remove" }))
	mux.Handle("/rpcneg", when("RPCNEG", func(r *http.Request) bool { m := method(r); return m != "" && m != "torrent-get" }))
	mux.Handle("/", fixed("PUBLIC"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux, ErrorLog: nil}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}
