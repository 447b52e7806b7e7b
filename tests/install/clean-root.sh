#!/usr/bin/env bash
# clean-root.sh DEBIAN FILES SCRIPT runs FILES/SCRIPT in the Debian system of the
# directory DEBIAN with FILES at /files. Nothing is written to DEBIAN: what the
# script changes is gone when it ends. It has a network of its own with a loopback
# alone, and no processes but its own. Needs root.
set -euo pipefail
export DEBIAN FILES SCRIPT
DEBIAN=$(realpath "$1")
FILES=$(realpath "$2")
SCRIPT=$3
exec unshare --mount --pid --fork --net --kill-child bash -euo pipefail -c '
	over=$(mktemp -d)
	mount -t tmpfs none "$over"
	mkdir "$over"/{upper,work,root}
	root=$over/root
	mount -t overlay -o "lowerdir=$DEBIAN,upperdir=$over/upper,workdir=$over/work" none "$root"
	mkdir "$root/files"
	mount -t proc proc "$root/proc"
	for device in null zero random urandom; do
		[ -e "$root/dev/$device" ] || touch "$root/dev/$device"
		mount --bind "/dev/$device" "$root/dev/$device"
	done
	mount --bind "$FILES" "$root/files"
	mount -o remount,bind,ro "$root/files"
	echo "127.0.0.1 localhost" >"$root/etc/hosts"
	ip link set lo up
	cd /
	exec chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 /bin/bash -euo pipefail "/files/$SCRIPT"
'
