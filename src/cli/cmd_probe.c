/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/http.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"
#include "ckptfs/store.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "probe.h"

#define JSON_MAX (256 * 1024)

static void print_help(void)
{
	(void)puts(
		"usage: ckptfs probe SOURCE [--read-only] [--no-speed] "
		"[--json] [-o OPTION=VALUE,…]\n\n"
		"Try what a mount of SOURCE needs, and say what is wrong and "
		"what to change: where\nthe credentials come from and when "
		"they end (never the secret), the region, each\npermission, "
		"what the server can do, its clock, latency and throughput.  "
		"Objects of up\nto 64 MiB are written below .ckptfs/ and "
		"deleted again.\n\n"
		"  --read-only  write nothing: list and get alone are tried\n"
		"  --no-speed   do not measure the throughput\n"
		"  --json       the same for programs\n"
		"  -o           the options of the mount (endpoint_url, "
		"profile, …)\n\n"
		"Exit status: 0 a mount would work; 1 it would not; 2 wrong "
		"usage.");
}

static bool is_fine(const struct probe *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->trials[i].state == PROBE_FAILED)
			return false;
	return true;
}

/* ---- as text */

static void print_trial(const struct probe_trial *t)
{
	static const char *const words[] = { "ok", "note", "FAILED" };
	char took[TEXT_QTY_LEN];

	(void)printf("%-7s %-12s ", words[t->state], t->name);
	cmd_put_safe(stdout, t->said);
	if (t->took_ns) {
		text_duration(t->took_ns, took);
		(void)printf(" (%s)",
			     t->took_ns < NS_PER_MS ? "less than 1ms" : took);
	}
	(void)putchar('\n');
	if (*t->hint) {
		(void)printf("%20s ", "->");
		cmd_put_safe(stdout, t->hint);
		(void)putchar('\n');
	}
}

/* ---- as JSON */

static void add_credentials(const struct probe *p, struct json_w *w)
{
	char until[TEXT_DATE_LEN];
	struct cred_info info;

	if (!p->d.creds)
		return;
	cred_look(p->d.creds, &info);
	if (!*info.from)
		return;
	json_w_object(w, "credentials");
	json_w_str(w, "from", info.from);
	json_w_str(w, "key_tail", info.key_tail);
	text_iso_date(info.expiry_ns, 0, until);
	json_w_str(w, "expires", info.expiry_ns == INT64_MAX ? NULL : until);
	json_w_close(w);
}

static int print_json(const struct probe *p)
{
	static const char *const words[] = { "ok", "note", "failed" };
	struct buf b = BUF_INIT(JSON_MAX);
	struct json_w w = JSON_W_INIT(&b);
	const struct probe_trial *t;
	int r;

	json_w_object(&w, NULL);
	json_w_str(&w, "source", p->d.src.name);
	json_w_str(&w, "endpoint", p->d.endpoint);
	json_w_bool(&w, "read_only", p->read_only);
	json_w_bool(&w, "ok", is_fine(p));
	add_credentials(p, &w);
	json_w_array(&w, "trials");
	for (t = p->trials; t < p->trials + p->n; t++) {
		json_w_object(&w, NULL);
		json_w_str(&w, "name", t->name);
		json_w_str(&w, "state", words[t->state]);
		json_w_str(&w, "said", t->said);
		if (*t->hint)
			json_w_str(&w, "hint", t->hint);
		if (t->took_ns)
			json_w_int(&w, "took_ns", t->took_ns);
		if (t->unit)
			json_w_int(&w, t->unit, t->value);
		json_w_close(&w);
	}
	json_w_close(&w);
	json_w_close(&w);
	r = json_w_end(&w);
	if (r == 0)
		(void)puts(b.p);
	buf_clear(&b);
	return r;
}

/* ---- */

static void try_all(struct probe *p)
{
	/* Named as the trials of a mount, so that the next mount sweeps what
	 * an interrupted probe left. */
	(void)snprintf(p->key, sizeof(p->key), "%.400s%s/probe-%" PRIx64 "-%x",
		       p->d.src.prefix, STORE_HIDDEN,
		       (uint64_t)clk_real(&clk_system), (unsigned)getpid());
	if (p->d.src.kind != SOURCE_DIR && !probe_credentials(p))
		return;
	if (!probe_store(p))
		return;
	probe_permissions(p);
	if (p->d.s3)
		probe_clock(p);
	if (p->d.gcs)
		probe_bucket(p);
	probe_latency(p);
	if (!p->read_only && !p->no_speed && is_fine(p))
		probe_speed(p);
}

static int run(struct probe *p, const char *source, const char *dash_o,
	       bool json)
{
	const struct log_opts lo = { .level = LOG_LV_ERR,
				     .sink = LOG_TO_STDERR };
	int status = daemon_take_source(&p->d, "probe", source, dash_o);
	size_t i;

	if (status == CLI_DONE && log_init(&lo) < 0)
		status = CLI_FAILED;
	if (status == CLI_DONE)
		status = daemon_find_endpoint(&p->d);
	if (status != CLI_DONE)
		return status;
	if (!p->read_only)
		(void)fprintf(stderr,
			      "ckptfs: objects of up to %s are written below "
			      "%s%s/ and deleted again; --read-only writes "
			      "nothing\n",
			      p->no_speed ? "4 KiB" : "64 MiB",
			      p->d.src.prefix, STORE_HIDDEN);
	try_all(p);
	for (i = 0; !json && i < p->n; i++)
		print_trial(&p->trials[i]);
	if (json && print_json(p) < 0)
		return CLI_FAILED;
	return is_fine(p) ? CLI_DONE : CLI_FAILED;
}

static int probe(struct probe *p, const char *source, const char *dash_o,
		 bool json)
{
	struct daemon *d = &p->d;
	int status;

	if (options_init(&p->o) < 0) {
		cmd_say("out of memory");
		return CLI_FAILED;
	}
	d->o = &p->o;
	d->say.fd = d->null_fd = d->lock_fd = -1;
	(void)pthread_mutex_init(&d->lock, NULL);
	status = run(p, source, dash_o, json);
	store_free(d->store);
	cred_chain_free(d->creds);
	http_free(d->http);
	free(d->endpoint);
	free(d->normal);
	(void)pthread_mutex_destroy(&d->lock);
	source_clear(&d->src);
	options_clear(&p->o);
	return status;
}

int cmd_probe(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "read-only", no_argument, NULL, 'r' },
		{ "no-speed", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct probe p = { .read_only = false };
	const char *dash_o = NULL;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "ho:", longs, NULL)) != -1) {
		switch (c) {
		case 'h':
			print_help();
			return CLI_DONE;
		case 'j':
			json = true;
			break;
		case 'r':
			p.read_only = true;
			break;
		case 's':
			p.no_speed = true;
			break;
		case 'o':
			dash_o = optarg;
			break;
		default:
			return cmd_usage("probe", "that is no way to call it");
		}
	}
	if (optind + 1 != argc)
		return cmd_usage("probe", optind < argc ?
						  "one source at a time" :
						  "which SOURCE?");
	return probe(&p, argv[optind], dash_o, json);
}
