package apps

import "github.com/stepup-gateway/caddy-stepup/tests/gateway"

// redmineSetup makes accounts and a project. API keys are "key-of-NAME" with zeros.
const redmineSetup = `
Setting.rest_api_enabled = '1'
Setting.login_required = '0'
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
  t.update_column(:value, "key-of-#{name}".ljust(40, '0'))
end
%w(first second third).each { |n| Project.create!(name: n.capitalize, identifier: n, trackers: Tracker.all, enabled_module_names: %w(issue_tracking wiki news documents files)) }
`

// Redmine runs Redmine on SQLite, with the administrators alice and mallory; a
// password is "password of NAME", an API key "key-of-NAME" and zeros up to 40
// characters. It has the projects first, second and third. It returns its address.
func Redmine(t gateway.T) string {
	t.Helper()
	dir := t.TempDir() + "/redmine"
	copied(t, "/usr/share/redmine", dir)
	Run(t, dir, nil, "", "rm", "-f", "instances", "config/database.yml", "Gemfile.lock")
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
	port := gateway.FreePort(t)
	return Serve(t, dir, port, append(env, "RAILS_SERVE_STATIC_FILES=1"), "puma", "-e", "production", "-b", "tcp://127.0.0.1:"+port, "-t", "4:4", "config.ru")
}
