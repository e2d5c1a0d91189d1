/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ckptfs/store.h"

#include "harness.h"
#include "store/meta_text.h"

static const struct {
	struct store_meta meta;
	const char *mtime, *mode, *id;
} whole[] = {
	{ { .has_mtime = false }, "", "", "" },
	{ { .has_mtime = true, .mtime_ns = 0 }, "0.000000000", "", "" },
	{ { .has_mtime = true,
	    .mtime_ns = INT64_C(1700000000123456789),
	    .has_mode = true,
	    .mode = 0100644,
	    .write_id = "c0ffee-1-2" },
	  "1700000000.123456789",
	  "33188",
	  "c0ffee-1-2" },
	{ { .has_mtime = true,
	    .mtime_ns = -1500000000,
	    .has_mode = true,
	    .mode = 0120777 },
	  "-1.500000000",
	  "41471",
	  "" },
	{ { .has_mode = true, .mode = 0040755 }, "", "16877", "" },
};

START_TEST(metadata_survives_the_way_through_text)
{
	struct store_meta back = { .has_mtime = false };
	struct store_meta_text t;

	store_meta_encode(&whole[_i].meta, &t);
	ck_assert_str_eq(t.mtime, whole[_i].mtime);
	ck_assert_str_eq(t.mode, whole[_i].mode);
	ck_assert_str_eq(t.id, whole[_i].id);
	store_meta_decode("MTime", t.mtime, &back);
	store_meta_decode("mode", t.mode, &back);
	store_meta_decode("ckptfsid", t.id, &back);
	ck_assert_int_eq(back.has_mtime, whole[_i].meta.has_mtime);
	ck_assert_int_eq(back.mtime_ns, whole[_i].meta.mtime_ns);
	ck_assert_int_eq(back.has_mode, whole[_i].meta.has_mode);
	ck_assert_uint_eq(back.mode, whole[_i].meta.mode);
	ck_assert_str_eq(back.write_id, whole[_i].meta.write_id);
}
END_TEST

static const struct {
	const char *value;
	bool ok;
	int64_t ns;
} mtimes[] = {
	{ "1700000000", true, INT64_C(1700000000000000000) },
	{ "1700000000.5", true, INT64_C(1700000000500000000) },
	{ "1.1234567899", true, INT64_C(1123456789) },
	{ "9223372035", true, INT64_C(9223372035000000000) },
	{ "9223372036", false, 0 },
	{ "99999999999", false, 0 },
	{ "", false, 0 },
	{ "-", false, 0 },
	{ ".5", false, 0 },
	{ "1e9", false, 0 },
	{ " 1", false, 0 },
	{ "1.5x", false, 0 },
	{ "2023-11-14T22:13:20Z", false, 0 },
};

START_TEST(an_mtime_is_taken_only_when_it_makes_sense)
{
	struct store_meta m = { .has_mtime = false };

	store_meta_decode("mtime", mtimes[_i].value, &m);
	ck_assert_int_eq(m.has_mtime, mtimes[_i].ok);
	ck_assert_int_eq(m.mtime_ns, mtimes[_i].ns);
}
END_TEST

static const struct {
	const char *value;
	bool ok;
	uint32_t mode;
} modes[] = {
	{ "33188", true, 0100644 },
	{ "0100600", true, 0100600 },
	{ "36333", true, 0100755 }, /* setuid and setgid are not believed */
	{ "420", false, 0 },
	{ "8624", false, 0 },
	{ "-1", false, 0 },
	{ "4294967296", false, 0 },
	{ "99999999999", false, 0 },
	{ "0x81a4", false, 0 },
	{ "", false, 0 },
};

START_TEST(a_mode_is_taken_only_when_it_makes_sense)
{
	struct store_meta m = { .has_mode = false };

	store_meta_decode("mode", modes[_i].value, &m);
	ck_assert_int_eq(m.has_mode, modes[_i].ok);
	ck_assert_uint_eq(m.mode, modes[_i].mode);
}
END_TEST

START_TEST(setuid_is_never_sent)
{
	struct store_meta m = { .has_mode = true, .mode = 0106755 };
	struct store_meta_text t;

	store_meta_encode(&m, &t);
	ck_assert_int_eq(atol(t.mode), 0100755);
}
END_TEST

START_TEST(a_strange_write_id_is_none)
{
	char longest[STORE_WRITE_ID_MAX + 1];
	struct store_meta m = { .write_id = "" };

	memset(longest, 'a', sizeof(longest));
	longest[STORE_WRITE_ID_MAX] = '\0';
	store_meta_decode("ckptfsid", longest, &m);
	store_meta_decode("ckptfsid", "a b", &m);
	store_meta_decode("ckptfsid", "a\nb", &m);
	store_meta_decode("other", "abc", &m);
	ck_assert_str_eq(m.write_id, "");
	longest[STORE_WRITE_ID_MAX - 1] = '\0';
	store_meta_decode("ckptfsid", longest, &m);
	ck_assert_str_eq(m.write_id, longest);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, metadata_survives_the_way_through_text, 0,
			    (int)ARRAY_SIZE(whole));
	tcase_add_loop_test(c, an_mtime_is_taken_only_when_it_makes_sense, 0,
			    (int)ARRAY_SIZE(mtimes));
	tcase_add_loop_test(c, a_mode_is_taken_only_when_it_makes_sense, 0,
			    (int)ARRAY_SIZE(modes));
	tcase_add_test(c, setuid_is_never_sent);
	tcase_add_test(c, a_strange_write_id_is_none);
}

int main(void)
{
	return harness_run("meta_text", add);
}
