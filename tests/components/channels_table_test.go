//go:build components

package components

import "strings"

// opening is a request that could open a channel, or hide another one behind it.
type opening struct {
	// text is the request, with LF for CRLF. TARGET, HOST and WHO stand for its
	// target, the site, and the headers of who asks; SECRET for another request.
	text string
	// goesOn is set for those that the application gets without what could open a
	// channel.
	goesOn bool
}

const handshake = "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"

// protocols are values of Upgrade.
var protocols = []string{
	"h2c", "H2C", "h2", "HTTP/2.0", "HTTP/2", "HTTP/3", "h2c, websocket", "websocket, h2c", "h2c,websocket", "websocket,", ", websocket", ",h2c", "websocket h2c",
	"websocket;h2c", `"websocket"`, "websocket/13", "WebSocket/8", "websockets", "TLS/1.0", "tls", "IRC/6.9", "connect-udp", "connect-ip", "CONNECT-UDP", "connect-tcp", "webtransport", "SHTTP", "SHTTP/1.3", "mqtt",
	"foo", "raw", "tcp", "SPDY/3.1", "PTTH/1.0", "ssh", "*", "", "\tfoo\t", "\u017fhttp", "web\u017focket", "websocket\x0b", "websocket\x00h2c",
}

// connections are values of Connection beside an Upgrade.
var connections = []string{
	"Upgrade, HTTP2-Settings", "upgrade", "keep-alive, Upgrade", "close, Upgrade", "close", "keep-alive", "", "Upgrade,", "Upgrade;q=1", "\"Upgrade\"", "HTTP2-Settings", "Upgrade, Host",
	"Upgrade, Step-Up-User", "Upgrade, Content-Length, Transfer-Encoding", "Upgrade, Upgrade", "Upgrade\nConnection: HTTP2-Settings", "close\nConnection: Upgrade", "Upgrade\nConnection: close", "te, trailer, Upgrade",
}

// upgrades are requests with an Upgrade that is none of a WebSocket.
func upgrades() []opening {
	var all []opening
	add := func(lines string) {
		all = append(all, opening{"GET TARGET HTTP/1.1\nHost: HOST\nWHO" + lines + "\n", true})
	}
	for _, p := range protocols {
		add("Connection: Upgrade\nUpgrade: " + p + "\n" + handshake)
	}
	for _, c := range connections {
		add("Connection: " + c + "\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n")
	}
	for _, lines := range []string{
		"Upgrade: h2c\n", "HTTP2-Settings: AAMAAABkAAQAAP__\n", "Connection: HTTP2-Settings\nHTTP2-Settings: AAMAAABkAAQAAP__\n", "Connection: Upgrade\n", "Capsule-Protocol: ?1\n", "Connection: Upgrade\nCapsule-Protocol: ?1\nUpgrade: connect-udp\n",
		"Connection: Upgrade\nUpgrade: websocket\nUpgrade: h2c\n", "Connection: Upgrade\nUpgrade: h2c\nUpgrade: websocket\n", "Connection: Upgrade\nUpgrade: websocket\nUpgrade: websocket\n" + handshake, "Connection: Upgrade\nupgrade: h2c\nUPGRADE: h2c\n",
		"Connection: Upgrade\nUpgrade:\n h2c\n", "Connection: Upgrade\nUpgrade: websocket\n\t, h2c\n", "Connection:\n Upgrade\nUpgrade:h2c\n", "Connection: Upgrade\nUpgrade: h2c\nUpgrade:\n",
		"Connection: Upgrade\nX-Upgrade: h2c\nUp-grade: h2c\n", "Proxy-Connection: Upgrade\nUpgrade: h2c\n", "Connection: Upgrade\nUpgrade: h2c\nExpect: 100-continue\n",
		// Handshakes that are none (RFC 6455 section 4.2.1).
		"Connection: Upgrade\nUpgrade: websocket\n", "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n", "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n",
		"Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 777\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n", "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13, 8\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n",
		"Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Version: 8\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n", "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: c2hvcnQ=\n",
		"Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: \n", "Connection: Upgrade\nUpgrade: websocket\n" + handshake + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n",
		"Connection: Upgrade, Sec-WebSocket-Key\nUpgrade: websocket\n" + handshake, "Connection: Upgrade, Sec-WebSocket-Version\nUpgrade: websocket\n" + handshake, "Connection: close\nUpgrade: websocket\n" + handshake,
		"Upgrade: websocket\n" + handshake, "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\n",
	} {
		add(lines)
	}
	return all
}

// others are requests of other methods, versions and framings.
func others() []opening {
	var all []opening
	add := func(texts ...string) {
		for _, text := range texts {
			all = append(all, opening{text: text})
		}
	}
	const upgrade, websocket = "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n", "Connection: Upgrade\nUpgrade: websocket\n" + handshake
	for _, method := range []string{"POST", "PUT", "OPTIONS", "HEAD", "PRI", "CONNECT", "PROPFIND", "TRACE", "get", "Get", "connect", "SEARCH", "FOO", "GET\tX", ""} {
		add(method + " TARGET HTTP/1.1\nHost: HOST\nWHO" + upgrade + "\n")
		if method != "" {
			add(method + " TARGET HTTP/1.1\nHost: HOST\nWHO" + websocket + "\n")
		}
	}
	for _, head := range []string{
		"CONNECT HOST:80 HTTP/1.1", "CONNECT HOST HTTP/1.1", "CONNECT HOST:80 HTTP/1.0", "CONNECT TARGET HTTP/1.1", "CONNECT http://HOSTTARGET HTTP/1.1", "CONNECT * HTTP/1.1", "PRI * HTTP/2.0", "PRI * HTTP/1.1", "PRI TARGET HTTP/1.1",
		"OPTIONS * HTTP/1.1", "GET * HTTP/1.1", "GET http://HOSTTARGET HTTP/1.1", "GET TARGET HTTP/2.0", "GET TARGET HTTP/3.0", "GET TARGET HTTP/1.2", "GET TARGET HTTP/0.9", "GET TARGET", "GET TARGET HTTP/1.1 HTTP/1.1",
		"GET  TARGET HTTP/1.1", "GET TARGET\tHTTP/1.1", "\nGET TARGET HTTP/1.1",
	} {
		add(head+"\nHost: HOST\nWHO\n", head+"\nHost: HOST\nWHO"+upgrade+"\n")
	}
	for _, lines := range []string{upgrade, websocket, "Connection: keep-alive\n", "Connection: keep-alive\nTransfer-Encoding: chunked\n"} {
		add("GET TARGET HTTP/1.0\nHost: HOST\nWHO"+lines+"\n", "POST TARGET HTTP/1.0\nHost: HOST\nWHO"+lines+"Content-Length: 5\n\nhello")
	}
	// A second request inside the first one, by its framing.
	for _, framing := range []string{
		"Content-Length: 4\nTransfer-Encoding: chunked\n\n0\n\nSECRET", "Transfer-Encoding: chunked\nContent-Length: 4\n\n0\n\nSECRET", "Transfer-Encoding: chunked\n\n0\n\nSECRET", "Transfer-Encoding: chunked\nTransfer-Encoding: identity\n\n0\n\nSECRET",
		"Transfer-Encoding: identity\nTransfer-Encoding: chunked\n\n0\n\nSECRET", "Transfer-Encoding: xchunked\n\n0\n\nSECRET", "Transfer-Encoding: chunked, identity\n\n0\n\nSECRET", "Transfer-Encoding: gzip, chunked\n\n0\n\nSECRET", "Transfer-Encoding:\x0bchunked\n\n0\n\nSECRET",
		"Transfer-Encoding : chunked\nContent-Length: 0\n\n0\n\nSECRET", " Transfer-Encoding: chunked\nContent-Length: 0\n\n0\n\nSECRET", "X: y\n Transfer-Encoding: chunked\nContent-Length: 0\n\nSECRET", "Transfer_Encoding: chunked\nContent-Length: 0\n\nSECRET", "Transfer.Encoding: chunked\nContent-Length: 5\n\n0\n\nSECRET",
		"Transfer-Encoding: Chunked\nContent_Length: 5\n\n0\n\nSECRET", "Transfer-Encoding: \"chunked\"\n\n0\n\nSECRET", "Transfer-Encoding:\n chunked\n\n0\n\nSECRET", "Transfer-Encoding: chunked\rX: y\n\n0\n\nSECRET", "Connection: Transfer-Encoding\nTransfer-Encoding: chunked\n\n0\n\nSECRET",
		"Connection: Content-Length\nContent-Length: 5\n\nhelloSECRET", "Connection: Content-Length, Transfer-Encoding\nContent-Length: 5\n\nhelloSECRET", "Content-Length: 0\nContent-Length: 5\n\nSECRET", "Content-Length: 0, 5\n\nSECRET", "Content-Length: +0\n\nSECRET", "Content-Length: 0x0\n\nSECRET",
		"Content-Length: 00\n\nSECRET", "Content-Length: -1\n\nSECRET", "Content-Length: 5 \n\nhelloSECRET", "Content-Length : 5\n\nhelloSECRET", "Content-Length:\n 0\n\nSECRET", "Content-Length: 18446744073709551616\n\nSECRET", "Content-Length: \n\nSECRET",
		"Transfer-Encoding: chunked\n\n5;a=\nX\nhello\n0\n\nSECRET", "Transfer-Encoding: chunked\n\n5\r\rhello\n0\n\nSECRET", "Transfer-Encoding: chunked\n\n0x5\nhello\n0\n\nSECRET", "Transfer-Encoding: chunked\n\n10000000000000005\nhello\n0\n\nSECRET", "Transfer-Encoding: chunked\n\n5\nhelloXX0\n\nSECRET",
		"Transfer-Encoding: chunked\n\n5\nhello\n00000000000\nTrailer-X: y\nStep-Up-User: root\n\nSECRET", "Transfer-Encoding: chunked\nTrailer: Step-Up-User\n\n0\nStep-Up-User: root\n\nSECRET", "Transfer-Encoding: chunked\n\n-1\n\nSECRET", "Transfer-Encoding: chunked\n\n\nSECRET",
		"Expect: 100-continue\nContent-Length: 5\n\nSECRET", "Expect: 100-continue\n\nSECRET", "Expect: 100-continue\nTransfer-Encoding: chunked\n\n0\n\nSECRET", "Expect: 200-ok\nContent-Length: 5\n\nhelloSECRET", "Expect: 100-Continue, x\nContent-Length: 5\n\nhelloSECRET",
		"Connection: close\nContent-Length: 5\n\nhelloSECRET", "Connection: close\n\nSECRET", "Content-Length: 5\nContent-Type: multipart/form-data; boundary=x\n\nhelloSECRET", "X:y\r\n\nSECRET", "X\nContent-Length: 0\n\nSECRET", "X: a\x00b\nContent-Length: 0\n\nSECRET", "X: a\r\n\nSECRET",
	} {
		for _, method := range []string{"POST", "GET"} {
			add(method + " TARGET HTTP/1.1\nHost: HOST\nWHO" + framing)
		}
	}
	for _, target := range []string{"TARGET%20HTTP/1.1%0d%0aX:%20y", "TARGET%0d%0a%0d%0aGET%20/admin/secret-0%20HTTP/1.1", "TARGET\x0bHTTP/1.1", "TARGET#x", "TARGET\x00", "/\\HOST/TARGET"} {
		add("GET " + target + " HTTP/1.1\nHost: HOST\nWHO\n")
	}
	return all
}

// bytes fills an opening in.
func (o opening) bytes(host, target, who, secret string) string {
	return strings.NewReplacer("\n", "\r\n", "TARGET", target, "HOST", host, "WHO", who, "SECRET", secret).Replace(o.text)
}
