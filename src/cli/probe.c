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

bool probe_store(struct probe *p)
{
	int64_t begun = clk_mono(&clk_system);
	const char *said;
	struct probe_trial *t;
	int r;

	if (daemon_make_store(&p->d) != CLI_DONE) {
		(void)probe_add(p, "bucket", PROBE_FAILED,
				"the source cannot be used");
		return false;
	}
	r = store_probe(p->d.store, p->d.src.prefix, p->read_only);
	if (r == 0) {
		t = probe_add(p, "bucket", PROBE_OK,
			      p->read_only ?
				      "may be listed and read" :
				      "does what a mount needs");
		t->took_ns = clk_mono(&clk_system) - begun;
		return true;
	}
	said = store_last_error();
	t = probe_add(p, "bucket", PROBE_FAILED, "%s",
		      *said ? said : strerror(-r));
	(void)snprintf(t->hint, sizeof(t->hint), "%s",
		       daemon_probe_hint(r, p->d.src.kind == SOURCE_DIR,
					 p->o.anonymous));
	return false;
}
