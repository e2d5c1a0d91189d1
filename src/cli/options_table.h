/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind options.h. */
#ifndef CKPTFS_CLI_OPTIONS_TABLE_H
#define CKPTFS_CLI_OPTIONS_TABLE_H

#include <stddef.h>

enum option_type {
	OPTION_BOOL,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_ENUM,
	OPTION_WORD, /* one of good, kept as it is */
	OPTION_STRING,
	OPTION_INT,
	OPTION_OCTAL,
	OPTION_UID,
	OPTION_GID,
	OPTION_LATER, /* designed, not built yet: refused */
};

struct option_row {
	const char *name;
	enum option_type type;
	size_t offset; /* in struct options */
	const char *def; /* parsed at init; NULL: zero, def_text tells */
	const char *def_text; /* shown instead of def */
	const char *good; /* enum: the values, separated by '|', in the order
			     of its enumerators */
	const char *none; /* word that stands for zero (size) or never */
	unsigned least, most; /* of an int */
	const char *help;
};

extern const struct option_row option_table[];
extern const size_t option_count;

/* By its name ('-' counts as '_') or an alias; NULL: there is none. */
const struct option_row *option_find(const char *name);
/* Set one value; err as options_set(). */
struct options;
int option_parse(struct options *o, const struct option_row *row,
		 const char *value, char *err);
/* Words of mount(8): 0 taken (or of no meaning here), -ENOENT none of them,
 * -EINVAL refused. */
int option_mount_word(struct options *o, const char *name, const char *value,
		      char *err);
/* The good values of a row, in words. */
const char *option_good(const struct option_row *row);

#endif
