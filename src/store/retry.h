/* SPDX-License-Identifier: Apache-2.0 */
/* The retry store: what its two files share. */
#ifndef STORE_RETRY_H
#define STORE_RETRY_H

#include "ckptfs/lock.h"
#include "ckptfs/thr.h"

#include "store_int.h"

struct clk;
struct rng;

struct retry_store {
	struct store store;
	struct store *inner;
	const struct clk *clk;
	struct rng *rng;
	struct thr *thr;
	struct store_retry_policy policy;
	struct lock lock; /* guards the rest */
	struct thr_cond cond; /* stopped was set */
	bool stopped;
	int quota; /* 0 .. QUOTA_FULL */
	struct store_spare spare; /* constant */
};

/* One call's way through its attempts; starts zeroed but for t. */
struct retry_attempt {
	struct retry_store *t;
	unsigned n; /* that failed */
	bool maybe; /* one of them may have happened */
};

/* Whether to make another attempt after *r; waits for its turn.  *r becomes
 * -ECANCELED when the store was shut down meanwhile. */
bool retry_again(struct retry_attempt *a, int *r) MUST_USE;

/* How long to wait after n + 1 failures.  Pure. */
int64_t retry_delay_ns(const struct store_retry_policy *p, unsigned n,
		       uint64_t random, int64_t asked_ns);

int retry_head(struct store *s, const char *key, struct store_obj *ret);
int retry_put(struct store *s, const char *key, const struct store_src *src,
	      const struct store_meta *meta, const struct store_cond *cond,
	      struct store_obj *ret);
int retry_del(struct store *s, const char *key, const struct store_cond *cond);
int retry_del_many(struct store *s, const struct store_del *dels, size_t n,
		   int *ret_errs);
int retry_copy(struct store *s, const char *from, const char *from_etag,
	       const char *to, const struct store_meta *meta,
	       const struct store_cond *cond, struct store_obj *ret);
int retry_rename(struct store *s, const char *from, const char *to,
		 struct store_obj *ret);
int retry_mpu_begin(struct store *s, const char *key,
		    const struct store_meta *meta, bool copies,
		    char ret_id[STORE_UPLOAD_ID_MAX]);
int retry_mpu_part(struct store *s, const char *key, const char *id,
		   unsigned number, const struct store_src *src,
		   struct store_part *ret);
int retry_mpu_copy_part(struct store *s, const char *key, const char *id,
			unsigned number, const char *from,
			const char *from_etag, uint64_t off, uint64_t len,
			struct store_part *ret);
int retry_mpu_commit(struct store *s, const char *key, const char *id,
		     const struct store_part *parts, size_t n,
		     const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret);
int retry_mpu_abort(struct store *s, const char *key, const char *id);

#endif
