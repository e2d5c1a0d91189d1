/* SPDX-License-Identifier: Apache-2.0 */
/* Every short history holds what the line promises; broken rules do not. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/compiler.h"

#include "fold_model.h"
#include "harness.h"
#include "line_whole.h"

static const char *const flat[] = { "a", "b", "m", NULL };
static const struct verb flat_verbs[] = {
	{ LINE_PUT, "a", 0 },	   { LINE_PUT, "b", 0 },
	{ LINE_PUT, "m", 0 },	   { LINE_DEL, "a", 0 },
	{ LINE_DEL, "b", 0 },	   { LINE_RENAME, "a", "b" },
	{ LINE_RENAME, "b", "a" }, { LINE_RENAME, "m", "a" },
};
static const struct verb plain_verbs[] = {
	{ LINE_PUT, "a", 0 }, { LINE_PUT, "b", 0 }, { LINE_PUT, "m", 0 },
	{ LINE_DEL, "a", 0 }, { LINE_DEL, "b", 0 },
};

static const char *const folders[] = { "D/x", "D/y", "E/x", "E/y", "m", NULL };
static const struct verb folder_verbs[] = {
	{ LINE_PUT, "D/x", 0 },	       { LINE_PUT, "D/y", 0 },
	{ LINE_PUT, "m", 0 },	       { LINE_DEL, "E/x", 0 },
	{ LINE_DEL, "D/x", 0 },	       { LINE_RENAME_DIR, "D", "E" },
	{ LINE_RENAME_DIR, "E", "D" },
};
static const struct verb mixed_verbs[] = {
	{ LINE_PUT, "D/x", 0 },	       { LINE_PUT, "m", 0 },
	{ LINE_RENAME, "D/x", "m" },   { LINE_RENAME, "m", "D/x" },
	{ LINE_RENAME, "m", "E/y" },   { LINE_DEL, "E/x", 0 },
	{ LINE_DEL, "m", 0 },	       { LINE_RENAME_DIR, "D", "E" },
	{ LINE_RENAME_DIR, "E", "D" },
};

/* A file where a folder was, and the other way round. */
static const char *const either[] = { "D", "D/x", "E", "E/x", "m", NULL };
static const struct verb either_verbs[] = {
	{ LINE_PUT, "D", 0 },	      { LINE_PUT, "D/x", 0 },
	{ LINE_DEL, "D", 0 },	      { LINE_DEL, "D/x", 0 },
	{ LINE_RENAME, "m", "D" },    { LINE_RENAME, "D", "m" },
	{ LINE_RENAME, "D/x", "m" },  { LINE_RENAME, "m", "E/x" },
	{ LINE_DEL, "E", 0 },	      { LINE_PUT, "m", 0 },
	{ LINE_RENAME_DIR, "D", "E" }, { LINE_RENAME_DIR, "E", "D" },
};

static const char *const four[] = { "a", "b", "c", "m", NULL };
static const struct verb four_verbs[] = {
	{ LINE_PUT, "a", 0 },	   { LINE_PUT, "b", 0 },
	{ LINE_PUT, "c", 0 },	   { LINE_PUT, "m", 0 },
	{ LINE_DEL, "a", 0 },	   { LINE_DEL, "b", 0 },
	{ LINE_DEL, "c", 0 },	   { LINE_DEL, "m", 0 },
	{ LINE_RENAME, "a", "b" }, { LINE_RENAME, "a", "c" },
	{ LINE_RENAME, "a", "m" }, { LINE_RENAME, "b", "a" },
	{ LINE_RENAME, "b", "c" }, { LINE_RENAME, "b", "m" },
	{ LINE_RENAME, "c", "a" }, { LINE_RENAME, "c", "b" },
	{ LINE_RENAME, "c", "m" }, { LINE_RENAME, "m", "a" },
	{ LINE_RENAME, "m", "b" }, { LINE_RENAME, "m", "c" },
};

/* Two names change places. */
static const char *const pairs[] = { "a", "b", "m", ".", NULL };
static const struct verb pair_verbs[] = {
	{ LINE_PUT, "a", 0 },	   { LINE_PUT, "b", 0 },
	{ LINE_PUT, "m", 0 },	   { LINE_DEL, "a", 0 },
	{ LINE_RENAME, "b", "m" }, { MODEL_EXCHANGE, "a", "b" },
};

#define FLAT .names = flat, .verbs = flat_verbs, .n_verbs = 8
#define PLAIN .names = flat, .verbs = plain_verbs, .n_verbs = 5
#define FOLDERS .names = folders, .verbs = folder_verbs, .n_verbs = 7
#define MIXED .names = folders, .verbs = mixed_verbs, .n_verbs = 9
#define EITHER                                                                 \
	.names = either, .verbs = either_verbs, .n_verbs = 12, .one_name = true
#define PAIRS .names = pairs, .verbs = pair_verbs, .n_verbs = 6
#define FOUR .names = four, .verbs = four_verbs, .n_verbs = 20

/* Never allowed, whatever the order. */
#define ALWAYS                                                                 \
	(1U << BAD_SRC | 1U << BAD_QUIET | 1U << BAD_STUCK | 1U << BAD_CLASH)
/* Never allowed where order is kept. */
#define NEVER                                                                  \
	(ALWAYS | 1U << BAD_DANGLE | 1U << BAD_STALE | 1U << BAD_LITERAL |     \
	 1U << BAD_EXACT | 1U << BAD_KEEP | 1U << BAD_FROZEN)

static void expect_none(const struct model *m, unsigned bad)
{
	for (unsigned i = 0; i < BAD_N; i++)
		if (bad & 1U << i)
			ck_assert_msg(!m->found[i], "%s: %s", bad_name[i],
				      m->trace[i]);
}

static const struct model all[] = {
	{ FLAT, .start = "", .ops = 4 },
	{ FLAT, .start = "0", .ops = 4 },
	{ FLAT, .start = "01", .ops = 4 },
	{ FLAT, .start = "012", .ops = 4 },
	{ PLAIN, .start = "0", .ops = 5 },
	{ FOLDERS, .start = "", .ops = 4 },
	{ FOLDERS, .start = "01", .ops = 4 },
	{ FOLDERS, .start = "24", .ops = 4 },
	{ MIXED, .start = "", .ops = 4 },
	{ MIXED, .start = "04", .ops = 4 },
	{ MIXED, .start = "02", .ops = 4 },
	{ EITHER, .start = "0", .ops = 4 },
	{ EITHER, .start = "14", .ops = 4 },
	{ EITHER, .start = "2", .ops = 4 },
	{ PAIRS, .start = "", .ops = 4 },
	{ PAIRS, .start = "0", .ops = 4 },
	{ PAIRS, .start = "012", .ops = 4 },
};

/* Of the loops over whole models a slow build looks at each n-th. */
static bool left_out(int i)
{
	return (unsigned)i % harness_step() != 0;
}

START_TEST(every_short_history_is_published_as_promised)
{
	struct model m = all[_i];

	if (left_out(_i))
		return;
	ck_assert_int_eq(model_explore(&m), 0);
	ck_assert_uint_gt(m.states, 10000);
	expect_none(&m, NEVER);
}
END_TEST

START_TEST(it_is_so_whenever_folds_happen)
{
	struct model m = all[_i];

	if (left_out(_i))
		return;
	m.any_time = true;
	m.ops = m.ops > 4 ? 4 : m.ops;
	ck_assert_int_eq(model_explore(&m), 0);
	expect_none(&m, NEVER);
}
END_TEST

static const struct model provisional[] = {
	{ FLAT, .start = "0", .ops = 4, .withdraw = true },
	{ FLAT, .start = "01", .ops = 3, .withdraw = true, .any_time = true },
	{ PLAIN, .start = "", .ops = 4, .withdraw = true, .any_time = true },
	{ FOLDERS, .start = "01", .ops = 4, .withdraw = true },
	{ MIXED, .start = "04", .ops = 4, .withdraw = true },
	{ MIXED, .start = "0", .ops = 3, .withdraw = true, .any_time = true },
};

START_TEST(it_is_so_when_seals_are_withdrawn)
{
	struct model m = provisional[_i];

	if (left_out(_i))
		return;
	ck_assert_int_eq(model_explore(&m), 0);
	expect_none(&m, NEVER);
}
END_TEST

START_TEST(in_other_orders_the_bucket_still_comes_to_equal_the_mount)
{
	static const struct model run[] = {
		{ FLAT, .start = "01", .ops = 4, .order = LINE_OPEN },
		{ FLAT, .start = "01", .ops = 4, .order = LINE_NONE },
		{ FLAT, .start = "0", .ops = 3, .order = LINE_NONE,
		  .withdraw = true },
		{ FOLDERS, .start = "01", .ops = 4, .order = LINE_NONE },
		{ MIXED, .start = "04", .ops = 4, .order = LINE_NONE },
		{ EITHER, .start = "14", .ops = 3, .order = LINE_NONE },
		{ EITHER, .start = "0", .ops = 3, .order = LINE_OPEN },
		{ PAIRS, .start = "01", .ops = 4, .order = LINE_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(run); i += harness_step()) {
		struct model m = run[i];

		ck_assert_int_eq(model_explore(&m), 0);
		expect_none(&m, ALWAYS);
	}
}
END_TEST

START_TEST(what_the_store_refuses_is_published_once_it_no_longer_does)
{
	static const struct model run[] = {
		{ FLAT, .start = "0", .ops = 3, .park = true },
		{ FOLDERS, .start = "01", .ops = 3, .park = true },
		{ MIXED, .start = "04", .ops = 3, .park = true },
		{ PAIRS, .start = "01", .ops = 3, .park = true },
		{ PLAIN, .start = "0", .ops = 3, .park = true, .withdraw = true,
		  .any_time = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(run); i += harness_step()) {
		struct model m = run[i];

		ck_assert_int_eq(model_explore(&m), 0);
		expect_none(&m, ALWAYS);
	}
}
END_TEST

START_TEST(without_folding_no_version_is_skipped)
{
	struct model m = { FLAT, .start = "01", .ops = 4, .order = LINE_EXACT };

	ck_assert_int_eq(model_explore(&m), 0);
	expect_none(&m, NEVER | 1U << BAD_OLDER | 1U << BAD_DOOMED);
}
END_TEST

START_TEST(if_every_overwritten_version_counts_none_older_is_shown)
{
	static const struct line_rules rules = { LINE_SPLIT_ALL, true, true,
						 true, true, true, true };
	struct model m = { FLAT, .start = "01", .ops = 4, .rules = &rules };

	ck_assert_int_eq(model_explore(&m), 0);
	expect_none(&m, NEVER | 1U << BAD_OLDER);
}
END_TEST

START_TEST(long_histories_drawn_at_random_hold_too)
{
	static const struct model run[] = {
		{ FOUR, .start = "01", .ops = 9 },
		{ FOUR, .start = "01", .ops = 9, .withdraw = true },
		{ FOUR, .start = "", .ops = 9, .any_time = true },
		{ FOLDERS, .start = "01", .ops = 9, .withdraw = true },
		{ MIXED, .start = "04", .ops = 9, .withdraw = true },
		{ EITHER, .start = "04", .ops = 9 },
		{ EITHER, .start = "1", .ops = 9, .any_time = true },
		{ PAIRS, .start = "01", .ops = 9 },
		{ PAIRS, .start = "0", .ops = 9, .any_time = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(run); i += harness_step()) {
		struct model m = run[i];

		ck_assert_int_eq(model_walk(&m, 20240607 + i, 3000, 60), 0);
		ck_assert_uint_gt(m.states, 20000);
		expect_none(&m, NEVER);
	}
}
END_TEST

/* Each rule left out, and what then goes wrong: so each is needed, and the
 * model sees when it is broken. */
static const struct broken {
	struct model model;
	struct line_rules rules;
	unsigned bad; /* all of these must be found */
} broken[] = {
	{ { FLAT, .start = "", .ops = 3 },
	  { LINE_SPLIT_NONE, true, true, true, true, true, true },
	  1U << BAD_DANGLE },
	{ { FLAT, .start = "0", .ops = 3 },
	  { LINE_SPLIT_NEW, false, true, true, true, true, true },
	  1U << BAD_KEEP },
	{ { FLAT, .start = "01", .ops = 3 },
	  { LINE_SPLIT_NEW, true, false, true, true, true, true },
	  1U << BAD_SRC },
	{ { FLAT, .start = "0", .ops = 3, .withdraw = true },
	  { LINE_SPLIT_NEW, true, true, false, true, true, true },
	  1U << BAD_QUIET },
	{ { FLAT, .start = "0", .ops = 3 },
	  { LINE_SPLIT_NEW, true, true, true, false, true, true },
	  1U << BAD_FROZEN },
	{ { FLAT, .start = "0", .ops = 3 },
	  { LINE_SPLIT_NEW, true, true, true, true, false, true },
	  1U << BAD_DANGLE },
	{ { EITHER, .start = "1", .ops = 3 },
	  { LINE_SPLIT_NEW, true, true, true, true, true, false },
	  1U << BAD_CLASH },
};

START_TEST(each_rule_is_needed)
{
	const struct broken *b = &broken[_i];
	struct model m = b->model;

	ck_assert_int_eq(model_explore(&m), 0);
	expect_none(&m, NEVER);
	m.rules = &b->rules;
	ck_assert_int_eq(model_explore(&m), 0);
	for (unsigned i = 0; i < BAD_N; i++)
		if (b->bad & 1U << i)
			ck_assert_msg(m.found[i], "%s not seen", bad_name[i]);
}
END_TEST

/* ---- starvation ---- */

struct slot {
	struct line_op ops[256];
	size_t n;
	struct line_rules rules;
	struct line_env env;
	unsigned uploads, commits;
};

static bool nothing(void *arg, const char *key)
{
	(void)arg;
	(void)key;
	return false;
}

static struct line_op *row_of(struct slot *s, uint64_t seq)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->ops[i].seq == seq)
			return &s->ops[i];
	return NULL;
}

static void change(struct slot *s, struct line_change *c)
{
	line_apply(s->ops, &s->n, c);
	line_change_release(c);
}

static void append(struct slot *s, enum line_kind kind, const char *key,
		   uint64_t seq)
{
	struct line_change c;

	s->ops[s->n++] = (struct line_op){ .seq = seq,
					   .kind = kind,
					   .key = strdup(key),
					   .vid = seq,
					   .final = true,
					   .cut = true,
					   .big = kind == LINE_PUT };
	if (!line_fold_due(s->ops, s->n, seq))
		return;
	ck_assert_int_eq(line_fold(s->ops, s->n, &s->env, &c), 0);
	change(s, &c);
}

static void commit_all(struct slot *s)
{
	struct line_change c;
	size_t at, n;

	for (;;) {
		uint64_t seq;

		ck_assert_int_eq(line_next(s->ops, s->n, &s->env, &at, 1, &n),
				 0);
		if (n == 0)
			return;
		seq = s->ops[at].seq;
		s->commits += s->ops[at].kind == LINE_PUT;
		ck_assert_int_eq(line_begin(s->ops, s->n, seq, &c), 0);
		change(s, &c);
		ck_assert_int_eq(line_done(s->ops, s->n, seq, &c), 0);
		change(s, &c);
	}
}

/* One worker; a body takes six operations of the mount. */
static void upload(struct slot *s, uint64_t *busy, unsigned *left)
{
	struct line_op *op = *busy ? row_of(s, *busy) : NULL;
	size_t at, n;
	bool fold;

	if (op && --*left == 0)
		op->sent = true;
	if (!op || op->sent)
		*busy = 0;
	commit_all(s);
	if (*busy)
		return;
	ck_assert_int_eq(line_bodies(s->ops, s->n, &s->env, &at, 1, &n,
				     &fold),
			 0);
	if (n == 0)
		return;
	s->ops[at].underway = true;
	s->uploads++;
	*busy = s->ops[at].seq;
	*left = 6;
}

static struct slot loop(unsigned ops, bool unique, bool keep)
{
	struct slot s = { .rules = { LINE_SPLIT_NEW, keep, true, true, true,
				     true, true } };
	unsigned left = 0;
	uint64_t busy = 0;

	s.env = (struct line_env){ .rules = &s.rules,
				   .bucket_has = nothing,
				   .bucket_has_below = nothing };
	for (unsigned i = 0; i < ops; i++) {
		bool del = unique && i % 2 == 1 && i > 1;
		char key[16] = "last";

		if (unique)
			snprintf(key, sizeof(key), "e%u",
				 del ? i / 2 - 1 : (i + 1) / 2);
		append(&s, del ? LINE_DEL : LINE_PUT, key, i + 1);
		upload(&s, &busy, &left);
	}
	while (s.n > 0) /* the job is over */
		upload(&s, &busy, &left);
	return s;
}

START_TEST(overwriting_faster_than_uploading_starves_nobody)
{
	struct slot s = loop(20, false, true);

	ck_assert_uint_ge(s.uploads, 3);
	ck_assert_uint_ge(2 * s.commits, s.uploads);
	s = loop(120, false, true);
	ck_assert_uint_ge(s.commits, 10);
	ck_assert_uint_ge(2 * s.commits, s.uploads);
	/* Nor does keeping only the newest of many names. */
	s = loop(120, true, true);
	ck_assert_uint_ge(s.commits, 10);
	ck_assert_uint_ge(2 * s.commits, s.uploads);
}
END_TEST

START_TEST(the_oldest_put_under_way_must_stay_for_that)
{
	struct slot s = loop(120, false, false);

	ck_assert_uint_lt(2 * s.commits, s.uploads);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, every_short_history_is_published_as_promised, 0,
			    ARRAY_SIZE(all));
	tcase_add_loop_test(c, it_is_so_whenever_folds_happen, 0,
			    ARRAY_SIZE(all));
	tcase_add_loop_test(c, it_is_so_when_seals_are_withdrawn, 0,
			    ARRAY_SIZE(provisional));
	tcase_add_test(
		c, in_other_orders_the_bucket_still_comes_to_equal_the_mount);
	tcase_add_test(
		c, what_the_store_refuses_is_published_once_it_no_longer_does);
	tcase_add_test(c, without_folding_no_version_is_skipped);
	tcase_add_test(c,
		       if_every_overwritten_version_counts_none_older_is_shown);
	tcase_add_test(c, long_histories_drawn_at_random_hold_too);
	tcase_add_loop_test(c, each_rule_is_needed, 0, ARRAY_SIZE(broken));
	tcase_add_test(c, overwriting_faster_than_uploading_starves_nobody);
	tcase_add_test(c, the_oldest_put_under_way_must_stay_for_that);
}

int main(void)
{
	return harness_run("fold_model", add);
}
