package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/tests/apps"
)

func init() { recordings["dokuwiki"] = dokuwiki }

// dokuwikiXMLRPC is what programs do, by Python's own client.
const dokuwikiXMLRPC = `
import sys, xmlrpc.client as x
s = x.ServerProxy('http://admin:admin@' + sys.argv[1] + '/lib/exe/xmlrpc.php')
print(s.dokuwiki.getVersion(), s.dokuwiki.login('admin', 'admin'))
for i, n in enumerate(open(sys.argv[2]).read().split('\n')):
    s.wiki.putPage('rpc:p%d' % i, '====== ' + n + ' ======\n', {'sum': n, 'minor': True})
    s.dokuwiki.appendPage('rpc:p%d' % i, n, {})
    s.wiki.getPageInfo('rpc:p%d' % i)
    s.wiki.putAttachment('rpc:f%d.txt' % i, x.Binary(n.encode()), {'ow': True})
    s.dokuwiki.search(n)
s.wiki.deleteAttachment('rpc:f1.txt')
print(s.dokuwiki.getPagelist('rpc', {'depth': 2})[:1])
`

// dokuwiki is DokuWiki with Chromium, wget and a client of XML-RPC.
func dokuwiki(a *app) {
	addr, dir := apps.DokuWiki(a, "<?php\n$conf['remote'] = 1;\n$conf['remoteuser'] = '@admin';\n")
	a.names[dir] = "/srv/dokuwiki"
	t := a.tap(addr)
	w := a.window()
	a.visit(w, t.url()+"/doku.php?id=start&do=login&sectok=")
	a.submit(w, "#dw__login", "", map[string]string{"u": "admin", "p": "admin", "r": "1"})
	for _, p := range []string{
		"/doku.php?id=start&do=index", "/doku.php?id=start&do=recent", "/doku.php?id=start&do=revisions", "/doku.php?id=start&do=backlink", "/doku.php?id=start&do=profile", "/doku.php?id=start&do=media&ns=", "/doku.php?id=start&do=admin", "/doku.php?id=start&do=admin&page=acl", "/doku.php?id=start&do=admin&page=usermanager",
		"/doku.php?id=start&do=admin&page=config", "/doku.php?id=start&do=admin&page=extension", "/doku.php?id=start&do=admin&page=revert", "/doku.php?id=start&do=admin&page=popularity", "/doku.php?do=search&id=start&sf=1&q=" + url.QueryEscape("Äpfel & -Birnen @wiki"), "/lib/exe/mediamanager.php?ns=&edid=wiki__text", "/feed.php?mode=list&ns=", "/lib/exe/fetch.php?media=wiki:dokuwiki-128.png&w=64&tok=x", "/lib/exe/detail.php?media=wiki:dokuwiki-128.png", "/_export/raw/start", "/doku.php/wiki:syntax?do=export_xhtml", "/doku.php?id=wiki:syntax&do=export_raw",
	} {
		a.visit(w, t.url()+p)
	}
	for i := range 12 {
		n := name(i * 7)
		page := "ns:" + n
		a.visit(w, t.url()+"/doku.php?id="+url.QueryEscape(page)+"&do=edit&rev=0")
		a.does(w, `document.querySelector('#wiki__text').value = `+quote("====== "+n+" ======\n")+`; dw_editor; dw_locktimer.lasttime = new Date(0); dw_locktimer.refresh(); await new Promise(done => setTimeout(done, 150))`)
		a.submit(w, "#dw__editform", "[name='do[preview]']", map[string]string{"wikitext": "====== " + n + " ======\n  * <b>&amp;</b> 100 %\n\n===== two =====\n" + name(i)})
		a.submit(w, "#dw__editform", "[name='do[save]']", map[string]string{"summary": n})
		a.click(w, "form.btn_secedit button")
		a.settle(w)
		a.submit(w, "#dw__editform", "[name='do[save]']", map[string]string{"minor": "1"})
		a.does(w, `for (const [call, q] of [['qsearch', `+quote(n)+`], ['linkwiz', `+quote(name(i))+`], ['suggestions', `+quote(n)+`], ['index', 'ns'], ['medialist', ''], ['mediadetails', 'wiki:dokuwiki-128.png']]) await new Promise(done => jQuery.post(DOKU_BASE + 'lib/exe/ajax.php', {call: call, q: q, idx: q, ns: q, image: q, tab_details: 'view', do: 'media'}).always(done))`)
		if i%2 == 0 {
			a.write(fmt.Sprintf("%s/in/%d/%s.txt", dir, i, fileNames(40)[i]), n)
			a.visit(w, t.url()+"/lib/exe/mediamanager.php?ns=up&edid=wiki__text")
			w.Attach(fmt.Sprintf("%s/in/%d/%s.txt", dir, i, fileNames(40)[i]))
			a.wait()
			a.click(w, "#mediamanager__upload_button")
			a.visit(w, t.url()+"/doku.php?id="+url.QueryEscape(page)+"&do=diff&rev2%5B0%5D=0&rev2%5B1%5D=&difftype=inline")
		}
		if i%3 == 0 {
			a.visit(w, t.url()+"/doku.php?id=start&do=admin&page=usermanager")
			a.submit(w, "form:has([name=userpass])", "[name='fn[add]']", map[string]string{"userid": fmt.Sprint("user", i), "userpass": "secret & " + n, "userpass2": "secret & " + n, "username": n, "usermail": fmt.Sprintf("u+%d@example.com", i), "usergroups": "user,a"})
			a.visit(w, t.url()+"/doku.php?id=start&do=profile")
			a.submit(w, "#dw__register", "", map[string]string{"fullname": n, "email": "admin@localhost", "oldpass": "admin"})
			a.visit(w, t.url()+"/doku.php?id=start&do=admin&page=config")
			a.submit(w, "#dw__configform", "[name=submit]", map[string]string{"config[title]": n, "config[tagline]": name(i)})
		}
		if i%5 == 0 {
			a.visit(w, t.url()+"/doku.php?id=start&do=admin&page=acl")
			a.submit(w, "#acl__detail form", "", map[string]string{"acl_w": fmt.Sprint("group", i)})
		}
	}
	a.write(dir+"/in/names", strings.ReplaceAll(strings.Join(names(25), "\n"), "\r", ""))
	a.write(dir+"/in/pages.py", dokuwikiXMLRPC)
	a.run(dir, nil, "python3", dir+"/in/pages.py", t.addr, dir+"/in/names")
	a.run(dir, nil, "wget", "-q", "-e", "robots=off", "-r", "-l", "2", "-P", dir+"/in/w", t.url()+"/doku.php?id=start&do=index")
	a.visit(w, t.url()+"/doku.php?id=start")
	a.click(w, "a.logout, .logout a")
}
