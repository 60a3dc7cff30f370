// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_BASE_SIZE_H
#define TITAN_BASE_SIZE_H

enum { TITAN_SIZE_BYTES = 40 }; // enough for each text

#define TITAN_GIB 1073741824.0 // bytes

// Two sizes in bytes that stand beside each other, as "0.09 GiB" and "0.10 GiB": with two digits, and more where they
// would else read the same though they differ; in bytes where nine digits do not tell them apart.
void titan_size_pair(double first, double second, char first_text[TITAN_SIZE_BYTES],
                     char second_text[TITAN_SIZE_BYTES]);

#endif
