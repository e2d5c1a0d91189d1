/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that arrive when nobody waits for their answer any more. */
#ifndef SIM_LATE_H
#define SIM_LATE_H

#include "ckptfs/store.h"

struct host;
struct late;

/* told(arg, key): one has just been carried out.  inner is borrowed. */
struct late *late_new(struct store *inner, const struct host *host,
		      void (*told)(void *arg, const char *key), void *arg);
/* Drops what did not arrive yet. */
void late_free(struct late *l);

/* All arguments are copied.  0, or the source's error. */
int late_put(struct late *l, const char *key, const struct store_src *src,
	     const struct store_meta *meta, const struct store_cond *cond);
int late_del(struct late *l, const char *key, const struct store_cond *cond);
int late_commit(struct late *l, const char *key, const char *id,
		const struct store_part *parts, size_t n,
		const struct store_meta *meta, const struct store_cond *cond);

#endif
