#!/bin/sh
# Boots systemd in a control group namespace of its own, whatever hierarchies the engine's machine has: what it sees of the
# unified one is its own part alone.
set -eu

all=/run/cgroup
mkdir "$all"
mount -t cgroup2 cgroup2 "$all"
# Where the engine's machine has the older hierarchies beside it, the engine has made no group in the unified one. The same path
# is taken there, so that who takes away what is left of a container finds it.
own=$(sed -n 's/^[0-9]*:name=systemd://p' /proc/self/cgroup)
mkdir -p "$all/$own/machine"
echo $$ >"$all/$own/machine/cgroup.procs"
umount "$all"
# The namespace begins where its first process is.
exec unshare --cgroup --mount sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec /sbin/init'
