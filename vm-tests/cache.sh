# SPDX-License-Identifier: Apache-2.0
# Owns: vm-tests/cache, what was fetched, and the lock that keeps VMs to one at a time on a machine. Sourced, with $here set.

readonly cache=$here/cache

# cached NAME REFRESH COMMAND...: the directory of NAME in the cache, filled by COMMAND... DIR if it is not there or
# REFRESH is yes. The key holds the fetching script, so that a changed one fetches anew; a half-filled directory
# never gets the name, and the old one stays until the new one is whole.
cached() {
    local name=$1 again=$2 key entry partial
    shift 2
    key=$(cat "$1" "$here/apt.sh" | sha256sum | cut -c1-12)
    entry=$cache/$name-$key
    if [[ $again == yes || ! -d $entry ]]; then
        partial=$(mktemp -d "$cache/partial.XXXXXX")
        "$@" "$partial" >&2 || { rm -rf "$partial"; return 1; }
        rm -rf "$cache/$name-"*
        mv "$partial" "$entry"
    fi
    echo "$entry"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
rm -rf "$cache"/partial.*
