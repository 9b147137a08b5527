# shellcheck shell=sh
# Sourced with `root` (the checkout) set: find_node sets `node` to a Node that can run this checkout, bringing one if it must.
#
# The choice is made once and kept as the link .runtime/node, so that telec, the daemon and the runners of one checkout
# all run on the same Node whatever the PATH of the shell they were called from. A new enough Node on PATH is chosen
# first, because the other way is a download of over 100 MB; that other way is npm, which the lockfile beside this file
# tells to take one exact build. Nothing is ever put outside the checkout, but for npm's own download cache.

runtime=${root:?}/.runtime
pins=$root/scripts/runtime

fail() {
  printf '%s\n' "$@" >&2
  exit 69 # EX_UNAVAILABLE (sysexits.h)
}

# new_enough COMMAND: whether COMMAND is a Node of at least 24, the first that the project supports.
new_enough() {
  major=$("$1" --version 2>/dev/null) || return 1
  major=${major#v}
  major=${major%%.*}
  case $major in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -ge 24 ]
}

# The kept choice still holds: it runs, and if it is the pinned build, the pins have not changed since.
choice_holds() {
  new_enough "$runtime/node" || return 1
  case $(readlink "$runtime/node") in
    /*) ;;
    *) cmp -s "$pins/package-lock.json" "$runtime/pinned/package-lock.json" ;;
  esac
}

find_node() {
  if choice_holds; then
    :
  elif new_enough node; then
    # A version manager's `node` may be a shim that means another Node in another directory: keep what it stands for.
    node=$(node -p process.execPath)
    # Where the checkout is read-only the choice cannot be kept; bin/telec then looks on PATH as well.
    if mkdir -p "$runtime" 2>/dev/null && ln -s "$node" "$runtime/node.$$" 2>/dev/null; then
      mv -f "$runtime/node.$$" "$runtime/node"
    fi
    return
  else
    bring_node
  fi
  node=$runtime/node
}

# Installs into a directory of this process's own, tries what came, and moves it into its place in one step: a run that
# is killed leaves nothing that another would take for whole, and of two runs at once both end with a working Node.
bring_node() {
  command -v npm >/dev/null 2>&1 || fail \
    "cannot run TeleClaude: it needs Node 24 or newer, and there is neither one on your PATH nor npm to bring it." \
    "Install Node from https://nodejs.org or with your system's package manager, then run this again."
  if ! mkdir -p "$runtime" 2>/dev/null || [ ! -w "$runtime" ]; then
    fail "cannot bring Node into $runtime: it is not writable for you." \
      "Run this as the owner of the checkout, or clone it to where you may write; or install Node 24 or newer yourself."
  fi

  for abandoned in "$runtime"/staging.*; do
    pid=${abandoned##*/staging.}
    kill -0 "${pid%%.*}" 2>/dev/null || rm -rf "$abandoned"
  done
  staging=$runtime/staging.$$
  trap 'rm -rf "$staging"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  mkdir "$staging"
  cp "$pins/package.json" "$pins/package-lock.json" "$staging/"

  echo "Bringing Node by npm into $runtime (about 230 MB, once): there is none of 24 or newer on your PATH." >&2
  (
    cd "$staging"
    # Options, because the person's own npm settings may say otherwise.
    npm ci --ignore-scripts --include=optional --include=prod --no-audit --no-fund --no-update-notifier --loglevel=error
  ) >&2 || fail "cannot bring Node: npm failed, as said above. Mend that and run this again."

  for brought in "$staging"/node_modules/node-*/bin/node; do
    [ -x "$brought" ] || fail \
      "cannot bring Node for $(uname -sm): npm found no build for it, or could not download it." \
      "There are builds for Linux and macOS on x64 and arm64. Check the network and run this again, or install Node 24 or newer yourself."
    new_enough "$brought" || fail \
      "cannot use the Node that npm brought: it does not run on this system (its Linux builds need glibc)." \
      "Install Node 24 or newer with your system's package manager, then run this again."
  done
  "$brought" "$pins/publish.ts" "$staging" "$runtime"
  trap - EXIT HUP INT TERM
}
