/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/hash.h"
#include "ckptfs/rng.h"

#include "harness.h"
#include "store_suite.h"

static const struct suite_backend *backends;
static size_t n_backends;
static char prefix[32];
static uint64_t run_id;

const struct suite_backend *suite_backend;

const char *k(const char *name)
{
	static char ring[16][2048];
	static unsigned next;
	char *p = ring[next++ % 16];

	snprintf(p, sizeof(ring[0]), "%s%s", prefix, name);
	return p;
}

struct store *suite_open(int i)
{
	static unsigned serial;
	struct store *s;

	suite_backend = &backends[i];
	run_id = rng_u64(&rng_system);
	snprintf(prefix, sizeof(prefix), "t%016" PRIx64 "-%u/", run_id,
		 serial++);
	s = suite_backend->open();
	ck_assert_ptr_nonnull(s);
	return s;
}

/* A page of what is left; the store is not changed while it lists. */
struct left {
	char *key[64], *id[64];
	int n;
};

static int left_add(struct left *l, const char *key, const char *id)
{
	if (l->n == 64)
		return 1;
	l->key[l->n] = strdup(key);
	l->id[l->n++] = id ? strdup(id) : NULL;
	return 0;
}

static int left_key(void *arg, const char *key, const struct store_obj *obj)
{
	(void)obj;
	return left_add(arg, key, NULL);
}

static int left_upload(void *arg, const char *key, const char *id,
		       int64_t begun_ns)
{
	(void)begun_ns;
	return left_add(arg, key, id);
}

static void sweep(struct store *s, bool uploads)
{
	struct left l = { .n = 0 };
	int r;

	do {
		l.n = 0;
		r = uploads ? store_mpu_list(s, prefix, left_upload, &l)
			    : store_list(s, prefix, NULL, false, left_key, &l);
		ck_assert_msg(r >= 0, "sweep: %d %s", r, store_last_error());
		for (int i = 0; i < l.n; i++) {
			int err =
				uploads ? store_mpu_abort(s, l.key[i], l.id[i])
					: store_del(s, l.key[i], NULL);

			ck_assert_int_eq(err, 0);
			free(l.key[i]);
			free(l.id[i]);
		}
	} while (r == 1);
}

void suite_close(struct store *s)
{
	s->hidden = false;
	sweep(s, true);
	sweep(s, false);
	store_free(s);
}

unsigned char suite_byte(uint64_t seed, uint64_t off)
{
	uint64_t x = (off + 1) * UINT64_C(0x9e3779b97f4a7c15) +
		     seed * UINT64_C(0xd6e8feb86659fd93);

	return (unsigned char)(x >> 56 ^ x >> 24);
}

static ssize_t pattern_read(void *arg, uint64_t off, void *p, size_t n)
{
	const struct pattern *pat = arg;
	unsigned char *c = p;

	if (pat->err && off + n > pat->err_at)
		return pat->err;
	for (size_t i = 0; i < n; i++)
		c[i] = suite_byte(pat->seed, off + i);
	return (ssize_t)n;
}

struct store_src suite_src(struct pattern *p, uint64_t len)
{
	return (struct store_src){ .read = pattern_read, .arg = p, .len = len };
}

static void crcs(uint64_t seed, uint64_t len, uint64_t *crc64, uint32_t *crc32)
{
	unsigned char buf[4096];

	*crc64 = 0;
	*crc32 = 0;
	for (uint64_t off = 0; off < len; off += sizeof(buf)) {
		size_t n = len - off < sizeof(buf) ? len - off : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = suite_byte(seed, off + i);
		*crc64 = crc64nvme(*crc64, buf, n);
		*crc32 = crc32c(*crc32, buf, n);
	}
}

uint64_t suite_crc(uint64_t seed, uint64_t len)
{
	uint64_t crc64;
	uint32_t crc32;

	crcs(seed, len, &crc64, &crc32);
	return crc64;
}

uint32_t suite_crc32c(uint64_t seed, uint64_t len)
{
	uint64_t crc64;
	uint32_t crc32;

	crcs(seed, len, &crc64, &crc32);
	return crc32;
}

struct store_meta suite_meta(void)
{
	static unsigned serial;
	struct store_meta m = { .has_mtime = false };

	snprintf(m.write_id, sizeof(m.write_id), "%016" PRIx64 "-%u", run_id,
		 __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED));
	return m;
}

int suite_put(struct store *s, const char *key, uint64_t len, uint64_t seed,
	      const struct store_cond *cond, struct store_obj *ret)
{
	struct pattern p = { .seed = seed };
	struct store_src src = suite_src(&p, len);
	struct store_meta meta = suite_meta();

	return store_put(s, key, &src, &meta, cond, ret);
}

struct store_obj suite_have(struct store *s, const char *key, uint64_t len,
			    uint64_t seed)
{
	struct store_obj obj;
	int r = suite_put(s, key, len, seed, NULL, &obj);

	ck_assert_msg(!r, "put %s: %d %s", key, r, store_last_error());
	ck_assert_uint_eq(obj.size, len);
	ck_assert_str_ne(obj.etag, "");
	return obj;
}

int suite_sink(void *arg, const void *p, size_t n)
{
	struct suite_sink *sink = arg;
	const unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		if (c[i] != suite_byte(sink->seed, sink->at + sink->n + i))
			sink->wrong = true;
	sink->n += n;
	return sink->err;
}

void suite_expect_copied(struct store *s, const char *key, uint64_t len,
			 uint64_t seed)
{
	struct suite_sink sink = { .seed = seed };
	struct store_obj head, got;
	int r = store_head(s, key, &head);

	ck_assert_msg(!r, "head %s: %d %s", key, r, store_last_error());
	ck_assert_uint_eq(head.size, len);
	ck_assert(!head.has_crc64 || head.crc64 == suite_crc(seed, len));
	ck_assert(!head.has_crc32c || head.crc32c == suite_crc32c(seed, len));
	if (s->caps & STORE_CAP_COPY_CRC64)
		ck_assert(head.has_crc64 || head.has_crc32c);
	r = store_get(s, key, head.etag, 0, UINT64_MAX, suite_sink, &sink,
		      &got);
	ck_assert_msg(!r, "get %s: %d %s", key, r, store_last_error());
	ck_assert_uint_eq(sink.n, len);
	ck_assert(!sink.wrong);
	ck_assert_uint_eq(got.size, len);
	ck_assert_str_eq(got.etag, head.etag);
}

void suite_expect(struct store *s, const char *key, uint64_t len, uint64_t seed)
{
	struct store_obj head;

	suite_expect_copied(s, key, len, seed);
	ck_assert_int_eq(store_head(s, key, &head), 0);
	ck_assert(head.has_crc64 || head.has_crc32c ||
		  !(s->caps & STORE_CAP_CRC64));
}

int suite_head(struct store *s, const char *key)
{
	struct store_obj obj;

	return store_head(s, key, &obj);
}

void suite_expect_none(struct store *s, const char *key)
{
	ck_assert_int_eq(suite_head(s, key), -ENOENT);
}

int suite_part_as(struct store *s, const char *key, const char *id,
		  unsigned number, uint64_t len, uint64_t seed, bool copies,
		  struct store_part *ret)
{
	struct pattern p = { .seed = seed };
	struct store_src src = suite_src(&p, len);

	src.beside_copies = copies;
	return store_mpu_part(s, key, id, number, &src, ret);
}

int suite_part(struct store *s, const char *key, const char *id,
	       unsigned number, uint64_t len, uint64_t seed,
	       struct store_part *ret)
{
	return suite_part_as(s, key, id, number, len, seed, false, ret);
}

void suite_abort(struct store *s, const char *key, const char *id)
{
	ck_assert_int_eq(store_mpu_abort(s, key, id), 0);
}

static const struct {
	const char *name;
	unsigned cap;
} cap_names[] = {
	{ "put_cond", STORE_CAP_PUT_COND },
	{ "del_cond", STORE_CAP_DEL_COND },
	{ "copy", STORE_CAP_COPY },
	{ "rename", STORE_CAP_RENAME },
	{ "crc64", STORE_CAP_CRC64 },
	{ "file_and_dir", STORE_CAP_FILE_AND_DIR },
	{ "commit_meta", STORE_CAP_COMMIT_META },
	{ "meta", STORE_CAP_META },
	{ "copy_part", STORE_CAP_COPY_PART },
	{ "control", STORE_CAP_CONTROL },
	{ "any_bytes", STORE_CAP_ANY_BYTES },
	{ "mpu_prefix", STORE_CAP_MPU_PREFIX },
	{ "parts_crc32c", STORE_CAP_PARTS_CRC32C },
	{ "copy_crc64", STORE_CAP_COPY_CRC64 },
	{ "del_many", STORE_CAP_DEL_MANY },
	{ "del_many_cond", STORE_CAP_DEL_MANY_COND },
	{ "one_line", STORE_CAP_ONE_LINE },
	{ "plain", STORE_CAP_PLAIN },
};

bool suite_caps_of(const char *words, unsigned *ret)
{
	char copy[256], *save = NULL;
	const char *word;
	size_t i;

	snprintf(copy, sizeof(copy), "%s", words);
	*ret = 0;
	for (word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		for (i = 0; i < ARRAY_SIZE(cap_names); i++)
			if (!strcmp(word, cap_names[i].name))
				break;
		if (i == ARRAY_SIZE(cap_names))
			return false;
		*ret |= cap_names[i].cap;
	}
	return true;
}

/* What a back end lacks is left out by the tests of it: so it is said here. */
START_TEST(the_probe_finds_what_there_is)
{
	struct store *s = suite_open(_i);
	unsigned want = suite_backend->caps;

	ck_assert_msg(s->caps == want,
		      "%s: capabilities 0x%x, not 0x%x: too many 0x%x, "
		      "missing 0x%x",
		      suite_backend->name, s->caps, want, s->caps & ~want,
		      want & ~s->caps);
	suite_close(s);
}
END_TEST

static void add(TCase *c)
{
	int n = (int)n_backends;

	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, the_probe_finds_what_there_is, 0, n);
	store_suite_add_object(c, n);
	store_suite_add_change(c, n);
	store_suite_add_list(c, n);
	store_suite_add_mpu(c, n);
}

int store_suite_run(const char *name, const struct suite_backend *b, size_t n)
{
	backends = b;
	n_backends = n;
	return harness_run(name, add);
}
