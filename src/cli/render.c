/* SPDX-License-Identifier: Apache-2.0 */
/* Status for a person. */
#include "config.h"

#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/json.h"
#include "ckptfs/text.h"

#include "commands.h"

#define SHOWN 20

void render_bar(char *ret, unsigned width, double part)
{
	unsigned i, full;

	if (part < 0)
		part = 0;
	if (part > 1)
		part = 1;
	full = (unsigned)(part * width + 0.5);
	*ret++ = '[';
	for (i = 0; i < width; i++)
		*ret++ = i < full ? '#' : '.';
	*ret++ = ']';
	*ret = '\0';
}

static int64_t num(const struct json *j, const char *name)
{
	int64_t v = 0;

	return json_get_int(j, name, &v) < 0 ? 0 : v;
}

static const char *str(const struct json *j, const char *name)
{
	const char *s = json_get_str(j, name);

	return s ? s : "";
}

static void item(FILE *f, const struct json *q)
{
	char size[TEXT_QTY_LEN], age[TEXT_QTY_LEN], bar[16] = "";
	int64_t n = num(q, "size"), sent = num(q, "sent");

	text_size((uint64_t)n, size);
	text_duration(num(q, "age_s") * NS_PER_S, age);
	if (strcmp(str(q, "state"), "uploading") == 0)
		render_bar(bar, 10, n ? (double)sent / (double)n : 0);
	fprintf(f, "  %-10s %8s %6s %-12s %s: %s\n", str(q, "state"), size, age,
		bar, str(q, "path"), str(q, "why"));
}

void render_status(FILE *f, const struct json *s, int width)
{
	const struct json *queue = json_get(s, "queue"),
			  *totals = json_get(s, "totals"),
			  *opens = json_get(s, "opens"),
			  *cache = json_get(s, "cache"),
			  *warn = json_get(s, "warnings");
	char a[TEXT_QTY_LEN], b[TEXT_QTY_LEN];
	size_t i, n = json_len(queue);
	int64_t risk = num(s, "at_risk");

	(void)width;
	fprintf(f, "%s on %s (pid %lld, ckptfs %s)\n", str(s, "source"),
		str(s, "mountpoint"), (long long)num(s, "pid"),
		str(s, "version"));
	text_size((uint64_t)num(totals, "queued_bytes"), a);
	text_size((uint64_t)num(s, "rate_bytes_per_s"), b);
	fprintf(f, "  queue: %lld operations, %s; %s/s",
		(long long)num(totals, "queued_ops"), a, b);
	if (json_get(s, "eta_s")) {
		text_duration(num(s, "eta_s") * NS_PER_S, a);
		fprintf(f, ", %s to go", a);
	}
	fputc('\n', f);
	if (risk) {
		text_duration(num(s, "lag_s") * NS_PER_S, a);
		fprintf(f, "  at risk: %lld not in the bucket, the oldest for "
			   "%s\n",
			(long long)risk, a);
	} else {
		fputs("  everything is in the bucket\n", f);
	}
	for (i = 0; i < n && i < SHOWN; i++)
		item(f, json_at(queue, i));
	if (n > SHOWN)
		fprintf(f, "  … and %zu more\n", n - SHOWN);
	text_size((uint64_t)num(cache, "used"), a);
	text_size((uint64_t)num(cache, "dirty"), b);
	fprintf(f, "  cache: %s kept, %s of it not in the bucket; opens: %lld "
		   "passthrough, %lld ordinary\n",
		a, b, (long long)num(opens, "passthrough"),
		(long long)num(opens, "cached"));
	if (*str(s, "last_error"))
		fprintf(f, "  last error: %s\n", str(s, "last_error"));
	for (i = 0; i < json_len(warn); i++)
		fprintf(f, "  warning: %s\n", json_as_str(json_at(warn, i)));
}
