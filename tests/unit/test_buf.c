/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"

#include "harness.h"

START_TEST(bytes_are_kept_in_order_with_a_nul_behind)
{
	struct buf b = BUF_INIT(100000);
	unsigned i;

	for (i = 0; i < 10000; i++) {
		char c = (char)('a' + i % 26);

		ck_assert_int_eq(buf_add(&b, &c, 1), 0);
		ck_assert_int_eq(b.p[b.len], '\0');
	}
	ck_assert_uint_eq(b.len, 10000);
	for (i = 0; i < 10000; i++)
		ck_assert_int_eq(b.p[i], 'a' + (int)(i % 26));
	buf_clear(&b);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_int_eq(buf_addf(&b, "%s-%d", "x", 5), 0);
	ck_assert_str_eq(b.p, "x-5");
	buf_clear(&b);
}
END_TEST

START_TEST(the_ceiling_is_exact_and_failure_changes_nothing)
{
	struct buf b = BUF_INIT(5);

	ck_assert_int_eq(buf_add(&b, "abcdef", 6), -EMSGSIZE);
	ck_assert_ptr_null(b.p);
	ck_assert_int_eq(buf_add(&b, "abc", 3), 0);
	ck_assert_int_eq(buf_addf(&b, "%d", 123), -EMSGSIZE);
	ck_assert_str_eq(b.p, "abc");
	ck_assert_int_eq(buf_addf(&b, "%d", 12), 0);
	ck_assert_str_eq(b.p, "abc12");
	ck_assert_int_eq(buf_add(&b, NULL, 0), 0);
	ck_assert_int_eq(buf_add(&b, "x", 1), -EMSGSIZE);
	ck_assert_int_eq(buf_add(&b, "x", SIZE_MAX), -EMSGSIZE);
	ck_assert_uint_eq(b.len, 5);
	buf_clear(&b);
}
END_TEST

START_TEST(no_ceiling_still_refuses_what_cannot_be_allocated)
{
	struct buf b = BUF_INIT(SIZE_MAX);

	ck_assert_int_eq(buf_add(&b, "x", 1), 0);
	ck_assert_int_eq(buf_add(&b, "x", SIZE_MAX - 1), -ENOMEM);
	ck_assert_int_eq(buf_add(&b, "x", SIZE_MAX), -EMSGSIZE);
	ck_assert_str_eq(b.p, "x");
	buf_clear(&b);
}
END_TEST

START_TEST(taken_bytes_are_the_callers_and_the_buffer_starts_anew)
{
	struct buf b = BUF_INIT(50);
	size_t n = 99;
	char *p;

	p = buf_take(&b, &n);
	ck_assert_str_eq(p, "");
	ck_assert_uint_eq(n, 0);
	free(p);
	ck_assert_int_eq(buf_add(&b, "a\0b", 3), 0);
	p = buf_take(&b, &n);
	ck_assert_uint_eq(n, 3);
	ck_assert_mem_eq(p, "a\0b", 4);
	free(p);
	ck_assert_ptr_null(b.p);
	ck_assert_int_eq(buf_add(&b, "c", 1), 0);
	p = buf_take(&b, NULL);
	ck_assert_str_eq(p, "c");
	free(p);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, bytes_are_kept_in_order_with_a_nul_behind);
	tcase_add_test(c, the_ceiling_is_exact_and_failure_changes_nothing);
	tcase_add_test(c, no_ceiling_still_refuses_what_cannot_be_allocated);
	tcase_add_test(c,
		       taken_bytes_are_the_callers_and_the_buffer_starts_anew);
}

int main(void)
{
	return harness_run("buf", add);
}
