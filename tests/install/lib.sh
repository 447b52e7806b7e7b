# What the scripts share: starting and stopping the unit's command as systemd would,
# and asking the gateway.

unit=/etc/systemd/system/caddy-step-up.service

# start runs ExecStart of the unit as its user, with its capabilities, umask and
# environment, and waits until it answers.
start() {
	local user
	user=$(sed -n 's/^User=//p' "$unit")
	install -d -m 0700 -o "$user" -g "$user" /var/lib/caddy # StateDirectory=
	(
		umask 077
		# shellcheck disable=SC2046 # words are meant
		exec setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs \
			--bounding-set -all,+net_bind_service --inh-caps +net_bind_service --ambient-caps +net_bind_service \
			env -i PATH=/usr/bin $(sed -n 's/^Environment=//p' "$unit") $(sed -n 's/^ExecStart=//p' "$unit")
	) >>/var/log/caddy.log 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		if curl -s -o /dev/null http://localhost/ && curl -s http://localhost:2019/step_up/health | grep -q '"status"'; then
			sleep 1 # sites answer shortly before a start that is refused ends
			kill -0 "$pid" 2>/dev/null || fail "the gateway ended"
			return
		fi
		kill -0 "$pid" || fail "the gateway ended"
		sleep 0.1
	done
	fail "the gateway does not answer"
}

stop() {
	kill "$pid"
	wait "$pid" || true
}

fail() {
	echo "FAIL: $*"
	tail -n 30 /var/log/caddy.log
	exit 1
}

# want PATTERN TEXT ends the script where the text does not match.
want() {
	grep -q -- "$1" <<<"$2" || fail "no $1 in: $2"
}

# ask PATH asks for it as alice, and shows the status and the answer.
ask() {
	curl -s -u alice:wonderland -w '\n%{http_code}\n' "http://localhost$1"
}

# enroll makes alice an authenticator, as a server with an API key does.
enroll() {
	local begun uri code
	key=$(caddy step-up keys create --tenant default --scope enroll,read,reset 2>/dev/null)
	begun=$(post enroll '{"user_id":"alice","method":"totp"}')
	uri=$(jq -r .totp_uri <<<"$begun")
	code=$(oathtool --totp -b "$(sed 's/.*secret=\([A-Z2-7]*\).*/\1/' <<<"$uri")")
	want '"verified":true' "$(post verify "{\"enrollment_id\":\"$(jq -r .enrollment_id <<<"$begun")\",\"totp_code\":\"$code\"}")"
}

post() {
	curl -s -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$2" "http://localhost:8081/v1/mfa/$1"
}

state() {
	caddy step-up users alice --json | jq -r .state
}
