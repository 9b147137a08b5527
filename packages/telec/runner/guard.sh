#!/bin/sh
# guard.sh NODE PROCESS SPOOL SESSION: runs a session's runner, and takes over where it is killed. A shell, because it stays for as
# long as the session does and takes next to no memory. Without it the session goes on unguarded.

guard() {
  # What ends us is the end of the runner. Node sets its own signals.
  trap '' HUP INT TERM PIPE
  # Whoever listens on 3 knows by this that we are here; what the runner says follows.
  printf ' ' >&3
  # Standard input of what runs in the background is /dev/null unless it is said twice (POSIX, 2.9.3.1).
  exec 5<&0
  "$1" "$2" run <&5 5<&- &
  # The report ends when the runner closes its end.
  exec </dev/null 3>&- 5<&-
  wait "$!" || exec "$1" "$2" recover "$3" "$4"
}

# One line, so that it is read before anything runs: an upgrade may put another file here.
guard "$@"; exit
