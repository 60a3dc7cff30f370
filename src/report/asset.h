// SPDX-License-Identifier: Apache-2.0
// The files that a page is made of, in the program (cmake/embed.cmake).
#ifndef TITAN_REPORT_ASSET_H
#define TITAN_REPORT_ASSET_H

#include <stddef.h>

typedef struct titan_asset {
  const char *bytes; // not terminated
  size_t length;
} titan_asset;

extern const titan_asset titan_asset_page, titan_asset_style, titan_asset_script;
extern const titan_asset titan_asset_library, titan_asset_library_style, titan_asset_library_licence;

#endif
