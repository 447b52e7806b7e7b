package readings

import "strings"

// The rewrites of paths that run a script with the rest as its PATH_INFO.

// cutPathInfo ends the path behind the last script that something follows.
func cutPathInfo(dst []byte, s string) []byte {
	for i := strings.LastIndexByte(s, '/'); i > 0; i = strings.LastIndexByte(s[:i], '/') {
		seg := s[strings.LastIndexByte(s[:i], '/')+1 : i]
		if d := strings.LastIndexByte(seg, '.'); d >= 0 && isScript(seg[d+1:]) {
			return append(dst, s[:i]...)
		}
	}
	return append(dst, s...)
}

// dropScript leaves what follows the first script, which is the route where a
// front controller tells its pages apart by PATH_INFO: in "/index.php/admin" it
// is "/admin" to Symfony, Laravel and many others.
func dropScript(dst []byte, s string) []byte {
	for at := 0; ; {
		i := strings.IndexByte(s[at:], '/')
		if i < 0 {
			return append(dst, s...)
		}
		seg := s[at : at+i]
		if d := strings.LastIndexByte(seg, '.'); d >= 0 && isScript(seg[d+1:]) {
			return append(dst, s[at+i:]...)
		}
		at += i + 1
	}
}

// cutSplitScript ends the path behind the last extension at which FastCGI may be
// told to split, wherever it stands and if something follows. Repeated it finds
// every such cut; see splitsBehind.
func cutSplitScript(dst []byte, s string) []byte {
	for i := strings.LastIndexByte(s, '.'); i > 0; i = strings.LastIndexByte(s[:i], '.') {
		if n := splitsBehind(s[i:]); n > 0 {
			return append(dst, s[:i+n]...)
		}
	}
	return append(dst, s...)
}

// dropSplitScript leaves what follows the first such extension, which is the
// PATH_INFO where FastCGI splits there: "/index.phpadmin" has "admin", and a front
// controller that takes slashes off both ends routes it as "/admin".
func dropSplitScript(dst []byte, s string) []byte {
	for at := 0; ; at++ {
		i := strings.IndexByte(s[at:], '.')
		if i < 0 {
			return append(dst, s...)
		}
		at += i
		if n := splitsBehind(s[at:]); n > 0 {
			if rest := s[at+n:]; rest[0] != '/' {
				dst = append(dst, '/')
			}
			return append(dst, s[at+n:]...)
		}
	}
}
