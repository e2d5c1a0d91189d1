/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ckptfs/options.h"
#include "ckptfs/text.h"
#include "ckptfs/transfer.h"

#include "options_table.h"

#define AT(field) offsetof(struct options, field)
#define NAME_MOST 64

const struct option_row option_table[] = {
	{ "cache_dir", OPTION_STRING, AT(cache_dir), .good = "a folder",
	  .def_text = "/var/lib/ckptfs or ~/.local/state/ckptfs",
	  .help = "where data waits for its upload; one folder per source "
		  "below it" },
	{ "cache_size", OPTION_SIZE, AT(cache_size),
	  .def_text = "80% of what is free",
	  .help = "how much is kept on the cache disk" },
	{ "cache_min_free", OPTION_SIZE, AT(cache_min_free),
	  .def_text = "5% of the disk or 2G",
	  .help = "space left free on the cache disk" },
	{ "volatile_cache", OPTION_ENUM, AT(volatile_cache), .def = "refuse",
	  .good = "refuse|ok",
	  .help = "whether a cache on tmpfs, NFS and the like is taken" },

	{ "endpoint_url", OPTION_STRING, AT(endpoint_url), .good = "a URL",
	  .def_text = "the profile's, else the vendor's",
	  .help = "the server, as in http://127.0.0.1:7070" },
	{ "account", OPTION_STRING, AT(account), .good = "an account's name",
	  .def_text = "the source's, else AZURE_STORAGE_ACCOUNT",
	  .help = "whose container it is, in Azure" },
	{ "region", OPTION_STRING, AT(region), .good = "a region's name",
	  .def_text = "the profile's, else us-east-1", .help = "S3 region" },
	{ "profile", OPTION_STRING, AT(profile), .good = "a profile's name",
	  .def_text = "AWS_PROFILE, else default",
	  .help = "which credentials of ~/.aws to use" },
	{ "addressing_style", OPTION_ENUM, AT(addressing_style), .def = "auto",
	  .good = "auto|path|virtual",
	  .help = "bucket in the path or in the host name of a request" },
	{ "fips", OPTION_BOOL, AT(fips), .def = "no",
	  .help = "Amazon's hosts with validated cryptography" },
	{ "dual_stack", OPTION_BOOL, AT(dual_stack), .def = "no",
	  .help = "Amazon's hosts with IPv6 addresses, too" },
	{ "payload", OPTION_ENUM, AT(payload), .def = "auto",
	  .good = "auto|signed",
	  .help = "whether bodies are signed over https and to this host, "
		  "too" },
	{ "anonymous", OPTION_BOOL, AT(anonymous), .def = "no",
	  .help = "send requests without credentials" },
	{ "ca_bundle", OPTION_STRING, AT(ca_bundle), .good = "a PEM file",
	  .def_text = "the system's",
	  .help = "certificates to trust for https" },
	{ "no_verify_ssl", OPTION_BOOL, AT(no_verify_ssl), .def = "no",
	  .help = "trust any certificate; each mount warns of it" },
	{ "connect_timeout", OPTION_DURATION, AT(connect_timeout), .def = "10s",
	  .help = "how long a connection to the server may take" },
	{ "http_timeout", OPTION_DURATION, AT(http_timeout),
	  .def_text = "30s; 1m for bodies, 15m for commits and copies",
	  .help = "how long the server may be silent within a request" },

	{ "sse", OPTION_WORD, AT(sse), .def_text = "the bucket's",
	  .good = "AES256|aws:kms|aws:kms:dsse",
	  .help = "encryption of objects by a key of the server" },
	{ "sse_kms_key_id", OPTION_STRING, AT(sse_kms_key_id),
	  .good = "the id or ARN of a key", .def_text = "the account's",
	  .help = "the key of sse=aws:kms; gs: projects/P/locations/L/"
		  "keyRings/R/cryptoKeys/K" },
	{ "sse_c_key_file", OPTION_STRING, AT(sse_c_key_file), .good = "a file",
	  .def_text = "none",
	  .help = "a key of your own, sent with each request: 32 bytes, as "
		  "they are or in base64" },
	{ "storage_class", OPTION_STRING, AT(storage_class),
	  .good = "a class, as in STANDARD_IA", .def_text = "the bucket's",
	  .help = "storage class of objects" },
	{ "acl", OPTION_WORD, AT(acl), .def_text = "the bucket's",
	  .good = "private|public-read|public-read-write|authenticated-read|"
		  "aws-exec-read|bucket-owner-read|bucket-owner-full-control",
	  .help = "canned ACL of objects" },
	{ "tags", OPTION_STRING, AT(tags),
	  .good = "name=value&name=value, as in a URL", .def_text = "none",
	  .help = "tags of objects, name=value&name=value" },
	{ "content_type", OPTION_STRING, AT(content_type),
	  .good = "auto, or a type as in text/plain",
	  .def_text = "the server's",
	  .help = "Content-Type of objects; auto goes by the name's end" },
	{ "requester_pays", OPTION_BOOL, AT(requester_pays), .def = "no",
	  .help = "the bucket's requests are paid by who makes them" },

	{ "user_project", OPTION_STRING, AT(user_project),
	  .good = "a project's id", .def_text = "the bucket's",
	  .help = "gs: whose account pays for requests" },
	{ "uid", OPTION_UID, AT(uid), .def_text = "the mounting user",
	  .help = "owner of objects that others wrote" },
	{ "gid", OPTION_GID, AT(gid), .def_text = "the mounting user's",
	  .help = "group of objects that others wrote" },
	{ "umask", OPTION_OCTAL, AT(umask), .def = "022",
	  .help = "permissions that objects others wrote do not get" },
	{ "file_mode", OPTION_OCTAL, AT(file_mode),
	  .def_text = "0666 less umask",
	  .help = "permissions of files that others wrote" },
	{ "dir_mode", OPTION_OCTAL, AT(dir_mode), .def_text = "0777 less umask",
	  .help = "permissions of folders that others wrote" },
	{ "allow_other", OPTION_BOOL, AT(allow_other), .def = "no",
	  .help = "other users may enter, as permissions allow" },
	{ "ro", OPTION_BOOL, AT(ro), .def = "no",
	  .help = "read only; permission to list and get is enough" },

	{ "fsync", OPTION_ENUM, AT(fsync), .def = "local",
	  .good = "local|remote",
	  .help = "fsync waits for the cache disk, or for the bucket" },
	{ "close", OPTION_ENUM, AT(close), .def = "async",
	  .good = "async|local|remote",
	  .help = "what close waits for: nothing, the cache disk, the bucket" },
	{ "remote_timeout", OPTION_DURATION, AT(remote_timeout), .def = "10m",
	  .none = "none",
	  .help = "how long fsync=remote and close=remote wait" },
	{ "full", OPTION_ENUM, AT(full), .def = "wait", .good = "wait|enospc",
	  .help = "a cache full of unpublished data: writers wait, or fail" },
	{ "passthrough", OPTION_ENUM, AT(passthrough), .def = "auto",
	  .good = "auto|on|off",
	  .help = "let the kernel write straight to the cache disk" },
	{ "order", OPTION_ENUM, AT(order), .def = "strict",
	  .good = "strict|open|none",
	  .help = "what must be in the bucket before a file is" },

	{ "conflict", OPTION_ENUM, AT(conflict), .def = "keep",
	  .good = "keep|overwrite",
	  .help = "an object that another writer changed meanwhile" },
	{ "upload_delay", OPTION_DURATION, AT(upload_delay), .def = "1s",
	  .help = "from the close of a file to its upload" },
	{ "upload_interval", OPTION_DURATION, AT(upload_interval), .def = "30s",
	  .help = "least time between uploads of a growing log" },
	{ "live", OPTION_STRING, AT(live), .def = TRANSFER_LIVE,
	  .good = "none, or patterns with colons in between",
	  .help = "logs, published while they are open and outside the line" },
	{ "upload_max_delay", OPTION_DURATION, AT(upload_max_delay),
	  .def = "10m", .help = "how long temporary names are kept local" },
	{ "held_open_delay", OPTION_DURATION, AT(held_open_delay), .def = "10s",
	  .help = "quiet time after which a closed but inherited descriptor "
		  "no longer holds a file back" },
	{ "part_size", OPTION_SIZE, AT(part_size), .def = "auto",
	  .none = "auto", .help = "of multipart uploads; auto grows from 8M" },
	{ "parts", OPTION_ENUM, AT(parts), .def = "auto",
	  .good = "auto|resumable",
	  .help = "gs: large objects in one upload that is resumed, or in "
		  "objects beside them" },
	{ "max_uploads", OPTION_INT, AT(max_uploads), .def = "8", .least = 1,
	  .most = 64, .help = "uploads side by side" },
	{ "max_downloads", OPTION_INT, AT(max_downloads), .def = "16",
	  .least = 1, .most = 64, .help = "downloads side by side" },
	{ "upload_limit", OPTION_SIZE, AT(upload_limit), .def = "none",
	  .none = "none", .help = "bytes per second" },
	{ "download_limit", OPTION_SIZE, AT(download_limit), .def = "none",
	  .none = "none", .help = "bytes per second" },
	{ "metadata_ttl", OPTION_DURATION, AT(metadata_ttl), .def = "10s",
	  .help = "how old news of the bucket may be" },
	{ "negative_ttl", OPTION_DURATION, AT(negative_ttl), .def = "1s",
	  .help = "the same for names that do not exist" },
	{ "drain_timeout", OPTION_DURATION, AT(drain_timeout), .def = "25s",
	  .none = "none", .help = "how long SIGTERM lets uploads finish" },

	{ "log_file", OPTION_STRING, AT(log_file), .good = "a file",
	  .def_text = "syslog; with -f stderr", .help = "where to log" },
	{ "log_level", OPTION_ENUM, AT(log_level), .def = "info",
	  .good = "err|warn|info|debug", .help = "how much to log" },
	{ "log_format", OPTION_ENUM, AT(log_format), .def = "text",
	  .good = "text|json", .help = "form of a line in the log" },
	{ "config_file", OPTION_STRING, AT(config_file), .good = "a file",
	  .def_text = "none", .help = "lines of option = value" },

	{ .name = "exact_meta", .type = OPTION_LATER },
	{ .name = "trust_owner", .type = OPTION_LATER },
	{ .name = "abort_after", .type = OPTION_LATER },
	{ .name = "nocto", .type = OPTION_LATER },
	{ .name = "prefetch", .type = OPTION_LATER },
	{ .name = "defer", .type = OPTION_LATER },
	{ .name = "unordered", .type = OPTION_LATER },
	{ .name = "dir_markers", .type = OPTION_LATER },
	{ .name = "metrics", .type = OPTION_LATER },
	{ .name = "sync", .type = OPTION_LATER },
	{ .name = "dirsync", .type = OPTION_LATER },
	{ .name = "allow_root", .type = OPTION_LATER },
	{ .name = "memory_limit", .type = OPTION_LATER },
};

const size_t option_count = ARRAY_SIZE(option_table);
_Static_assert(ARRAY_SIZE(option_table) <= OPTIONS_MOST, "a place in given");

/* What other mounts call them. */
static const char *const aliases[][2] = {
	{ "endpoint", "endpoint_url" },	    { "url", "endpoint_url" },
	{ "max_cache_size", "cache_size" }, { "read_only", "ro" },
	{ "account_name", "account" },
	{ "no_sign_request", "anonymous" }, { "use_fips_endpoint", "fips" },
	{ "use_dualstack_endpoint", "dual_stack" },
};

const struct option_row *option_find(const char *name)
{
	char norm[NAME_MOST];
	size_t i, n = strlen(name);

	if (n >= sizeof(norm))
		return NULL;
	for (i = 0; i <= n; i++)
		norm[i] = name[i] == '-' ? '_' : name[i];
	for (i = 0; i < ARRAY_SIZE(aliases); i++)
		if (strcmp(norm, aliases[i][0]) == 0)
			return option_find(aliases[i][1]);
	for (i = 0; i < option_count; i++)
		if (strcmp(norm, option_table[i].name) == 0)
			return &option_table[i];
	return NULL;
}

const char *option_good(const struct option_row *row)
{
	switch (row->type) {
	case OPTION_BOOL:
		return "yes|no";
	case OPTION_SIZE:
		return "digits and nothing, K, M, G or T, as in 200G";
	case OPTION_DURATION:
		return "digits and ms, s, m or h, as in 30s";
	case OPTION_OCTAL:
		return "octal digits, as in 0644";
	case OPTION_UID:
		return "a user's name or number";
	case OPTION_GID:
		return "a group's name or number";
	case OPTION_ENUM:
	case OPTION_WORD:
	case OPTION_STRING:
	case OPTION_INT:
	case OPTION_LATER:
		break;
	}
	return row->good;
}

static void print_row(FILE *f, const struct option_row *row, bool markdown)
{
	const char *def = row->def_text ? row->def_text : row->def;
	bool has_words = row->type == OPTION_ENUM || row->type == OPTION_WORD;
	const char *good = has_words ? row->good : "";
	char range[40];

	if (row->type == OPTION_INT) {
		(void)snprintf(range, sizeof(range), "%u to %u", row->least,
			       row->most);
		good = range;
	}
	if (markdown) {
		(void)fprintf(f, "| `%s` | %s | ", row->name, def);
		for (; *good; good++)
			(void)fputs(*good == '|' ? ", "
						 : (char[]){ *good, '\0' },
				    f);
		(void)fprintf(f, " | %s |\n", row->help);
		return;
	}
	(void)fprintf(f, "  %-17s %s", row->name, row->help);
	if (*good)
		(void)fprintf(f, "\n%20s%s", "", good);
	(void)fprintf(f, "\n%20sdefault: %s\n", "", def);
}

void options_print(FILE *f, bool markdown)
{
	size_t i;

	if (markdown)
		(void)fputs("| option | default | values | meaning |\n"
			    "|---|---|---|---|\n",
			    f);
	for (i = 0; i < option_count; i++)
		if (option_table[i].type != OPTION_LATER)
			print_row(f, &option_table[i], markdown);
}

int options_each(options_each_fn *fn, void *arg)
{
	const struct option_row *row;
	size_t i;
	int r;

	for (i = 0; i < option_count; i++) {
		row = &option_table[i];
		if (row->type == OPTION_LATER)
			continue;
		r = fn(arg, row->name, row->def ? row->def : row->def_text,
		       option_good(row), row->help);
		if (r != 0)
			return r;
	}
	return 0;
}
