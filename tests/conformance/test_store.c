/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the stores that need no server. */
#include "config.h"

#include <errno.h>

#include "ckptfs/clock.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "harness.h"
#include "store/dir.h"
#include "store_suite.h"

static struct store *probed(struct store *s)
{
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(store_probe(s, "", false), 0);
	return s;
}

static struct store *open_mem(void)
{
	return probed(store_mem_new(&clk_system));
}

static struct store *open_mem_tree(void)
{
	return probed(store_mem_tree_new(&clk_system));
}

#define DIR                                                                    \
	(STORE_CAP_PUT_COND | STORE_CAP_DEL_COND | STORE_CAP_COPY |            \
	 STORE_CAP_COPY_PART | STORE_CAP_RENAME | STORE_CAP_CRC64 |            \
	 STORE_CAP_COMMIT_META | STORE_CAP_META | STORE_CAP_CONTROL |          \
	 STORE_CAP_ANY_BYTES | STORE_CAP_MPU_PREFIX |                          \
	 STORE_CAP_COPY_CRC64 | STORE_CAP_DEL_MANY | STORE_CAP_DEL_MANY_COND)
#define MEM (DIR | STORE_CAP_FILE_AND_DIR)
#define POOR (STORE_CAP_META | STORE_CAP_FILE_AND_DIR)

/* As little as a server may offer. */
static struct store *open_poor(void)
{
	struct store *s = open_mem();

	s->caps = POOR;
	return s;
}

static struct store *new_dir(void)
{
	struct store *s = NULL;

	ck_assert_int_eq(store_dir_new(harness_tmpdir(), &clk_system, &s), 0);
	return s;
}

static struct store *open_dir(void)
{
	return probed(new_dir());
}

static struct store *open_plain_dir(void)
{
	struct store *s = new_dir();

	((struct dir_store *)s)->no_xattrs = true;
	return probed(s);
}

/* The first two attempts of every method that is tried again fail, the second
 * after it was done. */
static struct store *faulty(struct store *inner)
{
	static const char *const methods[] = {
		"head",		 "put",		   "del",      "del_many",
		"list",		 "rename",	   "mpu_part", "mpu_copy_part",
		"mpu_list_parts", "mpu_list",	   "mpu_commit", "mpu_abort",
	};
	static const struct store_retry_policy at_once = { .attempts = 0 };
	struct store_fault plan[3 * ARRAY_SIZE(methods) + 1];
	struct store *fault = store_fault_new(inner);
	size_t n = 0;

	ck_assert_ptr_nonnull(fault);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		plan[n++] = (struct store_fault){ .method = methods[i],
						  .count = 1,
						  .err = -EAGAIN };
		plan[n++] = (struct store_fault){ .method = methods[i],
						  .count = 1,
						  .err = -ETIMEDOUT,
						  .act = STORE_FAULT_AFTER };
		plan[n++] = (struct store_fault){ .method = methods[i],
						  .skip = 3,
						  .count = 1,
						  .err = -ENETUNREACH,
						  .act = STORE_FAULT_AFTER };
	}
	plan[n++] = (struct store_fault){ .method = "get",
					  .count = 1,
					  .err = -EPROTO };
	ck_assert_int_eq(store_fault_set(fault, plan, n), 0);
	return probed(store_retry_new(fault, &clk_system, &rng_system,
				      &thr_system, &at_once));
}

static struct store *open_faulty_mem(void)
{
	return faulty(open_mem());
}

static struct store *open_faulty_dir(void)
{
	return faulty(open_dir());
}

static const struct suite_backend backends[] = {
	{ "mem", open_mem, .caps = MEM, .part = 1000, .many = 3000 },
	{ "mem, a tree", open_mem_tree, .caps = DIR, .part = 1000, .many = 100 },
	{ "poor mem", open_poor, .caps = POOR, .part = 1000, .many = 10 },
	{ "retry(fault(mem))", open_faulty_mem, .caps = MEM, .part = 1000,
	  .many = 100 },
	{ "dir", open_dir, .caps = DIR, .part = 1000, .many = 1500 },
	{ "dir without xattrs", open_plain_dir, .caps = DIR, .part = 1000,
	  .many = 100 },
	{ "retry(fault(dir))", open_faulty_dir, .caps = DIR, .part = 1000,
	  .many = 100 },
};

int main(void)
{
	return store_suite_run("store", backends, ARRAY_SIZE(backends));
}
