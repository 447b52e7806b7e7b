package apps

import (
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// MariaDB runs a database server and returns its address. It has a database "app"
// and an account "app", password "app", that may do everything.
func MariaDB(t gateway.T) string {
	t.Helper()
	dir, port := t.TempDir(), freeport.Find(t)
	Run(t, dir, nil, "", "mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root", "--datadir="+dir+"/data")
	addr := Serve(t, dir, port, nil, "mariadbd", "--no-defaults", "--user=root", "--datadir="+dir+"/data", "--socket="+dir+"/s", "--bind-address=127.0.0.1", "--port="+port, "--pid-file="+dir+"/pid",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M")
	Run(t, dir, nil, "CREATE DATABASE app CHARACTER SET utf8mb4; CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'; GRANT ALL ON *.* TO app@'127.0.0.1' WITH GRANT OPTION; CREATE USER app@localhost IDENTIFIED BY 'app'; GRANT ALL ON *.* TO app@localhost;",
		"mariadb", "--no-defaults", "-u", "root", "-S", dir+"/s")
	return addr
}

// PHP runs a directory on PHP's own server, with several processes, and returns its
// address.
func PHP(t gateway.T, dir string, more ...string) string {
	t.Helper()
	port := freeport.Find(t)
	command := []string{"php", "-d", "session.save_path=" + t.TempDir(), "-d", "display_errors=0", "-S", "127.0.0.1:" + port, "-t", dir}
	return Serve(t, dir, port, []string{"PHP_CLI_SERVER_WORKERS=4"}, append(command, more...)...)
}

// WhoamiPlugin makes WordPress say at /?step_up_whoami=1 who is signed in, by a cookie
// or by an application password.
const WhoamiPlugin = `<?php
add_filter('application_password_is_api_request', fn($is) => $is || isset($_GET['step_up_whoami']));
add_action('init', function () {
	if (isset($_GET['step_up_whoami'])) wp_send_json(['user' => wp_get_current_user()->user_login]);
});
`

// WordPress runs WordPress and returns its address and directory. It has the
// administrators alice and mallory, whose passwords are "password of NAME". It believes
// X-Forwarded-Proto and X-Forwarded-Host, as WordPress's manual advises behind a proxy,
// and so it has other cookies over HTTPS.
func WordPress(t gateway.T) (addr, dir string) {
	t.Helper()
	dir = t.TempDir() + "/wordpress"
	copied(t, "/usr/share/wordpress", dir, "-L")
	Write(t, dir+"/wp-config.php", fmt.Sprintf(`<?php
define('DB_NAME', 'app'); define('DB_USER', 'app'); define('DB_PASSWORD', 'app'); define('DB_HOST', '%s'); define('DB_CHARSET', 'utf8mb4');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $what) { define($what . '_KEY', 'key of ' . $what); define($what . '_SALT', 'salt of ' . $what); }
if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') $_SERVER['HTTPS'] = 'on';
if (isset($_SERVER['HTTP_X_FORWARDED_HOST'])) $_SERVER['HTTP_HOST'] = $_SERVER['HTTP_X_FORWARDED_HOST'];
$base = (empty($_SERVER['HTTPS']) ? 'http://' : 'https://') . ($_SERVER['HTTP_HOST'] ?? 'localhost');
define('WP_HOME', $base); define('WP_SITEURL', $base);
// Cookies have the same names over HTTP, as they have with a fixed address of the site.
define('COOKIEHASH', md5($_SERVER['HTTP_HOST'] ?? ''));
define('WP_HTTP_BLOCK_EXTERNAL', true); define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true); define('FS_METHOD', 'direct');
define('WP_CONTENT_DIR', __DIR__ . '/wp-content');
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`, MariaDB(t)))
	Write(t, dir+"/install.php", `<?php
define('WP_INSTALLING', true);
require __DIR__ . '/wp-load.php';
require __DIR__ . '/wp-admin/includes/upgrade.php';
wp_install('Site', 'alice', 'alice@example.com', false, '', 'password of alice');
wp_insert_user(['user_login' => 'mallory', 'user_pass' => 'password of mallory', 'user_email' => 'mallory@example.com', 'role' => 'administrator']);
update_option('permalink_structure', '/%postname%/');
unlink(__FILE__);
`)
	PHPScript(t, dir, "install.php")
	return PHP(t, dir), dir
}

// PHPScript runs a script of PHP to its end, without mail, and returns what it wrote.
func PHPScript(t gateway.T, dir, script string) string {
	t.Helper()
	return Run(t, dir, nil, "", "php", "-d", "sendmail_path=/bin/true", script)
}
