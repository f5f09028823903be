# SPDX-License-Identifier: Apache-2.0
# Owns: reading Debian suites through an apt of our own (own sources, lists and archives, below the cache), so
# that the machine's apt is never touched. The mirrors are those of the machine's own apt, read at run time.
# Sourced; knows nothing of VMs. Needs: apt, dpkg, debian-archive-keyring.

readonly apt_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# mirror_of SUITE-PATTERN: the first archive that the machine's apt sources read such a suite from.
mirror_of() {
    apt-get --print-uris update |
        sed -nE "s#^'(.*)/dists/($1)/(InRelease|Release)' .*#\\1#p" | head -n 1
}

# apt_open DIR STATUS SUITE...: sets apt_options for the functions below and reads the suites' indexes.
# STATUS is the dpkg status to resolve against: empty for "download just this", the machine's for a closure.
apt_open() {
    local dir=$1 status=$2 suite main security
    shift 2
    main=$(mirror_of '[a-z]+-updates')  # an archive that only calls itself bookworm is somebody else's
    main=${main:-$(mirror_of '[a-z]+')}
    security=$(mirror_of '[a-z]+-security')
    [[ -n $main ]] || { echo "no Debian archive among this machine's apt sources" >&2; return 1; }
    mkdir -p "$dir/lists/partial" "$dir/archives/partial"
    for suite; do
        case $suite in
        *-security) [[ -z $security ]] || echo "deb [signed-by=$apt_keyring] $security $suite main" ;;
        *) echo "deb [signed-by=$apt_keyring] $main $suite main" ;;
        esac
    done >"$dir/sources.list"
    apt_options=(-qq -o "Dir::State::Lists=$dir/lists" -o "Dir::State::status=$status"
        -o "Dir::Cache::Archives=$dir/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Retries=3
        -o Acquire::Languages=none -o APT::Get::List-Cleanup=1)
    apt-get "${apt_options[@]}" -o APT::Update::Error-Mode=any update
}

# depends_of PACKAGE REGEX: the direct dependencies of PACKAGE whose name matches.
depends_of() {
    apt-cache "${apt_options[@]}" depends "$1" |
        awk -v pattern="$2" '$1 == "Depends:" && $2 ~ pattern { print $2 }' | sort -u
}
