/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>

#include "harness.h"
#include "store/gcs_err.h"

static const struct {
	int status;
	const char *reason;
	enum answer_cond cond;
	bool is_settled;
	int err;
} table[] = {
	{ 200, "", ANSWER_NO_COND, false, 0 },
	{ 204, "", ANSWER_IF_MATCH, true, 0 },
	{ 206, "", ANSWER_IF_MATCH, true, 0 },
	/* Absence. */
	{ 404, "notFound", ANSWER_NO_COND, true, -ENOENT },
	{ 404, "", ANSWER_IF_ABSENT, true, -ENOENT },
	{ 404, "notFound", ANSWER_IF_MATCH, true, -ESTALE },
	{ 410, "", ANSWER_NO_COND, true, -ENOENT },
	/* Conditions. */
	{ 412, "conditionNotMet", ANSWER_IF_ABSENT, true, -EEXIST },
	{ 412, "conditionNotMet", ANSWER_IF_MATCH, true, -ESTALE },
	{ 412, "", ANSWER_IF_MATCH, true, -ESTALE },
	{ 400, "conditionNotMet", ANSWER_IF_ABSENT, true, -EEXIST },
	{ 304, "", ANSWER_IF_MATCH, true, -ESTALE },
	/* Refusals: of this, and of whoever asks. */
	{ 401, "authError", ANSWER_NO_COND, false, -EACCES },
	{ 401, "authError", ANSWER_NO_COND, true, -EAGAIN },
	{ 401, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 402, "", ANSWER_NO_COND, true, -EACCES },
	{ 403, "forbidden", ANSWER_NO_COND, true, -EACCES },
	{ 403, "retentionPolicyNotMet", ANSWER_NO_COND, true, -EACCES },
	{ 451, "", ANSWER_NO_COND, true, -EACCES },
	/* Never. */
	{ 400, "invalid", ANSWER_NO_COND, true, -EINVAL },
	{ 411, "required", ANSWER_NO_COND, true, -EINVAL },
	{ 413, "uploadTooLarge", ANSWER_NO_COND, true, -EINVAL },
	{ 416, "", ANSWER_NO_COND, true, -EINVAL },
	{ 405, "", ANSWER_NO_COND, true, -EOPNOTSUPP },
	{ 501, "notImplemented", ANSWER_NO_COND, true, -EOPNOTSUPP },
	/* Later. */
	{ 403, "rateLimitExceeded", ANSWER_NO_COND, true, -EAGAIN },
	{ 403, "userRateLimitExceeded", ANSWER_NO_COND, true, -EAGAIN },
	{ 403, "dailyLimitExceeded", ANSWER_NO_COND, true, -EAGAIN },
	{ 408, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 409, "conflict", ANSWER_IF_MATCH, true, -EAGAIN },
	{ 429, "rateLimitExceeded", ANSWER_IF_ABSENT, true, -EAGAIN },
	{ 429, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 400, "backendError", ANSWER_NO_COND, true, -EAGAIN },
	{ 500, "internalError", ANSWER_IF_MATCH, true, -EAGAIN },
	{ 502, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 503, "", ANSWER_NO_COND, true, -EAGAIN },
	{ 507, "", ANSWER_NO_COND, true, -ENOSPC },
	/* Nonsense; of Google a resumable upload alone is answered 308. */
	{ 0, "", ANSWER_NO_COND, true, -EPROTO },
	{ 301, "", ANSWER_NO_COND, true, -EPROTO },
	{ 308, "", ANSWER_NO_COND, true, -EPROTO },
	{ 999, "", ANSWER_NO_COND, true, -EPROTO },
};

START_TEST(an_answer_has_one_meaning)
{
	const struct gcs_answer a = { .status = table[_i].status,
				      .reason = table[_i].reason,
				      .message = "crc32c",
				      .cond = table[_i].cond,
				      .is_settled = table[_i].is_settled };

	ck_assert_msg(gcs_err_of(&a) == table[_i].err,
		      "%d %s cond %d settled %d: %d, not %d", a.status,
		      a.reason, a.cond, a.is_settled, gcs_err_of(&a),
		      table[_i].err);
	ck_assert_int_eq(gcs_err_is_token(&a), a.status == 401);
}
END_TEST

START_TEST(a_checksum_that_differs_is_told_by_its_words)
{
	struct gcs_answer a = { .status = 400,
				.reason = "invalid",
				.message = "Provided CRC32C \"AAAAAA==\" doesn't "
					   "match calculated CRC32C \"x\".",
				.has_crc = true };

	ck_assert_int_eq(gcs_err_of(&a), -EBADMSG);
	a.has_crc = false; /* then it is about something else */
	ck_assert_int_eq(gcs_err_of(&a), -EINVAL);
	a.has_crc = true;
	a.message = "Invalid argument.";
	ck_assert_int_eq(gcs_err_of(&a), -EINVAL);
	a.status = 503;
	a.message = "crc32c";
	ck_assert_int_eq(gcs_err_of(&a), -EAGAIN);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, an_answer_has_one_meaning, 0, ARRAY_SIZE(table));
	tcase_add_test(c, a_checksum_that_differs_is_told_by_its_words);
}

int main(void)
{
	return harness_run("gcs_err", add);
}
