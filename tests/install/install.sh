# Installs the gateway by the steps of docs/operate.md into an empty Debian, and
# sees a protected address answered with the challenge.
. /files/lib.sh
cd /files
. /files/steps.sh
start
want '^hello$' "$(ask /)"
answer=$(ask /reports/2026)
want '^401$' "$answer"
want insufficient_user_authentication "$answer"
want '^401$' "$(curl -s -o /dev/null -w '%{http_code}\n' http://localhost/reports/2026)"
want '^401$' "$(curl -s -o /dev/null -w '%{http_code}\n' http://localhost/reports/%2e%2e/reports/2026)"

# It runs as its user, keeps its files to itself, and says where they are.
[ "$(stat -c %U "/proc/$pid")" = caddy ] || fail "it runs as $(stat -c %U "/proc/$pid")"
for file in data/caddy/step_up data/caddy/step_up.mark config/caddy/step_up/key; do
	[ -e "/var/lib/caddy/$file" ] || fail "$file is missing"
done
want '^700 caddy$' "$(stat -c '%a %U' /var/lib/caddy/data/caddy/step_up)"
want '^600 caddy$' "$(stat -c '%a %U' /var/lib/caddy/config/caddy/step_up/key)"
want '"status":"ok"' "$(curl -s http://localhost:2019/step_up/health | tr -d ' ')"

# Somebody enrolls, and what is protected still asks.
enroll
want enrolled "$(state)"
want insufficient_user_authentication "$(ask /reports/2026)"
stop
echo "installed"
