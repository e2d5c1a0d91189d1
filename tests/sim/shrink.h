/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "prog.h"

/* Leave operations out as long as it still fails, for about so long. */
void shrink(struct prog *p, unsigned seconds);

#endif
