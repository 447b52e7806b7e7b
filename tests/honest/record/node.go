package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

func init() {
	recordings["tus"] = func(a *app) { a.node("tus", fileNames(70)) }
	recordings["graphql"] = func(a *app) { a.node("graphql", names(150)) }
	recordings["socketio"] = func(a *app) { a.node("live", names(90)) }
	recordings["couchdb"] = func(a *app) { a.node("couch", names(90)) }
	recordings["oidc"] = oidc
	recordings["s3"] = s3
	recordings["nodered"] = nodered
}

// names are the first n names.
func names(n int) (all []string) {
	for i := range n {
		all = append(all, name(i))
	}
	return all
}

// node is a script of clients that is server and client.
func (a *app) node(script string, names []string) {
	dir := a.dir()
	b, err := json.Marshal(names)
	if err != nil {
		a.Fatal(err)
	}
	a.write(dir+"/names.json", string(b))
	port, file := a.port(), a.here("clients/"+script+".mjs")
	t := a.tap(a.serve(dir, port, nil, "node", file, "serve", port, dir))
	a.run(dir, nil, "node", file, "use", t.url(), dir)
}

// oidc is an OpenID provider and a client, in Chromium.
func oidc(a *app) {
	dir := a.dir()
	port, t := a.port(), (*tap)(nil)
	t = a.tap("127.0.0.1:" + port)
	a.serve(dir, port, []string{"BASE=" + t.url()}, "node", a.here("clients/oidc.mjs"), "serve", port, dir)
	b := a.browser()
	for i := range 24 {
		w := a.open(b)
		par := ""
		if i%3 == 0 {
			par = "&par"
		}
		w.Go(t.url() + "/client/login?hint=" + escapeQuery(name(i*4)) + par)
		w.Ask("() => { document.querySelector('[name=login]').value = " + quote(fmt.Sprintf("user%d+%s", i, name(i*3))) + "; document.querySelector('[name=password]').value = " + quote(name(i*5)) + "; return '' }")
		w.Click("Sign-in")
		w.Click("Continue")
		w.Sees("in")
		if i%2 == 0 {
			w.Click("Sign out")
			w.Click("Yes, sign me out")
		}
	}
}

// s3 is s3rver with rclone and s3cmd.
func s3(a *app) {
	dir := a.dir()
	port := a.port()
	t := a.tap(a.serve(dir, port, nil, "node", a.here("clients/node_modules/s3rver/bin/s3rver.js"), "-d", dir+"/data", "-a", "127.0.0.1", "-p", port, "--configure-bucket", "bucket", "--no-vhost-buckets"))
	for i, name := range fileNames(110) {
		a.write(fmt.Sprintf("%s/in/dir %d/%s", dir, i%4, name), name)
	}
	a.write(dir+"/rclone.conf", "[s]\ntype = s3\nprovider = Other\nendpoint = "+t.url()+"\naccess_key_id = S3RVER\nsecret_access_key = S3RVER\nforce_path_style = true\n")
	rclone := func(args ...string) {
		a.run(dir, []string{"RCLONE_CONFIG=" + dir + "/rclone.conf", "AWS_CA_BUNDLE="}, append([]string{"rclone", "-q", "--retries", "1"}, args...)...)
	}
	rclone("copy", dir+"/in", "s:bucket/rclone")
	rclone("lsjson", "-R", "s:bucket")
	rclone("copy", "s:bucket/rclone/dir 1", "s:bucket/copies & more")
	rclone("copy", "s:bucket/rclone/dir 2", dir+"/back")
	rclone("delete", "s:bucket/copies & more")
	a.write(dir+"/s3cfg", "[default]\naccess_key = S3RVER\nsecret_key = S3RVER\nhost_base = "+t.addr+"\nhost_bucket = "+t.addr+"\nuse_https = False\n")
	s3cmd := func(args ...string) {
		a.run(dir, []string{"LC_ALL=C.UTF-8"}, append([]string{"s3cmd", "-q", "-c", dir + "/s3cfg"}, args...)...)
	}
	s3cmd("put", "-r", dir+"/in/dir 0", "s3://bucket/s3cmd/")
	s3cmd("ls", "-r", "s3://bucket/s3cmd/")
	a.write(dir+"/got/.keep", "")
	s3cmd("get", "-r", "s3://bucket/s3cmd/", dir+"/got/")
	a.write(dir+"/big", strings.Repeat("0123456789abcdef", 1<<16*12/16*10))
	s3cmd("put", "--multipart-chunk-size-mb=5", dir+"/big", "s3://bucket/größe (big).bin")
	s3cmd("del", "-r", "s3://bucket/again/")
}

// nodered is Node-RED in Chromium.
func nodered(a *app) {
	dir := a.dir()
	port := a.port()
	t := a.tap(a.serve(dir, port, nil, "node", a.here("clients/node_modules/node-red/red.js"), "-u", dir, "-p", port, "-D", "uiHost=127.0.0.1"))
	w := a.window()
	w.Go(t.url() + "/")
	a.wait()
	a.wait()
	for i := range 25 {
		w.Inject("RED.nodes.add({id: RED.nodes.id(), type: 'comment', z: RED.workspaces.active(), x: 100, y: 50, name: " + quote(name(i*3)) + ", info: " + quote(name(i)) + ", _def: RED.nodes.getType('comment'), changed: true, dirty: true, w: 100, h: 30, inputs: 0, outputs: 0}); RED.nodes.dirty(true); RED.view.redraw(true); setTimeout(() => document.querySelector('#red-ui-header-button-deploy').click(), 200)")
		a.wait()
		a.wait()
	}
	for _, tab := range []string{"info", "debug", "help", "config", "context"} {
		w.Inject("RED.sidebar.show('" + tab + "')")
		a.wait()
	}
}
