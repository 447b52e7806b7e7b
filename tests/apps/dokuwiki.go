package apps

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// DokuWiki runs Debian's DokuWiki, with its configuration and pages in a directory of
// its own, and returns its address and that directory. It has alice, password
// wonderland; bob, password builder; and admin, password admin. local is what the
// operator writes into local.protected.php.
func DokuWiki(t gateway.T, local string) (addr, dir string) {
	t.Helper()
	const code, system = "/usr/share/dokuwiki", "/etc/dokuwiki"
	files, err := os.ReadDir(system)
	if _, none := os.Stat(code + "/doku.php"); err != nil || none != nil {
		t.Fatalf("dokuwiki is missing: run .ci/components: %v", err)
	}
	dir = t.TempDir()
	for _, f := range files {
		// What the package links elsewhere are the accounts and their rights.
		if f.Type() != 0 || f.Name() == "local.php" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(system, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		Write(t, dir+"/conf/"+f.Name(), string(text))
	}
	Write(t, dir+"/conf/local.protected.php", local)
	Write(t, dir+"/conf/local.php", fmt.Sprintf("<?php\n$conf['savedir'] = '%s/data';\n$conf['useacl'] = 1;\n$conf['superuser'] = '@admin';\n", dir))
	Write(t, dir+"/conf/acl.auth.php", "# <?php exit()?>\n* @ALL 1\n* @user 16\n")
	Write(t, dir+"/conf/users.auth.php", fmt.Sprintf("# <?php exit()?>\nalice:%x:Alice <b>Adams</b>:alice@localhost:user\nbob:%x:Bob:bob@localhost:user\nadmin:%x:Admin:admin@localhost:admin,user\n",
		md5.Sum([]byte("wonderland")), md5.Sum([]byte("builder")), md5.Sum([]byte("admin"))))
	// Debian's own way to another configuration, before its router.
	Write(t, dir+"/router.php", fmt.Sprintf("<?php\nif (!defined('DOKU_CONF')) define('DOKU_CONF', '%s/conf/');\nreturn require '%s/index.php';\n", dir, code))
	for _, d := range []string{"attic", "cache", "index", "locks", "log", "media", "media_attic", "media_meta", "meta", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "data", d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	Write(t, dir+"/data/pages/start.txt", "The first page.\n")
	Write(t, dir+"/data/pages/kept.txt", "This page stays as it is.\n")
	port := freeport.Find(t)
	return Serve(t, dir, port, []string{"PHP_CLI_SERVER_WORKERS=4"}, "php", "-d", "session.save_path="+dir+"/data/tmp", "-S", "127.0.0.1:"+port, "-t", code, dir+"/router.php"), dir
}
