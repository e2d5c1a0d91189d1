/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the cache of a source whole?  Of one that nobody has mounted: the caller
 * holds its lock.  What is found is told line by line:
 *
 *	the database	there, whole, its rows agreeing with each other
 *	rows and blobs	each version has its bytes, each blob its version
 *
 * To mend never deletes bytes.  What no row knows goes to lost+found/.  A local
 * copy that is not whole, of what the bucket has, is forgotten: it is fetched
 * again, and its blob goes there, too.  A database that is lost or damaged is
 * put aside there, and made anew from the blobs: each becomes an unfinished
 * version, for `ckptfs recover` to publish, export or discard, under the name
 * that was written on it when it was made.  What the bucket lacks of it, and
 * names changed since, only a person can tell.
 *
 * Even without mending, what a crash left is recovered as a mount would.
 */
#ifndef CKPTFS_FSCK_H
#define CKPTFS_FSCK_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/compiler.h"

struct host;
struct store;

struct fsck_opts {
	const char *source; /* normalised, as of struct meta_opts */
	const char *prefix; /* of the mount in the bucket: "" or "a/b/" */
	bool fix;
	/* A finding, in words.  mended: it is one no more. */
	void (*found)(void *arg, const char *text, bool mended);
	void *arg;
};

struct fsck_sums {
	uint64_t versions, blobs, bytes; /* looked at */
	uint64_t found, mended;
};

/*
 * 0, with found == mended if all is well (now); -EBUSY: the cache is another
 * source's; -ENOTSUP: a newer ckptfs made it; -EIO, -ENOSPC, -ENOMEM: it could
 * not be looked at, or mended.
 */
int fsck_cache(const struct host *host, const struct fsck_opts *opts,
	       struct fsck_sums *ret) NONNULL(1, 2, 3) MUST_USE;

/* Whether there are blobs, and no database that could know them: a mount would
 * make a new one. */
int fsck_is_lost(const struct host *host, bool *ret) NONNULL(1, 2) MUST_USE;

/*
 * Is the bucket as a mount wants it?  Asked as any other client asks; mounts of
 * it may be at work.  Told are
 *
 *	keys	that no mount can show, and folders' markers that hold bytes
 *	uploads	in parts that nobody ended
 *	ours	what lies below .ckptfs/: conflicts, what a trial left
 *	old	versions and deleted names, if asked for: where the bucket keeps
 *		them, nothing is wrong with that
 *	bytes	that are not those of their checksum, if all shall be read
 *
 * To mend deletes nothing that anybody could still read: it ends the uploads
 * that are old enough, and what trials left.
 */
enum fsck_word {
	FSCK_NOTE, /* good to know: nothing is wrong */
	FSCK_FOUND,
	FSCK_MENDED, /* was found, and is no more */
};

struct fsck_bucket_opts {
	const char *prefix; /* of the mount in the bucket: "" or "a/b/" */
	bool real_folders; /* the store's own, which are no markers */
	bool fix;
	/* An upload begun longer ago is nobody's any more. */
	int64_t orphan_ns;
	bool end_orphans; /* if fix, too */
	bool read_data;
	bool versions; /* tell the old ones, too */
	unsigned readers; /* side by side, at least 1 */
	/* In words; called from the thread that called. */
	void (*told)(void *arg, enum fsck_word word, const char *text);
	void *arg;
};

struct fsck_bucket_sums {
	uint64_t objects, bytes; /* listed */
	uint64_t uploads;
	uint64_t read; /* objects, all of them whole unless found */
	uint64_t unsummed; /* of these: the store knows no checksum of them */
	uint64_t old_versions, old_bytes; /* that a mount does not show */
	uint64_t marks; /* of deletes */
	uint64_t found, mended;
};

/* The store was probed (if fix, not as read-only).  0, with found == mended if all is well (now); else what
 * a listing failed with, and store_last_error(). */
int fsck_bucket(struct store *store, const struct host *host,
		const struct fsck_bucket_opts *opts,
		struct fsck_bucket_sums *ret) NONNULL(1, 2, 3, 4) MUST_USE;

#endif
