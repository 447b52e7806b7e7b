# Upgrades in place, by the steps of docs/operate.md: stop, copy, replace the binary,
# validate, start. What was enrolled stays.
. /files/lib.sh
cd /files
. /files/steps.sh
install -m 0755 caddy-before /usr/local/bin/caddy
start
before=$(caddy step-up version | head -n 1)
enroll
stop
cp -a /var/lib/caddy/data/caddy/step_up /root/before
install -m 0755 caddy /usr/local/bin/caddy
setpriv --reuid caddy --regid caddy --init-groups env $(sed -n 's/^Environment=//p' "$unit") caddy validate --config /etc/caddy/Caddyfile >>/var/log/caddy.log 2>&1 || fail "the new binary refuses the configuration"
start
[ "$before" != "$(caddy step-up version | head -n 1)" ] || fail "both binaries are $before"
want enrolled "$(state)"
want '{"mfa_setup":{"type":"Totp"}}' "$(curl -s -H "Authorization: Bearer $key" http://localhost:8081/api/backend/v1/user/alice/mfa)"
want insufficient_user_authentication "$(ask /reports/2026)"
stop
echo "upgraded"
