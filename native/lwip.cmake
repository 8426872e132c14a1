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

# lwip_fix(FILE FROM TO [FROM TO]…): a copy of a source file with each FROM replaced by its TO, in place of the original.
function(lwip_fix file)
  set(original ${LWIP_DIR}/src/${file})
  set(fixed ${CMAKE_CURRENT_BINARY_DIR}/lwip/${file})
  file(READ ${original} text)
  math(EXPR last "${ARGC} - 1")
  foreach(i RANGE 1 ${last} 2)
    math(EXPR j "${i} + 1")
    string(FIND "${text}" "${ARGV${i}}" at)
    if(at EQUAL -1)
      message(FATAL_ERROR "lwIP: ${file} is not the file that is to be fixed: ${ARGV${i}}")
    endif()
    string(REPLACE "${ARGV${i}}" "${ARGV${j}}" text "${text}")
  endforeach()
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
# ICMP errors quote as much as Linux's do (RFC 1812, 4.3.2.3), also of packets in several pieces.
lwip_fix(core/ipv4/icmp.c "#define ICMP_DEST_UNREACH_DATASIZE 8" "#define ICMP_DEST_UNREACH_DATASIZE 528"
  "SMEMCPY((u8_t *)q->payload + sizeof(struct icmp_echo_hdr), (u8_t *)p->payload,
          response_pkt_len);"
  "pbuf_copy_partial(p, (u8_t *)q->payload + sizeof(struct icmp_echo_hdr), response_pkt_len, 0);"
  "ip4_output_if(q, NULL, &iphdr_src," "ip4_output_if(q, umvu_icmp_source(&iphdr_src), &iphdr_src,")
# What waits for a neighbour that does not answer for 3 s is not lost in silence (unreachable.cc).
lwip_fix(core/ipv4/etharp.c "#define ARP_MAXPENDING 5" "#define ARP_MAXPENDING 3"
  "        /* clean up entries that have just been expired */
        etharp_free_entry(i);"
  "        {
          struct etharp_q_entry *waiting = arp_table[i].q;
          arp_table[i].q = NULL;
          etharp_free_entry(i);
          umvu_arp_failed(waiting);
          if (waiting != NULL) free_etharp_q(waiting);
        }"
  "/* entry is still pending, queue the given packet 'q' */"
  "if (umvu_memory_scarce()) return ERR_MEM;"
  # Neighbours that are there do not give way to those that do not answer.
  "if (old_stable < ARP_TABLE_SIZE) {"
  "if (old_stable < ARP_TABLE_SIZE && old_pending == ARP_TABLE_SIZE && old_queue == ARP_TABLE_SIZE) {")
lwip_fix(core/ipv6/icmp6.c
  "void
icmp6_time_exceeded_with_addrs("
  "void
umvu_icmp6_unreachable(struct pbuf *p, u8_t code, const ip6_addr_t *source, const ip6_addr_t *to, struct netif *netif)
{
  icmp6_send_response_with_addrs_and_netif(p, code, 0, ICMP6_TYPE_DUR, source, to, netif);
}

void
icmp6_time_exceeded_with_addrs(")
# The routing table says which prefixes of IPv6 are on a link, not the addresses of the interface. An address that is in
# use is not given up because somebody claims it (RFC 4862, 5.4.4), and only the router that is used redirects (RFC 4861, 8.1).
# What waits for others gets no more than half of the memory: packets to unknown neighbours, and fragments.
lwip_fix(core/ipv6/nd6.c "netif_ip6_addr_isstatic(netif, i) &&
        ip6_addr_netcmp(ip6addr, netif_ip6_addr(netif, i))" "0"
  "if ((neighbor_cache[i].counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT) &&"
  "if ((neighbor_cache[i].counter.probes_sent >= LWIP_ND6_MAX_MULTICAST_SOLICIT) && (umvu_nd6_failed(i), 1) &&"
  "if (!ip6_addr_isinvalid(netif_ip6_addr_state(inp, i)) &&
            !ip6_addr_isduplicated(netif_ip6_addr_state(inp, i)) &&"
  "if (ip6_addr_istentative(netif_ip6_addr_state(inp, i)) &&"
  "/* Find dest address in cache */
    dest_idx = nd6_find_destination_cache_entry(&destination_address);"
  "dest_idx = nd6_find_destination_cache_entry(&destination_address);
    if (dest_idx >= 0 && !ip6_addr_cmp_zoneless(ip6_current_src_addr(), &destination_cache[dest_idx].next_hop_addr)) dest_idx = -1;"
  # «Packet too big» lowers, but not below the least of RFC 8201, 4: fragments without room for data would never end.
  "pmtu = lwip_htonl(icmp6hdr->data);"
  "pmtu = LWIP_MAX(lwip_htonl(icmp6hdr->data), IP6_MIN_MTU_LENGTH);"
  "destination_cache[dest_idx].pmtu = (u16_t)LWIP_MIN(pmtu, 0xFFFF);"
  "destination_cache[dest_idx].pmtu = (u16_t)LWIP_MIN(pmtu, destination_cache[dest_idx].pmtu);"
  "if ((neighbor_index < 0) || (neighbor_index >= LWIP_ND6_NUM_NEIGHBORS)) {
    return ERR_ARG;
  }

  /* IF q"
  "if ((neighbor_index < 0) || (neighbor_index >= LWIP_ND6_NUM_NEIGHBORS)) return ERR_ARG;
  if (umvu_memory_scarce()) return ERR_MEM;

  /* IF q")
lwip_fix(core/ipv4/ip4_frag.c "if (IPH_HL_BYTES(fraghdr) != IP_HLEN) {"
  "if (IPH_HL_BYTES(fraghdr) != IP_HLEN || umvu_memory_scarce()) {")
lwip_fix(core/ipv6/ip6_frag.c "frag_hdr = (struct ip6_frag_hdr *) p->payload;

  clen = pbuf_clen(p);"
  "frag_hdr = (struct ip6_frag_hdr *) p->payload;

  clen = pbuf_clen(p);
  if (umvu_memory_scarce()) goto nullreturn;")
# An assertion that does not hold for what UDP-Lite may cover of a large packet in several pieces.
lwip_fix(core/inet_chksum.c "LWIP_ASSERT(\"delete me\", chksum_len < 0x7fff);" "")
# IPv4 has a hook to say whether packets are forwarded, IPv6 has none.
lwip_fix(core/ipv6/ip6.c "  /* do not forward link-local or loopback addresses */"
  "  if (!umvu_forwards(1)) return;")
set(LWIP_IP6 ${CMAKE_CURRENT_BINARY_DIR}/lwip/core/ipv6/ip6.c)

# Connections are found in a table (connections.h) instead of by a search of all, and leave lists without one
# (tcp_lists.h). Whether an address may be bound, the glue has decided before.
lwip_fix(core/tcp_in.c
  "for (pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)"
  "for (pcb = umvu_tcp_active(tcphdr); pcb != NULL; pcb = NULL)"
  "for (pcb = tcp_tw_pcbs; pcb != NULL; pcb = pcb->next)"
  "for (pcb = umvu_tcp_waiting(tcphdr); pcb != NULL; pcb = NULL)"
  # Data of a segment whose acknowledgement ends the connection (tcp_sent) is nobody's.
  "              goto aborted;
            }
          }
          recv_acked = 0;
        }
        if (tcp_input_delayed_close(pcb)) {
          goto aborted;"
  "              if (recv_data != NULL) pbuf_free(recv_data);
              goto aborted;
            }
          }
          recv_acked = 0;
        }
        if (tcp_input_delayed_close(pcb)) {
          if (recv_data != NULL) pbuf_free(recv_data);
          goto aborted;"
  # Only a SYN says how large segments may be (RFC 9293, 3.7.1).
  "pcb->mss = ((mss > TCP_MSS) || (mss == 0)) ? TCP_MSS : mss;"
  "if (flags & TCP_SYN) pcb->mss = ((mss > TCP_MSS) || (mss == 0)) ? TCP_MSS : LWIP_MAX(mss, UMVU_LEAST_MSS);"
  "if (prev != NULL) {
        ((struct tcp_pcb_listen *)prev)->next"
  "if (0) {
        ((struct tcp_pcb_listen *)prev)->next")
lwip_fix(core/tcp.c
  # A window of 64 KiB is not one of 0, and what is split off is no more than a segment: both are assertions.
  "tcp_split_unsent_seg(pcb, (u16_t)pcb->snd_wnd)"
  "tcp_split_unsent_seg(pcb, (u16_t)LWIP_MIN(pcb->snd_wnd, pcb->mss))"
  "max_pcb_list = NUM_TCP_PCB_LISTS_NO_TIME_WAIT;"
  "max_pcb_list = 0;"
  "for (i = 0; i < NUM_TCP_PCB_LISTS; i++) {
    for (pcb = *tcp_pcb_lists[i]; pcb != NULL; pcb = pcb->next) {
      if (pcb->local_port == tcp_port) {
        n++;
        if (n > (TCP_LOCAL_PORT_RANGE_END - TCP_LOCAL_PORT_RANGE_START)) {
          return 0;
        }
        goto again;
      }
    }
  }"
  "if (umvu_tcp_port_used(tcp_port)) {
    if (++n > TCP_LOCAL_PORT_RANGE_END - TCP_LOCAL_PORT_RANGE_START) return 0;
    goto again;
  }"
  "for (i = 2; i < NUM_TCP_PCB_LISTS; i++) {
        for (cpcb = *tcp_pcb_lists[i]; cpcb != NULL; cpcb = cpcb->next) {"
  "{
        for (cpcb = umvu_tcp_twin(pcb); cpcb != NULL; cpcb = NULL) {"
  "prev->next = pcb->next;"
  "prev->next = pcb->next; umvu_tcp_passed(pcb);"
  "tcp_active_pcbs = pcb->next;"
  "tcp_active_pcbs = pcb->next; umvu_tcp_passed(pcb);"
  "tcp_tw_pcbs = pcb->next;"
  "tcp_tw_pcbs = pcb->next; umvu_tcp_passed(pcb);"
  # How long a peer may be silent, its options say (stream_network.cc); a SYN is repeated after 1 s, 2 s, 4 s and so on.
  "if (pcb->state == SYN_SENT && pcb->nrtx >= TCP_SYNMAXRTX) {"
  "if (umvu_tcp_gives_up(pcb)) {"
  "            if (pcb->state != SYN_SENT) {
              u8_t backoff_idx"
  "            {
              u8_t backoff_idx")

set(LWIP_INCLUDES ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip ${LWIP_DIR}/src/include)

add_library(lwip OBJECT ${LWIP_SOURCES})
target_include_directories(lwip PRIVATE ${LWIP_INCLUDES} ${CMAKE_CURRENT_SOURCE_DIR}/src)
# -O3 for checksums and copies also in debug builds; it is not our code, so its warnings are not ours to fix.
# A failed assertion is an exception, which unwinds its functions (Stack::run).
target_compile_options(lwip PRIVATE -O3 -g -w -fexceptions -fvisibility=hidden -fno-common -fno-strict-aliasing
  -fno-delete-null-pointer-checks -fPIC)
if(UMVU_SANITIZE)
  # The image of an instance is copied as a whole, so there must be no red zones between its variables.
  # It takes the address of the first member of what may be null, and checks the result.
  target_compile_options(lwip PRIVATE --param=asan-globals=0 -fno-sanitize=null)
endif()
foreach(source ${LWIP_SOURCES})
  if(source MATCHES "/core/ipv[46]/icmp6?\\.c$")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS
      -include ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/hooks.h)
  endif()
  if(source MATCHES "/core/tcp(_in|_out)?\\.c$")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS
      -include ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/hooks.h -include ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/tcp_lists.h)
  endif()
  if(source MATCHES "_frag\\.c$")
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS -include ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/hooks.h)
  endif()
endforeach()
# Routes and fragments are decided by the glue (src/lwip/hooks.h); what lwIP would do keeps another name.
set_property(SOURCE ${LWIP_DIR}/src/core/ipv4/ip4.c APPEND PROPERTY COMPILE_DEFINITIONS
  ip4_route=umvu_lwip_ip4_route ip4_frag=umvu_ip4_frag)
set_property(SOURCE ${LWIP_IP6} APPEND PROPERTY COMPILE_DEFINITIONS
  ip6_frag=umvu_ip6_frag ip6_route=umvu_lwip_ip6_route)

set(LWIP_IMAGE ${CMAKE_CURRENT_BINARY_DIR}/lwip-image.o)
add_custom_command(OUTPUT ${LWIP_IMAGE}
  COMMAND ${CMAKE_LINKER} -r -T ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/state.ld -o ${LWIP_IMAGE} $<TARGET_OBJECTS:lwip>
  DEPENDS lwip $<TARGET_OBJECTS:lwip> ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/state.ld
  COMMAND_EXPAND_LISTS VERBATIM)

file(GLOB LWIP_GLUE CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/lwip/*.cc)
set(LWIP_BINDINGS ${LWIP_GLUE})
list(FILTER LWIP_BINDINGS INCLUDE REGEX "binding")
list(FILTER LWIP_GLUE EXCLUDE REGEX "binding")
add_library(lwip-glue OBJECT ${LWIP_GLUE})
target_include_directories(lwip-glue PRIVATE src)
target_include_directories(lwip-glue SYSTEM PRIVATE ${LWIP_INCLUDES})
target_sources(umvu PRIVATE ${LWIP_BINDINGS} $<TARGET_OBJECTS:lwip-glue> ${LWIP_IMAGE})
set_source_files_properties(${LWIP_IMAGE} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
target_include_directories(umvu SYSTEM PRIVATE ${LWIP_INCLUDES})
target_compile_definitions(umvu PRIVATE UMVU_LWIP)

# Hostile frames for it (test/sanitized/lwip.test.ts).
if(UMVU_SANITIZE)
  add_executable(lwip-fuzz ${CMAKE_CURRENT_SOURCE_DIR}/../test/native/lwip_fuzz.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/../test/native/lwip_frames.cc
    ${CMAKE_CURRENT_SOURCE_DIR}/../test/native/lwip_changes.cc
    $<TARGET_OBJECTS:umvu-net> $<TARGET_OBJECTS:lwip-glue> ${LWIP_IMAGE})
  target_include_directories(lwip-fuzz PRIVATE src)
  target_include_directories(lwip-fuzz SYSTEM PRIVATE ${LWIP_INCLUDES})
  target_link_libraries(lwip-fuzz PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  set_target_properties(lwip-fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
endif()

# The process of an isolated stack (docs/design/lwip.md); the runtime looks for it beside the addon. There may be many of
# it, so it comes without shared libraries, whose relocated data each would have.
# A program without shared libraries cannot load libvdeplug.
file(GLOB LWIP_ISOLATED CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/isolated/*.cc)
add_executable(umvu-lwip ${LWIP_ISOLATED} $<FILTER:$<TARGET_OBJECTS:umvu-net>,EXCLUDE,/plug> $<TARGET_OBJECTS:lwip-glue> ${LWIP_IMAGE})
target_include_directories(umvu-lwip PRIVATE isolated src)
target_include_directories(umvu-lwip SYSTEM PRIVATE ${LWIP_INCLUDES})
target_link_libraries(umvu-lwip PRIVATE Threads::Threads)
if(NOT UMVU_SANITIZE)
  target_link_options(umvu-lwip PRIVATE -static)
endif()
set_target_properties(umvu-lwip PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
