/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/buf.h"
#include "ckptfs/xml.h"

#include "harness.h"

static struct buf seen = BUF_INIT(1 << 20);
static int stop_at; /* the callback that fails, from 1 */
static int calls;

static int on_leaf(void *arg, const char *path, const char *text)
{
	ck_assert_ptr_eq(arg, &seen);
	ck_assert_int_eq(buf_addf(&seen, "%s=%s;", path, text), 0);
	return ++calls == stop_at ? -EDOM : 0;
}

static int on_end(void *arg, const char *path)
{
	ck_assert_ptr_eq(arg, &seen);
	ck_assert_int_eq(buf_addf(&seen, "%s/;", path), 0);
	return ++calls == stop_at ? -EDOM : 0;
}

static const struct xml_handler handler = { on_leaf, on_end, &seen };

static void setup(void)
{
	stop_at = calls = 0;
	ck_assert_int_eq(buf_add(&seen, "", 0), 0);
}

static void teardown(void)
{
	buf_clear(&seen);
}

static int parse(const char *s)
{
	return xml_parse(s, strlen(s), &handler);
}

static const struct {
	const char *in, *out;
} good[] = {
	{ "<a/>", "a=;" },
	{ "<a>x &amp; y&#10;z</a>", "a=x & y\nz;" },
	{ "<a>\n <b>1</b>\n <c><d> 2 </d></c>\n</a>",
	  "a/b=1;a/c/d= 2 ;a/c/;a/;" },
	{ "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	  "<L xmlns=\"http://s3/\"><C><Key>k</Key><Size>5</Size></C>"
	  "<C><Key/></C></L>",
	  "L/C/Key=k;L/C/Size=5;L/C/;L/C/Key=;L/C/;L/;" },
	{ "<D:a xmlns:D=\"DAV:\"><D:b>1</D:b></D:a>", "a/b=1;a/;" },
	{ "<a><n Encoded=\"true\">x%01</n></a>",
	  "a/n@Encoded=true;a/n=x%01;a/;" },
	{ "<a><![CDATA[<b>]]></a>", "a=<b>;" },
	{ "<a>x<b>1</b>y</a>", "a/b=1;a/;" },
	{ "\xef\xbb\xbf<a>\xc3\xa9</a>", "a=\xc3\xa9;" },
	{ "<a>x<!-- c -->y<?pi?></a>", "a=xy;" },
};

START_TEST(leaves_and_ends_are_told_in_order)
{
	ck_assert_int_eq(parse(good[_i].in), 0);
	ck_assert_str_eq(seen.p, good[_i].out);
}
END_TEST

static const char *const bad[] = {
	"",
	"x",
	"<a>",
	"<a></b>",
	"<a/><b/>",
	"<a>&unknown;</a>",
	"<a>\x01</a>",
	"<a>\xff</a>",
	"<!DOCTYPE a><a/>",
	"<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
	"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
};

START_TEST(what_is_no_plain_xml_is_refused)
{
	ck_assert_int_eq(parse(bad[_i]), -EBADMSG);
}
END_TEST

START_TEST(a_callback_stops_the_parse)
{
	const char *s = "<a><b>1</b><c><d>2</d></c><e>3</e></a>";
	static const char *const want[] = {
		"a/b=1;",
		"a/b=1;a/c/d=2;",
		"a/b=1;a/c/d=2;a/c/;",
		"a/b=1;a/c/d=2;a/c/;a/e=3;",
		"a/b=1;a/c/d=2;a/c/;a/e=3;a/;",
	};

	stop_at = _i + 1;
	ck_assert_int_eq(parse(s), -EDOM);
	ck_assert_str_eq(seen.p, want[_i]);
}
END_TEST

START_TEST(depth_and_text_have_limits)
{
	struct buf b = BUF_INIT(1 << 20);
	unsigned i;

	for (i = 0; i < 33; i++)
		ck_assert_int_eq(buf_add(&b, "<a>", 3), 0);
	ck_assert_int_eq(parse(b.p), -EBADMSG);
	buf_clear(&b);
	ck_assert_int_eq(buf_add(&b, "<a>", 3), 0);
	for (i = 0; i < 65536; i++)
		ck_assert_int_eq(buf_add(&b, "x", 1), 0);
	ck_assert_int_eq(buf_add(&b, "</a>", 4), 0);
	ck_assert_int_eq(parse(b.p), 0);
	/* One more. */
	ck_assert_int_eq(buf_add(&b, " ", 1), 0);
	memcpy(b.p + 3 + 65536, "x</a>", 5);
	ck_assert_int_eq(parse(b.p), -EBADMSG);
	buf_clear(&b);
}
END_TEST

START_TEST(a_long_path_is_refused)
{
	static char s[2100];

	memset(s, 'n', sizeof(s));
	s[0] = '<';
	memcpy(s + 2000, "/>", 3);
	ck_assert_int_eq(parse(s), -EBADMSG);
}
END_TEST

START_TEST(an_end_callback_may_be_missing)
{
	struct xml_handler h = { on_leaf, NULL, &seen };

	ck_assert_int_eq(xml_parse("<a><b/></a>", 11, &h), 0);
	ck_assert_str_eq(seen.p, "a/b=;");
}
END_TEST

START_TEST(text_comes_back_as_it_was_written)
{
	static const char text[] = "<a>&\"' \r\n\t\xc3\xa9 end ";
	struct buf b = BUF_INIT(1000);

	ck_assert_int_eq(buf_addf(&b, "<x>"), 0);
	ck_assert_int_eq(xml_add_text(&b, text, strlen(text)), 0);
	ck_assert_int_eq(buf_addf(&b, "</x>"), 0);
	ck_assert_int_eq(parse(b.p), 0);
	ck_assert_str_eq(seen.p, "x=<a>&\"' \r\n\t\xc3\xa9 end ;");
	buf_clear(&b);
}
END_TEST

START_TEST(text_that_xml_cannot_hold_is_refused)
{
	static const char *const t[] = { "a\x01", "a\x1f", "\xff",
					 "\xef\xbf\xbe", "\xc3" };
	struct buf b = BUF_INIT(1000);
	unsigned i;

	ck_assert_int_eq(buf_addf(&b, "x"), 0);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_int_eq(xml_add_text(&b, t[i], strlen(t[i])), -EINVAL);
	ck_assert_int_eq(xml_add_text(&b, "\0", 1), -EINVAL);
	ck_assert_str_eq(b.p, "x");
	buf_clear(&b);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, leaves_and_ends_are_told_in_order, 0,
			    ARRAY_SIZE(good));
	tcase_add_loop_test(c, what_is_no_plain_xml_is_refused, 0,
			    ARRAY_SIZE(bad));
	tcase_add_loop_test(c, a_callback_stops_the_parse, 0, 5);
	tcase_add_test(c, depth_and_text_have_limits);
	tcase_add_test(c, a_long_path_is_refused);
	tcase_add_test(c, an_end_callback_may_be_missing);
	tcase_add_test(c, text_comes_back_as_it_was_written);
	tcase_add_test(c, text_that_xml_cannot_hold_is_refused);
}

int main(void)
{
	return harness_run("xml", add);
}
