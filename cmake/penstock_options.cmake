# What every user-space target is compiled with: link to penstock_options.
add_library(penstock_options INTERFACE)
target_include_directories(penstock_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(penstock_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
  -fstack-protector-strong -fno-omit-frame-pointer)
target_compile_definitions(penstock_options INTERFACE PENSTOCK_VERSION="${PROJECT_VERSION}")
if(PENSTOCK_COVERAGE)
  # Counters are atomic, as the daemon has threads.
  target_compile_options(penstock_options INTERFACE --coverage -fprofile-update=atomic -fprofile-abs-path)
  target_link_options(penstock_options INTERFACE --coverage)
endif()
if(PENSTOCK_SANITIZE)
  target_compile_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE})
else()
  target_compile_definitions(penstock_options INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
endif()
