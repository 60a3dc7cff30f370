# SPDX-License-Identifier: Apache-2.0
# `cpack -G DEB` or `cpack -G TGZ` in a build folder makes a package of what `cmake --install` installs. Build `programs` before.
set(CPACK_PACKAGE_NAME titan-hpc)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR titan-hpc)
set(CPACK_PACKAGE_CONTACT "The titan-hpc developers <titan-hpc@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "pre-training of large language models under MPI")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_FILE_NAME titan-hpc_${PROJECT_VERSION}_${CMAKE_SYSTEM_PROCESSOR})
# Debian: depends on the packages of the libraries that the programs were linked with.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "openmpi-bin")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "It is one C program, reads the options and files of TorchTitan, and trains\nLlama models on any mesh of data, tensor and pipeline parallelism.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# The prefix is a packager's matter: /usr for Debian; an archive is unpacked anywhere.
file(WRITE ${PROJECT_BINARY_DIR}/package_prefix.cmake
  "if(CPACK_GENERATOR STREQUAL DEB)\n  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)\nelse()\n  set(CPACK_PACKAGING_INSTALL_PREFIX /)\nendif()\n")
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/package_prefix.cmake)
include(CPack)
