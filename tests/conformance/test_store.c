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

/* As little as a server may offer. */
static struct store *open_poor(void)
{
	struct store *s = open_mem();

	s->caps = STORE_CAP_META | STORE_CAP_FILE_AND_DIR;
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

/* Every method's first two attempts fail, the second after it was done. */
static struct store *faulty(struct store *inner)
{
	static const char *const methods[] = {
		"head",	    "put",	     "del",
		"del_many", "list",	     "copy",
		"rename",

		"mpu_part", "mpu_copy_part", "mpu_list_parts",
		"mpu_list", "mpu_commit",    "mpu_abort",
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
	{ .name = "mem", .open = open_mem, .part = 1000, .many = 3000 },
	{ .name = "poor mem", .open = open_poor, .part = 1000, .many = 10 },
	{ .name = "retry(fault(mem))",
	  .open = open_faulty_mem,
	  .part = 1000,
	  .many = 100 },
	{ .name = "dir", .open = open_dir, .part = 1000, .many = 1500 },
	{ .name = "dir without xattrs",
	  .open = open_plain_dir,
	  .part = 1000,
	  .many = 100 },
	{ .name = "retry(fault(dir))",
	  .open = open_faulty_dir,
	  .part = 1000,
	  .many = 100 },
};

int main(void)
{
	return store_suite_run("store", backends, ARRAY_SIZE(backends));
}
