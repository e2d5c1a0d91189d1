/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ckptfs/clock.h"
#include "ckptfs/text.h"

/* Digits at s; *ret_rest is what follows them. */
static int take_number(const char *s, uint64_t *ret, const char **ret_rest)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	}
	if (p == s)
		return -EINVAL;
	*ret = v;
	*ret_rest = p;
	return 0;
}

int text_parse_u64(const char *s, uint64_t *ret)
{
	const char *rest;
	uint64_t v;
	int r = take_number(s, &v, &rest);

	if (r < 0)
		return r;
	if (*rest != '\0')
		return -EINVAL;
	*ret = v;
	return 0;
}

int text_parse_size(const char *s, uint64_t *ret_bytes)
{
	static const char units[] = "KkMmGgTt";
	const char *rest, *at;
	unsigned shift = 0;
	uint64_t v;
	int r = take_number(s, &v, &rest);

	if (r < 0)
		return r;
	if (*rest != '\0') {
		at = strchr(units, *rest);
		if (!at || rest[1] != '\0')
			return -EINVAL;
		shift = 10 * (unsigned)((at - units) / 2 + 1);
	}
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = v << shift;
	return 0;
}

void text_size(uint64_t bytes, char ret[TEXT_QTY_LEN])
{
	static const char units[] = "KMGT";
	uint64_t unit = 1024, tenths;
	unsigned i = 0;

	if (bytes < 1024) {
		snprintf(ret, TEXT_QTY_LEN, "%u", (unsigned)bytes);
		return;
	}
	while (i + 1 < sizeof(units) - 1 && bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	tenths = (bytes % unit) * 10 / unit;
	if (bytes % unit == 0)
		snprintf(ret, TEXT_QTY_LEN, "%llu%c",
			 (unsigned long long)(bytes / unit), units[i]);
	else
		snprintf(ret, TEXT_QTY_LEN, "%llu.%u%c",
			 (unsigned long long)(bytes / unit), (unsigned)tenths,
			 units[i]);
}

int text_parse_duration(const char *s, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
		{ "", NS_PER_S },	  { "ms", NS_PER_MS },
		{ "s", NS_PER_S },	  { "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
	};
	const char *rest;
	uint64_t v;
	int64_t ns;
	unsigned i;
	int r = take_number(s, &v, &rest);

	if (r < 0)
		return r;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(v, units[i].ns, &ns))
			return -ERANGE;
		*ret_ns = ns;
		return 0;
	}
	return -EINVAL;
}

void text_duration(int64_t ns, char ret[TEXT_QTY_LEN])
{
	const char *sign = ns < 0 ? "-" : "";
	uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	unsigned long long s = n / (uint64_t)NS_PER_S;

	if (s == 0 && n >= (uint64_t)NS_PER_MS)
		snprintf(ret, TEXT_QTY_LEN, "%s%llums", sign,
			 (unsigned long long)(n / (uint64_t)NS_PER_MS));
	else if (s < 60)
		snprintf(ret, TEXT_QTY_LEN, "%s%llus", s ? sign : "", s);
	else if (s < 3600)
		snprintf(ret, TEXT_QTY_LEN, "%s%llum%02llus", sign, s / 60,
			 s % 60);
	else if (s < 86400)
		snprintf(ret, TEXT_QTY_LEN, "%s%lluh%02llum", sign, s / 3600,
			 s / 60 % 60);
	else
		snprintf(ret, TEXT_QTY_LEN, "%s%llud%02lluh", sign, s / 86400,
			 s / 3600 % 24);
}
