/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/source.h"
#include "harness.h"

static const struct {
	const char *in, *name, *prefix, *normal;
} good[] = {
	{ "s3://buck", "s3://buck", "", "s3://buck/" },
	{ "s3://buck/", "s3://buck", "", "s3://buck/" },
	{ "s3://buck/a//b/", "s3://buck/a/b", "a/b/", "s3://buck/a/b/" },
	{ "s3://buck//a", "s3://buck/a", "a/", "s3://buck/a/" },
	{ "gs://buck", "gs://buck", "", "gs://buck/" },
	{ "gs://b_u.k//a/", "gs://b_u.k/a", "a/", "gs://b_u.k/a/" },
	{ "gcs://buck/a", "gs://buck/a", "a/", "gs://buck/a/" },
	{ "az://con", "az://con", "", "az://con@/" },
	{ "abfs://con//a/b/", "az://con/a/b", "a/b/", "az://con@/a/b/" },
	{ "abfss://con-1@acc.dfs.core.windows.net/a",
	  "abfss://con-1@acc.dfs.core.windows.net/a", "a/",
	  "az://con-1@acc/a/" },
	{ "az://con@acc.blob.core.windows.net",
	  "abfss://con@acc.dfs.core.windows.net", "", "az://con@acc/" },
	{ "abfs://acc.dfs.core.windows.net/con/a",
	  "abfss://con@acc.dfs.core.windows.net/a", "a/", "az://con@acc/a/" },
	{ "adl://$web/a", "az://$web/a", "a/", "az://$web@/a/" },
	{ "file:///x/y/", "file:///x/y", "", "file:///x/y/" },
	{ "file:///", "file:///", "", "file:///" },
};

START_TEST(sources_have_one_spelling)
{
	char err[SOURCE_ERR_MAX];
	struct source s;
	char *n;

	ck_assert_int_eq(source_parse(good[_i].in, err, &s), 0);
	ck_assert_str_eq(s.name, good[_i].name);
	ck_assert_str_eq(s.prefix, good[_i].prefix);
	n = source_normal(&s, NULL);
	ck_assert_str_eq(n, good[_i].normal);
	free(n);
	source_clear(&s);
}
END_TEST

static const struct {
	const char *in, *says;
} bad[] = {
	{ "gs://", "3 to 63" },
	{ "gs://buck/..", "prefix" },
	{ "gs:/buck", "gs://bucket/prefix" },
	{ "az://c", "3 to 63" },
	{ "az://Con", "a-z" },
	{ "abfss://con@acc/x", "account.dfs.core" },
	{ "abfss://con@acc.dfs./x", "account.dfs.core" },
	{ "abfss://acc.dfs.core.windows.net/", "3 to 63" },
	{ "az://con/../x", "path" },
	{ "buck", "give s3://" },
	{ "s3://", "3 to 63" },
	{ "s3:///a", "3 to 63" },
	{ "s3://b*ck", "no bucket" },
	{ "s3://buck/../x", "prefix" },
	{ "s3://buck/a/./x", "prefix" },
	{ "file://x", "begin with /" },
	{ "s3://buck/a\nb", "control" },
	{ "/mnt", "give s3://" },
};

START_TEST(other_texts_are_refused_with_the_forms_that_work)
{
	char err[SOURCE_ERR_MAX];
	struct source s;

	ck_assert_int_eq(source_parse(bad[_i].in, err, &s), -EINVAL);
	ck_assert_msg(strstr(err, bad[_i].says), "%s: %s", bad[_i].in, err);
}
END_TEST

static const struct {
	const char *endpoint, *normal;
} ends[] = {
	{ NULL, "s3://buck/a/" },
	{ "", "s3://buck/a/" },
	{ "https://s3.eu-west-1.amazonaws.com", "s3://buck/a/" },
	{ "https://S3.amazonaws.com:443/", "s3://buck/a/" },
	{ "http://127.0.0.1:7070/", "s3://buck/a/ at http://127.0.0.1:7070" },
	{ "HTTPS://Minio.Local:443", "s3://buck/a/ at https://minio.local" },
	{ "http://h:80", "s3://buck/a/ at http://h" },
	{ "https://notamazonaws.com",
	  "s3://buck/a/ at https://notamazonaws.com" },
	{ "https://storage.googleapis.com",
	  "s3://buck/a/ at https://storage.googleapis.com" },
	{ NULL, "gs://buck/a/" },
	{ "https://private.googleapis.com", "gs://buck/a/" },
	{ "https://s3.amazonaws.com",
	  "gs://buck/a/ at https://s3.amazonaws.com" },
	{ "https://acc.blob.core.windows.net", "az://buck@acc/a/" },
	{ "http://127.0.0.1:1/acc", "az://buck@acc/a/ at http://127.0.0.1:1" },
	{ "https://acc.blob.core.chinacloudapi.cn",
	  "az://buck@acc/a/ at https://acc.blob.core.chinacloudapi.cn" },
};

START_TEST(the_endpoint_counts_unless_it_is_the_vendors)
{
	static const char *const texts[] = {
		"s3://buck/a",
		"gs://buck/a",
		"abfss://buck@acc.dfs.core.windows.net/a",
	};
	const char *text = texts[0];
	char err[SOURCE_ERR_MAX];
	struct source s;
	char *n;

	for (size_t i = 1; i < ARRAY_SIZE(texts); i++)
		if (texts[i][0] == ends[_i].normal[0])
			text = texts[i];
	ck_assert_int_eq(source_parse(text, err, &s), 0);
	n = source_normal(&s, ends[_i].endpoint);
	ck_assert_str_eq(n, ends[_i].normal);
	free(n);
	source_clear(&s);
}
END_TEST

START_TEST(a_hash_is_16_hex_digits_and_never_changes)
{
	char h[17];

	source_hash("s3://buck/", h);
	ck_assert_str_eq(h, "8378944b6efaf367");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_loop_test(c, sources_have_one_spelling, 0,
			    (int)ARRAY_SIZE(good));
	tcase_add_loop_test(c, other_texts_are_refused_with_the_forms_that_work,
			    0, (int)ARRAY_SIZE(bad));
	tcase_add_loop_test(c, the_endpoint_counts_unless_it_is_the_vendors, 0,
			    (int)ARRAY_SIZE(ends));
	tcase_add_test(c, a_hash_is_16_hex_digits_and_never_changes);
}

int main(void)
{
	return harness_run("source", add);
}
