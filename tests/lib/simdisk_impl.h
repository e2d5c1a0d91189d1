/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the simulated disk: files and names, without handles or faults. */
#ifndef TEST_SIMDISK_IMPL_H
#define TEST_SIMDISK_IMPL_H

#include <pthread.h>
#include <uthash.h>

#include "ckptfs/disk.h"

#include "sim.h"

#define SIM_PAGE 4096U

/* A page that was ever there.  NULL is a hole. */
struct page {
	uint64_t index;
	unsigned char *cur; /* what a read gives */
	unsigned char *dur; /* if dirty: what the disk holds; else NULL */
	bool dirty;
	bool lost; /* dirty, but no sync will write it any more */
	bool reserved; /* has space though it is a hole */
	UT_hash_handle hh;
	struct page *prev, *next; /* of the dirty ones */
};

struct xattr {
	char *name;
	void *value;
	size_t len;
	bool durable;
	struct xattr *next;
};

struct node;

struct entry {
	char *name;
	struct node *node;
	UT_hash_handle hh;
};

struct node {
	unsigned refs; /* entries, name changes, handles */
	unsigned links; /* names it has now */
	unsigned opens;
	unsigned writers;
	bool is_dir;
	bool locked;
	struct node *prev, *next; /* of all nodes */

	uint64_t size, dur_size;
	uint64_t lost_size; /* a size no sync will write; UINT64_MAX: none */
	uint64_t npages; /* that take space */
	struct page *pages, *dirty;
	struct xattr *xattrs;
	int64_t atime_ns, mtime_ns, ctime_ns;

	struct entry *cur, *dur; /* names in this folder */
};

enum change_kind { CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };

/* A change of names that is not durable yet. */
struct change {
	enum change_kind kind;
	struct node *dir, *dir2, *node;
	char *name, *name2;
	bool marked;
	struct change *prev, *next;
};

struct handle {
	int number;
	struct node *node;
	int flags;
	bool external, locks;
	UT_hash_handle hh;
};

struct rule {
	enum simdisk_op op;
	unsigned long at; /* fails when calls reaches this */
	int err; /* 0: unused */
	bool for_ever;
};

#define SIM_RULES 8

struct simdisk {
	struct disk base;
	pthread_mutex_t m; /* guards the rest */
	const struct clk *clk;
	uint64_t random;
	int64_t last_ctime_ns;
	struct node *root, *nodes;
	struct change *changes; /* oldest first */
	struct handle *handles;
	int last_number;
	unsigned boots;
	uint64_t capacity, used; /* pages */
	unsigned lacks;
	unsigned long calls[SIM_ANY + 1];
	bool is_halting;
	unsigned long halt_at; /* the last call that works */
	struct rule rules[SIM_RULES];
};

/* Aborts for want of memory. */
void *sim_alloc(size_t n);
char *sim_strndup(const char *s, size_t n);
uint64_t sim_random(uint64_t *state);

/* simdisk_ctl.c */
struct simdisk *sim_of(const struct disk *d);
void sim_lock_disk(struct simdisk *d);
void sim_unlock_disk(struct simdisk *d);
bool sim_is_halted(const struct simdisk *d);
struct handle *handle_find(const struct simdisk *d, int number);
bool handle_writes(const struct handle *h);
int handle_new(struct simdisk *d, struct node *n, int flags, bool external);
void handle_free(struct simdisk *d, struct handle *h);
void handles_drop(struct simdisk *d, bool external_too);

/* simdisk.c */
extern const struct disk_ops simdisk_ops;

/* simdisk_file.c */
void file_touch(struct simdisk *d, struct node *n, bool bytes);
ssize_t file_read(struct simdisk *d, struct node *n, void *p, size_t len,
		  uint64_t off);
ssize_t file_write(struct simdisk *d, struct node *n, const void *p, size_t len,
		   uint64_t off);
void file_truncate(struct simdisk *d, struct node *n, uint64_t size);
int file_allocate(struct simdisk *d, struct node *n, uint64_t off,
		  uint64_t len);
void file_punch(struct simdisk *d, struct node *n, uint64_t off, uint64_t len);
int64_t file_seek(const struct node *n, uint64_t off, bool hole);
int file_clone(struct simdisk *d, const struct node *from, struct node *to);
int file_set_xattr(struct node *n, const char *name, const void *value,
		   size_t len);
ssize_t file_get_xattr(const struct node *n, const char *name, void *value,
		       size_t len);
/* fails: the bytes will never be durable. */
void file_sync(struct node *n, bool fails);
void file_power_cut(struct simdisk *d, struct node *n, unsigned keep);
void file_release(struct node *n);

/* simdisk_name.c */
struct node *node_new(struct simdisk *d, bool is_dir);
struct node *node_get(struct node *n);
void node_put(struct simdisk *d, struct node *n);
/* Count names and handles; space is taken while there is any. */
void node_count(struct simdisk *d, struct node *n, int links, int opens);
int name_find(struct simdisk *d, const char *path, struct node **ret);
/* The folder path lies in and its last component. */
int name_parent(struct simdisk *d, const char *path, struct node **ret_dir,
		const char **ret_last);
struct node *name_in(const struct node *dir, const char *name);
void name_link(struct simdisk *d, struct node *dir, const char *name,
	       struct node *n);
int name_unlink(struct simdisk *d, const char *path);
int name_rename(struct simdisk *d, const char *from, const char *to);
/* dir NULL: everywhere. */
void name_sync(struct simdisk *d, struct node *dir);
void name_power_cut(struct simdisk *d, unsigned keep);
void name_free_all(struct simdisk *d);

#endif
