<?php
// For PHP's built-in server: files that exist run, the rest is routed.
require_once __DIR__ . '/judge.php';
if (is_file($_SERVER['SCRIPT_FILENAME']) && str_ends_with($_SERVER['SCRIPT_FILENAME'], '.php') && basename($_SERVER['SCRIPT_FILENAME']) !== 'router.php') {
	return false;
}
route(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/');
