/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must work in the kernel, not only load: verdicts on sockets of a container, as the application sees them and
 * as they are counted, on every kernel of the matrix. The details of verdicts are tested natively (tests/).
 */
#include "vm-tests/guest/smoke.h"
#include "vm-tests/guest/flows.h"
#include "vm-tests/guest/resolver.h"
#include "vm-tests/guest/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 9999, RELEASE_WAIT_MS = 30000 };
#define BORN WORLD_ROOT "/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope"

static const char *error_name(int error) {
    if (error < 0)
        return "no result";
    return error ? strerrorname_np(error) : "success";
}

static void expect(const char *what, int wanted, int got) {
    char why[128];
    snprintf(why, sizeof(why), "%s instead of %s", error_name(got), error_name(wanted));
    report(wanted == got, what, why);
}

/* What was just seen must stand in the counters, with its reason. */
static void expect_counted(struct world *w, const char *what, uint32_t slot, uint8_t verdict,
                           uint8_t reason) {
    report(world_counted(w, slot, verdict, reason) > 0, what, "not counted");
}

static void expect_all_families(const char *what, int exception) {
    char why[64];
    snprintf(why, sizeof(why), "not family %d", exception);
    report(exception == 0, what, why);
}

/* ---- what an application does, inside a container or outside; 0 or an errno ---- */

static int send_datagram(const char *to) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, to, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1 ? 0 : errno;
}

static int send_datagram6(const char *to) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    inet_pton(AF_INET6, to, &address.sin6_addr);
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    return sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1 ? 0 : errno;
}

static int connect_stream(const char *to) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, to, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
}

static int open_socket(int family, int type, int protocol) {
    int fd = socket(family, type, protocol);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int udp_allowed(void) {
    return send_datagram(WORLD_ALLOWED);
}
static int udp_denied(void) {
    return send_datagram(WORLD_DENIED);
}
static int udp_learned(void) {
    return send_datagram(WORLD_LEARNED);
}
static int udp6_allowed(void) {
    return send_datagram6(WORLD_ALLOWED6);
}
static int udp6_denied(void) {
    return send_datagram6(WORLD_DENIED6);
}
static int mapped_denied(void) {
    return send_datagram6("::ffff:" WORLD_DENIED);
}
static int tcp_allowed(void) {
    return connect_stream(WORLD_ALLOWED);
}
static int tcp_denied(void) {
    return connect_stream(WORLD_DENIED);
}
static int raw_socket(void) {
    return open_socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
}
static int packet_socket(void) {
    return open_socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
}
static int vsock_socket(void) {
    return open_socket(AF_VSOCK, SOCK_STREAM, 0);
}
static int packet_dgram_socket(void) {
    return open_socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
}
/* The old way to a packet socket: the kernel turns the family into AF_PACKET. */
static int packet_type_socket(void) {
    return open_socket(AF_INET, SOCK_PACKET, htons(ETH_P_ALL));
}
static int xdp_socket(void) {
    return open_socket(AF_XDP, SOCK_RAW, 0);
}

/* Families that lead nowhere but through the IP hooks, or nowhere at all. */
static bool is_listed(int family) {
    return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK ||
           family == AF_ALG;
}
/* These give 0, or the first family that is not treated as the list says: EPERM is what the LSM gives. */
static int unlisted_families(void) {
    for (int family = 0; family < AF_MAX; family++)
        if (!is_listed(family) && open_socket(family, SOCK_DGRAM, 0) != EPERM)
            return family ? family : AF_MAX;
    return 0;
}
static int listed_families(void) {
    for (int family = 0; family < AF_MAX; family++)
        if (is_listed(family) &&
            open_socket(family, family == AF_NETLINK ? SOCK_RAW : SOCK_DGRAM, 0) == EPERM)
            return family;
    return 0;
}
static int unix_socket(void) {
    return open_socket(AF_UNIX, SOCK_STREAM, 0);
}
static int ask_allowed(void) {
    return resolver_ask(WORLD_NAME);
}
static int ask_denied(void) {
    return resolver_ask("example.org");
}

/* ---- tests ---- */

static void test_addresses(struct world *w) {
    expect("udp to an allowed CIDR passes", 0, world_inside(WORLD_CONTAINER, udp_allowed));
    expect_counted(w, "the allowed packet is counted", WORLD_SLOT, PS_ALLOW, PS_R_CIDR);
    expect("udp to no rule's address fails at once", EPERM, world_inside(WORLD_CONTAINER, udp_denied));
    expect_counted(w, "the denied send is counted", WORLD_SLOT, PS_DENY, PS_R_NO_RULE);
    expect("udp over IPv6 to an allowed CIDR passes", 0, world_inside(WORLD_CONTAINER, udp6_allowed));
    expect("udp over IPv6 to no rule's address fails", EPERM, world_inside(WORLD_CONTAINER, udp6_denied));
    expect("a v4-mapped address is judged as IPv4", EPERM, world_inside(WORLD_CONTAINER, mapped_denied));
    expect("connect to an allowed CIDR reaches it", ECONNREFUSED, world_inside(WORLD_CONTAINER, tcp_allowed));
    expect("connect to no rule's address fails at once", EPERM, world_inside(WORLD_CONTAINER, tcp_denied));
    expect("the host is not held", 0, udp_denied());
}

static void test_families(struct world *w) {
    expect("a raw socket is refused", EPERM, world_inside(WORLD_CONTAINER, raw_socket));
    expect_counted(w, "the raw socket is counted", WORLD_SLOT, PS_DENY, PS_R_RAW_SOCKET);
    expect("a packet socket is refused by the LSM", EPERM, world_inside(WORLD_CONTAINER, packet_socket));
    expect_counted(w, "the packet socket is counted", WORLD_SLOT, PS_DENY, PS_R_SOCKET_FAMILY);
    expect("so is one without link headers", EPERM, world_inside(WORLD_CONTAINER, packet_dgram_socket));
    expect("and one by the old socket type", EPERM, world_inside(WORLD_CONTAINER, packet_type_socket));
    expect("a vsock socket is refused by the LSM", EPERM, world_inside(WORLD_CONTAINER, vsock_socket));
    expect("an XDP socket is refused by the LSM", EPERM, world_inside(WORLD_CONTAINER, xdp_socket));
    expect_all_families("so is every family outside the list",
                        world_inside(WORLD_CONTAINER, unlisted_families));
    expect_all_families("no listed family is", world_inside(WORLD_CONTAINER, listed_families));
    expect("a unix socket is not refused", 0, world_inside(WORLD_CONTAINER, unix_socket));
    expect("the host may open raw sockets", 0, raw_socket());
    expect("the host may open packet sockets", 0, packet_socket());
}

static void test_names(struct world *w) {
    report(resolver_start() > 0, "a resolver runs", strerror(errno));
    expect("an address is closed before it is learned", EPERM, world_inside(WORLD_CONTAINER, udp_learned));
    expect("a query for a denied name fails at once", EPERM, world_inside(WORLD_CONTAINER, ask_denied));
    expect_counted(w, "the denied query is counted", WORLD_SLOT, PS_DENY, PS_R_NAME_NOT_ALLOWED);
    expect("a query for an allowed name is answered", 0, world_inside(WORLD_CONTAINER, ask_allowed));
    expect_counted(w, "the address is learned", WORLD_SLOT, PS_NONE, PS_R_LEARNED_NEW);
    expect("the learned address is open", 0, world_inside(WORLD_CONTAINER, udp_learned));
    expect_counted(w, "its packet is counted", WORLD_SLOT, PS_ALLOW, PS_R_LEARNED);
}

static void test_policy_change(struct world *w) {
    report(world_bind(w, WORLD_AUDIT), "bind to the audit policy", strerror(errno));
    expect("audit lets pass what it would deny", 0, world_inside(WORLD_CONTAINER, udp_denied));
    expect_counted(w, "and counts it", WORLD_SLOT, PS_WOULD_DENY, PS_R_NO_RULE);
    report(world_bind(w, WORLD_POLICY), "bind to the enforced policy", strerror(errno));
    expect("enforced again on the next packet", EPERM, world_inside(WORLD_CONTAINER, udp_denied));
    expect("a learned name is judged again and stays open", 0, world_inside(WORLD_CONTAINER, udp_learned));
}

static bool wait_without_row(struct world *w, uint64_t cgroup) {
    const struct timespec pause = {.tv_nsec = 10000000};
    struct ps_row row;
    for (int waited_ms = 0; world_row(w, cgroup, &row); waited_ms += 10) {
        if (waited_ms > RELEASE_WAIT_MS)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* A cgroup whose name a runtime gives: its row is there when mkdir returns, and goes with its last reference. */
static void test_birth(struct world *w) {
    struct ps_row row = {0};
    struct ps_slot slot = {0};
    mkdir(BORN, 0755);
    uint64_t id = world_cgroup_id(BORN);
    report(id && world_row(w, id, &row), "a container has a row when mkdir returns", "no row");
    world_slot(w, row.slot, &slot);
    report(row.slot >= PS_SLOT_FIRST && slot.cgroup_id == id && (slot.flags & PS_SLOT_BORN),
           "and a slot of its own", "wrong slot");
    report(PS_BINDING_POLICY(slot.binding) == PS_POLICY_BIRTH_DENY, "bound to its birth verdict",
           "wrong binding");
    expect("which denies", EPERM, world_inside(BORN, udp_allowed));
    expect_counted(w, "with its own reason", row.slot, PS_DENY, PS_R_BIRTH);
    report(rmdir(BORN) == 0, "the cgroup can be removed", strerror(errno));
    world_slot(w, row.slot, &slot);
    report(slot.flags & (PS_SLOT_DYING | PS_SLOT_RELEASED), "its slot is dying then", "still alive");
    report(wait_without_row(w, id), "its row goes with the last reference", "row still there");
}

static void test_strict_root(struct world *w) {
    struct ps_row row = {0};
    mkdir(WORLD_STRICT "/any", 0755);
    report(world_row(w, world_cgroup_id(WORLD_STRICT "/any"), &row) && row.slot != WORLD_STRICT_SLOT,
           "a cgroup under a strict root has a row of its own", "no row");
    expect("and is denied", EPERM, world_inside(WORLD_STRICT "/any", udp_allowed));
    rmdir(WORLD_STRICT "/any");
    mkdir(WORLD_ROOT "/other", 0755);
    report(!world_row(w, world_cgroup_id(WORLD_ROOT "/other"), &row), "any other cgroup has none", "a row");
    expect("and is not held", 0, world_inside(WORLD_ROOT "/other", udp_denied));
    rmdir(WORLD_ROOT "/other");
}

void smoke(struct bpf_object *object) {
    struct world world;
    if (!world_make(&world, object)) {
        report(false, "write rows and policies", strerror(errno));
        return;
    }
    test_addresses(&world);
    test_families(&world);
    test_names(&world);
    test_policy_change(&world);
    test_open_flows(&world);
    test_birth(&world);
    test_strict_root(&world);
}
