package apps

import (
	"crypto/sha1"
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// redmineSetup creates accounts, projects and issues.
const redmineSetup = `
require 'digest'
# Mail is sent by other threads, which lock the database.
ActiveJob::Base.queue_adapter = :inline
ActionMailer::Base.delivery_method = :test
Setting.notified_events = []
Setting.rest_api_enabled = '1'
Setting.login_required = '0'
Setting.autologin = '30'
Redmine::DefaultData::Loader.load('en') rescue nil
%w(alice mallory).each do |name|
  u = User.new(firstname: name.capitalize, lastname: 'Example', mail: "#{name}@example.com", language: 'en')
  u.login = name
  u.password = u.password_confirmation = "password of #{name}"
  u.admin = true
  u.must_change_passwd = false
  u.save!
  t = Token.new(user: u, action: 'api')
  t.save!
  t.update_column(:value, Digest::SHA1.hexdigest("key of #{name}"))
end
IssueCustomField.create!(name: 'Room', field_format: 'string', is_for_all: true, trackers: Tracker.all)
%w(first second third).each { |n| Project.create!(name: n.capitalize, identifier: n, trackers: Tracker.all, enabled_module_names: %w(issue_tracking time_tracking wiki news documents files)) }
40.times { |n| Issue.create!(project: Project.first, tracker: Tracker.first, author: User.find_by_login('alice'), subject: "Issue #{n}", status: IssueStatus.first, priority: IssuePriority.first) }
`

// RedmineKey is the API key of an account of Redmine's.
func RedmineKey(name string) string { return fmt.Sprintf("%x", sha1.Sum([]byte("key of "+name))) }

// Redmine runs Redmine on SQLite and returns its address. It has the administrators
// alice and mallory, whose passwords are "password of NAME" and whose API keys are
// RedmineKey(NAME); the projects first, second and third; a custom field, 1, for
// issues; and the issues 1 to 40 in the project first.
func Redmine(t gateway.T) string {
	t.Helper()
	dir := t.TempDir() + "/redmine"
	copied(t, "/usr/share/redmine", dir)
	Run(t, dir, nil, "", "rm", "-rf", "instances", "config/database.yml", "Gemfile.lock", "public")
	Run(t, dir, nil, "", "ln", "-s", "/usr/share/redmine/public", "public") // it has relative links
	at := dir + "/instances/default"
	for _, d := range []string{"tmp/cache", "tmp/pdf", "log", "files", "public"} {
		Write(t, at+"/"+d+"/.keep", "")
	}
	Write(t, at+"/config/database.yml", "production:\n  adapter: sqlite3\n  database: "+at+"/db.sqlite3\n  timeout: 10000\n")
	Write(t, at+"/config/secret_key.txt", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	Write(t, dir+"/setup.rb", redmineSetup)
	env := []string{"RAILS_ENV=production", "REDMINE_INSTANCE=default", "REDMINE_LANG=en", "SCHEMA=" + dir + "/schema.rb", "HOME=" + dir}
	Run(t, dir, env, "", "ruby", "bin/rake", "db:migrate")
	Run(t, dir, env, "", "ruby", "bin/rails", "runner", dir+"/setup.rb")
	port := freeport.Find(t)
	return Serve(t, dir, port, append(env, "RAILS_SERVE_STATIC_FILES=1"), "puma", "-e", "production", "-b", "tcp://127.0.0.1:"+port, "-t", "4:4", "config.ru")
}
