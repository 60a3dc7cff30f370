# SPDX-License-Identifier: Apache-2.0
# oneDNN (the target titan_dnnl). The program calls the C interfaces of versions 2 and 3 (src/device/cpu/onednn.h).
find_path(DNNL_INCLUDE_DIR dnnl.h)
find_library(DNNL_LIBRARY dnnl)
if(NOT DNNL_INCLUDE_DIR OR NOT DNNL_LIBRARY)
  message(FATAL_ERROR "oneDNN is missing: dnnl.h and libdnnl, version 2 or 3. "
    "Debian, Ubuntu: libdnnl-dev. Spack: onednn. In another folder: -DCMAKE_PREFIX_PATH=FOLDER.")
endif()
set(version_file ${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h)
set(DNNL_VERSION "")
if(EXISTS ${version_file})
  file(STRINGS ${version_file} version_lines REGEX "^#define DNNL_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
  string(REGEX MATCHALL "[0-9]+" version_numbers "${version_lines}")
  list(JOIN version_numbers . DNNL_VERSION)
endif()
if(NOT DNNL_VERSION MATCHES "^[23]\\.")
  message(FATAL_ERROR "oneDNN in ${DNNL_INCLUDE_DIR} has version '${DNNL_VERSION}'; titan-hpc needs a version 2 or 3, "
    "whose interfaces it knows. Debian 12: libdnnl-dev. Spack: onednn.")
endif()
message(STATUS "Found oneDNN: ${DNNL_LIBRARY} (version ${DNNL_VERSION})")
add_library(titan_dnnl INTERFACE)
target_include_directories(titan_dnnl SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
target_link_libraries(titan_dnnl INTERFACE ${DNNL_LIBRARY})
