/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/hash.h"
#include "ckptfs/rng.h"
#include "ckptfs/thr.h"

#include "fetch_rig.h"
#include "harness.h"

struct fetch_rig rig = { .seed = 7, .blob = -1 };

static unsigned char byte_at(uint64_t off)
{
	return (unsigned char)((off * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static ssize_t read_bytes(void *arg, uint64_t off, void *p, size_t n)
{
	unsigned char *c = p;

	(void)arg;
	for (size_t i = 0; i < n; i++)
		c[i] = byte_at(off + i);
	return (ssize_t)n;
}

void rig_have_object(uint64_t size)
{
	struct store_src src = { .read = read_bytes, .len = size };
	struct store_meta m = { .write_id = "" };

	ck_assert_int_eq(store_put(rig.store, "k", &src, &m, NULL, &rig.object),
			 0);
}

static void start_engine(uint64_t size, unsigned workers, uint64_t limit)
{
	struct fetch_opts opts = { .max_downloads = workers,
				   .limit = limit,
				   .chunk = MIB };

	rig.store = store_fault_new(store_mem_new(rig.host->clk));
	ck_assert_ptr_nonnull(rig.store);
	rig_have_object(size);
	rig.blob = disk_open(rig.host->disk, "blob", O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(rig.blob, 0);
	ck_assert_int_eq(
		fetch_engine_new(rig.host, rig.store, &opts, &rig.engine), 0);
}

void rig_use_sim(uint64_t size, unsigned workers, uint64_t limit)
{
	rig.sim = sim_new(rig.seed);
	rig.host = sim_host(rig.sim);
	start_engine(size, workers, limit);
}

void rig_use_threads(uint64_t size, unsigned workers, uint64_t limit)
{
	rig.real = (struct host){ .clk = &clk_system,
				  .rng = &rng_system,
				  .thr = &thr_system,
				  .disk = simdisk_new(&clk_system, 1) };
	rig.host = &rig.real;
	start_engine(size, workers, limit);
}

void rig_teardown(void)
{
	fetch_engine_free(rig.engine);
	store_free(rig.store);
	disk_close(rig.host->disk, rig.blob);
	ck_assert_uint_eq(simdisk_open_handles(rig.host->disk), 0);
	if (rig.sim)
		sim_free(rig.sim);
	else
		disk_free(rig.real.disk);
}

void rig_arm(const char *method, unsigned skip, unsigned count, int err,
	     enum store_fault_act act)
{
	struct store_fault f = { .method = method,
				 .skip = skip,
				 .count = count,
				 .err = err,
				 .act = act };

	ck_assert_int_eq(store_fault_set(rig.store, &f, 1), 0);
}

void rig_heal(void)
{
	ck_assert_int_eq(store_fault_set(rig.store, NULL, 0), 0);
}

static void done(void *arg, int err, uint64_t id)
{
	struct rig_told *t = arg;

	ck_assert_int_eq(t->released, 0);
	ck_assert_uint_eq(id, 4711);
	t->done++;
	t->err = err;
}

static void released(void *arg, uint64_t id)
{
	ck_assert_uint_eq(id, 4711);
	((struct rig_told *)arg)->released++;
}

struct fetch_spec rig_spec_of(struct rig_told *t)
{
	return (struct fetch_spec){ .key = "k",
				    .etag = rig.object.etag,
				    .size = rig.object.size,
				    .fd = rig.blob,
				    .has_crc64 = true,
				    .crc64 = rig.object.crc64,
				    .done = done,
				    .released = released,
				    .done_arg = t,
				    .done_id = 4711 };
}

uint32_t rig_crc32c(void)
{
	uint32_t crc = 0;
	char c[4096];

	for (uint64_t off = 0; off < rig.object.size; off += sizeof(c)) {
		uint64_t left = rig.object.size - off;
		size_t n = left < sizeof(c) ? (size_t)left : sizeof(c);

		(void)read_bytes(NULL, off, c, n);
		crc = crc32c(crc, c, n);
	}
	return crc;
}

struct fetch *rig_start(struct rig_told *t)
{
	struct fetch_spec spec = rig_spec_of(t);
	struct fetch *f = NULL;

	ck_assert_int_eq(fetch_start(rig.engine, &spec, &f), 0);
	fetch_want_all(f, true);
	return f;
}

bool rig_blob_is_right(uint64_t off, uint64_t len)
{
	unsigned char *p = malloc(len);
	bool right = disk_pread(rig.host->disk, rig.blob, p, len, off) ==
		     (ssize_t)len;

	for (uint64_t i = 0; i < len && right; i++)
		right = p[i] == byte_at(off + i);
	free(p);
	return right;
}

void rig_expect_log(const char *begins)
{
	char *log = store_fault_log(rig.store);
	const char *gets = strstr(log, "get ");

	ck_assert_ptr_nonnull(gets);
	ck_assert_msg(!strncmp(gets, begins, strlen(begins)),
		      "the requests are:\n%.300s", gets);
	free(log);
}

uint64_t rig_bytes_fetched(void)
{
	struct fetch_stats st;

	fetch_stats(rig.engine, &st);
	return st.bytes;
}
