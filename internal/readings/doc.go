// Package readings tells in which ways an upstream may understand a request.
//
// The gateway decides by rules on paths and methods; the application behind it
// reads the same bytes with code of its own. nginx merges slashes, Tomcat
// strips ";params", IIS takes a backslash for a slash and drops trailing dots,
// frameworks let "_method=delete" turn a POST into a DELETE. Where gateway and
// application disagree, a rule is walked around. So instead of choosing one
// interpretation this package lists every plausible one, a reading each, and
// the caller decides each of them by its rules: what is demanded must hold for
// all (rules S06 and S07 of docs/security.md).
//
//	if readings.Single(r.RequestURI) {
//		paths = append(buf, r.URL.Path)          // almost every request
//	} else {
//		paths, err = readings.Paths(r.RequestURI) // error: 400
//	}
//	form := readings.PeekForm(r, 1<<20)            // only where a rule asks for methods
//	m, err := readings.MethodsOf(r, form)            // error: 400
//
// A missing reading is a way past a rule; one too many is at worst a needless
// challenge or a 400. In doubt the reading is listed.
//
// What the package promises: it reads hostile input in bounded time and memory
// and answers ErrTooMany instead of working on; the request stays as it was,
// its body byte for byte.
//
// What it does not do. It does not fold ASCII case: callers compare paths
// case-insensitively, as Caddy's path matcher does. It does not know the
// application's routes: Windows short names ("/ADMINI~1"), symbolic links and
// rewrites inside the application are other paths to it, and so are "/admin"
// and "/admin/" in the direction of adding a slash (a rule on "/admin/*" that
// means "/admin" too has to say so). Formats of a path ("/a.json") are for the
// rules, since only they know which paths matter. What it
// finds in bodies is what it is asked for by name: method overrides, and fields.
package readings
