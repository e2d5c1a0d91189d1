/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/log.h"
#include "ckptfs/options.h"

#include "harness.h"

static struct options o;
static char err[OPTIONS_ERR_MAX];

static void setup(void)
{
	ck_assert_int_eq(options_init(&o), 0);
}

static void teardown(void)
{
	options_clear(&o);
}

static void load(const char *dash_o)
{
	int r = options_load(&o, dash_o, NULL, err);

	ck_assert_msg(r == 0, "%s: %s", dash_o, err);
}

START_TEST(every_type_is_understood)
{
	load("cache_size=200G,upload-delay=250ms,order=open,region=eu-west-1,"
	     "max_uploads=64,file_mode=0640,uid=12,gid=0,ro,anonymous=off,"
	     "part_size=auto,remote_timeout=none,cache_dir=/a\\,b,"
	     "upload_limit=5M,log_level=debug,allow_other=yes");
	ck_assert_uint_eq(o.cache_size, UINT64_C(200) << 30);
	ck_assert_int_eq(o.upload_delay, 250 * NS_PER_MS);
	ck_assert_int_eq(o.order, OPT_ORDER_OPEN);
	ck_assert_str_eq(o.region, "eu-west-1");
	ck_assert_uint_eq(o.max_uploads, 64);
	ck_assert_uint_eq(o.file_mode, 0640);
	ck_assert_uint_eq(o.uid, 12);
	ck_assert_uint_eq(o.gid, 0);
	ck_assert(o.ro && !o.anonymous && o.allow_other);
	ck_assert_uint_eq(o.part_size, 0);
	ck_assert(o.remote_timeout == CLK_NEVER);
	ck_assert_str_eq(o.cache_dir, "/a,b");
	ck_assert_uint_eq(o.upload_limit, 5U << 20);
	ck_assert_int_eq(o.log_level, LOG_LV_DEBUG);
}
END_TEST

START_TEST(defaults_are_those_of_the_table)
{
	load(NULL);
	ck_assert_uint_eq(o.cache_size, 0);
	ck_assert_int_eq(o.upload_delay, NS_PER_S);
	ck_assert_int_eq(o.upload_max_delay, 600 * NS_PER_S);
	ck_assert_int_eq(o.metadata_ttl, 10 * NS_PER_S);
	ck_assert_int_eq(o.drain_timeout, 25 * NS_PER_S);
	ck_assert_int_eq(o.order, OPT_ORDER_STRICT);
	ck_assert_int_eq(o.passthrough, OPT_AUTO);
	ck_assert_int_eq(o.volatile_cache, OPT_VOLATILE_REFUSE);
	ck_assert_int_eq(o.log_level, LOG_LV_INFO);
	ck_assert_uint_eq(o.uid, getuid());
	ck_assert_uint_eq(o.file_mode, 0644);
	ck_assert_uint_eq(o.dir_mode, 0755);
	ck_assert_ptr_null(o.cache_dir);
	ck_assert(!options_given(&o, "upload_delay"));
}
END_TEST

START_TEST(umask_shapes_only_modes_that_are_not_given)
{
	load("umask=077,dir_mode=0711");
	ck_assert_uint_eq(o.file_mode, 0600);
	ck_assert_uint_eq(o.dir_mode, 0711);
}
END_TEST

static const struct {
	const char *dash_o, *says;
} bad[] = {
	{ "cache_sise=1G", "did you mean cache_size?" },
	{ "zzzzzzzzzz", "--help" },
	{ "cache_size=12X", "as in 200G" },
	{ "cache_size=-1", "as in 200G" },
	{ "cache_size=99999999T", "as in 200G" },
	{ "cache_size", "needs a value" },
	{ "upload_delay=soon", "as in 30s" },
	{ "remote_timeout=x", "or none" },
	{ "order=strictly", "strict|open|none" },
	{ "order=stric", "strict|open|none" },
	{ "order=exact", "strict|open|none" },
	{ "order=", "strict|open|none" },
	{ "ro=maybe", "yes|no" },
	{ "max_uploads=0", "from 1 to 64" },
	{ "max_uploads=65", "from 1 to 64" },
	{ "file_mode=0888", "as in 0644" },
	{ "file_mode=4755", "as in 0644" },
	{ "uid=no such user", "a user's name or number" },
	{ "region=", "a region's name" },
	{ "part_size=1K", "5M" },
	{ "defer=*.x", "not built yet" },
	{ "live=*.log:", "none, or patterns" },
	{ "remount", "not built yet" },
	{ "sync=*.ckpt", "not built yet" },
	{ "sync", "not built yet" },
	{ "dirsync", "not built yet" },
	{ "tools=/x", "there is no option" },
	{ "config_file=/no/such/file", "/no/such/file" },
};

START_TEST(what_is_not_understood_is_refused_with_what_would_be)
{
	int r = options_load(&o, bad[_i].dash_o, NULL, err);

	ck_assert_msg(r < 0, "%s is taken", bad[_i].dash_o);
	ck_assert_msg(strstr(err, bad[_i].says), "%s: %s", bad[_i].dash_o, err);
}
END_TEST

START_TEST(words_of_fstab_are_taken)
{
	load("defaults,_netdev,nofail,noauto,user,x-systemd.automount,noatime,"
	     "nosuid,nodev,noexec,comment=mine,user=me,silent,loud");
	ck_assert_str_eq(o.mount_words, "noatime,nosuid,nodev,noexec");
	ck_assert(options_has_word(&o, "noatime"));
	ck_assert(options_has_word(&o, "noexec"));
	ck_assert(!options_has_word(&o, "atime"));
	ck_assert(!options_has_word(&o, "nosui"));
	ck_assert(!o.ro);
	load("ro,rw");
	ck_assert(!o.ro);
	load("rw,ro");
	ck_assert(o.ro);
}
END_TEST

START_TEST(later_sources_win)
{
	const char *env[] = { "CKPTFS_MAX_UPLOADS=3", "CKPTFS_REGION=env",
			      "HOME=/root", NULL };
	char path[128], dash_o[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/conf", harness_tmpdir());
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(fprintf(f, "# c\nmax_uploads = 2\nregion = file\n"
				    "profile = file\nro = yes\n"),
			 0);
	ck_assert_int_eq(fclose(f), 0);
	(void)snprintf(dash_o, sizeof(dash_o), "config_file=%s,max_uploads=4",
		       path);
	ck_assert_int_eq(options_load(&o, dash_o, env, err), 0);
	ck_assert_uint_eq(o.max_uploads, 4);
	ck_assert_str_eq(o.region, "env");
	ck_assert_str_eq(o.profile, "file");
	ck_assert(o.ro);
	ck_assert_uint_eq(o.max_downloads, 16);
	ck_assert(options_given(&o, "region"));
	ck_assert_ptr_null(o.warnings);
}
END_TEST

START_TEST(the_environment_may_name_the_file)
{
	char path[128], var[160];
	const char *env[] = { var, NULL };
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/conf", harness_tmpdir());
	(void)snprintf(var, sizeof(var), "CKPTFS_CONFIG_FILE=%s", path);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(fprintf(f, "[mount]\nmax_uploads = 9x\n"), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(options_load(&o, NULL, env, err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err, path));
	ck_assert_ptr_nonnull(strstr(err, "from 1 to 64"));
}
END_TEST

START_TEST(unknown_names_in_the_environment_are_told_not_taken)
{
	const char *env[] = { "CKPTFS_TOOLS=/x", "CKPTFS_CACHE_SISE=1G",
			      "CKPTFS=/usr/bin/ckptfs", NULL };

	ck_assert_int_eq(options_load(&o, NULL, env, err), 0);
	ck_assert_ptr_nonnull(o.warnings);
	ck_assert_ptr_nonnull(strstr(o.warnings, "did you mean cache_size?"));
	ck_assert_ptr_null(strstr(o.warnings, "tools"));
}
END_TEST

START_TEST(names_of_other_mounts_are_known)
{
	load("endpoint=http://h:1,max-cache-size=1G,read_only,"
	     "force_path_style,no-sign-request");
	ck_assert_str_eq(o.endpoint_url, "http://h:1");
	ck_assert_uint_eq(o.cache_size, 1U << 30);
	ck_assert(o.ro && o.anonymous);
	ck_assert_int_eq(o.addressing_style, OPT_ADDR_PATH);
}
END_TEST

static int has_help(void *arg, const char *name, const char *def,
		    const char *good, const char *help)
{
	ck_assert_msg(def && *def, "%s has no default", name);
	ck_assert_msg(help && *help, "%s has no help", name);
	ck_assert_msg(good || strncmp(name, "max_", 4) == 0,
		      "%s has no good values", name);
	++*(unsigned *)arg;
	return 0;
}

START_TEST(every_row_is_documented)
{
	unsigned n = 0;
	char *text = NULL;
	size_t len;
	FILE *f;

	ck_assert_int_eq(options_each(has_help, &n), 0);
	ck_assert_uint_gt(n, 30);
	f = open_memstream(&text, &len);
	ck_assert_ptr_nonnull(f);
	options_print(f, false);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_ptr_nonnull(strstr(text, "cache_size"));
	ck_assert_ptr_null(strstr(text, "memory_limit"));
	free(text);
}
END_TEST

static char *read_all(const char *name)
{
	const char *top = getenv("top_srcdir");
	char path[512], *text = calloc(1, 1 << 20);
	FILE *f;

	ck_assert_ptr_nonnull(text);
	(void)snprintf(path, sizeof(path), "%s/%s", top ? top : ".", name);
	f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s cannot be read", path);
	ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

static int is_in_page(void *arg, const char *name, const char *def,
		      const char *good, const char *help)
{
	char item[64];

	(void)def;
	(void)good;
	(void)help;
	(void)snprintf(item, sizeof(item), ".It Cm %s", name);
	ck_assert_msg(strstr(arg, item) != NULL, "%s is not in the manual page",
		      name);
	return 0;
}

START_TEST(the_documents_show_the_table)
{
	char *text = NULL, *readme = read_all("README.md");
	char *page = read_all("docs/ckptfs.1");
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	options_print(f, false);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_msg(strstr(readme, text) != NULL,
		      "README.md does not show what --help prints:\n%s", text);
	ck_assert_int_eq(options_each(is_in_page, page), 0);
	free(text);
	free(readme);
	free(page);
}
END_TEST

static void add(TCase *c)
{
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, every_type_is_understood);
	tcase_add_test(c, defaults_are_those_of_the_table);
	tcase_add_test(c, umask_shapes_only_modes_that_are_not_given);
	tcase_add_loop_test(
		c, what_is_not_understood_is_refused_with_what_would_be, 0,
		(int)ARRAY_SIZE(bad));
	tcase_add_test(c, words_of_fstab_are_taken);
	tcase_add_test(c, later_sources_win);
	tcase_add_test(c, the_environment_may_name_the_file);
	tcase_add_test(c, unknown_names_in_the_environment_are_told_not_taken);
	tcase_add_test(c, names_of_other_mounts_are_known);
	tcase_add_test(c, every_row_is_documented);
	tcase_add_test(c, the_documents_show_the_table);
}

int main(void)
{
	return harness_run("options", add);
}
