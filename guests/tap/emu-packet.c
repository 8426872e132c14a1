/* emu-packet - packet sockets on lo: packet(7), filters and receive rings. Natively it needs CAP_NET_RAW and a quiet lo. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filter.h"
#include "tap.h"

#define TEST_TYPE 0x88b5
#define PORT 4711

static int lo;

static int packet_socket(int type, int protocol)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = lo, .sll_protocol = htons(protocol) };
	int fd = socket(AF_PACKET, type | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		ok(0, "bind: %s", errno_name(errno));
	return fd;
}

/* A UDP datagram from the port to itself. */
static void datagram(const char *text, size_t size)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static int fd = -1;
	char got[2000];

	if (fd < 0) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
			ok(0, "bind to the port: %s", errno_name(errno));
	}
	sendto(fd, text, size, 0, (struct sockaddr *)&to, sizeof(to));
	if (recv(fd, got, sizeof(got), 0) != (ssize_t)size)
		ok(0, "the datagram arrives");
}

static int readable(int fd, int ms)
{
	struct pollfd state = { .fd = fd, .events = POLLIN };

	return poll(&state, 1, ms) > 0 && (state.revents & POLLIN);
}

static void test_names(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = 9999 }, name;
	socklen_t length = sizeof(name);
	int value = 0, fd;

	is_error("stream sockets", socket(AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	fd = socket(AF_PACKET, SOCK_RAW, htons(TEST_TYPE));
	is_value("name of a new socket", getsockname(fd, (struct sockaddr *)&name, &length), 0);
	ok(length == 12 && name.sll_ifindex == 0 && ntohs(name.sll_protocol) == TEST_TYPE, "it is on no interface (%u)", length);
	is_error("no such interface", bind(fd, (struct sockaddr *)&address, sizeof(address)), ENODEV);
	address.sll_ifindex = lo;
	is_error("short address", bind(fd, (struct sockaddr *)&address, sizeof(address) - 1), EINVAL);
	address.sll_family = AF_INET;
	is_error("another family", bind(fd, (struct sockaddr *)&address, sizeof(address)), EINVAL);
	address.sll_family = AF_PACKET;
	is_value("bind", bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	length = sizeof(name);
	is_value("name", getsockname(fd, (struct sockaddr *)&name, &length), 0);
	ok(length == 18 && name.sll_ifindex == lo && name.sll_hatype == ARPHRD_LOOPBACK && name.sll_halen == 6, "names lo");
	is_error("peer", getpeername(fd, (struct sockaddr *)&name, &length), EOPNOTSUPP);
	is_error("connect", connect(fd, (struct sockaddr *)&address, sizeof(address)), EOPNOTSUPP);
	is_error("listen", listen(fd, 1), EOPNOTSUPP);
	is_error("shutdown", shutdown(fd, SHUT_WR), EOPNOTSUPP);
	length = sizeof(value);
	is_value("SO_DOMAIN", getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length), 0);
	is_value("is AF_PACKET", value, AF_PACKET);
	close(fd);
}

static void test_receive(void)
{
	unsigned char frame[2000];
	struct sockaddr_ll from;
	socklen_t length = sizeof(from);
	int all = packet_socket(SOCK_RAW, ETH_P_ALL), ip = packet_socket(SOCK_DGRAM, ETH_P_IP);

	datagram("hello", 5);
	is_value("goes out", recvfrom(all, frame, sizeof(frame), 0, (struct sockaddr *)&from, &length), 14 + 20 + 8 + 5);
	ok(from.sll_pkttype == PACKET_OUTGOING && from.sll_ifindex == lo && length == sizeof(from), "on lo");
	ok(frame[12] == 8 && frame[13] == 0 && frame[14] == 0x45 && !memcmp(frame + 42, "hello", 5), "as an Ethernet frame");
	is_value("comes in", recvfrom(all, frame, sizeof(frame), 0, (struct sockaddr *)&from, &length), 47);
	ok(from.sll_pkttype == PACKET_HOST && ntohs(from.sll_protocol) == ETH_P_IP, "to this host");
	ok(from.sll_hatype == ARPHRD_LOOPBACK && from.sll_halen == 6, "from lo");
	is_error("no more", recv(all, frame, sizeof(frame), MSG_DONTWAIT), EAGAIN);
	is_value("SOCK_DGRAM has no header", recvfrom(ip, frame, sizeof(frame), 0, (struct sockaddr *)&from, &length), 33);
	ok(frame[0] == 0x45 && from.sll_pkttype == PACKET_HOST, "and of one protocol sees what comes in");
	is_error("only", recv(ip, frame, sizeof(frame), MSG_DONTWAIT), EAGAIN);
	close(all);
	close(ip);
}

static void test_auxdata(void)
{
	union { struct cmsghdr align; char bytes[128]; } control;
	char frame[30];
	struct iovec part = { frame, sizeof(frame) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct tpacket_stats counts;
	struct tpacket_auxdata aux;
	socklen_t length = sizeof(counts);
	int on = 1, fd = packet_socket(SOCK_RAW, ETH_P_IP);

	is_value("PACKET_AUXDATA", setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
	datagram("0123456789", 10);
	is_value("a cut frame", recvmsg(fd, &message, 0), 30);
	ok(message.msg_flags & MSG_TRUNC, "is told to be cut");
	ok(CMSG_FIRSTHDR(&message) && CMSG_FIRSTHDR(&message)->cmsg_type == PACKET_AUXDATA, "auxiliary data");
	if (CMSG_FIRSTHDR(&message)) {
		memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(aux));
		ok(aux.tp_len == 52 && aux.tp_snaplen == 52 && aux.tp_net == 14 && aux.tp_mac == 0, "lengths");
	}
	is_value("PACKET_STATISTICS", getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counts, &length), 0);
	ok(counts.tp_packets == 1 && counts.tp_drops == 0 && length == sizeof(counts), "one packet, no drops");
	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counts, &length);
	is_value("counted from zero again", counts.tp_packets, 0);
	close(fd);
}

static void test_send(void)
{
	static unsigned char frame[70000] = { [12] = TEST_TYPE >> 8, [13] = TEST_TYPE & 255, [14] = 42 };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = lo, .sll_halen = 6, .sll_protocol = htons(TEST_TYPE) };
	struct sockaddr_ll from;
	socklen_t length = sizeof(from);
	int out = packet_socket(SOCK_RAW, TEST_TYPE), in = packet_socket(SOCK_DGRAM, TEST_TYPE);

	is_value("send", send(out, frame, 60, 0), 60);
	is_value("arrives", recvfrom(in, frame, sizeof(frame), 0, (struct sockaddr *)&from, &length), 46);
	ok(frame[0] == 42 && ntohs(from.sll_protocol) == TEST_TYPE && from.sll_pkttype == PACKET_HOST, "as it was");
	is_value("SOCK_DGRAM makes the header", sendto(in, "text", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	while (recv(out, frame, sizeof(frame), 0) != 18)
		continue;
	ok(frame[12] == TEST_TYPE >> 8 && frame[13] == (TEST_TYPE & 255) && !memcmp(frame + 14, "text", 4), "of its protocol");
	is_error("shorter than a header", sendto(out, frame, 10, 0, (struct sockaddr *)&to, sizeof(to)), EINVAL);
	is_error("longer than the MTU", sendto(out, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)), EMSGSIZE);
	to.sll_ifindex = 9999;
	is_error("no such interface", sendto(out, frame, 60, 0, (struct sockaddr *)&to, sizeof(to)), ENXIO);
	is_error("short address", sendto(out, frame, 60, 0, (struct sockaddr *)&to, 10), EINVAL);
	to.sll_family = AF_INET;
	is_error("the family is not looked at", sendto(out, frame, 60, 0, (struct sockaddr *)&to, sizeof(to)), ENXIO);
	close(out);
	close(in);
}

static void test_filter(void)
{
	static const struct sock_filter udp_to_port[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 6),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14), BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PORT, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + SKF_AD_PKTTYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 20), BPF_STMT(BPF_RET | BPF_K, 0),
	};
	static const struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0), wild[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0x7ffffff0), BPF_STMT(BPF_RET | BPF_K, 100) };
	static const struct sock_filter endless = BPF_STMT(BPF_JMP | BPF_JA, 0), divides[] = {
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), BPF_STMT(BPF_RET | BPF_A, 0) };
	static const struct sock_filter unwritten[] = { BPF_STMT(BPF_LD | BPF_MEM, 3), BPF_STMT(BPF_RET | BPF_A, 0) };
	static const struct sock_filter outside[] = { BPF_STMT(BPF_STX, 16), BPF_STMT(BPF_RET | BPF_A, 0) };
	static const struct sock_filter far[] = { BPF_JUMP(BPF_JMP | BPF_JA, 0xffffffff, 0, 0), BPF_STMT(BPF_RET | BPF_A, 0) };
	static const struct sock_filter unknown[] = { { 0xff, 0, 0, 0 }, BPF_STMT(BPF_RET | BPF_A, 0) };
	char frame[2000];
	int on = 1, fd = packet_socket(SOCK_RAW, ETH_P_ALL);

	is_error("detach without a filter", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on)), ENOENT);
	is_error("an empty program", attach(fd, &none, 0), EINVAL);
	is_error("without return", attach(fd, &endless, 1), EINVAL);
	is_error("division by zero", attach(fd, divides, 2), EINVAL);
	is_error("a word that was not written", attach(fd, unwritten, 2), EINVAL);
	is_error("a word that is not there", attach(fd, outside, 2), EINVAL);
	is_error("a jump outside", attach(fd, far, 2), EINVAL);
	is_error("an unknown instruction", attach(fd, unknown, 2), EINVAL);
	is_error("wild memory", attach(fd, (void *)1, 1), EFAULT);
	is_value("attach", attach(fd, udp_to_port, 9), 0);
	datagram("hello", 5);
	is_value("what the filter keeps", recv(fd, frame, sizeof(frame), MSG_DONTWAIT), 20);
	is_error("nothing else", recv(fd, frame, sizeof(frame), MSG_DONTWAIT), EAGAIN);
	is_value("one that reads outside", attach(fd, wild, 2), 0);
	datagram("hello", 5);
	is_error("keeps nothing", recv(fd, frame, sizeof(frame), MSG_DONTWAIT), EAGAIN);
	is_value("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on)), 0);
	datagram("hello", 5);
	is_value("all is seen again", recv(fd, frame, sizeof(frame), MSG_DONTWAIT), 47);
	is_value("lock", setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)), 0);
	is_error("no filter any more", attach(fd, &none, 1), EPERM);
	close(fd);
}

static int set_ring(int fd, int version, unsigned block, unsigned frame, unsigned blocks, unsigned frames)
{
	struct tpacket_req3 request = { block, blocks, frame, frames, version == TPACKET_V3 ? 20 : 0, 0, 0 };

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)))
		return -1;
	return setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, version == TPACKET_V3 ? sizeof(request) : 16);
}

static void test_ring_requests(void)
{
	int fd = packet_socket(SOCK_RAW, ETH_P_ALL), version = 9, size = TPACKET_V3;
	socklen_t length = sizeof(size);

	is_error("no such version", setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)), EINVAL);
	is_value("PACKET_HDRLEN", getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &size, &length), 0);
	is_value("of version 3", size, sizeof(struct tpacket3_hdr));
	is_error("half pages", set_ring(fd, TPACKET_V2, 2048, 2048, 4, 4), EINVAL);
	is_error("frames that do not add up", set_ring(fd, TPACKET_V2, 4096, 2048, 4, 7), EINVAL);
	is_error("tiny frames", set_ring(fd, TPACKET_V2, 4096, 16, 4, 1024), EINVAL);
	ok(mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED, "nothing to map");
	is_value("a good one", set_ring(fd, TPACKET_V2, 4096, 2048, 4, 8), 0);
	is_error("not twice", set_ring(fd, TPACKET_V2, 4096, 2048, 4, 8), EBUSY);
	ok(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED, "map a part: %s", errno_name(errno));
	close(fd);
}

/* Frames one by one; the ring wraps round. */
static void test_ring_frames(void)
{
	int i, good = 0, fd = packet_socket(SOCK_RAW, ETH_P_ALL);
	unsigned char *ring;

	is_value("ring of version 2", set_ring(fd, TPACKET_V2, 4096, 2048, 2, 4), 0);
	ring = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!ok(ring != MAP_FAILED, "map: %s", errno_name(errno)))
		return;
	ok(!readable(fd, 0), "is empty");
	for (i = 0; i < 10; i++) {
		volatile struct tpacket2_hdr *header = (void *)(ring + i % 4 * 2048);
		struct sockaddr_ll *from = (void *)((char *)header + TPACKET_ALIGN(sizeof(*header)));

		if (i % 2 == 0)
			datagram("hello", 5);
		if (!readable(fd, 1000) || !(header->tp_status & TP_STATUS_USER))
			break;
		good += header->tp_len == 47 && header->tp_snaplen == 47 && header->tp_net == header->tp_mac + 14 &&
			from->sll_pkttype == (i % 2 ? PACKET_HOST : PACKET_OUTGOING) &&
			!memcmp((char *)header + header->tp_mac + 42, "hello", 5);
		header->tp_status = TP_STATUS_KERNEL;
	}
	is_value("frames in order", good, 10);
	for (i = 0; i < 100 && readable(fd, 0); i++)
		usleep(20000);
	ok(!readable(fd, 0), "is empty again");
	for (i = 0; i < 4; i++)
		datagram("more", 4);
	is_value("a full ring drops", munmap(ring, 8192), 0);
	close(fd);
}

/* Blocks of frames. */
static void test_ring_blocks(void)
{
	struct tpacket_stats_v3 counts;
	socklen_t length = sizeof(counts);
	int i, good = 0, fd = packet_socket(SOCK_RAW, ETH_P_ALL);
	volatile struct tpacket_block_desc *block;
	struct tpacket3_hdr *header;

	is_value("ring of version 3", set_ring(fd, TPACKET_V3, 4096, 4096, 4, 4), 0);
	block = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!ok(block != MAP_FAILED, "map: %s", errno_name(errno)))
		return;
	datagram("hello", 5);
	ok(readable(fd, 1000), "is readable, soon");
	ok(block->hdr.bh1.block_status & TP_STATUS_USER, "has a block");
	is_value("of two frames", block->hdr.bh1.num_pkts, 2);
	header = (void *)((char *)block + block->hdr.bh1.offset_to_first_pkt);
	for (i = 0; i < 2; i++) {
		good += header->tp_len == 47 && !memcmp((char *)header + header->tp_mac + 42, "hello", 5) && header->tp_sec > 1000;
		header = (void *)((char *)header + header->tp_next_offset);
	}
	is_value("both are there", good, 2);
	is_value("the first is number", block->hdr.bh1.seq_num, 1);
	block->hdr.bh1.block_status = TP_STATUS_KERNEL;
	for (i = 0; i < 100 && readable(fd, 0); i++)
		usleep(20000);
	ok(!readable(fd, 0), "is empty again");
	for (i = 0; i < 40; i++)
		datagram((char[1000]){ 0 }, 1000);
	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counts, &length);
	ok(length == sizeof(counts) && counts.tp_packets == 82 && counts.tp_drops > 40, "a full ring drops and counts");
	memset((void *)block, 0xff, 16384);
	datagram("hello", 5);
	memset((void *)block, 0, 16384);
	datagram("hello", 5);
	ok(readable(fd, 1000), "what is written over the ring harms nobody else");
	close(fd);
	munmap((void *)block, 16384);
}

int main(void)
{
	lo = if_nametoindex("lo");
	test_names();
	test_receive();
	test_auxdata();
	test_send();
	test_filter();
	test_ring_requests();
	test_ring_frames();
	test_ring_blocks();
	return done();
}
