// SPDX-License-Identifier: Apache-2.0
// Giving a finished file its name.
#ifndef TITAN_STORAGE_RENAME_H
#define TITAN_STORAGE_RENAME_H

// As rename, but EEXIST where something of the name `to` is there. (File systems that do not know this look first.)
int titan_rename_new(const char *from, const char *to);

#endif
