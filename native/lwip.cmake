# The stack in user space: lwIP from Debian's source package, and src/lwip/. Where the source cannot be had, the addon
# is built without this stack, and says so.
#
# All instances share one image: `ld -r` with src/lwip/state.ld gathers the writable data of lwIP in one section, which
# is exchanged when another instance is entered (src/lwip/image.h).

if(DEFINED ENV{UMVU_LWIP_SOURCE})
  set(LWIP_DIR $ENV{UMVU_LWIP_SOURCE})
  set(LWIP_REASON "UMVU_LWIP_SOURCE names no source of lwIP")
else()
  set(LWIP_DIR ${CMAKE_CURRENT_SOURCE_DIR}/build/lwip-src/lwip-2.1.3)
  if(NOT EXISTS ${LWIP_DIR}/src/core/tcp.c)
    execute_process(COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fetch-lwip.sh ${CMAKE_CURRENT_SOURCE_DIR}/build/lwip-src
      ERROR_VARIABLE LWIP_REASON OUTPUT_QUIET)
    string(STRIP "${LWIP_REASON}" LWIP_REASON)
  endif()
endif()

if(NOT EXISTS ${LWIP_DIR}/src/core/tcp.c)
  message(NOTICE "umvu is built without the stack «lwip»: ${LWIP_REASON} (UMVU_LWIP_SOURCE can name a source tree)")
  return()
endif()

file(GLOB LWIP_SOURCES ${LWIP_DIR}/src/core/*.c ${LWIP_DIR}/src/core/ipv4/*.c ${LWIP_DIR}/src/core/ipv6/*.c)
list(FILTER LWIP_SOURCES EXCLUDE REGEX "/(dns|dhcp|dhcp6|autoip|altcp.*|sys|timeouts|mem|stats)\\.c$")
list(APPEND LWIP_SOURCES ${LWIP_DIR}/src/netif/ethernet.c ${LWIP_DIR}/src/core/timeouts.c ${LWIP_DIR}/src/core/mem.c
  ${LWIP_DIR}/src/core/stats.c ${LWIP_DIR}/src/core/sys.c)

# A copy of a source file with `from` replaced by `to`, in place of the original.
function(lwip_fix file from to)
  set(original ${LWIP_DIR}/src/${file})
  set(fixed ${CMAKE_CURRENT_BINARY_DIR}/lwip/${file})
  file(READ ${original} text)
  string(FIND "${text}" "${from}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "lwIP: ${file} is not the file that is to be fixed")
  endif()
  string(REPLACE "${from}" "${to}" text "${text}")
  if(EXISTS ${fixed})
    file(READ ${fixed} known)
  endif()
  if(NOT "${text}" STREQUAL "${known}")
    file(WRITE ${fixed} "${text}")
  endif()
  list(REMOVE_ITEM LWIP_SOURCES ${original})
  list(APPEND LWIP_SOURCES ${fixed})
  set(LWIP_SOURCES ${LWIP_SOURCES} PARENT_SCOPE)
endfunction()

# Splitting a segment that does not fit into the peer's window leaves its FIN on the first part, so the rest is lost.
lwip_fix(core/tcp_out.c "TCPH_SET_FLAG(useg->tcphdr, split_flags);" "TCPH_FLAGS_SET(useg->tcphdr, split_flags);")

set(LWIP_INCLUDES ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip ${LWIP_DIR}/src/include)

add_library(lwip OBJECT ${LWIP_SOURCES})
target_include_directories(lwip PRIVATE ${LWIP_INCLUDES} ${CMAKE_CURRENT_SOURCE_DIR}/src)
# -O3 for checksums and copies also in debug builds; it is not our code, so its warnings are not ours to fix.
target_compile_options(lwip PRIVATE -O3 -g -w -fvisibility=hidden -fno-common -fno-strict-aliasing
  -fno-delete-null-pointer-checks -fPIC)
if(UMVU_SANITIZE)
  # The image of an instance is copied as a whole, so there must be no red zones between its variables.
  # It takes the address of the first member of what may be null, and checks the result.
  target_compile_options(lwip PRIVATE --param=asan-globals=0 -fno-sanitize=null)
endif()
# Routes and fragments are decided by the glue (src/lwip/hooks.h); what lwIP would do keeps another name.
set_property(SOURCE ${LWIP_DIR}/src/core/ipv4/ip4.c APPEND PROPERTY COMPILE_DEFINITIONS
  ip4_route=umvu_lwip_ip4_route ip4_frag=umvu_ip4_frag)
set_property(SOURCE ${LWIP_DIR}/src/core/ipv6/ip6.c APPEND PROPERTY COMPILE_DEFINITIONS
  ip6_frag=umvu_ip6_frag ip6_route=umvu_lwip_ip6_route)

set(LWIP_IMAGE ${CMAKE_CURRENT_BINARY_DIR}/lwip-image.o)
add_custom_command(OUTPUT ${LWIP_IMAGE}
  COMMAND ${CMAKE_LINKER} -r -T ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/state.ld -o ${LWIP_IMAGE} $<TARGET_OBJECTS:lwip>
  DEPENDS lwip $<TARGET_OBJECTS:lwip> ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/state.ld
  COMMAND_EXPAND_LISTS VERBATIM)

file(GLOB LWIP_GLUE CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/*.cc)
target_sources(umvu PRIVATE ${LWIP_GLUE} ${LWIP_IMAGE})
set_source_files_properties(${LWIP_IMAGE} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
target_include_directories(umvu SYSTEM PRIVATE ${LWIP_INCLUDES})
target_compile_definitions(umvu PRIVATE UMVU_LWIP)

# Hostile frames for it (test/sanitized/lwip.test.ts).
if(UMVU_SANITIZE)
  file(GLOB LWIP_FUZZED CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/src/net/*.cc)
  list(FILTER LWIP_FUZZED EXCLUDE REGEX "binding")
  add_executable(lwip-fuzz ${CMAKE_CURRENT_SOURCE_DIR}/../test/native/lwip_fuzz.cc ${LWIP_FUZZED} ${LWIP_IMAGE})
  target_include_directories(lwip-fuzz PRIVATE src)
  target_include_directories(lwip-fuzz SYSTEM PRIVATE ${LWIP_INCLUDES})
  target_compile_definitions(lwip-fuzz PRIVATE UMVU_LWIP)
  target_link_libraries(lwip-fuzz PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  set_target_properties(lwip-fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
endif()
