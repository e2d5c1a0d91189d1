/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "status.h"

#define BAR_WIDTH 10
#define STATE_WIDTH 10
#define PATH_WIDTH 40

static uint64_t number(const struct json *j, const char *name)
{
	int64_t v;

	return json_get_int(j, name, &v) < 0 || v < 0 ? 0 : (uint64_t)v;
}

static bool truth(const struct json *j, const char *name)
{
	bool v;

	return json_get_bool(j, name, &v) == 0 && v;
}

static const char *text(const struct json *j, const char *name)
{
	const char *s = json_get_str(j, name);

	return s ? s : "";
}

static void seconds(uint64_t s, char ret[TEXT_QTY_LEN])
{
	const uint64_t most = INT64_MAX / NS_PER_S;

	text_duration((int64_t)(s < most ? s : most) * NS_PER_S, ret);
}

void status_bar(uint64_t done, uint64_t all, char ret[32])
{
	unsigned full, percent;

	done = done > all ? all : done;
	percent = all ? (unsigned)((double)done / (double)all * 100) : 0;
	full = percent * BAR_WIDTH / 100;
	(void)snprintf(ret, 32, "[%.*s%.*s] %3u%%", (int)full, "##########",
		       (int)(BAR_WIDTH - full), "----------", percent);
}

static void print_item(FILE *f, const struct json *i)
{
	char bar[32] = "", size[TEXT_QTY_LEN], age[TEXT_QTY_LEN];
	const char *path = text(i, "path"), *state = text(i, "state");
	size_t n = strlen(path);
	int k = (int)strnlen(state, STATE_WIDTH);

	if (number(i, "sent") > 0)
		status_bar(number(i, "sent"), number(i, "size"), bar);
	text_size(number(i, "size"), size);
	seconds(number(i, "age_s"), age);
	(void)fputs("  ", f);
	cmd_put_safe(f, state);
	(void)fprintf(f, "%*s %-17s %7s %7s  ", k < STATE_WIDTH ? STATE_WIDTH - k : 0,
		      "", bar, size, age);
	cmd_put_safe(f, path);
	(void)fprintf(f, "%*s  ", n < PATH_WIDTH ? (int)(PATH_WIDTH - n) : 0,
		      "");
	cmd_put_safe(f, text(i, "why"));
	(void)fputc('\n', f);
}

static void print_queue(FILE *f, const struct json *queue, size_t most)
{
	size_t n = json_len(queue), i;

	if (n == 0)
		return;
	(void)fprintf(f, "\n  %-*s %-17s %7s %7s  %-*s  %s\n", STATE_WIDTH,
		      "STATE", "PROGRESS", "SIZE", "AGE", PATH_WIDTH, "FILE", "WHY");
	for (i = 0; i < n && (most == 0 || i < most); i++)
		print_item(f, json_at(queue, i));
	if (i < n)
		(void)fprintf(f, "  … and %zu more (--json lists all)\n",
			      n - i);
}

static void print_upload(FILE *f, const struct json *doc)
{
	const struct json *totals = json_get(doc, "totals");
	const struct json *risk = json_get(doc, "at_risk");
	char rate[TEXT_QTY_LEN], bytes[TEXT_QTY_LEN], eta[TEXT_QTY_LEN];
	uint64_t files = number(totals, "files");
	int64_t eta_s;

	if (files == 0) {
		(void)fprintf(f, "  bucket   everything is in it\n");
	} else {
		text_size(number(totals, "bytes") -
				  number(totals, "sent_bytes"),
			  bytes);
		text_size(number(doc, "rate_bytes_per_s"), rate);
		if (json_get_int(doc, "eta_s", &eta_s) == 0 && eta_s >= 0)
			seconds((uint64_t)eta_s, eta);
		else
			(void)snprintf(eta, sizeof(eta), "unknown");
		(void)fprintf(f,
			      "  bucket   %s to go of %llu file%s at %s/s, "
			      "time left %s\n",
			      bytes, (unsigned long long)files,
			      files == 1 ? "" : "s", rate, eta);
	}
	if (number(risk, "files") > 0) {
		text_size(number(risk, "bytes"), bytes);
		seconds(number(risk, "oldest_age_s"), eta);
		(void)fprintf(f,
			      "  at risk  %s in %llu file%s if this disk is "
			      "lost, the oldest since %s\n",
			      bytes, (unsigned long long)number(risk, "files"),
			      number(risk, "files") == 1 ? "" : "s", eta);
	}
	if (*text(doc, "last_error")) {
		(void)fputs("  error    ", f);
		cmd_put_safe(f, text(doc, "last_error"));
		(void)fputc('\n', f);
	}
}

/* Only what holds them up. */
static void print_flow(FILE *f, const struct json *flow, const char *what)
{
	uint64_t now = number(flow, "at_once"), limit;
	uint64_t most = number(flow, "most_at_once");
	char rate[TEXT_QTY_LEN];

	limit = number(flow, "limit_bytes_per_s");
	text_size(limit, rate);
	if (now < most)
		(void)fprintf(f,
			      "  slower   %llu of %llu %ss at once: the store "
			      "asked for less\n",
			      (unsigned long long)now, (unsigned long long)most,
			      what);
	if (limit)
		(void)fprintf(f, "  limit    %ss at %s/s\n", what, rate);
}

static void print_cache(FILE *f, const struct json *doc)
{
	const struct json *c = json_get(doc, "cache");
	const struct json *opens = json_get(doc, "opens");
	char used[TEXT_QTY_LEN], size[TEXT_QTY_LEN], avail[TEXT_QTY_LEN];
	uint64_t files = number(c, "files");

	text_size(number(c, "used_bytes"), used);
	text_size(number(c, "size_bytes"), size);
	text_size(number(c, "disk_avail_bytes"), avail);
	(void)fprintf(f,
		      "  cache    %s of %s used by %llu file%s, %s free on the "
		      "disk, ",
		      used, size, (unsigned long long)files,
		      files == 1 ? "" : "s", avail);
	cmd_put_safe(f, text(c, "dir"));
	(void)fprintf(f,
		      "\n  opens    %llu straight to the disk, %llu through "
		      "the daemon, %llu open now\n",
		      (unsigned long long)number(opens, "passthrough"),
		      (unsigned long long)number(opens, "cached"),
		      (unsigned long long)number(opens, "now"));
	if (truth(c, "failed"))
		(void)fputs("  FAILED   the cache disk failed: no new data is "
			    "taken; replace it\n",
			    f);
}

void status_print(FILE *f, const struct json *doc, size_t most)
{
	const struct json *warnings = json_get(doc, "warnings");
	char up[TEXT_QTY_LEN];
	const char *w;
	size_t i;

	seconds(number(doc, "uptime_s"), up);
	cmd_put_safe(f, text(doc, "mountpoint"));
	(void)fputs("  ", f);
	cmd_put_safe(f, text(doc, "source"));
	(void)fputs("  ", f);
	cmd_put_safe(f, text(doc, "state"));
	(void)fprintf(f, ", pid %llu, since %s\n",
		      (unsigned long long)number(doc, "pid"), up);
	print_upload(f, doc);
	print_flow(f, json_get(doc, "uploads"), "upload");
	print_flow(f, json_get(doc, "downloads"), "download");
	print_cache(f, doc);
	for (i = 0; i < json_len(warnings); i++) {
		(void)fputs("  warning  ", f);
		w = json_as_str(json_at(warnings, i));
		cmd_put_safe(f, w ? w : "");
		(void)fputc('\n', f);
	}
	print_queue(f, json_get(doc, "queue"), most);
	if (truth(doc, "queue_incomplete"))
		(void)fputs("  … and what the cache disk does not give back "
			    "any more\n",
			    f);
}

void status_print_path(FILE *f, const struct json *doc)
{
	char size[TEXT_QTY_LEN], cached[TEXT_QTY_LEN];

	text_size(number(doc, "size"), size);
	text_size(number(doc, "cached_bytes"), cached);
	cmd_put_safe(f, text(doc, "path"));
	(void)fputs("  ", f);
	if (truth(doc, "folder")) {
		(void)fprintf(f, "%s, %s here, whole %llu of %llu files", size,
			      cached,
			      (unsigned long long)number(doc, "cached_files"),
			      (unsigned long long)number(doc, "files"));
	} else {
		cmd_put_safe(f, text(doc, "state"));
		(void)fprintf(f, ", %s, %s here", size, cached);
	}
	if (*text(doc, "why")) {
		(void)fputs(": ", f);
		cmd_put_safe(f, text(doc, "why"));
	}
	(void)fputc('\n', f);
	if (*text(doc, "key")) {
		(void)fputs("  object   ", f);
		cmd_put_safe(f, text(doc, "key"));
		(void)fputs("  ", f);
		cmd_put_safe(f, text(doc, "etag"));
		(void)fputc('\n', f);
	}
	if (*text(doc, "beside")) {
		(void)fputs("  ours     ", f);
		cmd_put_safe(f, text(doc, "beside"));
		(void)fputc('\n', f);
	}
}

void status_print_left(FILE *f, const struct json *item)
{
	bool missing = truth(item, "at_risk") ||
		       status_is_stuck(text(item, "state"));

	(void)fputs(missing ? "not in the bucket: " : "kept local: ", f);
	cmd_put_safe(f, text(item, "path"));
	(void)fputs(" (", f);
	cmd_put_safe(f, text(item, "state"));
	if (*text(item, "why")) {
		(void)fputs(": ", f);
		cmd_put_safe(f, text(item, "why"));
	}
	if (*text(item, "beside")) {
		(void)fputs(": ", f);
		cmd_put_safe(f, text(item, "beside"));
	}
	(void)fputs(")\n", f);
}

void status_print_missing(FILE *f, const struct json *answer)
{
	const struct json *missing = json_get(answer, "missing");
	size_t n, k;

	for (k = 0, n = json_len(missing); k < n; k++)
		status_print_left(f, json_at(missing, k));
}

void status_print_refused(FILE *f, const struct json *answer)
{
	const struct json *refused = json_get(answer, "refused");
	const struct json *i;
	size_t n, k;

	for (k = 0, n = json_len(refused); k < n; k++) {
		i = json_at(refused, k);
		cmd_put_safe(f, *text(i, "path") ? text(i, "path") : "/");
		(void)fputs(": ", f);
		cmd_put_safe(f, text(i, "why"));
		(void)fputc('\n', f);
	}
}

void status_print_bulk(FILE *f, const char *did, const struct json *answer)
{
	uint64_t files = number(answer, "files");
	char bytes[TEXT_QTY_LEN];

	text_size(number(answer, "bytes"), bytes);
	(void)fprintf(f, "%s %llu file%s, %s\n", did,
		      (unsigned long long)files, files == 1 ? "" : "s", bytes);
}

void status_progress_line(const struct json *progress,
			  char ret[STATUS_LINE_MAX])
{
	char bar[32], rate[TEXT_QTY_LEN], eta[TEXT_QTY_LEN] = "?";
	char done[32] = "";
	uint64_t bytes = number(progress, "bytes");
	uint64_t files = number(progress, "files");
	int64_t eta_s;

	status_bar(number(progress, "sent_bytes"), bytes, bar);
	text_size(number(progress, "rate_bytes_per_s"), rate);
	if (json_get_int(progress, "eta_s", &eta_s) == 0 && eta_s >= 0)
		seconds((uint64_t)eta_s, eta);
	if (json_get(progress, "done_files"))
		(void)snprintf(done, sizeof(done), "%llu of ",
			       (unsigned long long)number(progress,
							  "done_files"));
	(void)snprintf(ret, STATUS_LINE_MAX, "%s  %s%llu file%s, %s/s, time left %s", bar,
		       done, (unsigned long long)files, files == 1 ? "" : "s",
		       rate, eta);
}
