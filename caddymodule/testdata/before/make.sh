#!/usr/bin/env bash
# make.sh CADDY: makes before.tar.gz and before.json with the binary of the
# version before there was a write-ahead log of ours (808c481). It was run once;
# it is kept to say what the database holds. Needs curl, jq and oathtool.
set -euo pipefail
caddy=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'kill -9 $pid 2>/dev/null || true; rm -rf "$work"' EXIT
export XDG_DATA_HOME=$work/share XDG_CONFIG_HOME=$work/config
cat >"$work/Caddyfile" <<CADDY
{
	admin localhost:29299
	step_up {
		allow_plain_http
		enrollment first_use
		store badger {
			dir $work/data
		}
		key_file $work/key/key
	}
}
http://localhost:29280 {
	basic_auth {
		alice $(printf 'x\nx\n' | "$caddy" hash-password --algorithm bcrypt --plaintext x)
		bob $(printf 'x\nx\n' | "$caddy" hash-password --algorithm bcrypt --plaintext x)
	}
	step_up {
		tenant staff
		identity placeholder {http.auth.user.id}
		protect ADMIN /admin* {
			grant time_based 10m
		}
	}
	respond "application"
}
http://localhost:29281 {
	step_up_api
}
CADDY
start() {
	"$caddy" run --config "$work/Caddyfile" >"$work/log" 2>&1 &
	pid=$!
	until curl -sf localhost:29299/step_up/health >/dev/null; do sleep 0.1; done
}
api() { curl -sf -u "$1:x" -H 'Content-Type: application/json' "localhost:29280/.step-up/api$2" -d "$3"; }
enrol() {
	begun=$(api "$1" /totp '{}')
	api "$1" "/totp/$(jq -r .id <<<"$begun")/confirm" "{\"code\":\"$(oathtool --totp -b "$(jq -r .secret <<<"$begun")")\"}" >"$work/$1.codes"
	jq -r .secret <<<"$begun" >"$work/$1.secret"
}
stepup() { "$caddy" step-up "$@" --address localhost:29299; }
start
enrol alice
enrol bob
stepup reset bob --tenant staff >/dev/null
key=$(stepup keys create --tenant staff --scope enroll,read,reset --json)
kill -TERM $pid
wait $pid || true
cp -a "$work/data" "$work/ended"
start # and once more, so that the log of a memory table has entries beside tables
code=$(jq -r '.recovery_codes[0]' "$work/alice.codes")
challenge=$(api alice /challenges '{"action_type":"ADMIN"}' | jq -r .challenge_id)
api alice "/challenges/$challenge/verify" "{\"method\":\"recovery_code\",\"code\":\"$code\"}" >/dev/null
kill -9 $pid
wait $pid 2>/dev/null || true
cp -a "$work/data" "$work/killed"
jq -n --arg secret "$(cat "$work/alice.secret")" --slurpfile codes "$work/alice.codes" --argjson key "$key" \
	'{alice: $secret, recovery_codes: $codes[0].recovery_codes, used_when_killed: 1, key: $key}' >"$here/before.json"
tar -C "$work" -czf "$here/before.tar.gz" --sort=name --owner=0 --group=0 --numeric-owner --exclude=LOCK ended killed key
ls -l "$here"
