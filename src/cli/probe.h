/* SPDX-License-Identifier: Apache-2.0 */
/* ckptfs probe: each thing that a mount needs is tried, and told. */
#ifndef CKPTFS_CLI_PROBE_H
#define CKPTFS_CLI_PROBE_H

#include "ckptfs/compiler.h"
#include "ckptfs/options.h"

#include "daemon.h"

#define PROBE_TRIALS 40

enum probe_state {
	PROBE_OK,
	PROBE_NOTE, /* a mount works; said what it is like */
	PROBE_FAILED,
};

struct probe_trial {
	const char *name; /* static */
	enum probe_state state;
	char said[512]; /* what was found, or what is wrong */
	char hint[256]; /* what to change; "": nothing is known */
	int64_t took_ns; /* 0: says nothing */
	const char *unit; /* of value, for programs; NULL: it says nothing */
	int64_t value;
};

struct probe {
	struct options o;
	struct daemon d;
	bool read_only, no_speed;
	char key[512]; /* the throw-away objects' keys begin so */
	struct probe_trial trials[PROBE_TRIALS];
	size_t n;
};

/* A new one, of state and with what said tells; the last too many is dropped
 * for it. */
struct probe_trial *probe_add(struct probe *p, const char *name,
			      enum probe_state state, const char *fmt, ...)
	NONNULL(1, 2, 4) PRINTF_LIKE(4, 5);

/* The same of this thread's last error of the store; permission: what S3 calls
 * it ("s3:GetObject"), NULL if more than one may be meant. */
void probe_fail(struct probe *p, const char *name, int err,
		const char *permission) NONNULL(1, 2);

/* What is sent: any bytes, the same each time; and a sink that compares. */
struct probe_bytes {
	uint64_t at; /* of the sink */
	bool is_wrong;
};
ssize_t probe_read(void *arg, uint64_t off, void *ptr, size_t n);
int probe_compare(void *arg, const void *ptr, size_t n);

/* probe.c: where the credentials are from.  Whether the rest makes sense. */
bool probe_credentials(struct probe *p) NONNULL(1);
/* How Google's bucket is set up, as far as that costs or refuses something. */
void probe_bucket(struct probe *p) NONNULL(1);
/* What store_probe() says: let in, and what the server can do.  The same. */
bool probe_store(struct probe *p) NONNULL(1);
/* probe_try.c: each permission, on a throw-away key. */
void probe_permissions(struct probe *p) NONNULL(1);
/* probe_speed.c */
void probe_clock(struct probe *p) NONNULL(1);
void probe_latency(struct probe *p) NONNULL(1);
void probe_speed(struct probe *p) NONNULL(1);

#endif
