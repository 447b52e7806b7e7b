#!/usr/bin/env bash
# clean-root.sh FILES SCRIPT runs FILES/SCRIPT in an empty system: Debian's programs
# under /usr, which cannot be written to, and nothing else but FILES at /files. It
# has a network of its own with a loopback alone, no processes but its own, and is
# gone when the script ends. Needs root.
set -euo pipefail
export FILES SCRIPT
FILES=$(realpath "$1")
SCRIPT=$2
exec unshare --mount --pid --fork --net --kill-child bash -euo pipefail -c '
	root=$(mktemp -d)
	mount -t tmpfs none "$root"
	mkdir -p "$root"/{usr,etc/systemd/system,dev,proc,tmp,run,var/lib,var/log,root,files}
	chmod 1777 "$root/tmp"
	mount --bind /usr "$root/usr"
	mount -o remount,bind,ro "$root/usr"
	mount -t tmpfs none "$root/usr/local"
	mkdir -p "$root/usr/local/bin"
	for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
	mount -t proc proc "$root/proc"
	for device in null zero random urandom; do
		touch "$root/dev/$device"
		mount --bind "/dev/$device" "$root/dev/$device"
	done
	mount --bind "$FILES" "$root/files"
	mount -o remount,bind,ro "$root/files"
	echo "root:x:0:0:root:/root:/bin/bash" >"$root/etc/passwd"
	echo "root:x:0:" >"$root/etc/group"
	echo "127.0.0.1 localhost" >"$root/etc/hosts"
	ip link set lo up
	cd /
	exec chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 /bin/bash -euo pipefail "/files/$SCRIPT"
'
