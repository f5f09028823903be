# penstock_bpf_object(NAME SOURCES a.bpf.c ... HEADERS ...)
#   NAME_object    NAME.bpf.o: each source compiled by the pinned clang, linked into one object by bpftool
#   NAME_skeleton  interface library with NAME.skel.h
# clang is pinned because verifier cost differs 30-fold between versions (facts: pitfalls).
find_program(BPF_CLANG NAMES clang-14 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

function(penstock_bpf_object name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS" ${ARGN})
  set(objects)
  foreach(source ${ARG_SOURCES})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${source}.o)
    get_filename_component(folder ${object} DIRECTORY)
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
      COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror
        -fdebug-prefix-map=${PROJECT_SOURCE_DIR}=. -I${CMAKE_CURRENT_SOURCE_DIR}
        -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
        -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d
      COMMENT "BPF ${source}" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(linked ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h)
  add_custom_command(OUTPUT ${linked}
    COMMAND ${BPFTOOL} gen object ${linked} ${objects} DEPENDS ${objects} VERBATIM)
  add_custom_command(OUTPUT ${skeleton}
    COMMAND sh -c "'${BPFTOOL}' gen skeleton '${linked}' name ${name}_bpf > '${skeleton}'"
    DEPENDS ${linked} VERBATIM)
  add_custom_target(${name}_object DEPENDS ${linked} ${skeleton})
  add_library(${name}_skeleton INTERFACE)
  target_include_directories(${name}_skeleton SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR})
  add_dependencies(${name}_skeleton ${name}_object)
endfunction()
