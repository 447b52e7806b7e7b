package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func init() {
	recordings["webdav"] = webdav
	recordings["subversion"] = subversion
}

// apache runs Debian's Apache with a configuration of its own in dir, which it
// hands to the account that Apache runs as.
func (a *app) apache(dir, conf string) string {
	port := a.port()
	a.write(dir+"/conf", fmt.Sprintf(`ServerRoot %[1]s
ServerName localhost
Listen 127.0.0.1:%[2]s
PidFile %[1]s/pid
ErrorLog %[1]s/log
User www-data
Group www-data
Define M /usr/lib/apache2/modules
LoadModule mpm_event_module ${M}/mod_mpm_event.so
LoadModule authz_core_module ${M}/mod_authz_core.so
LoadModule authn_core_module ${M}/mod_authn_core.so
LoadModule authn_file_module ${M}/mod_authn_file.so
LoadModule auth_basic_module ${M}/mod_auth_basic.so
LoadModule authz_user_module ${M}/mod_authz_user.so
LoadModule mime_module ${M}/mod_mime.so
LoadModule dir_module ${M}/mod_dir.so
LoadModule autoindex_module ${M}/mod_autoindex.so
LoadModule dav_module ${M}/mod_dav.so
LoadModule dav_fs_module ${M}/mod_dav_fs.so
TypesConfig /etc/mime.types
AllowEncodedSlashes NoDecode
Mutex file:%[1]s
DavLockDB %[1]s/lock/db
<Directory />
	Require all granted
</Directory>
%[3]s
`, dir, port, conf))
	for _, d := range []string{dir, dir + "/lock", dir + "/files"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			a.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			a.Fatal(err)
		}
	}
	a.must(dir, nil, "chown", "-R", "www-data:", dir)
	return a.serve(dir, port, nil, "apache2", "-D", "FOREGROUND", "-f", dir+"/conf")
}

// webdav is Apache's mod_dav with rclone, cadaver, curl and litmus.
func webdav(a *app) {
	dir := a.dir()
	a.write(dir+"/users", "alice:"+a.must(dir, nil, "openssl", "passwd", "-apr1", "wonder land&1"))
	t := a.tap(a.apache(dir, fmt.Sprintf(`
DocumentRoot %[1]s/files
<Directory %[1]s/files>
	Dav On
	Options Indexes
	DirectoryIndex disabled
	AuthType Basic
	AuthName files
	AuthUserFile %[1]s/users
	Require valid-user
</Directory>`, dir)))
	local := a.dir()
	for i, name := range fileNames(220) {
		a.write(filepath.Join(local, "all", name), fmt.Sprintf("file %d: %s\n", i, name))
		if i%4 == 0 {
			a.write(filepath.Join(local, "all", "in "+name, name), "inner")
		}
	}
	env := []string{"RCLONE_CONFIG=" + local + "/rclone.conf", "HOME=" + local}
	secret := a.must(local, env, "rclone", "obscure", "wonder land&1")
	a.write(local+"/rclone.conf", "[dav]\ntype = webdav\nvendor = other\nurl = "+t.url()+"\nuser = alice\npass = "+secret)
	rclone := func(args ...string) {
		a.run(local, env, append([]string{"rclone", "-q", "--retries", "1"}, args...)...)
	}
	rclone("copy", local+"/all", "dav:one")
	rclone("lsjson", "-R", "dav:")
	rclone("sync", local+"/all", "dav:one")
	rclone("copy", "dav:one", local+"/back")
	rclone("copy", "--header-download", "Range: bytes=0-3", "dav:one", local+"/part")
	rclone("copy", "dav:one", "dav:two") // COPY on the server
	rclone("move", "dav:two", "dav:three")
	rclone("moveto", "dav:one/(draft)", "dav:one/[final] & done")
	rclone("purge", "dav:three")
	a.write(local+"/.netrc", "machine 127.0.0.1 login alice password \"wonder land&1\"")
	commands := "ls\nmkcol töpfe\ncd töpfe\n"
	for i, name := range fileNames(60) {
		a.write(fmt.Sprintf("%s/c%d", local, i), name)
		quoted := fmt.Sprintf("%q", name)
		commands += fmt.Sprintf("put c%d %s\ncopy %s \"copy of %d\"\nmove \"copy of %d\" \"moved %d+\"\nlock \"moved %d+\"\npropset \"moved %d+\" color %s\npropget \"moved %d+\"\nunlock \"moved %d+\"\n", i, quoted, quoted, i, i, i, i, i, quoted, i, i)
	}
	a.input(local, commands+"ls\ncd ..\nrmcol töpfe\nquit\n", "env", "HOME="+local, "cadaver", t.url()+"/")
	a.run(local, nil, "litmus", t.url()+"/", "alice", "wonder land&1")
	for _, name := range fileNames(60) {
		a.write(local+"/up", name)
		a.run(local, nil, "curl", "-sS", "--netrc-file", local+"/.netrc", "-T", "up", t.url()+"/"+escape(name))
		a.run(local, nil, "curl", "-sS", "--netrc-file", local+"/.netrc", "-r", "1-2", "-z", "yesterday", t.url()+"/"+escape(name))
	}
	a.run(local, nil, "wget", "-q", "-e", "robots=off", "-r", "-np", "-l", "3", "--user=alice", "--password=wonder land&1", "-P", local+"/w", t.url()+"/")
}

// subversion is mod_dav_svn with svn.
func subversion(a *app) {
	dir := a.dir()
	a.write(dir+"/files/README", "repositories\n")
	a.must(dir, nil, "svnadmin", "create", dir+"/files/repo")
	t := a.tap(a.apache(dir, fmt.Sprintf(`
LoadModule dav_svn_module ${M}/mod_dav_svn.so
DocumentRoot %[1]s/lock
<Location /svn>
	DAV svn
	SVNParentPath %[1]s/files
</Location>`, dir)))
	work := a.dir()
	svn := func(args ...string) {
		a.run(work+"/wc", []string{"HOME=" + work, "LC_ALL=C.UTF-8"}, append([]string{"svn", "--non-interactive"}, args...)...)
	}
	a.must(work, []string{"LC_ALL=C.UTF-8"}, "svn", "-q", "checkout", t.url()+"/svn/repo", work+"/wc")
	svn("mkdir", "trunk", "branches")
	for i, name := range fileNames(90) {
		a.write(filepath.Join(work, "wc/trunk", fmt.Sprintf("d%d", i%5), name), name)
	}
	svn("add", "--force", "trunk")
	svn("commit", "-m", "first: äöü & <xml>")
	for i := range 12 {
		for j, name := range fileNames(90) {
			if j%12 == i {
				a.write(filepath.Join(work, "wc/trunk", fmt.Sprintf("d%d", j%5), name), name+" again")
			}
		}
		svn("commit", "-m", name(i))
	}
	svn("update")
	svn("propset", "license", "MIT & more", "-R", "trunk")
	svn("commit", "-m", "properties")
	for i := range 15 {
		svn("copy", "-m", name(i), t.url()+"/svn/repo/trunk", t.url()+"/svn/repo/branches/"+escape(fileNames(60)[i*2]))
	}
	svn("log", "-v", t.url()+"/svn/repo")
	svn("list", "-R", t.url()+"/svn/repo")
	svn("move", "-m", "moved", t.url()+"/svn/repo/trunk/d1", t.url()+"/svn/repo/trunk/d%20one")
	svn("update")
	a.run(work, nil, "wget", "-q", "-e", "robots=off", "-r", "-np", "-l", "3", "-P", work+"/w", t.url()+"/svn/repo/trunk/")
}
