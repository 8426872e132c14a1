// The user namespace of the broker and the network namespaces in it; see user_namespaces(7).
#ifndef UMVU_BROKER_NAMESPACES_H_
#define UMVU_BROKER_NAMESPACES_H_

#include "unique_fd.h"

namespace umvu::broker {

// Gives the calling process, which must have one thread only, the right to make network namespaces.
//
// With CAP_SYS_ADMIN it has that already and nothing happens: as root the broker must stay able to
// remove the directories it owns wherever they lie, which a user namespace would forbid. Otherwise
// it enters a user namespace of its own, in which it is root. That namespace is owned by the
// caller's user id, and so guests with this id have all capabilities over the stacks in it without
// being in it (cap_capable() in security/commoncap.c): `ip addr add` just works on a socket that
// was given to them.
//
// Fails with a reason that names the setting which forbids user namespaces.
void GainNamespaceRights();

// Puts the calling thread into a new network namespace, whose descriptor it returns.
UniqueFd NewNetworkNamespace();

// Puts the calling thread into network namespace `inside` and, at the end of the scope, back into
// `home`. Nothing else keeps the main thread in a namespace that should die with its stack.
class NamespaceScope {
 public:
  NamespaceScope(int inside, int home);
  ~NamespaceScope();
  NamespaceScope(const NamespaceScope&) = delete;
  NamespaceScope& operator=(const NamespaceScope&) = delete;

 private:
  int home_;
};

// Gives up the capabilities that no request needs, for good.
void DropCapabilities();

}  // namespace umvu::broker

#endif  // UMVU_BROKER_NAMESPACES_H_
