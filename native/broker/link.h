// The few requests of rtnetlink(7) and netdevice(7) that the broker makes. They act on the network
// namespace of the calling thread.
#ifndef UMVU_BROKER_LINK_H_
#define UMVU_BROKER_LINK_H_

#include <string>

namespace umvu::broker {

// MTU of the backstage end of a veth pair: the largest, so that only the stack's own end limits
// frames.
inline constexpr unsigned kBackstageMtu = 65535;
// Length of the transmit queue of an interface, in frames: what the kernel gives to Ethernet cards.
inline constexpr unsigned kQueueLength = 1000;

// True when `name` may be the name of an interface (dev_valid_name() of the kernel, and no '%').
bool ValidLinkName(const std::string& name);

// Makes a veth pair: `backstage`, which is up at once, here, and `name` with `mtu` in the network
// namespace `stack_ns`.
void MakeVeth(const std::string& backstage, const std::string& name, unsigned mtu, int stack_ns);

// Puts the interface `name` among those that RemoveDoomedLinks() removes. An interface that is gone
// already (with the other end of its pair) is no error.
void DoomLink(const std::string& name);

// Removes the doomed interfaces of this namespace. Removing one takes tens of milliseconds, because
// the kernel waits for all users of the device; removing all takes hardly longer.
void RemoveDoomedLinks();

// Sets IFF_UP of `name`.
void SetLinkUp(const std::string& name);

// Sets the MTU and the queue length of `name`.
void SetLinkSizes(const std::string& name, unsigned mtu, unsigned queue_length);

// Switches the VLAN offloads of `name` off, where it has any: a tag then travels in the frame.
void KeepVlanTagsInFrames(const std::string& name);

}  // namespace umvu::broker

#endif  // UMVU_BROKER_LINK_H_
