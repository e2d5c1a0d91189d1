/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the download engine: one object "k" in a store that can be made
 * to fail, an empty blob, an engine, and a machine, simulated or real. */
#ifndef FETCH_RIG_H
#define FETCH_RIG_H

#include "ckptfs/fetch.h"
#include "ckptfs/host.h"
#include "ckptfs/store.h"

#include "sim.h"

#define MIB (UINT64_C(1) << 20)
#define SOON (clk_mono(rig.host->clk) + 3600 * NS_PER_S)

struct fetch_rig {
	uint64_t seed; /* of the simulated machine */
	struct sim *sim; /* NULL: real threads */
	struct host real;
	const struct host *host;
	struct store *store; /* fault(mem) */
	struct fetch_engine *engine;
	struct store_obj object;
	int blob;
};

extern struct fetch_rig rig;

/* An object of that size and an engine; requests begin at 1 MiB. */
void rig_use_sim(uint64_t size, unsigned workers, uint64_t limit);
void rig_use_threads(uint64_t size, unsigned workers, uint64_t limit);
void rig_teardown(void);
/* Put the object (again: as another version). */
void rig_have_object(uint64_t size);

void rig_arm(const char *method, unsigned skip, unsigned count, int err,
	     enum store_fault_act act);
void rig_heal(void);

/* What a fetch told its owner. */
struct rig_told {
	int done, err, released;
};
struct fetch_spec rig_spec_of(struct rig_told *t);
struct fetch *rig_start(struct rig_told *t); /* all of it is to come */

/* Of the object. */
uint32_t rig_crc32c(void);
/* The blob holds the object's bytes in [off, off + len). */
bool rig_blob_is_right(uint64_t off, uint64_t len);
/* The requests so far begin with these lines. */
void rig_expect_log(const char *begins);
uint64_t rig_bytes_fetched(void);

#endif
