<?php
// What every script of the PHP judges says: which one ran, and what it did. The
// file's own name is what counts; a front controller routes as frameworks do.

function ran($handler)
{
	header('X-Ran: ' . $handler);
	header('Content-Type: application/json');
	echo json_encode(['handler' => $handler]);
	exit;
}

// values are what PHP holds under op, compared loosely as old code does.
function values()
{
	$found = [];
	foreach ([$_GET, $_POST] as $from) {
		if (isset($from['op'])) {
			foreach (is_array($from['op']) ? $from['op'] : [$from['op']] as $v) {
				$found[] = $v;
			}
		}
	}
	$type = $_SERVER['CONTENT_TYPE'] ?? '';
	if (!$_POST && stripos($type, 'multipart') === false) {
		$body = json_decode(file_get_contents('php://input'), true);
		if (is_array($body) && isset($body['op'])) {
			$found[] = $body['op'];
		}
	}
	return $found;
}

function rpc_method()
{
	$body = json_decode(file_get_contents('php://input'), true);
	return is_array($body) ? ($body['method'] ?? null) : null;
}

function any($values, $test)
{
	foreach ($values as $v) {
		if ($test($v)) {
			return true;
		}
	}
	return false;
}

function decide($name)
{
	switch ($name) {
	case 'app':
		ran(any(values(), fn($v) => $v == 'withdraw' || $v == 'pay') ? 'FORM' : 'PUBLIC');
	case 'neg':
		ran(any(values(), fn($v) => $v !== 'login') ? 'NEG' : 'PUBLIC');
	case 'rpc':
		ran(rpc_method() == 'torrent-remove' ? 'RPC' : 'PUBLIC');
	case 'rpcneg':
		$m = rpc_method();
		ran($m !== null && $m !== 'torrent-get' ? 'RPCNEG' : 'PUBLIC');
	}
	ran('PUBLIC');
}

// route is a front controller: Symfony's method override, one percent-decoding,
// and the first segment decides.
function route($path)
{
	$method = $_SERVER['REQUEST_METHOD'];
	if ($method === 'POST') {
		$method = strtoupper($_SERVER['HTTP_X_HTTP_METHOD_OVERRIDE'] ?? $_POST['_method'] ?? $_GET['_method'] ?? $method);
	}
	$path = '/' . trim(rawurldecode($path), '/');
	if (preg_match('#^/admin(/.*)?$#s', $path)) {
		ran('ADMIN');
	}
	if (preg_match('#^/transfer/[^/]+$#', $path)) {
		ran('TRANSFER');
	}
	if (preg_match('#^/exact(\.[a-z]+)?$#', $path)) {
		ran('EXACT');
	}
	if (preg_match('#^/view/[^/]+$#', $path)) {
		ran('VIEW');
	}
	if (preg_match('#^/item/[^/]+$#', $path)) {
		ran($method === 'DELETE' ? 'ERASE' : 'PUBLIC');
	}
	if (preg_match('#^/(app|neg|rpc|rpcneg)$#', $path, $m)) {
		decide($m[1]);
	}
	ran('PUBLIC');
}
