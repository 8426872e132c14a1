/*
 * lwIP's lists of TCP connections, doubly linked: this comes before all else in the files of its TCP, and replaces
 * the macros of lwip/priv/tcp_priv.h that search a list from its beginning. The back link is the place of the pointer
 * to the element; it lies in the first of the places that lwIP reserves for its users.
 */
#ifndef UMVU_LWIP_TCP_LISTS_H
#define UMVU_LWIP_TCP_LISTS_H

#include "lwip/priv/tcp_priv.h"

static inline struct tcp_pcb ***umvu_tcp_back(struct tcp_pcb *pcb)
{
  return (struct tcp_pcb ***)&pcb->ext_args[UMVU_TCP_BACK].data;
}

static inline void umvu_tcp_link(struct tcp_pcb **list, struct tcp_pcb *pcb)
{
  pcb->next = *list;
  if (pcb->next != NULL) *umvu_tcp_back(pcb->next) = &pcb->next;
  *list = pcb;
  *umvu_tcp_back(pcb) = list;
}

/* For lwIP's own removals: the element before `pcb` points to the one after it already. */
static inline void umvu_tcp_passed(struct tcp_pcb *pcb)
{
  if (pcb->next != NULL) *umvu_tcp_back(pcb->next) = *umvu_tcp_back(pcb);
  *umvu_tcp_back(pcb) = NULL;
}

/* As lwIP's own, nothing happens to what is in no list. */
static inline void umvu_tcp_unlink(struct tcp_pcb *pcb)
{
  if (*umvu_tcp_back(pcb) == NULL) return;
  **umvu_tcp_back(pcb) = pcb->next;
  umvu_tcp_passed(pcb);
  pcb->next = NULL;
}

#undef TCP_REG
#undef TCP_RMV
#define TCP_REG(list, pcb) umvu_tcp_link((struct tcp_pcb **)(list), (struct tcp_pcb *)(pcb))
#define TCP_RMV(list, pcb) umvu_tcp_unlink((struct tcp_pcb *)(pcb))

#endif
