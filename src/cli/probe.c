/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/store.h"
#include "ckptfs/text.h"

#include "cmd.h"
#include "probe.h"

struct probe_trial *probe_add(struct probe *p, const char *name,
			      enum probe_state state, const char *fmt, ...)
{
	struct probe_trial *t;
	va_list ap;

	if (p->n == PROBE_TRIALS)
		p->n--;
	t = &p->trials[p->n++];
	memset(t, 0, sizeof(*t));
	t->name = name;
	t->state = state;
	va_start(ap, fmt);
	(void)vsnprintf(t->said, sizeof(t->said), fmt, ap);
	va_end(ap);
	return t;
}

static void tell(struct probe *p)
{
	char until[TEXT_DATE_LEN], left[TEXT_QTY_LEN];
	struct cred_info info;
	int64_t ns;

	cred_look(p->d.creds, &info);
	if (info.expiry_ns == INT64_MAX) {
		(void)probe_add(p, "credentials", PROBE_OK,
				"%.400s, key %s%s, which does not expire",
				info.from, *info.key_tail ? "…" : "(short)",
				info.key_tail);
		return;
	}
	ns = info.expiry_ns - clk_real(&clk_system);
	text_iso_date(info.expiry_ns, 0, until);
	text_duration(ns > 0 ? ns : 0, left);
	(void)probe_add(p, "credentials", PROBE_OK,
			"%.400s, key %s%s, until %s (%s left)", info.from,
			*info.key_tail ? "…" : "(short)", info.key_tail, until,
			left);
}

bool probe_credentials(struct probe *p)
{
	char why[CRED_WHY_MAX] = "";
	struct probe_trial *t;
	struct cred *c = NULL;
	int r = daemon_open_creds(&p->d);

	if (r == 0 && !p->d.creds) {
		(void)probe_add(p, "credentials", PROBE_OK, "none: %s",
				p->o.anonymous ?
					"the option anonymous is set" :
					"STORAGE_EMULATOR_HOST is set");
		return true;
	}
	if (r == 0)
		r = cred_get(p->d.creds, why, &c);
	cred_drop(c);
	if (r == 0) {
		tell(p);
		return true;
	}
	t = probe_add(p, "credentials", PROBE_FAILED, "%s",
		      why[0] ? why : strerror(-r));
	if (r == -ENOENT)
		(void)snprintf(t->hint, sizeof(t->hint),
			       "docs/credentials.md says where they are looked "
			       "for; a public bucket is mounted with anonymous");
	return false;
}

void probe_fail(struct probe *p, const char *name, int err,
		const char *permission)
{
	const char *said = store_last_error(), *hint;
	struct probe_trial *t;

	t = probe_add(p, name, PROBE_FAILED, "%s",
		      *said ? said : strerror(-err));
	if (!permission && err == -EACCES)
		return; /* the trials of each tell more */
	if (p->d.src.kind == SOURCE_S3 && err == -EACCES && p->d.creds) {
		(void)snprintf(t->hint, sizeof(t->hint),
			       "allow %s on arn:aws:s3:::%.100s%s "
			       "(docs/permissions.md)",
			       permission, p->d.src.where,
			       strstr(permission, "s3:List") ? "" : "/*");
		return;
	}
	hint = daemon_probe_hint(err, p->d.src.kind == SOURCE_DIR,
				 p->o.anonymous);
	(void)snprintf(t->hint, sizeof(t->hint), "%s", hint);
}

static void tell_region(struct probe *p, const char *asked)
{
	char found[64];
	struct probe_trial *t;

	store_s3_region(p->d.s3, found, sizeof(found));
	if (strcmp(found, asked) == 0) {
		(void)probe_add(p, "region", PROBE_OK, "%s", found);
		return;
	}
	t = probe_add(p, "region", PROBE_NOTE, "%s, not %s", found, asked);
	(void)snprintf(t->hint, sizeof(t->hint),
		       "region=%s saves a request at each mount", found);
}

/* docs/servers.md has the same. */
static void tell_caps(struct probe *p)
{
	static const struct {
		unsigned cap;
		const char *name, *without;
	} caps[] = {
		{ STORE_CAP_PUT_COND, "condition",
		  "no conditions on put: what another writer does meanwhile "
		  "may be overwritten" },
		{ STORE_CAP_DEL_COND, "condition",
		  "no conditions on delete: what another writer put there "
		  "since may be deleted" },
		{ STORE_CAP_COPY, "copy",
		  "no copies in the bucket: renames of published files are "
		  "parked" },
		{ STORE_CAP_CRC64, "checksum",
		  "checksums are not kept: downloads are checked by length "
		  "and ETag only" },
		{ STORE_CAP_META, "metadata",
		  "metadata is not kept: a lost answer cannot be told from "
		  "another writer's object" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(caps); i++)
		if (!(p->d.store->caps & caps[i].cap))
			(void)probe_add(p, caps[i].name, PROBE_NOTE, "%s",
					caps[i].without);
	if (p->d.store->caps & STORE_CAP_CRC64)
		(void)probe_add(p, "checksum", PROBE_OK, "%s",
				p->d.store->caps & STORE_CAP_PARTS_CRC32C ?
					"CRC-64/NVME, of parts CRC-32C" :
					"CRC-64/NVME");
}

bool probe_store(struct probe *p)
{
	int64_t begun = clk_mono(&clk_system);
	char asked[64] = "";
	int r;

	if (daemon_make_store(&p->d) != CLI_DONE) {
		(void)probe_add(p, "bucket", PROBE_FAILED,
				"the source cannot be used");
		return false;
	}
	if (p->d.s3)
		store_s3_region(p->d.s3, asked, sizeof(asked));
	r = store_probe(p->d.store, p->d.src.prefix, p->read_only);
	if (r < 0) {
		probe_fail(p, "bucket", r, NULL);
		return r == -EACCES;
	}
	probe_add(p, "bucket", PROBE_OK, "it lets us in")->took_ns =
		clk_mono(&clk_system) - begun;
	if (p->d.s3)
		tell_region(p, asked);
	if (!p->read_only)
		tell_caps(p);
	return true;
}

/* ---- bytes */

/* Fast, so that what is measured is the way to the bucket. */
static uint64_t word_at(uint64_t off)
{
	uint64_t x = (off / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return x ^ x >> 29;
}

/* Of n bytes at ptr those in one word, from off on. */
static size_t one_word(uint64_t off, size_t n, uint64_t *ret)
{
	size_t left = 8 - off % 8;

	*ret = word_at(off) >> off % 8 * 8;
	return n < left ? n : left;
}

ssize_t probe_read(void *arg, uint64_t off, void *ptr, size_t n)
{
	uint8_t *c = ptr;
	uint64_t word;
	size_t i, m;

	(void)arg;
	for (i = 0; i < n; i += m) {
		m = one_word(off + i, n - i, &word);
		memcpy(c + i, &word, m);
	}
	return (ssize_t)n;
}

int probe_compare(void *arg, const void *ptr, size_t n)
{
	struct probe_bytes *b = arg;
	const uint8_t *c = ptr;
	uint64_t word;
	size_t i, m;

	for (i = 0; i < n; i += m) {
		m = one_word(b->at + i, n - i, &word);
		b->is_wrong |= memcmp(c + i, &word, m) != 0;
	}
	b->at += n;
	return 0;
}

static void note_setting(struct probe *p, int64_t seconds, const char *what,
			 const char *hint)
{
	char text[TEXT_QTY_LEN];
	struct probe_trial *t;

	if (seconds <= 0)
		return;
	text_duration(seconds * NS_PER_S, text);
	t = probe_add(p, "settings", PROBE_NOTE, "%s %s", what, text);
	(void)snprintf(t->hint, sizeof(t->hint), "%s", hint);
}

void probe_bucket(struct probe *p)
{
	struct store_gcs_settings set;
	const char *hint = "parts of uploads are objects, too: parts=resumable "
			   "has none";
	int r = store_gcs_ask(p->d.gcs, &set);

	if (r) {
		(void)probe_add(p, "settings", PROBE_NOTE,
				"how it is set up is not told (it takes "
				"storage.buckets.get)");
		return;
	}
	note_setting(p, set.soft_delete_s,
		     "soft delete: what is deleted or replaced is kept, and "
		     "billed, for",
		     hint);
	note_setting(p, set.retention_s,
		     "a retention policy: nothing is deleted or replaced "
		     "before",
		     hint);
	if (set.is_hierarchical)
		(void)probe_add(p, "settings", PROBE_NOTE,
				"a hierarchical namespace: it is used as if "
				"it were flat");
	if (set.soft_delete_s <= 0 && set.retention_s <= 0 &&
	    !set.is_hierarchical)
		(void)probe_add(p, "settings", PROBE_OK,
				"no soft delete, no retention policy, flat");
}
