/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "ckptfs/cache.h"

#include "harness.h"

#define MAX 5

static const struct choice {
	const char *name;
	struct cache_candidate c[MAX];
	uint64_t need;
	const char *want; /* ids, in order */
} choices[] = {
	{ "nothing needed", { { 1, 10, 1, true } }, 0, "" },
	{ "nothing there", { { 0 } }, 5, "" },
	{ "least recently used first",
	  { { 1, 10, 30, true }, { 2, 10, 10, true }, { 3, 10, 20, true } },
	  15,
	  "23" },
	{ "exactly enough",
	  { { 1, 10, 1, true }, { 2, 10, 2, true } },
	  10,
	  "1" },
	{ "one byte more",
	  { { 1, 10, 1, true }, { 2, 10, 2, true } },
	  11,
	  "12" },
	{ "what may not go stays, however old",
	  { { 1, 10, 1, false }, { 2, 10, 9, true }, { 3, 10, 2, false } },
	  100,
	  "2" },
	{ "what frees nothing stays",
	  { { 1, 0, 1, true }, { 2, 10, 9, true } },
	  5,
	  "2" },
	{ "more than there is: all that may go",
	  { { 1, 10, 2, true }, { 2, 10, 1, true } },
	  UINT64_MAX,
	  "21" },
	{ "same age: by id",
	  { { 3, 1, 5, true }, { 1, 1, 5, true }, { 2, 1, 5, true } },
	  3,
	  "123" },
};

START_TEST(the_choice_is_as_the_table_says)
{
	const struct choice *t = &choices[_i];
	struct cache_candidate c[MAX];
	char got[MAX + 1] = "";
	size_t n = 0, k = 99, i;

	memcpy(c, t->c, sizeof(c));
	while (n < MAX && c[n].id)
		n++;
	cache_evict_choose(n ? c : NULL, n, t->need, &k);
	ck_assert_uint_le(k, n);
	for (i = 0; i < k; i++)
		got[i] = (char)('0' + c[i].id);
	ck_assert_msg(strcmp(got, t->want) == 0, "%s: %s, not %s", t->name, got,
		      t->want);
}
END_TEST

static const struct {
	unsigned long magic;
	const char *name;
	enum cache_fs_kind kind;
} fs[] = {
	{ 0xef53, "ext4", CACHE_FS_GOOD },
	{ 0x12345, "unknown", CACHE_FS_GOOD },
	{ 0x01021994, "tmpfs", CACHE_FS_VOLATILE },
	{ 0x858458f6, "ramfs", CACHE_FS_VOLATILE },
	{ (unsigned long)-2054924042L, "ramfs", CACHE_FS_VOLATILE },
	{ 0x794c7630, "overlayfs", CACHE_FS_OVERLAY },
	{ 0x6969, "nfs", CACHE_FS_REMOTE },
	{ 0xff534d42, "cifs", CACHE_FS_REMOTE },
	{ 0x0bd00bd0, "lustre", CACHE_FS_REMOTE },
	{ 0x65735546, "fuse", CACHE_FS_REMOTE },
	{ 0x00c36400, "ceph", CACHE_FS_REMOTE },
};

START_TEST(a_file_system_is_known_by_its_number)
{
	const char *name = NULL;

	ck_assert_int_eq(cache_fs_kind(fs[_i].magic, &name), fs[_i].kind);
	ck_assert_str_eq(name, fs[_i].name);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, the_choice_is_as_the_table_says, 0,
			    ARRAY_SIZE(choices));
	tcase_add_loop_test(c, a_file_system_is_known_by_its_number, 0,
			    ARRAY_SIZE(fs));
}

int main(void)
{
	return harness_run("cache_evict", add);
}
