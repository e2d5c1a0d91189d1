/* SPDX-License-Identifier: Apache-2.0 */
/* The two files of the AWS configuration, as one. */
#ifndef CKPTFS_CRED_CONFIG_FILES_H
#define CKPTFS_CRED_CONFIG_FILES_H

#include <sys/stat.h>
#include <time.h>

#include "cred_priv.h"

enum config_file { CONFIG_CREDENTIALS, CONFIG_CONFIG, CONFIG_NFILES };
enum config_kind { CONFIG_PROFILE, CONFIG_SSO_SESSION, CONFIG_SERVICES };

struct config;

/* How the files looked before they were read. */
struct config_mark {
	struct {
		dev_t dev;
		ino_t ino;
		off_t size;
		struct timespec mtime, ctime;
	} file[CONFIG_NFILES];
};

/*
 * Read both.  A missing file says nothing; one that cannot be read, or that
 * others could have written, is -EACCES with why.
 */
int config_load(char why[CRED_WHY_MAX], struct config **ret) NONNULL(1, 2)
	MUST_USE;
void config_free(struct config *c); /* wiped; NULL is allowed */

/* How the files look now; -ENOMEM. */
int config_look(struct config_mark *ret) NONNULL(1) MUST_USE;

/*
 * What a section says of key, NULL if nothing; of the credentials file where
 * both say something.  Borrowed.
 */
const char *config_get(const struct config *c, enum config_kind kind,
		       const char *section, const char *key) NONNULL(1, 3, 4);
/* The same of one file alone. */
const char *config_get_of(const struct config *c, enum config_file file,
			  enum config_kind kind, const char *section,
			  const char *key) NONNULL(1, 4, 5);
bool config_has(const struct config *c, enum config_kind kind,
		const char *section) NONNULL(1, 3);
/* Its path ("-": there is no home), and whether others may read it. */
const char *config_path(const struct config *c, enum config_file file)
	NONNULL(1);
bool config_is_shared(const struct config *c, enum config_file file) NONNULL(1);

#endif
