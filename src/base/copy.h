// SPDX-License-Identifier: Apache-2.0
// Copying what will not be looked at soon.
#ifndef TITAN_BASE_COPY_H
#define TITAN_BASE_COPY_H

#include <stddef.h>

// As memcpy, for many bytes: `to` is written past the caches, which saves reading it first and leaves in them what was
// there. Ordered like any other writes once it returns.
void titan_copy_past_caches(void *to, const void *from, size_t bytes);

#endif
