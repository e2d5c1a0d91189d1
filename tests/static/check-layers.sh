#!/bin/sh
# A file in src/<module>/ may include only the contracts listed for its
# module here, and each external library only from its home; what stands above
# the stores knows their capabilities, and no vendor.
set -eu
cd "${top_srcdir:-.}"
base="compiler buf lock clock log rng thr hash text xml json ini host"
allowed() {
	case $1 in
	util)     echo "$base disk" ;;
	http)     echo "$base http" ;;
	cred)     echo "$base http sign cred" ;;
	sign)     echo "compiler buf hash text cred sign" ;;
	store)    echo "$base http cred sign store" ;;
	cache)    echo "$base disk cache" ;;
	meta)     echo "$base disk meta" ;;
	transfer) echo "$base disk store cache meta fetch line transfer" ;;
	fs)       echo "$base disk store cache meta fetch transfer fs fsck barrier space" ;;
	fuse)     echo "$base fs fuse" ;;
	cli)      echo "$base disk http cred store cache meta transfer fs fsck fuse cli options" ;;
	*)        return 1 ;;
	esac
}
rc=0
fail() {
	echo "$1"
	rc=1
}

for dir in src/*/; do
	mod=$(basename "$dir")
	ok=$(allowed "$mod") || fail "unknown module: $mod"
	includes=$(cat "$dir"*.[ch] 2>/dev/null |
		sed -n 's/^#include "ckptfs\/\([a-z0-9_]*\)\.h".*/\1/p' | sort -u)
	for inc in $includes; do
		case " $ok " in
		*" $inc "*) ;;
		*) fail "src/$mod must not include ckptfs/$inc.h" ;;
		esac
	done
done

# home HEADER MODULE...: an external library has one home (two for libcrypto).
home() {
	header=$1
	shift
	for f in src/*/*.[ch]; do
		[ -e "$f" ] || continue
		for m in "$@"; do
			case $f in src/"$m"*) continue 2 ;; esac
		done
		! grep -q "^#include <$header" "$f" ||
			fail "$f: <$header...> belongs to src/$1"
	done
}
home fuse fuse/
home curl/ http/
home sqlite3 meta/
home expat util/
home jansson util/
home ini.h util/
home isa-l util/
home xxhash util/
home openssl/ sign/ util/digest

vendors='s3|gcs|gs|adls|aws|azure|azurite|amazon|google|minio|versitygw'
named=$(grep -niE "(^|[^a-z0-9])($vendors)([^a-z0-9]|\$)" \
	src/fs/*.[ch] src/meta/*.[ch] src/cache/*.[ch] src/transfer/*.[ch]) || :
[ -z "$named" ] || fail "a vendor's name above the stores:
$named"

exit $rc
