// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_APP_VERSION_H
#define TITAN_APP_VERSION_H

#include "base/status.h"
#include <stdio.h>

// --version: the program's version, how it was built, the libraries it runs on, and what the processor has.
titan_status titan_version_print(FILE *file);

#endif
