#!/usr/bin/env bash
# Two gateways behind a load balancer, on a PostgreSQL server with a standby, all on
# loopback. README.md walks through it.
set -euo pipefail
usage() {
	cat <<'EOF'
usage: cluster.sh up | status | kill NAME | promote | down
  up        starts everything: primary, standby, gateway1, gateway2, front
  status    says what runs, and how the gateways are
  kill      ends one of them at once, as a power failure would
  promote   makes the standby the server that takes writes
  down      ends everything and removes its files
The binary is CADDY (caddy on the PATH), the files are in CLUSTER_DIR
(/var/tmp/step-up-cluster), and the ports are FRONT (8080), GATEWAY1, GATEWAY2,
ADMIN1, ADMIN2, PRIMARY and STANDBY.
EOF
}

here=$(cd "$(dirname "$0")" && pwd)
caddy=$(command -v "${CADDY:-caddy}") || { echo "there is no caddy: build it with \`go build -o caddy ./cmd/caddy\` and name it by CADDY"; exit 1; }
caddy=$(realpath "$caddy")
dir=${CLUSTER_DIR:-/var/tmp/step-up-cluster}
export FRONT=${FRONT:-8080} GATEWAY1=${GATEWAY1:-8081} GATEWAY2=${GATEWAY2:-8082}
ADMIN1=${ADMIN1:-2021} ADMIN2=${ADMIN2:-2022} PRIMARY=${PRIMARY:-54321} STANDBY=${STANDBY:-54322}
export KEY=$dir/key STEP_UP_DB="postgres://step_up@127.0.0.1:$PRIMARY,127.0.0.1:$STANDBY/step_up?sslmode=disable"

# pg runs one of PostgreSQL's programs, which do not run as root.
pg() {
	local bin
	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
	[ -n "$bin" ] || { echo "PostgreSQL is missing: apt-get install postgresql"; exit 1; }
	local as=()
	[ "$(id -u)" != 0 ] || as=(setpriv --reuid postgres --regid postgres --init-groups)
	(cd "$dir/pg" && "${as[@]}" "$bin/$1" "${@:2}" >>"$dir/pg/log" 2>&1)
}

# gateway NUMBER starts one.
gateway() {
	local port=GATEWAY$1 admin=ADMIN$1
	NAME=$1 PORT=${!port} ADMIN=${!admin} run "gateway$1" "$here/gateway.Caddyfile"
}

# run NAME CADDYFILE starts a Caddy and waits until it answers.
run() {
	mkdir -p "$dir/$1"
	XDG_DATA_HOME=$dir/$1 XDG_CONFIG_HOME=$dir/$1 setsid "$caddy" run --config "$2" >"$dir/$1.log" 2>&1 &
	echo $! >"$dir/$1.pid"
	local port=${PORT:-$FRONT}
	for _ in $(seq 150); do
		kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null || break
		if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$1: http://localhost:$port"
			return
		fi
		sleep 0.1
	done
	echo "$1 does not start:"
	tail -n 5 "$dir/$1.log"
	exit 1
}

up() {
	[ ! -e "$dir" ] || { echo "$dir is there already: cluster.sh down"; exit 1; }
	mkdir -p "$dir/pg"
	[ "$(id -u)" != 0 ] || chown postgres "$dir/pg"
	pg initdb -D "$dir/pg/primary" -A trust -U postgres
	settings=(-c listen_addresses=127.0.0.1 -c "unix_socket_directories=$dir/pg")
	pg pg_ctl start -w -D "$dir/pg/primary" -o "-p $PRIMARY ${settings[*]}"
	pg psql -h 127.0.0.1 -p "$PRIMARY" -U postgres -c "CREATE ROLE step_up LOGIN" -c "CREATE DATABASE step_up OWNER step_up"
	echo "primary: 127.0.0.1:$PRIMARY"
	pg pg_basebackup -h 127.0.0.1 -p "$PRIMARY" -U postgres -D "$dir/pg/standby" -R --checkpoint=fast
	pg pg_ctl start -w -D "$dir/pg/standby" -o "-p $STANDBY ${settings[*]}"
	echo "standby: 127.0.0.1:$STANDBY"
	(umask 077 && "$caddy" step-up keygen >"$KEY")
	NAME=1 PORT=$GATEWAY1 ADMIN=$ADMIN1 "$caddy" step-up init --config "$here/gateway.Caddyfile" 2>"$dir/init.log" || { cat "$dir/init.log"; exit 1; }
	gateway 1
	gateway 2
	run front "$here/front.Caddyfile"
	echo "Open http://localhost:$FRONT/reports/ and sign in as alice, with wonderland."
}

# end NAME SIGNAL
end() {
	case $1 in
	primary | standby) pg pg_ctl stop -D "$dir/pg/$1" -m immediate ;;
	gateway1 | gateway2 | front) kill -"$2" "$(cat "$dir/$1.pid")" ;;
	*) usage && exit 2 ;;
	esac
}

case ${1:-} in
up) up ;;
status)
	for name in gateway1:"$ADMIN1" gateway2:"$ADMIN2"; do
		printf '%s: %s\n' "${name%%:*}" "$(curl -s -m 10 "http://127.0.0.1:${name##*:}/step_up/health" || echo "does not answer")"
	done
	for name in primary standby; do
		pg pg_ctl status -D "$dir/pg/$name" && echo "$name: runs" || echo "$name: does not run"
	done
	;;
kill) end "${2:-}" KILL && echo "$2 is gone" ;;
promote) pg pg_ctl promote -w -D "$dir/pg/standby" && echo "the standby takes writes now" ;;
down)
	for name in front gateway1 gateway2 standby primary; do
		end "$name" TERM 2>/dev/null || true
	done
	rm -rf "$dir"
	;;
*) usage && exit 2 ;;
esac
