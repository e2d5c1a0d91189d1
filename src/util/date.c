/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/clock.h"
#include "ckptfs/text.h"

#define S_PER_DAY INT64_C(86400)

struct civil {
	int64_t year;
	unsigned month, day; /* from 1 */
	unsigned hour, min, sec;
	unsigned weekday; /* 0 is Sunday */
};

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed",
				      "Thu", "Fri", "Sat" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr",
					 "May", "Jun", "Jul", "Aug",
					 "Sep", "Oct", "Nov", "Dec" };

static bool is_leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static unsigned month_days(int64_t y, unsigned m)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30,
					      31, 31, 30, 31, 30, 31 };

	return days[m - 1] + (m == 2 && is_leap(y));
}

/* Leap days from year 1 up to the end of year y. */
static int64_t leap_days(int64_t y)
{
	return y / 4 - y / 100 + y / 400;
}

/* Days from 1970-01-01 to the first of January of year y, y >= 1. */
static int64_t year_start(int64_t y)
{
	return 365 * (y - 1970) + leap_days(y - 1) - leap_days(1969);
}

static struct civil civil_of(int64_t unix_ns)
{
	int64_t s = unix_ns / NS_PER_S - (unix_ns % NS_PER_S < 0);
	int64_t day = s / S_PER_DAY - (s % S_PER_DAY < 0);
	int64_t rest = s - day * S_PER_DAY;
	struct civil c = { .month = 1 };

	c.hour = (unsigned)(rest / 3600);
	c.min = (unsigned)(rest / 60 % 60);
	c.sec = (unsigned)(rest % 60);
	/* 1970-01-01 was a Thursday; day is above -110000. */
	c.weekday = (unsigned)((day + 4 + 7 * 20000) % 7);
	/* At most two years early over the range of int64_t. */
	c.year = 1970 + day / 366 - 2;
	while (year_start(c.year + 1) <= day)
		c.year++;
	day -= year_start(c.year);
	while (day >= month_days(c.year, c.month))
		day -= month_days(c.year, c.month++);
	c.day = (unsigned)day + 1;
	return c;
}

static int civil_to_ns(const struct civil *c, int64_t frac_ns, int64_t offset_s,
		       int64_t *ret_ns)
{
	int64_t s, ns;
	unsigned m;

	if (c->year < 1 || c->month < 1 || c->month > 12 || c->day < 1 ||
	    c->day > month_days(c->year, c->month) || c->hour > 23 ||
	    c->min > 59 || c->sec > 60)
		return -EINVAL;
	s = year_start(c->year);
	for (m = 1; m < c->month; m++)
		s += month_days(c->year, m);
	s = (s + c->day - 1) * S_PER_DAY + c->hour * 3600 + c->min * 60 +
	    c->sec - offset_s;
	if (__builtin_mul_overflow(s, NS_PER_S, &ns) ||
	    __builtin_add_overflow(ns, frac_ns, &ns))
		return -ERANGE;
	*ret_ns = ns;
	return 0;
}

void text_iso_date(int64_t unix_ns, unsigned digits, char ret[TEXT_DATE_LEN])
{
	struct civil c = civil_of(unix_ns);
	int64_t frac = unix_ns % NS_PER_S;
	char f[16];

	if (frac < 0)
		frac += NS_PER_S;
	snprintf(f, sizeof(f), ".%09lld", (long long)frac);
	f[digits == 0 ? 0 : digits > 9 ? 10 : digits + 1] = '\0';
	snprintf(ret, TEXT_DATE_LEN, "%04d-%02u-%02uT%02u:%02u:%02u%sZ",
		 (int)c.year, c.month, c.day, c.hour, c.min, c.sec, f);
}

void text_amz_date(int64_t unix_ns, char ret[TEXT_DATE_LEN])
{
	struct civil c = civil_of(unix_ns);

	snprintf(ret, TEXT_DATE_LEN, "%04d%02u%02uT%02u%02u%02uZ", (int)c.year,
		 c.month, c.day, c.hour, c.min, c.sec);
}

void text_http_date(int64_t unix_ns, char ret[TEXT_DATE_LEN])
{
	struct civil c = civil_of(unix_ns);

	snprintf(ret, TEXT_DATE_LEN, "%s, %02u %s %04d %02u:%02u:%02u GMT",
		 day_names[c.weekday], c.day, month_names[c.month - 1],
		 (int)c.year, c.hour, c.min, c.sec);
}

/* Exactly n digits at *s, which moves past them. */
static bool take_digits(const char **s, unsigned n, unsigned *ret)
{
	unsigned v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (unsigned)(**s - '0');
	}
	*ret = v;
	return true;
}

static bool take_lit(const char **s, const char *lit)
{
	size_t n = strlen(lit);

	if (strncmp(*s, lit, n) != 0)
		return false;
	*s += n;
	return true;
}

/* Hours, minutes and seconds with sep between them. */
static bool take_time(const char **s, const char *sep, struct civil *c)
{
	return take_digits(s, 2, &c->hour) && take_lit(s, sep) &&
	       take_digits(s, 2, &c->min) && take_lit(s, sep) &&
	       take_digits(s, 2, &c->sec);
}

static bool take_fraction(const char **s, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S, ns = 0;
	const char *p = *s;

	*ret_ns = 0;
	if (*p != '.' && *p != ',')
		return true;
	for (p++; *p >= '0' && *p <= '9'; p++) {
		unit /= 10;
		ns += unit * (*p - '0');
	}
	if (p == *s + 1)
		return false;
	*s = p;
	*ret_ns = ns;
	return true;
}

/* Z, +hh:mm, +hhmm or +hh, to the end of the string. */
static bool take_zone(const char *s, int64_t *ret_s)
{
	int sign = *s == '-' ? -1 : 1;
	unsigned h = 0, m = 0;

	if (*s == 'Z' || *s == 'z') {
		*ret_s = 0;
		return s[1] == '\0';
	}
	if (*s != '+' && *s != '-')
		return false;
	s++;
	if (!take_digits(&s, 2, &h))
		return false;
	(void)take_lit(&s, ":");
	if (*s != '\0' && !take_digits(&s, 2, &m))
		return false;
	*ret_s = sign * (int64_t)(h * 3600 + m * 60);
	return *s == '\0' && h < 24 && m < 60 && s[-1] != ':';
}

int text_parse_iso_date(const char *s, int64_t *ret_ns)
{
	struct civil c = { 0 };
	int64_t frac_ns, offset_s;
	unsigned year;
	const char *dash, *colon;

	if (!take_digits(&s, 4, &year))
		return -EINVAL;
	c.year = year;
	dash = *s == '-' ? "-" : "";
	colon = *s == '-' ? ":" : "";
	if (!take_lit(&s, dash) || !take_digits(&s, 2, &c.month) ||
	    !take_lit(&s, dash) || !take_digits(&s, 2, &c.day))
		return -EINVAL;
	if (*s != 'T' && *s != 't' && *s != ' ')
		return -EINVAL;
	s++;
	if (!take_time(&s, colon, &c) || !take_fraction(&s, &frac_ns) ||
	    !take_zone(s, &offset_s))
		return -EINVAL;
	return civil_to_ns(&c, frac_ns, offset_s, ret_ns);
}

/* One of n names of three letters. */
static bool take_name(const char **s, const char (*names)[4], unsigned n,
		      unsigned *ret)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (strncasecmp(*s, names[i], 3) == 0) {
			*s += 3;
			*ret = i;
			return true;
		}
	}
	return false;
}

int text_parse_http_date(const char *s, int64_t *ret_ns)
{
	struct civil c = { 0 };
	unsigned year, month;

	if (!take_name(&s, day_names, 7, &c.weekday) || !take_lit(&s, ", ") ||
	    !take_digits(&s, 2, &c.day) || !take_lit(&s, " ") ||
	    !take_name(&s, month_names, 12, &month) || !take_lit(&s, " ") ||
	    !take_digits(&s, 4, &year) || !take_lit(&s, " ") ||
	    !take_time(&s, ":", &c) || strcmp(s, " GMT") != 0)
		return -EINVAL;
	c.year = year;
	c.month = month + 1;
	return civil_to_ns(&c, 0, 0, ret_ns);
}
