# A cold copy of database, mark and key is put back on a machine that lost them; and
# a database alone, which is older than its mark, is refused until it is accepted.
. /files/lib.sh
cd /files
. /files/steps.sh
start
enroll
stop
cp -a /var/lib/caddy /root/backup

# All three, as onto another machine.
rm -rf /var/lib/caddy
start
want "nobody called" "$(caddy step-up users alice 2>&1 || true)"
stop
rm -rf /var/lib/caddy
cp -a /root/backup /var/lib/caddy
start
want enrolled "$(state)"
want insufficient_user_authentication "$(ask /reports/2026)"
caddy step-up reset alice >/dev/null
want reset "$(state)"
stop

# The database alone: in it the phone that was reset is back.
rm -rf /var/lib/caddy/data/caddy/step_up
cp -a /root/backup/data/caddy/step_up /var/lib/caddy/data/caddy/step_up
start
answer=$(ask /reports/2026)
want '^503$' "$answer"
want store_rolled_back "$answer"
want '^hello$' "$(ask /)"
grep '"logger":"step_up.audit"' /var/log/caddy.log >/root/audit.log
caddy step-up fence accept --yes --audit /root/audit.log >/root/accepted 2>&1 || fail "$(cat /root/accepted)"
want insufficient_user_authentication "$(ask /reports/2026)"
want reset "$(state)" # the audit log told what was taken away since
stop

# A database without its key is refused, and the key mends it.
mv /var/lib/caddy/config/caddy/step_up/key /root/key
(start && stop) >/root/keyless 2>&1 && fail "a database without its key is taken"
mv /root/key /var/lib/caddy/config/caddy/step_up/key
start
want reset "$(state)"
stop
echo "restored"
