/* SPDX-License-Identifier: Apache-2.0 */
/* The memory store: what its two files share. */
#ifndef STORE_MEM_H
#define STORE_MEM_H

#include "ckptfs/lock.h"

#include "store_int.h"

struct clk;

/* Bytes of an object or part.  Never changed once made, so a reader keeps a
 * reference and needs no lock. */
struct mem_body {
	unsigned refs; /* atomic */
	uint64_t len, crc64;
	unsigned char p[];
};

struct mem_object {
	char *key;
	struct mem_body *body;
	struct store_obj obj;
};

struct mem_part {
	struct store_part part;
	struct mem_body *body;
};

struct mem_upload {
	char *key;
	char id[32];
	int64_t begun_ns;
	struct store_meta meta;
	bool copies; /* of some parts, as begin was told */
	struct mem_part *parts; /* by number */
	size_t n_parts;
};

struct mem_store {
	struct store store;
	const struct clk *clk;
	bool stopped; /* atomic */
	struct lock lock; /* guards the rest */
	uint64_t serial; /* of etags and upload ids */
	int64_t last_ns;
	struct mem_object *objects; /* by key */
	size_t n_objects, cap_objects;
	struct mem_upload **uploads; /* in order of begin */
	size_t n_uploads;
};

/* 0, or -ECANCELED after shutdown. */
int mem_check(struct mem_store *m) MUST_USE;
/* Read a source whole and verify its checksum. */
int mem_body_read(struct mem_store *m, const struct store_src *src,
		  struct mem_body **ret) MUST_USE;
int mem_body_new(uint64_t len, struct mem_body **ret) MUST_USE;
struct mem_body *mem_body_get(struct mem_body *b);
void mem_body_drop(struct mem_body *b);
/* A new etag. */
void mem_etag_locked(struct mem_store *m, char ret[STORE_ETAG_MAX])
	REQUIRES(m->lock);
struct mem_object *mem_find_locked(struct mem_store *m, const char *key)
	REQUIRES(m->lock);
/* Make or replace the object if cond holds; takes over body's reference when
 * it succeeds. */
int mem_store_locked(struct mem_store *m, const char *key,
		     struct mem_body *body, const struct store_meta *meta,
		     const struct store_cond *cond, struct store_obj *ret)
	REQUIRES(m->lock) MUST_USE;

int mem_mpu_begin(struct store *s, const char *key,
		  const struct store_meta *meta, bool copies,
		  char ret_id[STORE_UPLOAD_ID_MAX]);
int mem_mpu_part(struct store *s, const char *key, const char *id,
		 unsigned number, const struct store_src *src,
		 struct store_part *ret);
int mem_mpu_copy_part(struct store *s, const char *key, const char *id,
		      unsigned number, const char *from, const char *from_etag,
		      uint64_t off, uint64_t len, struct store_part *ret);
int mem_mpu_list_parts(struct store *s, const char *key, const char *id,
		       store_part_fn *fn, void *arg);
int mem_mpu_list(struct store *s, const char *prefix, store_upload_fn *fn,
		 void *arg);
int mem_mpu_commit(struct store *s, const char *key, const char *id,
		   const struct store_part *parts, size_t n,
		   const struct store_meta *meta, const struct store_cond *cond,
		   struct store_obj *ret);
int mem_mpu_abort(struct store *s, const char *key, const char *id);
void mem_upload_free(struct mem_upload *u);

#endif
