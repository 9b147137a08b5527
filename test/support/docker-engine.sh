#!/bin/sh
# A Docker engine of the tests' own: docker-engine.sh DATA_ROOT DIRECTORY LOG [FIRST_ID]. Its socket is
# DIRECTORY/docker.sock; it prints `ready`. With FIRST_ID, its containers are in user namespaces, where 0 is that uid and gid
# of the machine. It ends when standard input closes, by whatever death of the caller, and all that it made outside
# DATA_ROOT goes with it, DIRECTORY included.
#
# What it mounts is in a mount namespace of its own and so can't outlive it; an engine, a containerd and settings that the
# machine may have are hidden from it there. It leaves the machine's firewall alone but for three rules, which let its
# bridge out, because a build downloads packages.
set -eu

data=$1
directory=$2
first_id=${4-}
socket=unix://$directory/docker.sock
exec 2>"$3"
trap '' INT HUP TERM

# One engine at a time on one data root: the lock is held until the last process that inherited it is gone.
mkdir -p "$data"
exec 9>"$data.lock"
if ! flock --nonblock 9; then
  echo "waiting for the engine of another run in this checkout to end"
  flock 9
fi

# The bridge's name is claimed by making it. Its addresses are those for benchmarks (RFC 2544), which no network uses.
number=0
until ip link add "tctest$number" type bridge 2>"$directory/ip.log"; do
  number=$((number + 1))
  if [ $number -eq 256 ]; then
    cat "$directory/ip.log" >&2
    rm -rf "$directory"
    exit 69 # EX_UNAVAILABLE (sysexits.h)
  fi
done
bridge=tctest$number
network=198.18.$number

# firewall -I | -D
firewall() {
  iptables --wait -t nat "$1" POSTROUTING -s "$network.0/24" ! -o "$bridge" -j MASQUERADE
  iptables --wait "$1" FORWARD -i "$bridge" -j ACCEPT
  iptables --wait "$1" FORWARD -o "$bridge" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
}

# The engine turns it on.
forwarding=$(cat /proc/sys/net/ipv4/ip_forward)
made=
for hidden in /etc/docker /run/containerd /run/docker; do
  if mkdir "$hidden" 2>/dev/null; then made="$made $hidden"; fi
done

# The engine finds the range by an account, for which any will do that every system has. Mounted over the machine's files.
new=
if [ -n "$first_id" ]; then
  for kind in subuid subgid; do
    echo "daemon:$first_id:65536" >"$directory/$kind"
    if [ ! -e /etc/$kind ]; then
      : >/etc/$kind
      new="$new /etc/$kind"
    fi
  done
fi

# shellcheck disable=SC2317 # by the trap
clean_up() {
  firewall -D || :
  ip link delete "$bridge" || :
  echo "$forwarding" >/proc/sys/net/ipv4/ip_forward
  # shellcheck disable=SC2086 # a list of words
  [ -z "$made" ] || rmdir $made
  # shellcheck disable=SC2086 # a list of words
  rm -f $new
  rm -rf "$directory"
}
trap clean_up EXIT

ip address add "$network.1/24" dev "$bridge"
ip link set "$bridge" up
firewall -I

# shellcheck disable=SC2016 # for the inner shell
in_namespace='for hidden in /etc/docker /run/containerd /run/docker; do mount -t tmpfs tmpfs "$hidden" || exit; done
for ranges in "$0"/sub[ug]id; do [ ! -e "$ranges" ] || mount --bind "$ranges" "/etc/${ranges##*/}" || exit; done
exec dockerd "$@"'
unshare --mount --propagation slave sh -c "$in_namespace" "$directory" ${first_id:+--userns-remap daemon:daemon} \
  --host "$socket" --data-root "$data" --exec-root "$directory/exec" --pidfile "$directory/pid" \
  --bridge "$bridge" --iptables=false --ip-masq=false \
  --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$bridge" --log-level warn </dev/null >&2 &
server=$!

engine() {
  timeout 60 docker --host "$socket" "$@" >&2
}

# Leaves images alone, so that the next run need not build them again: but for those that have lost their name.
empty() {
  timeout 60 docker --host "$socket" ps --all --quiet | xargs -r docker --host "$socket" rm --force --volumes >&2
  timeout 60 docker --host "$socket" volume ls --quiet | xargs -r docker --host "$socket" volume rm --force >&2
  engine network prune --force
  engine image prune --force
}

exec 3<&0
(
  set +e
  tries=0
  until timeout 10 docker --host "$socket" version >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || kill -KILL $server
    sleep 0.1
  done
  empty # of what a run left that was killed together with this script
  echo ready
  read -r _ <&3
  empty
  kill -TERM $server
  timeout 30 tail --pid=$server -s 0.1 -f /dev/null
  kill -KILL $server 2>/dev/null
) &
reader=$!

status=0
wait $server || status=$?
kill -KILL $reader 2>/dev/null || :
# Whatever the engine did not end, by its control groups: nothing else tells whose a container's processes are.
find /sys/fs/cgroup -path "*/$bridge/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u |
  xargs -r kill -KILL 2>/dev/null || :
find /sys/fs/cgroup -depth -type d \( -path "*/$bridge" -o -path "*/$bridge/*" \) -exec rmdir {} + 2>/dev/null || :
exit $status
