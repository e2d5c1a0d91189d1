/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"

static const char help[] =
	"usage: ckptfs COMMAND …\n"
	"  mount SOURCE MOUNTPOINT [-o OPTIONS] [-f]   mount a bucket\n"
	"  status [MOUNT|PATH…] [--json] [--watch]     what is not in it yet\n"
	"  sync PATH… [--timeout TIME]                 wait until it is\n"
	"  umount MOUNT [--timeout TIME]               the same, then unmount\n"
	"  --help, --version; ckptfs COMMAND --help\n"
	"Exit status: 0 done, 1 failed or something is not in the bucket, 2 "
	"usage,\n3 time-out.\n";

int cli_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "mount", cmd_mount },
		{ "status", cmd_status },
		{ "sync", cmd_sync },
		{ "umount", cmd_umount },
	};
	const char *self = argc > 0 ? strrchr(argv[0], '/') : NULL;
	size_t i;

	self = self ? self + 1 : argc > 0 ? argv[0] : "";
	if (strcmp(self, "mount.ckptfs") == 0)
		return cmd_mount(argc, argv);
	if (argc < 2) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		fputs(help, stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("ckptfs " PACKAGE_VERSION);
		return EXIT_DONE;
	}
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "ckptfs: no command '%s'\n%s", argv[1], help);
	return EXIT_USAGE;
}
