#!/bin/sh
# Boots systemd in a control group namespace of its own, whatever hierarchies the engine's machine has: what it sees of the
# unified one is its own part alone.
set -eu

all=/run/cgroup
mkdir "$all"
mount -t cgroup2 cgroup2 "$all"
name=teleclaude-test-$(cat /proc/sys/kernel/random/uuid)
mkdir "$all/$name"
echo $$ >"$all/$name/cgroup.procs"
umount "$all"
# The namespace begins where its first process is.
exec unshare --cgroup --mount sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec /sbin/init'
