# SPDX-License-Identifier: Apache-2.0
# Run at every build: writes OUTPUT with TITAN_COMMIT, what git says of the source at SOURCE, where that has changed.
set(commit unknown)
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --tags RESULT_VARIABLE result OUTPUT_VARIABLE described
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(result EQUAL 0 AND described MATCHES "^[-+._/A-Za-z0-9]+$")
    set(commit ${described})
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define TITAN_COMMIT \"${commit}\"\n")
