/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of recover for people (recover.h). */
#include "config.h"

#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "recover.h"

#define PATH_WIDTH 32

static const char *text(const struct json *j, const char *name)
{
	const char *s = json_get_str(j, name);

	return s ? s : "";
}

static int64_t number(const struct json *j, const char *name)
{
	int64_t v;

	return json_get_int(j, name, &v) < 0 || v < 0 ? 0 : v;
}

static bool is_shown(const struct json *k)
{
	bool v;

	return json_get_bool(k, "shown", &v) == 0 && v;
}

static void print_kept(FILE *f, const struct json *k)
{
	char size[TEXT_QTY_LEN], age[TEXT_QTY_LEN];
	const char *path = text(k, "path");
	size_t n = strlen(path);

	text_size((uint64_t)number(k, "size"), size);
	text_duration(number(k, "age_s") * NS_PER_S, age);
	(void)fprintf(f, "%-6s %-11s %7s %7s  ", text(k, "id"),
		      text(k, "state"), size, age);
	cmd_put_safe(f, path);
	(void)fprintf(f, "%*s  ", n < PATH_WIDTH ? (int)(PATH_WIDTH - n) : 0,
		      "");
	if (!is_shown(k))
		(void)fputs("(not under its name) ", f);
	cmd_put_safe(f, text(k, "why"));
	if (*text(k, "beside")) {
		(void)fputs(": ", f);
		cmd_put_safe(f, text(k, "beside"));
	}
	(void)fputc('\n', f);
}

void recover_print(FILE *f, const struct json *answer)
{
	const struct json *kept = json_get(answer, "kept");
	size_t n = json_len(kept), i;

	if (n == 0) {
		(void)fputs("nothing waits for a word\n", f);
		return;
	}
	(void)fprintf(f, "%-6s %-11s %7s %7s  %-*s  %s\n", "ID", "STATE",
		      "SIZE", "AGE", PATH_WIDTH, "FILE", "WHY");
	for (i = 0; i < n; i++)
		print_kept(f, json_at(kept, i));
}

static const char *done_words(enum fs_recover act)
{
	switch (act) {
	case FS_RECOVER_PUBLISH:
		return "goes to the bucket as it is";
	case FS_RECOVER_RETRY:
		return "is tried again";
	case FS_RECOVER_DISCARD:
		return "is thrown away";
	case FS_RECOVER_LIST:
	case FS_RECOVER_EXPORT:
		break;
	}
	return "";
}

void recover_print_one(FILE *f, const struct json *k, const char *words,
		       const char *more)
{
	char size[TEXT_QTY_LEN];

	text_size((uint64_t)number(k, "size"), size);
	cmd_put_safe(f, text(k, "path"));
	(void)fprintf(f, " (%s, %s, %s) %s ", text(k, "id"), text(k, "state"),
		      size, words);
	cmd_put_safe(f, more);
	(void)fputc('\n', f);
}

void recover_print_done(FILE *out, FILE *err, enum fs_recover act,
			const struct json *answer)
{
	const struct json *kept = json_get(answer, "kept");
	size_t n = json_len(kept), i;

	for (i = 0; i < n; i++) {
		const struct json *k = json_at(kept, i);
		const char *error = json_get_str(k, "error");
		FILE *f = error ? err : out;

		cmd_put_safe(f, text(k, "path"));
		(void)fprintf(f, " (%s, %s)%s ", text(k, "id"),
			      text(k, "state"), error ? ":" : "");
		cmd_put_safe(f, error ? error : done_words(act));
		(void)fputc('\n', f);
	}
}
