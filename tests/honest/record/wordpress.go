package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/tests/apps"
)

func init() { recordings["wordpress"] = wordpress }

// wordpressXMLRPC is what blog clients do, by Python's own client.
const wordpressXMLRPC = `
import sys, xmlrpc.client as x
s = x.ServerProxy(sys.argv[1] + '/xmlrpc.php')
a = (1, 'alice', 'password of alice')
print(s.system.listMethods()[:3], s.wp.getUsersBlogs(*a[1:]))
for n in open(sys.argv[2]).read().split('\n'):
    i = s.wp.newPost(*a, {'post_title': n, 'post_content': '<p>' + n + '</p>', 'post_status': 'publish'})
    s.wp.editPost(*a, i, {'post_excerpt': n})
    s.wp.getPost(*a, i)
    s.wp.newComment(*a, i, {'content': n})
    s.wp.uploadFile(*a, {'name': n.replace('/', '_') + '.txt', 'type': 'text/plain', 'bits': x.Binary(n.encode())})
m = x.MultiCall(s)
m.wp.getPosts(*a, {'number': 3})
m.wp.getTaxonomies(*a)
list(m())
s.wp.deletePost(*a, i)
`

// wordpress is WordPress with Chromium, curl and a client of XML-RPC.
func wordpress(a *app) {
	addr, dir := apps.WordPress(a)
	a.names[dir] = "/srv/wordpress"
	t := a.tap(addr)
	apps.Write(a, dir+"/password.php", `<?php
require __DIR__ . '/wp-load.php';
add_filter('wp_is_application_passwords_available', '__return_true');
echo 'secret ', WP_Application_Passwords::create_new_application_password(1, ['name' => 'program'])[0];
unlink(__FILE__);
`)
	_, secret, _ := strings.Cut(apps.PHPScript(a, dir, "password.php"), "secret ")
	apps.Write(a, dir+"/wp-content/mu-plugins/passwords.php", "<?php add_filter('wp_is_application_passwords_available', '__return_true');\n")

	w := a.window()
	a.visit(w, t.url()+"/")
	a.visit(w, t.url()+"/?s="+url.QueryEscape("Äpfel & Birnen"))
	a.visit(w, t.url()+"/wp-login.php")
	a.submit(w, "#loginform", "", map[string]string{"log": "alice", "pwd": "password of alice", "rememberme": "forever"})
	for _, p := range []string{
		"", "edit.php?post_status=draft&post_type=post", "edit.php?s=a%26b&post_status=all&post_type=page&action=-1&m=0", "upload.php", "upload.php?mode=list", "media-new.php", "edit-comments.php?comment_status=moderated", "themes.php",
		"nav-menus.php?action=edit&menu=0", "widgets.php", "plugins.php?plugin_status=all", "users.php?role=administrator", "tools.php", "import.php", "export.php", "site-health.php", "export-personal-data.php", "options-general.php", "options-writing.php",
		"options-reading.php", "options-discussion.php", "options-media.php", "options-permalink.php", "options-privacy.php", "customize.php?return=%2Fwp-admin%2Fthemes.php", "revision.php?revision=1", "theme-editor.php?file=functions.php&theme=x", "user-edit.php?user_id=2&wp_http_referer=%2Fwp-admin%2Fusers.php",
	} {
		a.visit(w, t.url()+"/wp-admin/"+p)
	}
	for i := range 12 {
		a.visit(w, t.url()+"/wp-admin/options-general.php")
		a.submit(w, "form[action='options.php']", "", map[string]string{"blogname": name(i), "blogdescription": name(i * 3), "date_format": "Y-m-d"})
		a.visit(w, t.url()+"/wp-admin/profile.php")
		a.submit(w, "#your-profile", "#submit", map[string]string{"first_name": name(i + 5), "description": name(i * 2), "url": "https://example.com/?a=b&c=" + url.QueryEscape(name(i)), "display_name": "alice", "pass1": "password of alice", "pass2": "password of alice"})
		a.visit(w, t.url()+"/wp-admin/user-new.php")
		a.submit(w, "#createuser", "#createusersub", map[string]string{"user_login": fmt.Sprint("user", i), "email": fmt.Sprintf("user+%d@example.com", i), "first_name": name(i), "pass1": "secret & " + name(i), "pass2": "secret & " + name(i), "role": "editor"})
		a.visit(w, t.url()+"/wp-admin/edit-tags.php?taxonomy=category")
		a.submit(w, "#addtag", "#submit", map[string]string{"tag-name": name(i * 4), "slug": name(i), "description": name(i + 1)})
	}
	a.submit(w, "#posts-filter", "#doaction", map[string]string{"action": "delete"})

	// The editor's own ways: REST with a nonce, and what it asks for by itself.
	a.visit(w, t.url()+"/wp-admin/post-new.php")
	a.wait()
	for i := range 25 {
		n := quote(name(i * 2))
		a.does(w, `const p = await wp.apiFetch({path: '/wp/v2/posts', method: 'POST', data: {title: `+n+`, content: '<!-- wp:paragraph --><p>' + `+n+` + '</p><!-- /wp:paragraph -->', status: 'draft', tags: [], meta: {}}})
			await wp.apiFetch({path: '/wp/v2/posts/' + p.id, method: 'PUT', data: {status: 'publish', slug: `+n+`}})
			await wp.apiFetch({path: '/wp/v2/posts/' + p.id + '/autosaves', method: 'POST', data: {title: `+n+`, content: 'x'}})
			await wp.apiFetch({path: wp.url.addQueryArgs('/wp/v2/search', {search: `+n+`, per_page: 20, subtype: ['post', 'page']})})
			const f = new FormData(); f.append('file', new File(['text of ' + `+n+`], `+n+`.replace(/[\/\\]/g, '_') + '.txt', {type: 'text/plain'})); f.append('post', p.id)
			await wp.apiFetch({path: '/wp/v2/media', method: 'POST', body: f})
			await wp.apiFetch({path: '/wp/v2/tags', method: 'POST', data: {name: `+n+`}})
			if (p.id % 3 == 0) await wp.apiFetch({path: '/wp/v2/posts/' + p.id, method: 'DELETE'})
			await new Promise(done => wp.ajax.post('get-tagcloud', {tax: 'post_tag'}).always(done))
			wp.heartbeat.enqueue('wp-refresh-post-lock', {post_id: p.id, lock: '1'}); wp.heartbeat.connectNow()
			await new Promise(done => setTimeout(done, 150))`)
	}
	a.visit(w, t.url()+"/wp-admin/edit.php")
	for i := range 15 {
		a.does(w, `const id = document.querySelectorAll('#the-list tr')[`+fmt.Sprint(i)+`].id.replace('post-', '')
			inlineEditPost.edit(id); const e = document.querySelector('#edit-' + id); e.querySelector('[name=post_title]').value = `+quote(name(i*5))+`; e.querySelector('[name=tags_input], [name="tax_input[post_tag]"]').value = 'a, b & c'
			inlineEditPost.save(id); await new Promise(done => setTimeout(done, 300))`)
	}
	a.visit(w, t.url()+"/wp-admin/edit.php")
	a.does(w, `document.querySelectorAll('[name="post[]"]').forEach((e, i) => { e.checked = i % 4 == 0 }); document.querySelector('#bulk-action-selector-top').value = 'trash'; document.querySelector('#doaction').click()`)
	a.wait()
	for i, name := range fileNames(15) {
		a.visit(w, t.url()+"/wp-admin/media-new.php?browser-uploader")
		a.write(fmt.Sprintf("%s/in/%d/%s.txt", dir, i, name), name)
		w.Attach(fmt.Sprintf("%s/in/%d/%s.txt", dir, i, name))
		a.submit(w, "#file-form", "#html-upload", nil)
	}
	a.visit(w, t.url()+"/wp-admin/edit-comments.php")
	for range 6 {
		a.click(w, "#the-comment-list .approve a, #the-comment-list .unapprove a")
		a.click(w, "#the-comment-list .trash a")
	}

	// Programs.
	curl := func(args ...string) {
		a.run(dir, nil, append([]string{"curl", "-sS", "-o", "/dev/null", "-u", "alice:" + strings.TrimSpace(secret)}, args...)...)
	}
	for i := range 25 {
		n := url.QueryEscape(name(i))
		curl(t.url() + "/wp-json/wp/v2/posts?search=" + n + "&_fields=id,title.rendered,_links&context=edit&orderby=date&status[]=draft&status[]=publish")
		curl(t.url() + "/index.php?rest_route=/wp/v2/categories&slug=" + n)
		a.write(dir+"/in/post.json", `{"title": `+quote(name(i))+`, "content": {"raw": "x"}, "status": "private", "categories": [1], "meta": {}}`)
		curl("-H", "Content-Type: application/json", "-d", "@in/post.json", t.url()+"/wp-json/wp/v2/posts?_locale=user")
		curl("-F", "file=@in/post.json;type=text/plain;filename="+fileNames(30)[i]+".txt", "-F", "caption="+name(i), t.url()+"/wp-json/wp/v2/media")
		curl("-H", "Content-Disposition: attachment; filename=\"raw "+fmt.Sprint(i)+".txt\"", "-H", "Content-Type: text/plain", "--data-binary", "@in/post.json", t.url()+"/wp-json/wp/v2/media")
		curl("-d", "title="+n, "-d", "status=draft", "-H", "X-HTTP-Method-Override: PUT", t.url()+"/wp-json/wp/v2/posts/1")
		curl("-X", "DELETE", fmt.Sprintf("%s/wp-json/wp/v2/posts/%d?force=true", t.url(), 30+i))
	}
	a.write(dir+"/in/names", strings.Join(strings.Split(strings.ReplaceAll(strings.Join(names(30), "\n"), "\r", ""), "\n"), "\n"))
	a.write(dir+"/in/blog.py", wordpressXMLRPC)
	a.run(dir, nil, "python3", dir+"/in/blog.py", t.url(), dir+"/in/names")
	a.visit(w, t.url()+"/feed/")
	a.run(dir, nil, "wget", "-q", "-e", "robots=off", "-r", "-l", "2", "-P", dir+"/in/w", t.url()+"/")
	a.visit(w, t.url()+"/wp-login.php?action=lostpassword")
	a.visit(w, t.url()+"/wp-admin/")
	a.click(w, "#wp-admin-bar-logout a")
}
