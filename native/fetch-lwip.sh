#!/bin/sh
# fetch-lwip.sh DIR - puts the source of lwIP 2.1.3 into DIR/lwip-2.1.3, from Debian's source package.
#
# Needs no root and changes nothing of the system: apt's own helper downloads one file from the archive that this
# machine is configured for, with its proxies and mirrors, and checks it against the pinned hash. A source tree that
# is there already is left alone. Exit status 1, and one line that says why, when it cannot be had.
set -u

NAME=lwip-2.1.3
ARCHIVE=lwip_2.1.3+dfsg1.orig.tar.xz
SHA256=0a8276d09fc4e97bbba2f953d74af2388fc2195ea156be9d7589e297a68fde24

fail() {
	echo "lwIP: $*" >&2
	exit 1
}

# The first repository of Debian that apt knows, with main in it.
repository() {
	apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk '$1 == "Debian" && $2 == "main" { print $3; exit }'
}

# download URL FILE
download() {
	helper=/usr/lib/apt/apt-helper
	[ -x "$helper" ] || fail "$helper is missing, so the source cannot be downloaded"
	"$helper" -o APT::Sandbox::User= download-file "$1" "$2" "SHA256:$SHA256" >/dev/null 2>&1
}

[ $# -eq 1 ] || fail 'usage: fetch-lwip.sh DIR'
dir=$1
[ -f "$dir/$NAME/src/core/tcp.c" ] && exit 0
mkdir -p "$dir" || fail "$dir cannot be created"
work=$(mktemp -d "$dir/fetch.XXXXXX") || fail "nothing can be written in $dir"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cached=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/umvu/$ARCHIVE
if [ -f "$cached" ] && echo "$SHA256  $cached" | sha256sum -c --status; then
	cp "$cached" "$work/$ARCHIVE" || fail "$cached cannot be copied"
else
	uri=$(repository)
	[ -n "$uri" ] || fail 'apt knows no archive of Debian'
	download "${uri}pool/main/l/lwip/$ARCHIVE" "$work/$ARCHIVE" ||
		fail "$ARCHIVE (of Debian's source package lwip) cannot be downloaded with apt-helper"
fi
echo "$SHA256  $work/$ARCHIVE" | sha256sum -c --status || fail "$ARCHIVE has a wrong checksum"
tar -xJf "$work/$ARCHIVE" -C "$work" || fail "$ARCHIVE cannot be unpacked"
[ -f "$work/$NAME/src/core/tcp.c" ] || fail "$ARCHIVE has no $NAME/src/core/tcp.c"
# Another build may have been faster.
mv "$work/$NAME" "$dir/$NAME" 2>/dev/null || [ -f "$dir/$NAME/src/core/tcp.c" ] || fail "$dir/$NAME cannot be made"
exit 0
