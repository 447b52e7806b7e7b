package main

import (
	"fmt"
	"strings"
)

func init() {
	recordings["transmission"] = transmission
	recordings["prometheus"] = prometheus
	recordings["alertmanager"] = alertmanager
	recordings["radicale"] = radicale
	recordings["registry"] = registry
	recordings["verdaccio"] = verdaccio
}

// transmission is Transmission's daemon with its own command line.
func transmission(a *app) {
	dir := a.dir()
	port := a.port()
	env := []string{"TRANSMISSION_WEB_HOME=/usr/share/transmission/web"}
	t := a.tap(a.serve(dir, port, env, "transmission-daemon", "-f", "-g", dir, "-w", dir+"/done", "-p", port, "-r", "127.0.0.1", "-t", "-u", "alice", "-v", "wonder:land", "-P", a.port(), "--no-portmap", "-O", "-y"))
	remote := func(args ...string) {
		a.run(dir, nil, append([]string{"transmission-remote", t.addr, "-n", "alice:wonder:land"}, args...)...)
	}
	for i, name := range fileNames(45) {
		a.write(dir+"/in/"+name, strings.Repeat(name, 20))
		a.run(dir, nil, "transmission-create", "-o", fmt.Sprintf("%s/%d.torrent", dir, i), "-t", "http://127.0.0.1:1/announce", "-c", name, dir+"/in/"+name)
		remote("-a", fmt.Sprintf("%s/%d.torrent", dir, i), "-w", dir+"/done/"+name)
		id := fmt.Sprint(i + 1)
		remote("-t", id, "-i")
		remote("-t", id, "--labels", strings.ReplaceAll(name, ",", " "))
		remote("-t", id, "-S")
		remote("-t", id, "-pl", "0", "-sr", "2.5", "-Bh")
		if i%3 == 0 {
			remote("-t", id, "--move", dir+"/moved/"+name)
		}
		if i%5 == 0 {
			remote("-t", id, "--remove")
		}
	}
	remote("-l")
	remote("-si")
	remote("-st")
	remote("-d", "100", "-u", "50")
	remote("--alt-speed", "-as")
	remote("-AS")
	w := a.window()
	w.Go("http://alice:wonder%3Aland@" + t.addr + "/transmission/web/")
	a.wait()
	for _, click := range []string{"#toolbar-inspector", "#toolbar-pause-all", "#toolbar-start-all", "#turtle-button", "li.torrent:nth-child(2)", "#toolbar-pause", "#toolbar-start", "#inspector-tab-files", "#inspector-tab-peers", "#inspector-tab-trackers"} {
		a.click(w, click)
	}
	a.wait()
}

// queries are of PromQL.
var queries = []string{
	`up`, `up{job="prometheus"}`, `rate(prometheus_http_requests_total[5m])`, `sum by (handler) (rate(prometheus_http_requests_total{code=~"2..|3.."}[5m]))`, `topk(5, count by (__name__)({__name__=~".+"}))`,
	`histogram_quantile(0.99, sum(rate(prometheus_http_request_duration_seconds_bucket[5m])) by (le))`, `{__name__=~"go_.*",job!="x"}`, `1 + 2 * 3`, `up or vector(0)`, `absent(up{job="größe"})`, `label_replace(up, "a", "$1", "job", "(.*)")`, `time() - process_start_time_seconds > 60`,
	`up offset 5m`, `max_over_time(up[1h:5m])`, `count_values("x", up)`, `up == bool 1`, `up{instance=~"127.*;x|a&b=c"}`, `up{job="日本語 \"q\" \\ %2F"}`, `sum(up) by (job) / on() group_left sum(up)`, `-up ^ 2 % 3`,
}

// prometheus is Prometheus with promtool and its pages.
func prometheus(a *app) {
	dir := a.dir()
	port := a.port()
	a.write(dir+"/p.yml", "global:\n  scrape_interval: 2s\nscrape_configs:\n- job_name: prometheus\n  static_configs:\n  - targets: ['127.0.0.1:"+port+"']\n")
	t := a.tap(a.serve(dir, port, nil, "prometheus", "--config.file="+dir+"/p.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address=127.0.0.1:"+port, "--web.enable-lifecycle"))
	for i, q := range queries {
		a.run(dir, nil, "promtool", "query", "instant", t.url(), q)
		a.run(dir, nil, "promtool", "query", "range", "--step", "15s", t.url(), fmt.Sprintf("(%s) * %d", q, i))
		a.run(dir, nil, "promtool", "query", "labels", "--match", fmt.Sprintf(`up{job="%s"}`, strings.NewReplacer(`\`, "", `"`, "").Replace(name(i))), t.url(), "job")
		a.run(dir, nil, "promtool", "query", "series", "--match", fmt.Sprintf(`{job=%q}`, strings.ReplaceAll(name(i*3), "\u200b", "")), t.url())
	}
	w := a.window()
	for i, q := range queries {
		w.Go(t.url() + "/graph?g0.expr=" + escapeQuery(q) + "&g0.tab=" + fmt.Sprint(i%2) + "&g0.range_input=1h")
		a.wait()
	}
	for _, p := range []string{"/alerts", "/status", "/tsdb-status", "/flags", "/config", "/rules", "/targets?search=pro", "/service-discovery", "/classic/graph", "/classic/targets", "/federate?match[]=up&match[]={job%3D%22x%22}"} {
		w.Go(t.url() + p)
		a.wait()
	}
}

// alertmanager is Alertmanager with amtool and its page.
func alertmanager(a *app) {
	dir := a.dir()
	port := a.port()
	a.write(dir+"/a.yml", "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n")
	t := a.tap(a.serve(dir, port, nil, "prometheus-alertmanager", "--config.file="+dir+"/a.yml", "--storage.path="+dir+"/data", "--web.listen-address=127.0.0.1:"+port, "--cluster.listen-address="))
	am := func(args ...string) string {
		return a.run(dir, nil, append([]string{"amtool", "--alertmanager.url=" + t.url()}, args...)...)
	}
	for i := range 80 {
		n := name(i)
		am("alert", "add", fmt.Sprintf("alertname=%q", n), "severity=page", fmt.Sprintf("--annotation=summary=%q", "what: "+n))
		id := am("silence", "add", fmt.Sprintf("alertname=%q", n), "severity=~page|warn.*", "--comment", "comment "+n, "--author", "alice", "--duration", "1h")
		am("silence", "query", fmt.Sprintf("alertname=%q", n))
		am("alert", "query", fmt.Sprintf("alertname=~%q", n), "severity!=x")
		if i%2 == 0 {
			am("silence", "expire", strings.TrimSpace(id))
		}
	}
	am("config", "show")
	am("cluster", "show")
	w := a.window()
	for _, p := range []string{"/", "/#/alerts?filter=%7Bseverity%3D%22page%22%7D", "/#/silences", "/#/silences/new", "/#/status", "/#/alerts?silenced=true&inhibited=true&active=false"} {
		w.Go("about:blank")
		w.Go(t.url() + p)
		a.wait()
	}
}

// radicale is Radicale with vdirsyncer: calendars and address books.
func radicale(a *app) {
	dir := a.dir()
	port := a.port()
	a.write(dir+"/users", "alice:wonder land\nbob@example.com:x\n")
	a.write(dir+"/config", "[server]\nhosts = 127.0.0.1:"+port+"\n[auth]\ntype = htpasswd\nhtpasswd_filename = "+dir+"/users\nhtpasswd_encryption = plain\n[storage]\nfilesystem_folder = "+dir+"/store\n")
	t := a.tap(a.serve(dir, port, nil, "radicale", "--config", dir+"/config"))
	item := func(kind string, i int) string {
		n := strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`).Replace(name(i))
		if kind == "card" {
			return fmt.Sprintf("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:card-%d\r\nFN:%s\r\nN:%s;;;;\r\nEMAIL:a%d@example.com\r\nEND:VCARD\r\n", i, n, n, i)
		}
		return fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y\r\nBEGIN:VEVENT\r\nUID:event-%d@größe example+%d\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240102T000000Z\r\nSUMMARY:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", i, i, n)
	}
	conf := "[general]\nstatus_path = \"" + dir + "/status\"\n"
	for _, kind := range []string{"cal", "card"} {
		local := dir + "/local-" + kind
		ext := map[string]string{"cal": ".ics", "card": ".vcf"}[kind]
		for i := range 130 {
			a.write(fmt.Sprintf("%s/work-%s/%d%s", local, kind, i, ext), item(kind, i))
			a.write(fmt.Sprintf("%s/größe %s/%d%s", local, kind, i, ext), item(kind, i+1000))
		}
		conf += fmt.Sprintf("[pair %[1]s]\na = \"%[1]s_local\"\nb = \"%[1]s_remote\"\ncollections = [\"work-%[1]s\", \"größe %[1]s\"]\nmetadata = [\"displayname\"]\n[storage %[1]s_local]\ntype = \"filesystem\"\npath = \"%[2]s\"\nfileext = \"%[3]s\"\n[storage %[1]s_remote]\ntype = \"%[1]sdav\"\nurl = \"%[4]s/\"\nusername = \"alice\"\npassword = \"wonder land\"\n", kind, local, ext, t.url())
	}
	a.write(dir+"/vdir", conf)
	vdir := func(args ...string) {
		a.input(dir, strings.Repeat("y\n", 50), append([]string{"env", "HOME=" + dir, "vdirsyncer", "-c", dir + "/vdir"}, args...)...)
	}
	vdir("discover")
	vdir("sync")
	vdir("metasync")
	for _, kind := range []string{"cal", "card"} {
		ext := map[string]string{"cal": ".ics", "card": ".vcf"}[kind]
		for i := range 60 {
			a.write(fmt.Sprintf("%[1]s/local-%[2]s/work-%[2]s/%[3]d%[4]s", dir, kind, i, ext), strings.Replace(item(kind, i), "END:V", "X-NOTE:changed\r\nEND:V", 1))
		}
		a.run(dir, nil, "bash", "-c", fmt.Sprintf("rm %[1]s/local-%[2]s/größe\\ %[2]s/1*", dir, kind))
	}
	vdir("sync")
	a.run(dir, nil, "rm", "-r", dir+"/status")
	vdir("discover")
	vdir("sync", "--force-delete")
	w := a.window()
	w.Go(t.url() + "/.web/")
	a.wait()
}

// registry is Docker's registry with skopeo.
func registry(a *app) {
	dir := a.dir()
	port := a.port()
	a.write(dir+"/config.yml", "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: "+dir+"/data\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:"+port+"\n")
	t := a.tap(a.serve(dir, port, nil, "docker-registry", "serve", dir+"/config.yml"))
	// An image of one layer, in the layout of OCI.
	a.run(dir, nil, "bash", "-c", `set -e
mk() { # DIR TEXT
	mkdir -p $1/blobs/sha256 t; echo "$2" >t/file; tar -C t --mtime=@0 -czf layer file 2>/dev/null || tar -C t -czf layer file
	l=$(sha256sum layer | cut -d' ' -f1); d=$(zcat layer | sha256sum | cut -d' ' -f1)
	printf '{"architecture":"amd64","os":"linux","config":{"Labels":{"x":"%s"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$2" $d >conf
	c=$(sha256sum conf | cut -d' ' -f1)
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%d}]}' $c $(stat -c%s conf) $l $(stat -c%s layer) >man
	m=$(sha256sum man | cut -d' ' -f1)
	cp layer $1/blobs/sha256/$l; cp conf $1/blobs/sha256/$c; cp man $1/blobs/sha256/$m
	printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d}]}' $m $(stat -c%s man) >$1/index.json
	echo '{"imageLayoutVersion":"1.0.0"}' >$1/oci-layout
}
for i in 0 1 2 3 4 5 6 7; do mk img$i "image $i"; done`)
	for i := range 8 {
		for _, repo := range []string{"library/app", "team-a/sub_group/app.v2", "x/y/z/w"} {
			ref := fmt.Sprintf("docker://%s/%s:v1.%d-rc_%d", t.addr, repo, i, i)
			a.run(dir, nil, "skopeo", "copy", "-q", "--dest-tls-verify=false", fmt.Sprintf("oci:%s/img%d", dir, i), ref)
			a.run(dir, nil, "skopeo", "inspect", "--tls-verify=false", ref)
			a.run(dir, nil, "skopeo", "copy", "-q", "--src-tls-verify=false", ref, fmt.Sprintf("oci:%s/back%d", dir, i))
			a.run(dir, nil, "skopeo", "list-tags", "--tls-verify=false", fmt.Sprintf("docker://%s/%s", t.addr, repo))
			if i > 5 {
				a.run(dir, nil, "skopeo", "delete", "--tls-verify=false", ref)
			}
		}
	}
	a.run(dir, nil, "wget", "-q", "-O", "-", t.url()+"/v2/_catalog?n=5&last=library%2Fapp")
}

// verdaccio is Verdaccio with npm.
func verdaccio(a *app) {
	dir := a.dir()
	port := a.port()
	a.write(dir+"/config.yaml", "storage: "+dir+"/store\nauth:\n  htpasswd:\n    file: "+dir+"/htpasswd\nsecurity:\n  api:\n    jwt:\n      sign: {}\npackages:\n  '**':\n    access: $all\n    publish: $authenticated\n    unpublish: $authenticated\nlog: {type: stdout, level: warn}\nweb:\n  title: packages\n")
	t := a.tap(a.serve(dir, port, nil, "node", a.here("clients/node_modules/verdaccio/bin/verdaccio"), "-c", dir+"/config.yaml", "-l", "127.0.0.1:"+port))
	npm := func(in string, args ...string) {
		a.run(in, []string{"HOME=" + dir, "npm_config_registry=" + t.url() + "/", "npm_config_cache=" + dir + "/cache", "npm_config_fund=false", "npm_config_update_notifier=false"}, append([]string{"npm"}, args...)...)
	}
	login := a.run(dir, nil, "node", "-e", `
const u = process.argv[1]; const p = require(process.argv[2] + '/npm-profile')
p.adduserCouch('alice', 'a@example.com', 'wonder land/1', {registry: u}).then(r => console.log(r.token))`, t.url()+"/", strings.TrimSpace(a.must(dir, nil, "npm", "root", "-g"))+"/npm/node_modules")
	a.write(dir+"/.npmrc", "//"+t.addr+"/:_authToken="+strings.TrimSpace(login)+"\n")
	deps := ""
	for i := range 60 {
		name := fmt.Sprintf("pkg-%d", i)
		if i%2 == 0 {
			name = fmt.Sprintf("@scope-%d/pkg.%d_x", i%5, i)
		}
		a.write(fmt.Sprintf("%s/ws/p%d/package.json", dir, i), fmt.Sprintf(`{"name": %q, "version": "1.0.%d-beta.1+build.%d", "description": %q, "keywords": [%q]}`, name, i, i, "what: "+words[i], words[i+1]))
		a.write(fmt.Sprintf("%s/ws/p%d/README.md", dir, i), "# "+words[i]+"\n")
		a.write(fmt.Sprintf("%s/ws/p%d/%s.js", dir, i, fileNames(90)[i]), "module.exports = 1\n")
		deps += fmt.Sprintf(", %q: \"beta\"", name)
	}
	a.write(dir+"/ws/package.json", `{"name": "all", "private": true, "workspaces": ["p*"]}`)
	npm(dir+"/ws", "publish", "--workspaces", "--tag", "beta")
	for i := range 60 {
		a.write(fmt.Sprintf("%s/ws/p%d/index.js", dir, i), "// second\n")
	}
	npm(dir+"/ws", "version", "2.0.0", "--workspaces", "--no-git-tag-version", "--no-workspaces-update")
	npm(dir+"/ws", "publish", "--workspaces")
	a.write(dir+"/use/package.json", `{"name": "use", "version": "1.0.0", "dependencies": {`+strings.TrimPrefix(deps, ", ")+"}}")
	npm(dir+"/use", "install")
	npm(dir+"/use", "audit")
	npm(dir+"/use", "outdated")
	npm(dir, "whoami")
	for i := range 8 {
		pkg := fmt.Sprintf("@scope-%d/pkg.%d_x", (2*i)%5, 2*i)
		npm(dir, "dist-tag", "add", pkg+"@2.0.0", "stable")
		npm(dir, "dist-tag", "ls", pkg)
		npm(dir, "view", pkg+"@^2", "--json")
		npm(dir, "deprecate", pkg+"@1", "use 2: "+words[i*5])
		npm(dir, "search", words[i*7])
		if i < 3 {
			npm(dir, "unpublish", pkg+"@2.0.0")
			npm(dir, "unpublish", "--force", pkg)
			npm(dir, "star", fmt.Sprintf("pkg-%d", 2*i+1))
		}
	}
	npm(dir, "token", "list")
	npm(dir, "ping")
	npm(dir, "profile", "get")
	w := a.window()
	w.Go(t.url() + "/")
	a.wait()
	w.Go(t.url() + "/-/web/detail/@scope-1/pkg.6_x")
	a.wait()
}
