#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fs, meta, cache and transfer reach clock, randomness, threads and disk
# only through struct host: they never call the system's functions.
set -eu
cd "${top_srcdir:-.}"
clock='time|clock_gettime|clock_nanosleep|gettimeofday|nanosleep|usleep|sleep'
random='getrandom|getentropy|rand|srand|random|arc4random'
threads='pthread_create|pthread_cond_[a-z]*|pthread_mutex_[a-z]*|thrd_create'
disk='open|open64|openat|creat|close|unlink|unlinkat|rename|renameat'
disk="$disk|renameat2|mkdir|mkdirat|rmdir|read|pread|preadv|write|pwrite"
disk="$disk|pwritev|fsync|fdatasync|syncfs|sync_file_range|ftruncate"
disk="$disk|truncate|fallocate|posix_fallocate|fstat|fstatat|stat|lstat"
disk="$disk|statx|statvfs|fstatvfs|lseek|fcntl|flock|ioctl|fopen|fdopen"
disk="$disk|opendir|fdopendir|readdir|copy_file_range|sendfile|mmap|symlink"
disk="$disk|symlinkat|readlink|readlinkat|linkat|mkstemp|setxattr"
disk="$disk|fsetxattr|getxattr|fgetxattr|utimensat|futimens|fchmod|chmod"
rc=0
for f in src/fs/*.[ch] src/meta/*.[ch] src/cache/*.[ch] src/transfer/*.[ch]; do
	[ -e "$f" ] || continue
	# Without comments and strings; members (d->open(), d.open()) and
	# longer names (disk_open()) are other functions.
	sed -e 's/"\([^"\\]\|\\.\)*"/""/g' -e 's,//.*,,' -e 's,/\*.*\*/,,' \
		-e '/\/\*/,/\*\//{ s,/\*.*,,; s,.*\*/,,; /^[ \t]*\*/d }' "$f" |
		grep -nE "(^|[^A-Za-z0-9_>.])($clock|$random|$threads|$disk)\(" \
			>/dev/null || continue
	grep -nE "(^|[^A-Za-z0-9_>.])($clock|$random|$threads|$disk)\(" "$f" |
		sed "s,^,$f:,"
	rc=1
done
exit $rc
