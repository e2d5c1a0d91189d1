# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What every script in contrib/ shares: where things lie, one line of
# progress per step, and how a tool gets into CKPTFS_TOOLS.

# What lies outside the system's packages: private libraries, servers, Python
# environments; one folder for every clone on the machine.
CKPTFS_TOOLS=${CKPTFS_TOOLS:-${HOME:-/root}/.cache/ckptfs-tools}
export CKPTFS_TOOLS

# say TEXT: a line of progress, with the seconds since the script began.
say() {
	printf '%4ds  %s\n' "$SECONDS" "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# quietly LOG COMMAND...: run it with its output in LOG, shown on failure.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 </dev/null || {
		local rc=$?
		tail -n 60 "$log" >&2
		printf 'failed (status %d): %s\n' "$rc" "$*" >&2
		return "$rc"
	}
}

# have_commands WHAT COMMAND...: whether all of them are there; names those
# that are not.
have_commands() {
	local what=$1 command missing=()
	shift
	for command; do
		command -v "$command" >/dev/null || missing+=("$command")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "$what: not without ${missing[*]}"
	return 1
}

tool_is_ready() {
	[ -e "$CKPTFS_TOOLS/$1/.complete" ]
}

# tool_install NAME WHAT FUNCTION [ARG...]: make CKPTFS_TOOLS/NAME by
# FUNCTION STAGE WORK PREFIX ARG..., which fills STAGE with what shall lie in
# PREFIX and may litter WORK.  NAME holds the version, so a complete folder
# never changes; it appears by one rename, and a lock keeps two clones apart.
tool_install() {
	local name=$1 what=$2 make=$3
	shift 3
	tool_is_ready "$name" && return 0
	mkdir -p "$CKPTFS_TOOLS"
	(
		flock 9
		tool_is_ready "$name" && exit 0
		say "$what: installing into $CKPTFS_TOOLS/$name"
		work=$(mktemp -d "$CKPTFS_TOOLS/.work-$name.XXXXXX")
		trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
		mkdir "$work/stage" "$work/tmp"
		"$make" "$work/stage" "$work/tmp" "$CKPTFS_TOOLS/$name" "$@" ||
			exit 1
		: >"$work/stage/.complete"
		rm -rf "${CKPTFS_TOOLS:?}/$name"
		mv -T "$work/stage" "$CKPTFS_TOOLS/$name"
	) 9>"$CKPTFS_TOOLS/.lock-$name" || return 1
	tool_is_ready "$name" || return 1
	say "$what: done"
}
