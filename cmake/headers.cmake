# SPDX-License-Identifier: Apache-2.0
# titan_check_headers(target folder [expression]): an object library of one source for each header below the folder, which includes that header and
# nothing else. It builds where each header names all that it needs. Headers that match the regular expression are left out.
function(titan_check_headers target folder)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*.h)
  if(ARGC GREATER 2)
    list(FILTER headers EXCLUDE REGEX ${ARGV2})
  endif()
  list(SORT headers)
  set(sources "")
  foreach(header ${headers})
    string(MAKE_C_IDENTIFIER ${header} name)
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}/${name}.c)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n" @ONLY)
    list(APPEND sources ${source})
  endforeach()
  add_library(${target} OBJECT ${sources})
  target_include_directories(${target} PRIVATE ${folder})
endfunction()
