/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ckptfs/compiler.h"
#include "ckptfs/line.h"

#include "harness.h"
#include "line_whole.h"

/*
 * A line as text: rows "SEQ[@BOUND] put|del|ren|rd KEY[>TO][=VID] [FLAGS]"
 * with a comma between.  Flags: n not final, c no cut, g begun, o unordered,
 * p parked, b big, u under way (and big), s sent (and big), f flying,
 * k keep, 0 to 9 open_seq.
 */
#define ROWS_MAX 32

static const char *const kinds[] = { "", "put", "del", "ren", "rd" };

static void parse_flags(struct line_op *op, const char *flags)
{
	for (; *flags; flags++) {
		op->final &= *flags != 'n';
		op->cut &= *flags != 'c';
		op->begun |= *flags == 'g' || *flags == 'f';
		op->unordered |= *flags == 'o';
		op->parked |= *flags == 'p';
		op->big |= strchr("bus", *flags) != NULL;
		op->underway |= strchr("us", *flags) != NULL;
		op->sent |= *flags == 's';
		op->flying |= *flags == 'f';
		op->keep |= *flags == 'k';
		if (*flags >= '0' && *flags <= '9')
			op->open_seq = (uint64_t)(*flags - '0');
	}
}

static void parse_row(struct line_op *op, const char *text)
{
	char seq[16], kind[8], key[64], flags[16] = "", *p;

	ck_assert_int_ge(
		sscanf(text, " %15s %7s %63s %15s", seq, kind, key, flags), 3);
	*op = (struct line_op){ .final = true, .cut = true };
	op->seq = op->bound = strtoull(seq, &p, 10);
	if (*p == '@')
		op->bound = strtoull(p + 1, NULL, 10);
	for (int k = LINE_PUT; k <= LINE_RENAME_DIR; k++)
		if (strcmp(kinds[k], kind) == 0)
			op->kind = (enum line_kind)k;
	ck_assert_int_ne(op->kind, 0);
	if (op->kind == LINE_PUT)
		op->vid = op->seq;
	p = strchr(key, '=');
	if (p) {
		*p = '\0';
		op->vid = strtoull(p + 1, NULL, 10);
	}
	p = strchr(key, '>');
	if (p) {
		*p = '\0';
		op->to = strdup(p + 1);
	}
	op->key = strdup(key);
	parse_flags(op, flags);
}

static size_t parse(const char *text, struct line_op *ops)
{
	char *copy = strdup(text), *at = copy, *row;
	size_t n = 0;

	while ((row = strsep(&at, ",")) != NULL && *row) {
		ck_assert_uint_lt(n, ROWS_MAX);
		parse_row(&ops[n++], row);
	}
	free(copy);
	return n;
}

/* The same back; vid is told where it is not a put's own number. */
static const char *print(const struct line_op *ops, size_t n)
{
	static char text[1024];
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const struct line_op *op = &ops[i];
		char bound[16] = "", vid[16] = "", flags[16];

		if (op->bound != op->seq)
			snprintf(bound, sizeof(bound), "@%u",
				 (unsigned)op->bound);
		if (op->vid != (op->kind == LINE_PUT ? op->seq : 0))
			snprintf(vid, sizeof(vid), "=%u", (unsigned)op->vid);
		snprintf(flags, sizeof(flags), "%s%s%s%s%s%s%s",
			 op->final ? "" : "n", op->keep ? "k" : "",
			 op->cut ? "" : "c",
			 op->begun ? "g" : "", op->parked ? "p" : "",
			 !op->big	? ""
			 : op->sent	? "s"
			 : op->underway ? "u"
					: "b",
			 op->unordered ? "o" : "");
		at += (size_t)snprintf(
			text + at, sizeof(text) - at, "%s%u%s %s %s%s%s%s%s%s",
			i ? ", " : "", (unsigned)op->seq, bound,
			kinds[op->kind], op->key, op->to ? ">" : "",
			op->to ? op->to : "", vid, *flags ? " " : "", flags);
	}
	return text;
}

static void release(struct line_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		line_op_release(&ops[i]);
}

/* The bucket is a list of keys, each with a space before and behind. */
static bool has(void *arg, const char *key)
{
	char want[80];

	snprintf(want, sizeof(want), " %s ", key);
	return strstr(arg, want) != NULL;
}

static bool has_below(void *arg, const char *dir)
{
	char want[80];

	snprintf(want, sizeof(want), " %s/", dir);
	return strstr(arg, want) != NULL;
}

static struct line_env env_of(enum line_order order, const char *bucket)
{
	return (struct line_env){ .order = order,
				  .bucket_has = has,
				  .bucket_has_below = has_below,
				  .arg = (void *)(uintptr_t)bucket };
}

/* ---- folding ---- */

static const struct {
	const char *bucket, *before, *after;
} folds[] = {
	/* One put of a name is as good as two. */
	{ " ", "1 put a, 2 put a", "2 put a" },
	{ " ", "1 put a, 2 del a", "" },
	{ " a ", "1 put a, 2 del a", "2 del a" },
	{ " a ", "1 del a, 2 put a", "2 put a" },
	/* An old checkpoint goes after its successor came. */
	{ " o/1 o/2 last ",
	  "1 put n/1, 2 put n/2, 3 put last, 4 del o/1, 5 put last, 6 del o/2",
	  "1 put n/1, 2 put n/2, 4 del o/1 c, 5 put last, 6 del o/2" },
	/* What gains nothing by it is not joined. */
	{ " a ", "1 put x, 2 put a, 3 put b, 4 put a, 5 put c",
	  "1 put x, 3 put b c, 4 put a, 5 put c" },
	/* A checkpoint pruned before it was sent is never sent. */
	{ " ", "1 put g5/1, 2 put g5/2, 3 put g10/1, 4 del g5/1, 5 del g5/2",
	  "3 put g10/1" },
	/* The first version of a name that something may name stays. */
	{ " ", "1 put m, 2 put b, 3 put m", "1 put m, 2 put b, 3 put m" },
	{ " m ", "1 put m, 2 put b, 3 put m", "2 put b c, 3 put m" },
	{ " ", "1 put m, 2 put b, 3 put m, 4 del b", "3 put m" },
	/* The oldest put under way ends a window; others are dropped. */
	{ " ", "1 put a u, 2 put a u, 3 put a", "1 put a u, 3 put a" },
	{ " ", "1 put a b, 2 put a u, 3 put a u, 4 put a",
	  "2 put a u, 4 put a" },
	{ " ", "1 put a u, 2 del a", "1 put a u, 2 del a" },
	/* A seal that may be withdrawn kills nothing, but can be killed. */
	{ " ", "1 put a, 2 put a n", "1 put a, 2 put a n" },
	{ " ", "1 put a, 2 put a n, 3 put a", "3 put a" },
	{ " ", "1 put a n, 2 put b, 3 put c, 4 put b",
	  "1 put a n, 2 put b, 3 put c, 4 put b" },
	/* A begun window stays as it is. */
	{ " ", "1 put a cg, 2 put b, 3 put a, 4 put a",
	  "1 put a cg, 2 put b, 4 put a" },
	/* Renames of what is not published: the put takes the name and place.
	 */
	{ " ", "1 put t, 2 put x, 3 ren t>f=1", "1@3 put f, 2 put x c" },
	{ " f ", "1 put t u, 2 put t, 3 ren t>f=2",
	  "1 put t u, 2@3 put f c, 3 del t=2" },
	{ " t ", "1 put t s, 2 put u s, 3 ren u>f=2, 4 ren t>g=1",
	  "1 put t s, 2@3 put f b, 4 ren t>g=1" },
	{ " a b ", "1 put a, 2 ren a>b=1, 3 ren b>c=1",
	  "1@3 put c c, 2 del a=1 c, 3 del b=1" },
	/* Of what is: just before and just after. */
	{ " a ", "1 put x, 2 put x, 3 ren a>b, 4 put y, 5 put y",
	  "2 put x, 3 ren a>b, 5 put y" },
	/* Folders. */
	{ " ", "1 put T/x, 2 put T/y, 3 put m, 4 rd T>F",
	  "1@4 put F/x c, 2@4 put F/y, 3 put m c" },
	{ " T/z ", "1 put T/x, 2 put T/x, 3 rd T>F", "2 put T/x, 3 rd T>F" },
	{ " ", "1 put T/x, 2 rd T>F, 3 rd F>G, 4 put G/x", "4 put G/x" },
	{ " A/x ", "1 rd A>B, 2 put B/y, 3 rd B>C, 4 del C/x",
	  "1 rd A>B, 2 put B/y, 3 rd B>C, 4 del C/x" },
	{ " A/x ", "1 rd A>B, 2 del B/x, 3 put B/x, 4 del B/x",
	  "1 rd A>B, 4 del B/x" },
	{ " A/x ", "1 rd A>B, 2 put A/x, 3 del A/x", "1 rd A>B" },
	{ " A/p/x ", "1 rd A/p>B/p, 2 put B/y, 3 rd B>C",
	  "1 rd A/p>B/p, 2 put B/y, 3 rd B>C" },
	/* Half moved, or moved onto what a withdrawn put was to replace. */
	{ " D/y E/x ", "1 rd D>E g, 2 put D/x, 3 put D/x, 4 del E/x",
	  "1 rd D>E g, 3 put D/x, 4 del E/x" },
	{ " D/x E/x ", "1 del E/x, 2 rd E>D, 3 put D/x, 4 ren D/x>m=3, 5 put m",
	  "1 del E/x, 2 rd E>D, 4 del D/x=3 c, 5 put m" },
	/* The old name keeps its object: it goes when it is deleted. */
	{ " b ", "1 put b, 2 ren b>a=1 k", "1@2 put a" },
	{ " b ", "1 put b, 2 ren b>a=1 k, 3 del b", "1@2 put a c, 3 del b" },
	{ " b ", "1 ren b>a k, 2 put b, 3 del b", "1 ren b>a k, 3 del b" },
	/* An exchange is whole. */
	{ " a ", "1 put a, 2 put b, 3 ren a>t=1 k, 4@3 ren b>a=2 k, "
		 "5@3 ren t>b=1, 6 del a",
	  "1 put a, 2 put b, 3 ren a>t=1 k, 4@3 ren b>a=2 k, 5@3 ren t>b=1, "
	  "6 del a" },
	/* A good version supersedes a parked one. */
	{ " ", "1 put a p, 2 put b, 3 put a", "2 put b c, 3 put a" },
	{ " ", "1 put a p, 2 put b, 3 put b", "1 put a p, 3 put b" },
	{ " ", "1 put a p, 2 ren a>b=1", "1@2 put b" },
	{ " a ", "1 del a p, 2 put a", "2 put a" },
	{ " a ", "1 del a p, 2 put b, 3 put b", "1 del a p, 3 put b" },
	/* Logs: the newest, and the oldest under way. */
	{ " ", "1 put l o, 2 put l uo, 3 put l uo, 4 put l o",
	  "2 put l uo, 4 put l o" },
	{ " ", "1 put l o, 2 ren l>k=1, 3 put l o", "1@2 put k co, 3 put l o" },
};

START_TEST(a_fold_leaves_the_difference)
{
	struct line_env env = env_of(LINE_STRICT, folds[_i].bucket);
	struct line_op ops[ROWS_MAX];
	struct line_change c;
	size_t n = parse(folds[_i].before, ops);

	ck_assert_int_eq(line_fold(ops, n, &env, &c), 0);
	line_apply(ops, &n, &c);
	line_change_release(&c);
	ck_assert_str_eq(print(ops, n), folds[_i].after);
	/* Once more changes nothing. */
	ck_assert_int_eq(line_fold(ops, n, &env, &c), 0);
	ck_assert_uint_eq(c.n, 0);
	line_change_release(&c);
	env.order = LINE_EXACT;
	release(ops, n);
	n = parse(folds[_i].before, ops);
	ck_assert_int_eq(line_fold(ops, n, &env, &c), 0);
	ck_assert_uint_eq(c.n, 0);
	line_change_release(&c);
	release(ops, n);
}
END_TEST

static const struct {
	const char *line;
	uint64_t seq;
	bool due;
} dues[] = {
	{ "1 put a, 2 put a", 2, true },
	{ "1 put a, 2 put a n", 2, false },
	{ "1 put a, 2 put b", 2, false },
	{ "1 put a, 2 del a", 2, true },
	{ "1 del a, 2 put a", 2, false },
	{ "1 put a, 2 ren a>b", 2, true },
	{ "1 put b, 2 ren a>b", 2, true },
	{ "1 ren a>b, 2 del b", 2, true },
	{ "1 ren a>b, 2 put a", 2, false },
	{ "1 put D/x, 2 rd D>E", 2, true },
	{ "1 put Dx, 2 rd D>E", 2, false },
	{ "1 rd D>E, 2 put E/x", 2, true },
	{ "1 rd D>E, 2 rd E>F", 2, true },
	{ "1 put a, 2 del a", 1, true }, /* its seal became final just now */
	{ "1 put a, 2 del a", 3, false },
};

START_TEST(a_fold_is_due_when_something_unpublished_is_undone)
{
	struct line_op ops[ROWS_MAX];
	size_t n = parse(dues[_i].line, ops);

	ck_assert_int_eq(line_fold_due(ops, n, dues[_i].seq), dues[_i].due);
	release(ops, n);
}
END_TEST

/* ---- commits ---- */

static const struct {
	enum line_order order;
	const char *line, *next;
} nexts[] = {
	{ LINE_STRICT, "", "" },
	{ LINE_STRICT, "1 put a, 2 put b", "1" },
	{ LINE_STRICT, "1 put a f, 2 put b", "" },
	{ LINE_STRICT, "1 put a b, 2 put b", "" },
	{ LINE_STRICT, "1 put a u, 2 put b", "" },
	{ LINE_STRICT, "1 put a s, 2 put b", "1" },
	{ LINE_STRICT, "1 put a n, 2 put b", "" },
	/* A window waits for all its bodies; its deletes go last. */
	{ LINE_STRICT, "1 put a c, 2 put b b, 3 put c", "" },
	{ LINE_STRICT, "1 del o c, 2 put a c, 3 put b", "2" },
	{ LINE_STRICT, "1 del o c, 2 put b f", "" },
	{ LINE_STRICT, "1 del o g, 2 put c", "1" },
	/* Place, not number, counts. */
	{ LINE_STRICT, "1@3 put f, 2 put x c", "2" },
	/* One folder rename: side by side, the newest-sealed alone. */
	{ LINE_STRICT, "1@4 put F/x c, 2@4 put F/y c, 3@4 put F/z, 5 put m",
	  "1 2" },
	{ LINE_STRICT, "2@4 put F/y cf, 3@4 put F/z g, 5 put m", "" },
	{ LINE_STRICT, "3@4 put F/z g, 5 put m", "3" },
	{ LINE_STRICT, "1@4 put F/x c, 2@4 put F/y c, 3@4 put F/z b", "" },
	/* Parked: what shares its folder waits. */
	{ LINE_STRICT, "1 put r1/a p, 2 put r1/b, 3 put r2/b, 4 put r2/c",
	  "3" },
	{ LINE_STRICT, "1 put r1/a p, 2 put latest, 3 put r2/b", "3" },
	{ LINE_STRICT, "1 put a p, 2 put r2/b", "" },
	{ LINE_STRICT, "1 put r1/s/a p, 2 put r1/b, 3 put r1/t/c", "3" },
	{ LINE_STRICT, "1 put r1/a p, 2 put r1/s/b b, 3 put r2/b", "3" },
	{ LINE_STRICT, "1 put r1/a p, 2 put r2/b b, 3 put r2/b", "" },
	{ LINE_STRICT, "1 put r1/a p, 2 ren r1/b>r2/b, 3 put r2/b, 4 put r2/c",
	  "4" },
	{ LINE_STRICT, "1 put r1/a p, 2 rd r1>r3, 3 put r3/s/c, 4 put r2/c",
	  "4" },
	{ LINE_STRICT, "1 put r1/a pc, 2 put r1/b c, 3 put r2/c", "3" },
	/* Logs are beside the line, until something ordered touches them. */
	{ LINE_STRICT, "1 put a b, 2 put l o, 3 put k o", "2 3" },
	{ LINE_STRICT, "1 put l ou, 2 put l o, 3 put a", "3" },
	{ LINE_STRICT, "1 put a b, 2 put l o, 3 ren l>k", "" },
	{ LINE_STRICT, "1 put l on, 2 put a", "2" },
	/* Open: what was sealed before it was opened. */
	{ LINE_OPEN, "1 put a b, 2 put b 0, 3 put c 1, 4 put d 0", "2 4" },
	{ LINE_OPEN, "1 put a b, 2 put b 0, 3 del c", "2" },
	{ LINE_OPEN, "1 put a b, 2 put a 0", "" },
	{ LINE_OPEN, "1 put a b, 2 put b c0, 3 put c b0, 4 put d 0", "4" },
	/* None: only what touches the same names. */
	{ LINE_NONE, "1 put a b, 2 put b, 3 del c, 4 put a, 5 put d", "2 3 5" },
	{ LINE_NONE, "1 put D/x b, 2 rd D>E, 3 put E/y, 4 put F/z", "4" },
	{ LINE_NONE, "1 put D/x b, 2 put D/y, 3 rd D>E", "2" },
	{ LINE_NONE, "1 put a n, 2 put b", "2" },
	{ LINE_NONE, "1 del D/ f, 2 put D/x, 3 put Dx", "3" },
	{ LINE_NONE, "1 put D/x b, 2 del D/", "" },
	{ LINE_EXACT, "1 put a, 2 put a", "1" },
};

static const char *list(const struct line_op *ops, const size_t *at, size_t n)
{
	static char text[128];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u",
					i ? " " : "", (unsigned)ops[at[i]].seq);
	return text;
}

START_TEST(what_may_commit_follows_the_order)
{
	struct line_env env = env_of(nexts[_i].order, " ");
	struct line_op ops[ROWS_MAX];
	size_t n = parse(nexts[_i].line, ops), at[ROWS_MAX], k = 99;

	ck_assert_int_eq(line_next(ops, n, &env, at, ROWS_MAX, &k), 0);
	ck_assert_msg(strcmp(list(ops, at, k), nexts[_i].next) == 0,
		      "%s: got \"%s\", want \"%s\"", nexts[_i].line,
		      list(ops, at, k), nexts[_i].next);
	ck_assert_int_eq(line_next(ops, n, &env, at, 1, &k), 0);
	ck_assert_uint_le(k, 1);
	release(ops, n);
}
END_TEST

static const struct {
	const char *bucket, *line, *bodies;
	bool fold; /* is due: it would drop or move one */
} bodies[] = {
	{ " ", "1 put a, 2 put b b, 3 put c u, 4 put d s", "2 3", false },
	{ " ", "1 put a b, 2 put a b", "2", true },
	{ " ", "1 put a u, 2 put a b", "1 2", false },
	{ " ", "1 put a b, 2 put a bn", "1 2", false },
	{ " ", "1 put a b, 2 ren a>b=1", "", true },
	{ " ", "1 put a b, 2 put c g, 3 del a", "1", false },
	{ " ", "1 put a b, 3 del a", "", true },
	{ " ", "1 put a bp, 2 del b", "", false },
	{ " ", "1 put m b, 2 put b b, 3 put m b", "1 2 3", false },
	{ " ", "1@3 put a bc, 2 put b b", "2 1", false },
	{ " ", "1 put l bo, 2 put l bo, 3 put c b", "3 2", true },
};

START_TEST(bodies_are_sent_in_order_unless_a_fold_would_drop_them)
{
	struct line_env env = env_of(LINE_STRICT, bodies[_i].bucket);
	struct line_op ops[ROWS_MAX];
	size_t n = parse(bodies[_i].line, ops), at[ROWS_MAX], k = 99;
	bool fold;

	ck_assert_int_eq(line_bodies(ops, n, &env, at, ROWS_MAX, &k, &fold),
			 0);
	ck_assert_str_eq(list(ops, at, k), bodies[_i].bodies);
	ck_assert_int_eq(fold, bodies[_i].fold);
	release(ops, n);
}
END_TEST

static int withdraw(const struct line_op *ops, size_t n, uint64_t seq,
		    struct line_change *ret)
{
	static const struct line_env env = { .one_name = false };

	return line_withdraw(ops, n, &env, seq, ret);
}

static int withdraw_of_tree(const struct line_op *ops, size_t n, uint64_t seq,
			    struct line_change *ret)
{
	static const struct line_env env = { .one_name = true };

	return line_withdraw(ops, n, &env, seq, ret);
}

static const struct {
	int (*fn)(const struct line_op *, size_t, uint64_t,
		  struct line_change *);
	const char *before;
	uint64_t seq;
	const char *after, *owed; /* after NULL: -ENOENT */
} lives[] = {
	{ line_begin, "1 put a, 2 put b", 1, "1 put a g, 2 put b", "" },
	{ line_begin, "1 put a g, 2 put b", 1, "1 put a g, 2 put b", "" },
	{ line_begin, "1 put a c, 2 put b, 3 put c", 1,
	  "1 put a c, 2 put b g, 3 put c", "" },
	{ line_begin, "1 put l o, 2 put b", 1, "1 put l go, 2 put b", "" },
	{ line_begin, "1 put a", 2, NULL, "" },
	{ line_done, "1 put a g, 2 put b", 1, "2 put b", "" },
	{ line_done, "1 del o c, 2 put a c, 3 put b g, 4 put d", 2,
	  "1 del o c, 3 put b g, 4 put d", "" },
	{ line_done, "1 del o c, 3 put b g, 4 put d", 3, "1 del o g, 4 put d",
	  "" },
	{ line_done, "1 put l go, 2 put b", 1, "2 put b", "" },
	{ line_done, "1 put a", 2, NULL, "" },
	{ line_park, "1 put a g, 2 put b", 1, "1 put a p, 2 put b", "" },
	{ line_park, "1 put a c, 2 put b g", 1, "1 put a cp, 2 put b g", "" },
	{ line_done, "1 put a cp, 2 put b g", 2, "1 put a p", "" },
	{ line_park, "1 put l go, 2 put b", 1, "1 put l po, 2 put b", "" },
	{ line_park, "1 put a", 2, NULL, "" },
	{ withdraw, "1 put a, 2 put b n", 2, "1 put a", "" },
	{ withdraw, "1 put a c, 2 put b, 3 put c", 2, "1 put a, 3 put c",
	  "" },
	{ withdraw, "1 put a c, 2 put b g, 3 put c", 2,
	  "1 put a g, 3 put c", "" },
	{ withdraw, "1 put a n, 2 ren a>b=1, 3 ren b>c=1, 4 put d", 1,
	  "4 put d", "a b " },
	{ withdraw, "1@3 put c c, 2 del a=1 c, 3 del b=1, 4 put d", 1,
	  "4 put d", "a b " },
	{ withdraw, "1@3 put c c, 2 put x c, 3 del b=1, 4 put d", 1,
	  "2 put x, 4 put d", "b " },
	{ withdraw, "1 put l no, 2 put d", 1, "2 put d", "" },
	/* The put of a begun window was not sent: nor were its deletes. */
	{ withdraw, "1@2 put b c, 2 del a=1 g, 3 put d", 1, "3 put d",
	  "a " },
	{ withdraw, "1@4 put b c, 2 put c c, 4 del a=1 g, 5 put d", 1,
	  "2 put c g, 5 put d", "a " },
	{ withdraw, "1 put a, 2 ren a>b=1 g", 1, "2 ren a>b=1 g", "" },
	/* What a folder took along is owed where it will be. */
	{ withdraw, "1 put D/a n, 2 ren D/a>D/b=1, 3 rd D>E/F, 4 rd E>G",
	  1, "3 rd D>E/F, 4 rd E>G", "G/F/a " },
	{ withdraw, "1 rd D>E, 2 put E/a n, 3 ren E/a>D/b=2, 4 rd Ex>F", 2,
	  "1 rd D>E, 4 rd Ex>F", "E/a " },
	{ withdraw, "1 del a, 2 put d", 1, NULL, "" },
	/* What would be in the way of a folder goes where it was renamed. */
	{ withdraw, "1 put a n, 2 ren a>b=1, 3 put a/x", 1, "3 put a/x", "a " },
	{ withdraw_of_tree, "1 put a n, 2 ren a>b=1, 3 put a/x", 1,
	  "2 del a, 3 put a/x", "" },
	{ withdraw_of_tree, "1 put a n, 2 ren a>b=1, 3 put a/", 1,
	  "2 del a, 3 put a/", "" },
	{ withdraw_of_tree, "1 put a/x n, 2 ren a/x>b=1, 3 del a/, 4 put a", 1,
	  "2 del a/x, 3 del a/, 4 put a", "" },
	{ withdraw_of_tree, "1 put a n, 2 ren a>E/b=1, 3 rd E>a", 1,
	  "2 del a, 3 rd E>a", "" },
	{ withdraw_of_tree, "1@3 put c c, 2 del a=1 c, 3 del b=1, 4 put b/x", 1,
	  "3 del b, 4 put b/x", "a " },
	{ withdraw_of_tree, "1 put D/a n, 2 ren D/a>b=1, 3 rd D>E, 4 put E/a/x",
	  1, "2 del D/a, 3 rd D>E, 4 put E/a/x", "" },
	{ withdraw_of_tree, "1 put a n, 2 ren a>b=1, 3 put ab, 4 del a/x", 1,
	  "3 put ab, 4 del a/x", "a " },
};

START_TEST(a_row_begins_is_done_or_leaves)
{
	struct line_op ops[ROWS_MAX];
	struct line_change c;
	size_t n = parse(lives[_i].before, ops);
	int r = lives[_i].fn(ops, n, lives[_i].seq, &c);
	char owed[64] = "";

	if (!lives[_i].after) {
		ck_assert_int_lt(r, 0);
		release(ops, n);
		return;
	}
	ck_assert_int_eq(r, 0);
	for (size_t i = 0; i < c.n_owed; i++) {
		strncat(owed, c.owed[i], 20);
		strncat(owed, " ", 2);
	}
	ck_assert_str_eq(owed, lives[_i].owed);
	line_apply(ops, &n, &c);
	line_change_release(&c);
	ck_assert_str_eq(print(ops, n), lives[_i].after);
	release(ops, n);
}
END_TEST

static struct line_op *long_line(size_t n, bool dirs)
{
	struct line_op *ops = calloc(n, sizeof(*ops));

	ck_assert_ptr_nonnull(ops);
	for (size_t i = 0; i < n; i++) {
		char key[64], to[64] = "";

		snprintf(key, sizeof(key), "run/step%zu/part-%zu.bin", i / 16,
			 i % 7);
		ops[i] = (struct line_op){ .seq = i + 1,
					   .kind = LINE_PUT,
					   .vid = i + 1,
					   .final = true,
					   .cut = true };
		if (dirs && i % 16 == 15) {
			ops[i].kind = LINE_RENAME_DIR;
			snprintf(key, sizeof(key), "run/step%zu", i / 16);
			snprintf(to, sizeof(to), "run/done%zu", i / 16);
			ops[i].to = strdup(to);
		} else if (i % 16 == 9) {
			snprintf(key, sizeof(key), "run/latest");
		}
		ops[i].key = strdup(key);
	}
	return ops;
}

/* A square of the length would take seconds. */
START_TEST(ten_thousand_rows_are_folded_at_once)
{
	size_t n = 10000, at[64], k;
	struct line_env env = env_of(LINE_STRICT, " run/latest run/step3/x ");
	struct line_op *ops = long_line(n, _i == 1);
	struct line_change c;
	clock_t t = clock();

	ck_assert_int_eq(line_fold(ops, n, &env, &c), 0);
	ck_assert_int_lt((clock() - t) / (CLOCKS_PER_SEC / 1000), 1000);
	ck_assert_uint_ge(c.n, n / 2);
	line_apply(ops, &n, &c);
	line_change_release(&c);
	ck_assert_int_eq(line_next(ops, n, &env, at, 64, &k), 0);
	ck_assert_uint_ge(k, 1);
	release(ops, n);
	free(ops);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, a_fold_leaves_the_difference, 0,
			    ARRAY_SIZE(folds));
	tcase_add_loop_test(c,
			    a_fold_is_due_when_something_unpublished_is_undone,
			    0, ARRAY_SIZE(dues));
	tcase_add_loop_test(c, what_may_commit_follows_the_order, 0,
			    ARRAY_SIZE(nexts));
	tcase_add_loop_test(
		c, bodies_are_sent_in_order_unless_a_fold_would_drop_them, 0,
		ARRAY_SIZE(bodies));
	tcase_add_loop_test(c, a_row_begins_is_done_or_leaves, 0,
			    ARRAY_SIZE(lives));
	tcase_add_loop_test(c, ten_thousand_rows_are_folded_at_once, 0, 2);
}

int main(void)
{
	return harness_run("line", add);
}
