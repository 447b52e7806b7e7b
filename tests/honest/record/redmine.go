package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/tests/apps"
)

func init() { recordings["redmine"] = redmine }

// redmine is Redmine with Chromium and curl.
func redmine(a *app) {
	t := a.tap(apps.Redmine(a))
	dir := a.dir()
	w := a.window()
	a.visit(w, t.url()+"/login?back_url="+url.QueryEscape(t.url()+"/my/page"))
	a.submit(w, "#login-form form", "[name=login]", map[string]string{"username": "alice", "password": "password of alice", "autologin": "1"})
	for _, p := range []string{
		"/", "/my/page", "/projects", "/projects/first", "/projects/first/activity?from=2024-05-17&show_issues=1&show_wiki_edits=1", "/projects/first/roadmap", "/projects/first/issues/gantt", "/projects/first/issues/calendar?month=5&year=2024", "/projects/first/settings/members", "/projects/first/settings/versions",
		"/projects/first/issues?set_filter=1&f%5B%5D=status_id&op%5Bstatus_id%5D=o&f%5B%5D=subject&op%5Bsubject%5D=~&v%5Bsubject%5D%5B%5D=a%26b&f%5B%5D=&c%5B%5D=tracker&c%5B%5D=status&c%5B%5D=subject&c%5B%5D=cf_1&group_by=&t%5B%5D=",
		"/issues?utf8=%E2%9C%93&set_filter=1&sort=priority%3Adesc%2Cupdated_on%3Adesc&per_page=25", "/issues.csv?encoding=UTF-8&c[]=all_inline", "/issues.pdf", "/projects/first/issues.atom?key=" + apps.RedmineKey("alice"), "/issues/context_menu?ids%5B%5D=1&ids%5B%5D=2&back_url=%2Fissues",
		"/admin", "/users?status=1&name=a", "/groups", "/roles", "/roles/permissions", "/trackers", "/workflows/edit?role_id=3&tracker_id=1", "/custom_fields", "/enumerations", "/settings?tab=authentication", "/admin/plugins", "/admin/info", "/auth_sources/new", "/my/api_key", "/issues/auto_complete?project_id=first&term=iss", "/projects/first/search?q=a+b&all_words=1&issues=1",
	} {
		if strings.HasSuffix(p, ".csv") || strings.Contains(p, ".csv?") || strings.HasSuffix(p, ".pdf") || strings.Contains(p, ".atom") {
			a.run(dir, nil, "curl", "-sS", "-g", "-o", "/dev/null", t.url()+p)
			continue
		}
		a.visit(w, t.url()+p)
	}
	for i := range 12 {
		n := name(i * 7)
		a.visit(w, t.url()+"/projects/first/issues/new")
		if i%2 == 0 {
			a.write(fmt.Sprintf("%s/%d/%s", dir, i, fileNames(60)[i*2]), n)
			a.does(w, `const f = new File([`+quote(n)+`], `+quote(fileNames(60)[i*2])+`); const e = document.querySelector('input.filedrop[type=file]'); const d = new DataTransfer(); d.items.add(f); e.files = d.files; e.dispatchEvent(new Event('change', {bubbles: true})); await new Promise(done => setTimeout(done, 500))`)
		}
		a.submit(w, "#issue-form", "[name=commit]", map[string]string{"issue[subject]": n, "issue[description]": "h1. " + n + "\n\n* <b>&amp;</b> 100 %", "issue[custom_field_values][1]": name(i), "issue[due_date]": "2030-05-17"})
		a.visit(w, fmt.Sprintf("%s/issues/%d/edit", t.url(), i+1))
		a.submit(w, "#issue-form", "[name=commit]", map[string]string{"issue[notes]": "changed: " + n, "issue[done_ratio]": "50", "time_entry[hours]": "1:30", "time_entry[comments]": name(i + 1), "issue[custom_field_values][1]": n})
		a.does(w, `await new Promise(done => $.ajax({url: '/issues/preview?issue_id=`+fmt.Sprint(i+1)+`&project_id=first', type: 'post', data: $.param({text: `+quote(n)+`, attachments: {}})}).always(done))`)
		if i%3 == 0 {
			a.click(w, "a.icon-fav-off, a.icon-fav")
			a.does(w, `await new Promise(done => $.ajax({url: '/issues/bulk_update?back_url=%2Fissues&ids%5B%5D=1&ids%5B%5D=2&issue%5Bpriority_id%5D=3', type: 'post', data: {authenticity_token: $('meta[name=csrf-token]').attr('content')}}).always(done))`)
		}
		page := strings.NewReplacer("/", "", ".", "", ",", "", ";", "", "|", "", ":", "", "?", "", "#", "").Replace(n)
		a.visit(w, t.url()+"/projects/first/wiki/"+url.PathEscape(page)+"/edit")
		a.submit(w, "#wiki_form", "[name=commit]", map[string]string{"content[text]": "h1. " + n + "\n\n[[" + name(i) + "]]", "content[comments]": n})
		if i%4 == 0 {
			a.visit(w, t.url()+"/projects/first/news/new")
			a.submit(w, "#news-form", "[name=commit]", map[string]string{"news[title]": n[:min(len(n), 20)], "news[summary]": n, "news[description]": n})
			a.visit(w, t.url()+"/users/new")
			a.submit(w, "#new_user", "[name=commit]", map[string]string{"user[login]": fmt.Sprint("user", i), "user[firstname]": fmt.Sprint("First ", i), "user[lastname]": "O'Last & co", "user[mail]": fmt.Sprintf("user+%d@example.com", i), "user[password]": "secret & 100 %", "user[password_confirmation]": "secret & 100 %"})
			a.visit(w, t.url()+"/projects/new")
			a.submit(w, "#new_project", "[name=commit]", map[string]string{"project[name]": n, "project[identifier]": fmt.Sprint("p-", i), "project[description]": n})
			a.visit(w, t.url()+"/my/account")
			a.submit(w, "#my_account_form", "[name=commit]", map[string]string{"user[firstname]": fmt.Sprint("Alice ", i), "pref[time_zone]": "Berlin"})
		}
	}
	for i := range 6 {
		a.visit(w, fmt.Sprintf("%s/issues/%d", t.url(), 30+i))
		a.does(w, `const f = document.createElement('form'); f.method = 'post'; f.action = '/issues/`+fmt.Sprint(30+i)+`'; for (const [k, v] of [['_method', 'delete'], ['authenticity_token', $('meta[name=csrf-token]').attr('content')]]) { const e = document.createElement('input'); e.type = 'hidden'; e.name = k; e.value = v; f.append(e) } document.body.append(f); setTimeout(() => f.submit())`)
		a.settle(w)
	}
	a.visit(w, t.url()+"/settings?tab=general")
	a.submit(w, "#tab-content-general form", "[name=commit]", map[string]string{"settings[app_title]": "Würfel & co"})
	a.click(w, "a.logout")

	// Programs.
	curl := func(args ...string) {
		a.run(dir, nil, append([]string{"curl", "-sS", "-g", "-o", "/dev/null"}, args...)...)
	}
	key, body := "X-Redmine-API-Key: "+apps.RedmineKey("alice"), dir+"/body"
	send := func(kind, method, path, text string) {
		a.write(body, text)
		curl("-X", method, "-H", key, "-H", "Content-Type: "+kind, "--data-binary", "@body", t.url()+path)
	}
	for i := range 20 {
		n, q := quote(name(i)), url.QueryEscape(name(i))
		send("application/json", "POST", "/issues.json", `{"issue": {"project_id": "first", "subject": `+n+`, "custom_fields": [{"id": 1, "value": `+n+`}], "watcher_user_ids": [1]}}`)
		send("application/json", "PUT", fmt.Sprintf("/issues/%d.json", i+1), `{"issue": {"notes": `+n+`, "private_notes": true, "uploads": []}}`)
		send("application/xml", "POST", "/issues.xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<issue><project_id>1</project_id><subject><![CDATA["+name(i)+"]]></subject></issue>")
		send("application/octet-stream", "POST", "/uploads.json?filename="+q, "bytes of "+name(i))
		send("application/json", "PUT", "/projects/first/wiki/"+url.PathEscape(fmt.Sprint("Page ", i))+".json", `{"wiki_page": {"text": `+n+`, "comments": "by a program"}}`)
		curl("-H", key, t.url()+"/issues.json?subject=~"+q+"&status_id=*&include=attachments,relations&offset=0&limit=100&cf_1="+q)
		curl("-u", "alice:password of alice", t.url()+"/issues.json?sort=updated_on:desc&created_on=%3E%3D2024-01-01")
		curl(t.url() + "/issues.json?key=" + apps.RedmineKey("alice") + "&query_id=1")
		curl("-u", apps.RedmineKey("alice")+":x", "-d", "issue[subject]="+q, "-d", "issue[project_id]=1", t.url()+"/issues.json")
		if i%3 == 0 {
			send("application/json", "POST", "/projects/second/memberships.json", `{"membership": {"user_id": 5, "role_ids": [3]}}`)
			send("application/json", "POST", "/time_entries.json", `{"time_entry": {"issue_id": 2, "hours": 1.5, "comments": `+n+`, "activity_id": 8}}`)
			curl("-X", "DELETE", "-H", key, fmt.Sprintf("%s/issues/%d.json", t.url(), 45+i))
			curl("-H", key, "-H", "X-Redmine-Switch-User: mallory", t.url()+"/users/current.json?include=memberships,groups")
		}
	}
}
