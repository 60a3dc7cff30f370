#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes unicode_ranges.h: the general categories L and N and the property White_Space of Unicode 16.0.0.

Usage: pip install unicodedata2==16.0.0; python3 unicode_ranges.py > unicode_ranges.h
"""
import unicodedata2

# White_Space of PropList.txt; the same since Unicode 6.3.
SPACES = [(0x09, 0x0D), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
          (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)]


def ranges(category):
    found = []
    for c in range(0x110000):
        if unicodedata2.category(chr(c))[0] == category:
            if found and found[-1][1] == c - 1:
                found[-1][1] = c
            else:
                found.append([c, c])
    return found


def rows(found):
    cells = ["{0x%x, 0x%x}," % tuple(r) for r in found]
    return "\n".join("    " + " ".join(cells[i:i + 5]) for i in range(0, len(cells), 5))


assert unicodedata2.unidata_version == "16.0.0"
print("// Code points, first to last, of Unicode 16.0.0: written by unicode_ranges.py.")
print("#ifndef TITAN_DATA_UNICODE_RANGES_H\n#define TITAN_DATA_UNICODE_RANGES_H\n\n#include <stdint.h>\n")
print("// clang-format off")
for name, found in (("letters", ranges("L")), ("numbers", ranges("N")), ("spaces", SPACES)):
    print(f"static const uint32_t titan_unicode_{name}[][2] = {{\n{rows(found)}\n}};\n")
print("// clang-format on\n\n#endif")
