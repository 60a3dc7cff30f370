# SPDX-License-Identifier: Apache-2.0
# Run when the program is built: writes OUTPUT, a C file that defines titan_asset NAME, the contents of INPUT, without a line that names
# a source map (a browser's developer tools would fetch it).
file(READ ${INPUT} text HEX)
# "//# sourceMappingURL=..." and "/*# sourceMappingURL=..." at the end of a file.
string(REGEX REPLACE "(2f2f|2f2a)2320736f757263654d617070696e6755524c3d([0-9a-f][0-9a-f])*$" "" text "${text}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," text "${text}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" text "${text}")
file(WRITE ${OUTPUT} "#include \"report/asset.h\"\nstatic const unsigned char bytes[] = {\n${text}\n};\n"
  "const titan_asset ${NAME} = {(const char *)bytes, sizeof bytes};\n")
