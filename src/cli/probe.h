/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs probe: each thing that a mount needs is tried, and told. */
#ifndef CKPTFS_CLI_PROBE_H
#define CKPTFS_CLI_PROBE_H

#include "ckptfs/compiler.h"
#include "ckptfs/options.h"

#include "daemon.h"

#define PROBE_TRIALS 32

enum probe_state {
	PROBE_OK,
	PROBE_LACKS, /* the server has no such thing, and need not have */
	PROBE_FAILED,
};

struct probe_trial {
	const char *name; /* static */
	enum probe_state state;
	char said[512]; /* what was found, or what is wrong */
	char hint[256]; /* what to change; "": nothing is known */
	int64_t took_ns; /* 0: says nothing */
};

struct probe {
	struct options o;
	struct daemon d;
	bool read_only;
	struct probe_trial trials[PROBE_TRIALS];
	size_t n;
};

/* A new one, of state and with what said tells; the last too many is dropped
 * for it. */
struct probe_trial *probe_add(struct probe *p, const char *name,
			      enum probe_state state, const char *fmt, ...)
	NONNULL(1, 2, 4) PRINTF_LIKE(4, 5);

/* probe.c: where the credentials are from, and what store_probe() says.
 * Whether the rest makes sense. */
bool probe_credentials(struct probe *p) NONNULL(1);
bool probe_store(struct probe *p) NONNULL(1);

#endif
