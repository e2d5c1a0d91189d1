/* SPDX-License-Identifier: Apache-2.0 */
/* Which names are logs, and how often one is sent. */
#include "config.h"

#include "ckptfs/clock.h"
#include "ckptfs/transfer.h"

#include "harness.h"

START_TEST(names_by_pattern)
{
	static const struct {
		const char *globs, *path;
		bool live;
	} rows[] = {
		{ TRANSFER_LIVE, "run/events.out.tfevents.17.host.1.0", true },
		{ TRANSFER_LIVE, "train.log", true },
		{ TRANSFER_LIVE, "a/b/metrics.jsonl", true },
		{ TRANSFER_LIVE, "last.ckpt", false },
		{ TRANSFER_LIVE, "a.log/last.ckpt", false },
		{ "", "train.log", false },
		{ "*.txt", "a/b.txt", true },
		{ "*.txt", "a/b.log", false },
		{ "*.txt:m*.csv", "a/metrics.csv", true },
		{ "logs/*", "logs/a", true },
		{ "logs/*", "x/logs/a", false },
		{ "logs/*:*.x", "other/a", false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(transfer_name_is_live(rows[i].globs,
						    rows[i].path) ==
				      rows[i].live,
			      "%s: %s", rows[i].globs, rows[i].path);
}
END_TEST

#define MIB (UINT64_C(1) << 20)

START_TEST(a_large_log_is_sent_less_often)
{
	static const struct {
		uint64_t size;
		int64_t times;
	} rows[] = {
		{ 0, 1 },	  { 8 * MIB - 1, 1 },  { 8 * MIB, 2 },
		{ 80 * MIB, 11 }, { 800 * MIB, 101 },
	};
	int64_t each = 30 * NS_PER_S;
	uint64_t size, sent = 0;
	int64_t now;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_int_eq(
			transfer_log_interval(each, rows[i].size, false),
			rows[i].times * each);
	ck_assert_int_gt(
		transfer_log_interval(INT64_MAX / 4, UINT64_MAX, false), 0);
	/* What the server copies costs the time it takes. */
	ck_assert_int_eq(transfer_log_interval(each, 511 * MIB, true), each);
	ck_assert_int_eq(transfer_log_interval(each, 1024 * MIB, true),
			 3 * each);
	/* Ten days of a MiB a minute: no more than 8 MiB in each interval. */
	for (now = 0; now < 10 * 86400 * NS_PER_S;
	     now += transfer_log_interval(each, size, false)) {
		size = (uint64_t)(now / (60 * NS_PER_S)) * MIB;
		sent += size;
	}
	ck_assert_uint_le(sent, (uint64_t)(now / each + 1) * 8 * MIB);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, names_by_pattern);
	tcase_add_test(c, a_large_log_is_sent_less_often);
}

int main(void)
{
	return harness_run("live", add);
}
