# CKPTFS_WARNINGS: add each -W flag the compiler accepts to WARN_CFLAGS.
AC_DEFUN([CKPTFS_WARNINGS], [
WARN_CFLAGS=
for flag in -Wall -Wextra -Wshadow -Wvla -Wundef -Wstrict-prototypes \
    -Wmissing-prototypes -Wold-style-definition -Wwrite-strings -Wpointer-arith \
    -Wcast-qual -Wformat=2 -Wimplicit-fallthrough -Wlogical-op \
    -Wduplicated-cond -Wduplicated-branches -Wno-unused-parameter \
    -Wthread-safety; do
  save_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror $flag"
  AC_MSG_CHECKING([whether $CC accepts $flag])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([],[])],
    [WARN_CFLAGS="$WARN_CFLAGS $flag"; AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no])])
  CFLAGS=$save_CFLAGS
done
])
