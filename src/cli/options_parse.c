/* SPDX-License-Identifier: Apache-2.0 */
/* One value of one option. */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/options.h"
#include "ckptfs/text.h"
#include "ckptfs/transfer.h"

#include "options_table.h"

static int refuse(const struct option_row *row, const char *value, char *err)
{
	char range[60];
	const char *good = option_good(row);

	if (row->type == OPTION_INT) {
		(void)snprintf(range, sizeof(range), "a number from %u to %u",
			       row->least, row->most);
		good = range;
	}
	(void)snprintf(err, OPTIONS_ERR_MAX,
		       "%s=%.100s is no good: give %s%s%s", row->name, value,
		       good, row->none ? ", or " : "",
		       row->none ? row->none : "");
	return -EINVAL;
}

static int parse_bool(const char *v, bool *ret)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(v, yes[i]) == 0 || strcmp(v, no[i]) == 0) {
			*ret = strcmp(v, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

/* The place of v among the values of "a|b|c". */
static int parse_enum(const char *good, const char *v, int *ret)
{
	size_t n = strlen(v);
	const char *p;
	int i = 0;

	for (p = good; p; i++) {
		if (strncmp(p, v, n) == 0 && n > 0 &&
		    (p[n] == '|' || p[n] == '\0')) {
			*ret = i;
			return 0;
		}
		p = strchr(p, '|');
		if (p)
			p++;
	}
	return -EINVAL;
}

static int parse_octal(const char *v, unsigned *ret)
{
	unsigned n = 0;
	const char *p;

	for (p = v; *p >= '0' && *p <= '7' && n <= 07777; p++)
		n = n * 8 + (unsigned)(*p - '0');
	if (p == v || *p != '\0' || n > 0777)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int parse_owner(const struct option_row *row, const char *v,
		       unsigned *ret)
{
	struct passwd pwd, *pw;
	struct group grp, *gr;
	char buf[16384];
	uint64_t n;

	if (text_parse_u64(v, &n) == 0) {
		if (n >= UINT32_MAX)
			return -EINVAL;
		*ret = (unsigned)n;
		return 0;
	}
	if (row->type == OPTION_UID) {
		if (getpwnam_r(v, &pwd, buf, sizeof(buf), &pw) != 0 || !pw)
			return -EINVAL;
		*ret = pw->pw_uid;
	} else {
		if (getgrnam_r(v, &grp, buf, sizeof(buf), &gr) != 0 || !gr)
			return -EINVAL;
		*ret = gr->gr_gid;
	}
	return 0;
}

static int parse_string(const char *v, char **ret)
{
	char *copy;

	if (*v == '\0')
		return -EINVAL;
	copy = strdup(v);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

static int parse_int(const struct option_row *row, const char *v, unsigned *ret)
{
	uint64_t n;

	if (text_parse_u64(v, &n) < 0 || n < row->least || n > row->most)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

static int parse_amount(const struct option_row *row, const char *v, void *ret)
{
	bool none = row->none && strcmp(v, row->none) == 0;

	if (row->type == OPTION_SIZE) {
		if (none) {
			*(uint64_t *)ret = 0;
			return 0;
		}
		return text_parse_size(v, ret);
	}
	if (none) {
		*(int64_t *)ret = CLK_NEVER;
		return 0;
	}
	return text_parse_duration(v, ret);
}

/* part_size: what every store can take. */
static int check_part_size(const struct options *o, char *err)
{
	if (o->part_size == 0 ||
	    (o->part_size >= 64U << 10 && o->part_size <= UINT64_C(5) << 30))
		return 0;
	(void)snprintf(err, OPTIONS_ERR_MAX,
		       "part_size must be auto or from 64K to 5G (S3 wants at "
		       "least 5M)");
	return -EINVAL;
}

/* live: of each name a pattern may be as long, and none is empty. */
static int check_live(char *live)
{
	const char *p = live;
	size_t n;

	if (strcmp(live, "none") == 0) {
		live[0] = '\0';
		return 0;
	}
	for (;; p += n + 1) {
		n = strcspn(p, ":");
		if (n == 0 || n > TRANSFER_GLOB_MAX)
			return -EINVAL;
		if (p[n] == '\0')
			return 0;
	}
}

int option_parse(struct options *o, const struct option_row *row,
		 const char *value, char *err)
{
	void *field = (char *)o + row->offset;
	int r, i;

	if (row->type == OPTION_LATER) {
		(void)snprintf(err, OPTIONS_ERR_MAX,
			       "the option %s is not built yet", row->name);
		return -EINVAL;
	}
	if (!value) {
		if (row->type == OPTION_BOOL)
			value = "yes";
		else {
			(void)snprintf(err, OPTIONS_ERR_MAX,
				       "the option %s needs a value: %s=…",
				       row->name, row->name);
			return -EINVAL;
		}
	}
	switch (row->type) {
	case OPTION_BOOL:
		r = parse_bool(value, field);
		break;
	case OPTION_SIZE:
	case OPTION_DURATION:
		r = parse_amount(row, value, field);
		break;
	case OPTION_ENUM:
		r = parse_enum(row->good, value, field);
		break;
	case OPTION_WORD:
		r = parse_enum(row->good, value, &i);
		if (r == 0)
			r = parse_string(value, field);
		break;
	case OPTION_STRING:
		r = parse_string(value, field);
		if (r == 0 && strcmp(row->name, "live") == 0)
			r = check_live(o->live);
		break;
	case OPTION_INT:
		r = parse_int(row, value, field);
		break;
	case OPTION_OCTAL:
		r = parse_octal(value, field);
		break;
	default:
		r = parse_owner(row, value, field);
		break;
	}
	if (r == -EINVAL || r == -ERANGE)
		return refuse(row, value, err);
	if (r == 0 && strcmp(row->name, "part_size") == 0)
		r = check_part_size(o, err);
	return r;
}
