/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object store: a flat map from key to immutable bytes.
 *
 * Callers use the store_*() functions, never the table: they check the
 * arguments, assert that no lock is held, count the call, and hold the back
 * end to the errors it is allowed.  A back end embeds struct store as its
 * first member.  A decorator (retry, fault) is a back end that owns another.
 *
 * Keys are bytes without NUL, 1 to 1024 of them, parts separated by '/', and
 * relative to the bucket (the mounted prefix is the caller's affair).  A key
 * that ends in '/' is a marker: an empty object that keeps a directory.  Empty
 * parts and those of one or two dots are refused by stores that have real
 * directories (-EINVAL).
 *
 * Threads: every method may be called from many threads at once.
 *
 * Errors: a method returns 0 or one of
 *	-ENOENT		no such object, upload or bucket
 *	-EEXIST		if_absent was asked and the object is there
 *	-ESTALE		if_match (or from_etag) was asked and the object differs
 *			or is gone
 *	-EACCES		refused: the credential, a policy, a signature
 *	-EINVAL		the store cannot take this (name, size, request); asking
 *			again will not help
 *	-EAGAIN		throttled or a server-side fault: worth trying again
 *	-ETIMEDOUT, -ENETUNREACH	no answer: worth trying again
 *	-EBADMSG	the bytes do not match their checksum
 *	-EPROTO		the answer makes no sense
 *	-EOPNOTSUPP	the store cannot do this at all
 *	-ENOSPC		the store is full
 *	-ECANCELED	store_shutdown() was called, or the source or sink said so
 *	-EIO		the source or sink failed
 *	-ENOMEM
 * A change that fails with -ETIMEDOUT, -ENETUNREACH, -EAGAIN, -EPROTO or
 * -ECANCELED may have happened.  Outputs are untouched when a call fails.
 */
#ifndef CKPTFS_STORE_H
#define CKPTFS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ckptfs/compiler.h"

#define STORE_HIDDEN ".ckptfs" /* the folder of what is ours */
#define STORE_KEY_MAX 1024
#define STORE_ETAG_MAX 128
#define STORE_UPLOAD_ID_MAX 1024
#define STORE_WRITE_ID_MAX 64

/* What this object store does; found by store_probe(), not guessed. */
enum store_caps {
	STORE_CAP_PUT_COND = 1 << 0, /* if_absent, if_match on put and commit */
	STORE_CAP_DEL_COND = 1 << 1, /* if_match on del */
	STORE_CAP_COPY = 1 << 2, /* copy */
	STORE_CAP_RENAME = 1 << 3, /* rename: one atomic step */
	STORE_CAP_CRC64 = 1 << 4, /* head tells the CRC-64/NVME of the object,
				     or its CRC-32C if its parts were sent with
				     that (of copied parts: COPY_CRC64, too) */
	STORE_CAP_FILE_AND_DIR = 1 << 5, /* "a" and "a/b" may both exist; else
					    the second is refused, or is not
					    listed while "a" is there */
	STORE_CAP_COMMIT_META = 1 << 6, /* mpu_commit's meta counts, not begin's */
	STORE_CAP_META = 1 << 7, /* write_id comes back from head */
	STORE_CAP_COPY_PART = 1 << 8, /* mpu_copy_part */
	STORE_CAP_CONTROL = 1 << 9, /* keys may hold what XML cannot */
	STORE_CAP_ANY_BYTES = 1 << 10, /* keys need not be UTF-8 */
	STORE_CAP_MPU_PREFIX = 1 << 11, /* mpu_list: more than one key */
	STORE_CAP_PARTS_CRC32C = 1 << 12, /* parts are sent with their CRC-32C,
					     and mpu_commit needs that of each,
					     but in uploads with copies */
	STORE_CAP_COPY_CRC64 = 1 << 13, /* head tells the CRC-64/NVME of an
					   object some parts of which were
					   copied (or a copy with cond) */
	STORE_CAP_DEL_MANY = 1 << 14, /* del_many: one request for many */
	STORE_CAP_DEL_MANY_COND = 1 << 15, /* and it heeds if_match */
	STORE_CAP_PUT_RESUME = 1 << 17, /* put goes on where another ended */
	STORE_CAP_ONE_LINE = 1 << 16, /* keys may hold no line feed: what it
					 cannot, so that others need not tell */
	STORE_CAP_PLAIN = 1 << 17, /* nor tab or backslash, alike */
};

struct store_limits {
	uint64_t put_max; /* bytes in one put */
	uint64_t part_min, part_max; /* bytes; the last part may be smaller */
	unsigned parts_max; /* per upload */
	unsigned name_max; /* bytes in one component of a key */
};

/* What ckptfs keeps beside an object: user metadata "mtime" (seconds with
 * nine decimals), "mode" (st_mode in decimal, with the type bits, as s3fs
 * has it) and "ckptfsid".  What is not to be understood is taken as absent. */
struct store_meta {
	bool has_mtime, has_mode;
	int64_t mtime_ns;
	/* st_mode: S_IFREG or S_IFLNK (a marker: S_IFDIR) and permission bits;
	 * setuid and setgid are neither sent nor believed. */
	uint32_t mode;
	char write_id[STORE_WRITE_ID_MAX]; /* [A-Za-z0-9._-]*, "": none */
};

/* What the store knows of an object.  Plain data; copy freely. */
struct store_obj {
	uint64_t size;
	int64_t mtime_ns; /* the store's own time of change; 0 when a change
			     (put, copy, rename, commit) was not told it */
	char etag[STORE_ETAG_MAX]; /* opaque; compare for equality only */
	bool has_crc64, has_crc32c;
	uint64_t crc64; /* CRC-64/NVME of the whole */
	uint32_t crc32c; /* CRC-32C of the whole */
	bool has_meta; /* meta was told (head, changes; get, if the store does
			  it there; never list) */
	struct store_meta meta;
};

/*
 * How far a put came, for who wants to take it up in a later life: id is "" before
 * the first, and then what save() was told last; of the same bytes, to the same
 * key.  save() is called by put, with id "" when it is of no use any more; what it
 * says ends the put.  An id that is not needed any more is for mpu_abort.
 */
struct store_session {
	char id[STORE_UPLOAD_ID_MAX];
	int (*save)(struct store_session *s); /* or NULL */
};

/*
 * Bytes to send.  read() is called with rising offsets, again from any
 * earlier one when a request is repeated, and returns n unless it fails
 * (negative errno, becomes -EIO or stays -ECANCELED).  The bytes must not
 * change while the call lasts.
 */
struct store_src {
	ssize_t (*read)(void *arg, uint64_t off, void *p, size_t n);
	void *arg;
	uint64_t len;
	/* Of the len bytes.  What the back end needs and is not told, it
	 * computes by reading once more: the CRC-64/NVME, and of a part the
	 * CRC-32C where STORE_CAP_PARTS_CRC32C says so. */
	bool has_crc64, has_crc32c;
	uint64_t crc64;
	uint32_t crc32c;
	struct store_session *session; /* of a put, with STORE_CAP_PUT_RESUME */
	bool beside_copies; /* a part of an upload that was begun for copies */
};

/* Takes bytes in order; non-zero ends the get: -ECANCELED stays, else -EIO. */
typedef int store_sink_fn(void *arg, const void *p, size_t n);

struct store_cond {
	bool if_absent;
	const char *if_match; /* an etag, or NULL */
};

/* One of many deletes. */
struct store_del {
	const char *key;
	const char *if_match; /* an etag, or NULL */
};

struct store_part {
	unsigned number; /* 1 .. parts_max */
	bool copied; /* by mpu_copy_part; not told by mpu_list_parts */
	uint64_t size;
	char etag[STORE_ETAG_MAX];
	bool has_crc64, has_crc32c;
	uint64_t crc64;
	uint32_t crc32c;
};

/* obj is NULL for a prefix (which ends in '/').  Non-zero stops the listing
 * and is returned as it is. */
typedef int store_list_fn(void *arg, const char *key,
			  const struct store_obj *obj);
typedef int store_part_fn(void *arg, const struct store_part *part);
typedef int store_upload_fn(void *arg, const char *key, const char *id,
			    int64_t begun_ns);

/* A version of an object, or the mark that one was deleted. */
struct store_version {
	const char *key, *id;
	uint64_t size;
	int64_t mtime_ns; /* when it was made; 0: unknown */
	bool is_latest; /* what a get finds; of a mark: nothing */
	bool is_mark;
};
typedef int store_version_fn(void *arg, const struct store_version *v);

struct store;

/*
 * The methods as the functions below describe them.  The front has checked
 * what it promises to check.  copy, rename and mpu_copy_part may be NULL
 * (-EOPNOTSUPP), list_versions, too, and del_many (then del is called for each
 * key), findings and recall (then caps are all there is).
 */
struct store_ops {
	const char *name;
	int (*probe)(struct store *s, const char *prefix, bool read_only);
	uint64_t (*findings)(const struct store *s);
	void (*recall)(struct store *s, uint64_t findings);
	int (*head)(struct store *s, const char *key, struct store_obj *ret);
	int (*get)(struct store *s, const char *key, const char *if_match,
		   uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
		   struct store_obj *ret);
	int (*put)(struct store *s, const char *key,
		   const struct store_src *src, const struct store_meta *meta,
		   const struct store_cond *cond, struct store_obj *ret);
	int (*del)(struct store *s, const char *key,
		   const struct store_cond *cond);
	int (*del_many)(struct store *s, const struct store_del *dels, size_t n,
			int *ret_errs);
	int (*list)(struct store *s, const char *prefix, const char *after,
		    bool delimited, store_list_fn *fn, void *arg);
	int (*list_versions)(struct store *s, const char *prefix,
			     const struct store_version *after,
			     store_version_fn *fn, void *arg);
	int (*copy)(struct store *s, const char *from, const char *from_etag,
		    const char *to, const struct store_meta *meta,
		    const struct store_cond *cond, struct store_obj *ret);
	int (*rename)(struct store *s, const char *from, const char *to,
		      struct store_obj *ret);
	int (*mpu_begin)(struct store *s, const char *key,
			 const struct store_meta *meta, bool copies,
			 char ret_id[STORE_UPLOAD_ID_MAX]);
	int (*mpu_part)(struct store *s, const char *key, const char *id,
			unsigned number, const struct store_src *src,
			struct store_part *ret);
	int (*mpu_copy_part)(struct store *s, const char *key, const char *id,
			     unsigned number, const char *from,
			     const char *from_etag, uint64_t off, uint64_t len,
			     struct store_part *ret);
	int (*mpu_list_parts)(struct store *s, const char *key, const char *id,
			      store_part_fn *fn, void *arg);
	int (*mpu_list)(struct store *s, const char *prefix,
			store_upload_fn *fn, void *arg);
	int (*mpu_commit)(struct store *s, const char *key, const char *id,
			  const struct store_part *parts, size_t n,
			  const struct store_meta *meta,
			  const struct store_cond *cond,
			  struct store_obj *ret);
	int (*mpu_abort)(struct store *s, const char *key, const char *id);
	void (*shutdown)(struct store *s);
	void (*free)(struct store *s);
};

struct store {
	const struct store_ops *ops;
	unsigned caps; /* enum store_caps; settled once store_probe() returned */
	struct store_limits limits;
	bool hidden; /* set by the front: keys under .ckptfs/ are not listed */
	uint64_t calls, failures; /* counted by the front; read with __atomic */
};

void store_free(struct store *s);

/*
 * Find out what the store can do and whether it lets us in; called once,
 * before anything else.  prefix ("" or "a/b/") is where the mount lies:
 * trials are written below prefix.ckptfs/ and removed again; with read_only
 * nothing is written and only list and get are asked for.
 */
int store_probe(struct store *s, const char *prefix, bool read_only)
	NONNULL(1, 2) MUST_USE;

/*
 * What the probe found, for a later process that cannot ask: store_recall()
 * there takes the place of store_probe().
 */
uint64_t store_findings(const struct store *s) NONNULL(1) MUST_USE;
void store_recall(struct store *s, uint64_t findings) NONNULL(1);

/* Whether a listing would give this name (or key) back as it is. */
bool store_holds_name(const struct store *s, const char *name) NONNULL(1, 2);

/*
 * The front refuses by itself: a key longer than STORE_KEY_MAX, a put or part
 * above the limits, a put, an upload, a copy or a rename to a key that
 * store_holds_name() denies (-EINVAL); a copy, a rename, a condition on put,
 * commit or del without its capability (-EOPNOTSUPP).
 */
int store_head(struct store *s, const char *key, struct store_obj *ret)
	NONNULL(1, 2, 3) MUST_USE;
/*
 * Send [off, off + len) of the object to the sink; a range that ends past the
 * end of the object is cut there, one that begins there or past it is empty.
 * ret may be NULL.  All or an error: never short.
 */
int store_get(struct store *s, const char *key, const char *if_match,
	      uint64_t off, uint64_t len, store_sink_fn *sink, void *arg,
	      struct store_obj *ret) NONNULL(1, 2, 6) MUST_USE;
/* Create or replace, all or nothing, checksum verified by the store. */
int store_put(struct store *s, const char *key, const struct store_src *src,
	      const struct store_meta *meta, const struct store_cond *cond,
	      struct store_obj *ret) NONNULL(1, 2, 3, 4, 6) MUST_USE;
/* Deleting what is not there succeeds, unless if_match was asked: -ESTALE. */
int store_del(struct store *s, const char *key, const struct store_cond *cond)
	NONNULL(1, 2) MUST_USE;
/*
 * At most 1000, no key twice, in no order; ret_errs[i] as store_del() would say
 * of each when 0 is returned, but that of what is not there it may be 0 in
 * spite of if_match.  With an error any of them may be gone.  if_match, of all
 * or none, needs STORE_CAP_DEL_MANY_COND.
 */
int store_del_many(struct store *s, const struct store_del *dels, size_t n,
		   int *ret_errs) NONNULL(1, 2, 4) MUST_USE;
/*
 * Keys that begin with prefix, in byte order, all of them however many pages
 * that takes; delimited: those with a '/' past the prefix are folded into one
 * prefix entry each (a key equal to the prefix stays a key).  Only entries
 * that sort after `after` are given (NULL: all), so the last one seen resumes
 * a listing.  Keys below a folder .ckptfs/ are left out unless the prefix lies
 * there itself.  A prefix with nothing under it is no error.
 */
int store_list(struct store *s, const char *prefix, const char *after,
	       bool delimited, store_list_fn *fn, void *arg)
	NONNULL(1, 2, 5) MUST_USE;
/*
 * The versions that the bucket keeps of the keys that begin with prefix, those
 * below .ckptfs/ left out as by store_list(): by key, of each the latest first;
 * in a bucket that keeps none, the objects.  after: the last one seen (its key
 * and id), or NULL.
 */
int store_list_versions(struct store *s, const char *prefix,
			const struct store_version *after,
			store_version_fn *fn, void *arg) NONNULL(1, 2, 4)
	MUST_USE;
/*
 * Server-side copy of one version (from_etag, NULL: any) onto a key.  meta
 * NULL keeps the source's.  cond is about the destination; a back end whose
 * store ignores it there must reach the same by other means or refuse with
 * -EOPNOTSUPP.  -ESTALE: the source (or destination) is another.  One that is
 * cut short may leave an upload of the key `to`.
 */
int store_copy(struct store *s, const char *from, const char *from_etag,
	       const char *to, const struct store_meta *meta,
	       const struct store_cond *cond, struct store_obj *ret)
	NONNULL(1, 2, 4, 7) MUST_USE;
/* Only with STORE_CAP_RENAME; replaces what is at `to`.  -EOPNOTSUPP for
 * markers where a folder would move with what is in it. */
int store_rename(struct store *s, const char *from, const char *to,
		 struct store_obj *ret) NONNULL(1, 2, 3, 4) MUST_USE;

/*
 * An upload in parts: invisible until commit.  copies: some of its parts will
 * be copied, which servers do in uploads alone that declare no checksum, or
 * another; with that, sent parts say that they are beside copies.
 */
int store_mpu_begin(struct store *s, const char *key,
		    const struct store_meta *meta, bool copies,
		    char ret_id[STORE_UPLOAD_ID_MAX]) NONNULL(1, 2, 3, 5)
	MUST_USE;
/* The same number again replaces that part.  -ENOENT: no such upload. */
int store_mpu_part(struct store *s, const char *key, const char *id,
		   unsigned number, const struct store_src *src,
		   struct store_part *ret) NONNULL(1, 2, 3, 5, 6) MUST_USE;
/* A part from [off, off + len) of an object, len > 0; -EINVAL when it is not
 * that long, or the upload was not begun for copies. */
int store_mpu_copy_part(struct store *s, const char *key, const char *id,
			unsigned number, const char *from,
			const char *from_etag, uint64_t off, uint64_t len,
			struct store_part *ret) NONNULL(1, 2, 3, 5, 9) MUST_USE;
/* The parts the store holds, by rising number. */
int store_mpu_list_parts(struct store *s, const char *key, const char *id,
			 store_part_fn *fn, void *arg) NONNULL(1, 2, 3, 4)
	MUST_USE;
/* Uploads under way of the keys that begin with prefix; without
 * STORE_CAP_MPU_PREFIX of the key prefix alone. */
int store_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		   void *arg) NONNULL(1, 2, 3) MUST_USE;
/*
 * parts: at least one, by rising number, gaps allowed; parts that are not
 * named are dropped; of an upload begun for copies at least one is copied.
 * meta as at begin, unless STORE_CAP_COMMIT_META.
 * -ENOENT: no such upload: it was aborted, or already committed (some stores
 * then say 0 once more).  -EINVAL: a part is missing, of another etag, or too
 * small.  After any error but -ENOENT the upload is still there.
 */
int store_mpu_commit(struct store *s, const char *key, const char *id,
		     const struct store_part *parts, size_t n,
		     const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
	NONNULL(1, 2, 3, 4, 6, 8) MUST_USE;
/* What is gone already is success. */
int store_mpu_abort(struct store *s, const char *key, const char *id)
	NONNULL(1, 2, 3) MUST_USE;

/* Make calls in flight and to come fail with -ECANCELED; does not wait. */
void store_shutdown(struct store *s) NONNULL(1);

/* Whether trying the same call again may help: -EAGAIN -ETIMEDOUT
 * -ENETUNREACH -EPROTO. */
bool store_err_is_transient(int err);

/*
 * The last error of this thread in words: what the store said, "" if nothing.
 * Holds no secret.  Valid until the thread's next store call.
 */
const char *store_last_error(void);
/* How long the store asked to wait before the next try (Retry-After), for the
 * last error of this thread; 0: it did not say. */
int64_t store_retry_after_ns(void);
/*
 * How many answers to this thread were -EAGAIN so far, those that were tried
 * again among them.  More of them after a call than before: the store is asked
 * too much.
 */
uint64_t store_throttled(void);
/* For back ends. */
void store_set_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void store_set_retry_after(int64_t ns);

/* Back ends and decorators.  A decorator owns inner, also when it fails. */
struct clk;
struct fault_plan;
struct http;
struct rng;
struct thr;

struct store *store_mem_new(const struct clk *clk) FREED_BY(store_free);
/* Without STORE_CAP_FILE_AND_DIR, as a folder is. */
struct store *store_mem_tree_new(const struct clk *clk) FREED_BY(store_free);
/*
 * A folder as the bucket; path must exist.  Works on any file system; where
 * flock(2) does not work store_probe() takes the conditional capabilities
 * away, where extended attributes do not, records lie in .ckptfs/meta/.
 */
int store_dir_new(const char *path, const struct clk *clk, struct store **ret)
	NONNULL(1, 2, 3) MUST_USE;

struct store_retry_policy {
	int64_t base_ns, cap_ns; /* full jitter between 0 and min(cap, base<<n) */
	unsigned attempts; /* per call, the first included; 0: no limit */
};
/*
 * Transient errors are tried again.  All calls share a quota of retries that
 * successes fill again, so a store in trouble is not asked twice as often as
 * one in health: with it spent, a call with limited attempts fails at once and
 * one without waits as long as the cap.  At least what the store asked for
 * (store_retry_after_ns) is waited.  From the same quota a head or a get may be
 * raced: asked again over another connection, if it is much slower than usual
 * and the back end is for that.
 *
 * A change whose earlier attempt may have happened, and whose repetition then
 * finds its condition broken or its upload or source gone, has succeeded if
 * the object there carries the call's write_id (a del: if nothing is there).
 * So give one to whatever has a condition.  mpu_begin is not tried again: one
 * whose answer was lost may have begun, and only who wrote down the intent can
 * find and abort it.  Nor is copy, which may begin one, too.  A get
 * that broke off is resumed behind the bytes already
 * handed to the sink when if_match pins the version; else it fails.
 */
struct store *store_retry_new(struct store *inner, const struct clk *clk,
			      struct rng *rng, struct thr *thr,
			      const struct store_retry_policy *policy)
	NONNULL(1, 2, 3, 4, 5) FREED_BY(store_free);

/* Which call fails, how, for tests. */
enum store_fault_act {
	STORE_FAULT_BEFORE, /* fails, nothing happened */
	STORE_FAULT_AFTER, /* happened, but the answer is the error */
	STORE_FAULT_HALF, /* get: fails after half of the bytes; else AFTER */
	STORE_FAULT_FLIP, /* get: succeeds with one bit wrong; err unused */
};
struct store_fault {
	const char *method; /* "put", "mpu_part", …; NULL: any */
	const char *key; /* substring of the key; NULL: any */
	unsigned skip; /* matching calls to let pass first */
	unsigned count; /* how many then fail; 0: for ever */
	int err;
	enum store_fault_act act;
};
struct store *store_fault_new(struct store *inner) NONNULL(1)
	FREED_BY(store_free);
/* Replace the plan; faults is copied, its strings too.  The first entry that
 * matches a call and is not used up decides; skipping counts as a match. */
int store_fault_set(struct store *s, const struct store_fault *faults,
		    size_t n) NONNULL(1) MUST_USE;
/* While this says so, the process is as good as dead: no call gets through, nor
 * is it told. */
void store_fault_die_with(struct store *s, bool (*is_dead)(void *arg),
			  void *arg) NONNULL(1);
/*
 * Calls seen, a line each, in order of arrival, for tests: the method (as in
 * struct store_ops), the key, then for get "off+len", for parts the number,
 * for copy and rename the target: "put a/b", "get a/b 0+100".  The caller
 * frees it; NULL: no memory.
 */
char *store_fault_log(struct store *s) NONNULL(1);

#define STORE_SSE_C_KEY 32

struct cred_chain;
struct store_s3_opts {
	const char *bucket; /* or the ARN of an access point */
	const char *region; /* "" or NULL: us-east-1 */
	const char *endpoint_url; /* NULL: AWS */
	bool fips, dual_stack; /* AWS only */
	bool path_style; /* forced for endpoints that are IP addresses */
	bool sign_payload; /* also over https and loopback */
	bool is_impatient; /* http's time limit is that of every request */
	struct cred_chain *creds; /* borrowed; NULL: anonymous */
	struct http *http; /* borrowed */
	const struct clk *clk;
	/* How objects are stored, as the service's headers have it; NULL: not
	 * said.  -EINVAL for what does not go together. */
	const char *sse, *sse_kms_key_id, *storage_class, *acl;
	const char *tags; /* name=value&name=value, percent-encoded */
	const char *content_type; /* "auto": by the end of the name */
	const unsigned char *sse_c_key; /* STORE_SSE_C_KEY bytes, copied */
	bool requester_pays;
};
int store_s3_new(const struct store_s3_opts *opts, struct store **ret)
	NONNULL(1, 2) MUST_USE;
/* The region requests are signed for: the option's, or what was learned. */
void store_s3_region(struct store *s, char *ret, size_t n) NONNULL(1, 2);
/* Its requests reach another machine unencrypted. */
bool store_s3_is_in_clear(const struct store *s) NONNULL(1);

struct store_gcs_opts {
	const char *bucket;
	/* "" or "a/b/": uploads in parts lie below its .ckptfs/ as objects. */
	const char *prefix;
	const char *endpoint_url; /* NULL: Google */
	/* Bytes of a step of a resumable upload, for large objects without any
	 * beside them; 0: in parts. */
	uint64_t chunk;
	/* NULL: not said.  The class is that of what is put or made of parts,
	 * not of copies; the key is for all that is written. */
	const char *storage_class, *kms_key;
	const char *user_project; /* which pays for requests; NULL: not said */
	struct cred_chain *creds; /* borrowed; tokens; NULL: anonymous */
	struct http *http; /* borrowed */
	const struct clk *clk;
};
/* -EINVAL too for credentials over an endpoint in clear, but on loopback. */
int store_gcs_new(const struct store_gcs_opts *opts, struct store **ret)
	NONNULL(1, 2) MUST_USE;
/* How the bucket is set up, asked of the server.  -EACCES: who may not know. */
struct store_gcs_settings {
	int64_t soft_delete_s; /* what is deleted is kept so long; 0: it goes */
	int64_t retention_s; /* nothing goes before that; 0: it may */
	bool is_hierarchical;
};
int store_gcs_ask(struct store *s, struct store_gcs_settings *ret) NONNULL(1, 2)
	MUST_USE;
bool store_gcs_is_in_clear(const struct store *s) NONNULL(1);

struct store_az_opts {
	const char *account, *container;
	/* "" or "a/b/": uploads under way are noted below its .ckptfs/. */
	const char *prefix;
	const char *endpoint_url; /* of blobs; NULL: the account's in Azure */
	struct cred_chain *creds; /* borrowed; NULL: anonymous */
	struct http *http; /* borrowed */
	const struct clk *clk;
};
/* -EINVAL too for credentials over an endpoint in clear, but on loopback. */
int store_az_new(const struct store_az_opts *opts, struct store **ret)
	NONNULL(1, 2) MUST_USE;
bool store_az_is_in_clear(const struct store *s) NONNULL(1);

#endif
