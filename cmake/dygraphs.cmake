# SPDX-License-Identifier: Apache-2.0
# dygraphs, the library that draws the curves of titan-report's pages: the system's where it has one (Debian's libjs-dygraphs), so that a
# distribution's fixes reach the pages, else the copy in third_party/. The licence goes into each page, as it asks.
set(bundled ${PROJECT_SOURCE_DIR}/third_party/dygraphs)
find_path(TITAN_DYGRAPHS NAMES dygraph.min.js PATHS ${bundled} PATH_SUFFIXES share/javascript/dygraphs
  DOC "Folder with dygraph.min.js and dygraph.min.css, version 2.2 or newer")
set(TITAN_DYGRAPHS_LICENCE ${bundled}/LICENSE.txt)
foreach(file dygraph.min.js dygraph.min.css)
  if(NOT EXISTS ${TITAN_DYGRAPHS}/${file})
    message(FATAL_ERROR "TITAN_DYGRAPHS=${TITAN_DYGRAPHS} has no ${file}. Expected: the folder of dygraphs 2.2 or newer "
      "(Debian's libjs-dygraphs has it in /usr/share/javascript/dygraphs); without the option, the copy in third_party/dygraphs is used")
  endif()
endforeach()
file(READ ${TITAN_DYGRAPHS}/dygraph.min.js start LIMIT 200)
if(NOT start MATCHES "dygraphs/blob/v(2\\.[2-9]|2\\.[1-9][0-9]|[3-9])")
  message(FATAL_ERROR "${TITAN_DYGRAPHS}/dygraph.min.js does not begin with the version 2.2 or newer of dygraphs. "
    "-DTITAN_DYGRAPHS=${bundled} uses the copy that comes with titan-hpc")
endif()
message(STATUS "Pages of titan-report: dygraphs from ${TITAN_DYGRAPHS}")
