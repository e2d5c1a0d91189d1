/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "prefetch_rig.h"

char said[1024];
struct fs_bulk_sums sums;
struct fs_bulk how;

/* ---- who asks */

static void refused(void *arg, const char *path, const char *why)
{
	size_t n = strlen(said);

	(void)arg;
	(void)snprintf(said + n, sizeof(said) - n, "%s: %s;", path, why);
}

int prefetch(const char *path)
{
	said[0] = '\0';
	return fs_prefetch(fs, path, &how, &sums);
}

void (*meanwhile)(void);

static int progress(void *arg, const struct fs_bulk_sums *s)
{
	void (*now)(void) = meanwhile;

	(void)arg;
	ck_assert_uint_le(s->done_bytes, s->bytes);
	ck_assert_uint_le(s->done_files, s->files);
	if (now && s->done_bytes > 0) {
		meanwhile = NULL;
		now();
	}
	return 0;
}

/* ---- what there is */

static ssize_t stripes(void *arg, uint64_t off, void *p, size_t n)
{
	(void)arg;
	memset(p, 'a' + (int)(off / MIB % 26), n);
	return (ssize_t)n;
}

void put_foreign(const char *key, uint64_t size)
{
	struct store_src src = { .read = stripes, .len = size };
	struct store_meta m = { .write_id = "x" };
	struct store_obj o;

	ck_assert_int_eq(store_put(bucket, key, &src, &m, NULL, &o), 0);
}

void reopen(void)
{
	rig_unmount();
	ck_assert_int_eq(rig_open(), 0);
}

uint64_t used(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	return st.cache_used;
}

uint64_t fetched(void)
{
	struct fs_stats st;

	fs_stats(fs, &st);
	return st.fetch.bytes;
}

uint64_t here(const char *path)
{
	struct fs_file_info info;

	ck_assert_int_eq(fs_path_info(fs, path, &info), 0);
	return info.cached;
}

void fault(const char *method, const char *key, int err,
	   enum store_fault_act act)
{
	const struct store_fault f = {
		.method = method, .key = key, .err = err, .act = act
	};

	ck_assert_int_eq(store_fault_set(bucket, &f, 1), 0);
}

void make_tree(void)
{
	put_foreign("run/d/a", 100);
	put_foreign("run/d/e/b", 100);
	put_foreign("run/d/e/f/c", 100);
	put_foreign("run/z", 100);
	sim_advance(sim, 20 * NS_PER_S);
}

void make_slow(void)
{
	rig_opts.download_limit = MIB;
	rig_opts.max_downloads = 1;
	put_foreign("run/a", 4 * MIB);
	put_foreign("run/b", 4 * MIB);
	put_foreign("run/c", 4 * MIB);
	reopen();
}

void prefetch_begin(void)
{
	rig_begin(1);
	how = (struct fs_bulk){ .deadline_mono_ns = CLK_NEVER,
				.progress = progress,
				.refused = refused };
	meanwhile = NULL;
}
