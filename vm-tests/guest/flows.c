/* SPDX-License-Identifier: Apache-2.0 */
#include "vm-tests/guest/flows.h"
#include "vm-tests/guest/smoke.h"
#include "vm-tests/guest/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 9998, DATAGRAMS = 20, OCTETS = 1 << 20, POLLS = 300 };

/* What went wrong first, as the exit code of a process in the container; 0: nothing. */
enum fault {
    NO_FAULT,
    NO_SOCKET,
    NOT_SENT,
    NOT_REMEMBERED,
    COUNTED_OTHERWISE,
    NOT_CUT,
    DENIAL_NOT_COUNTED,
    NOT_OPEN_AGAIN,
    NOT_PACED,
    NOT_BOUND,
    NOT_FREE_AGAIN,
    FAULTS,
};
static const char *const faults[] = {"",
                                     "no socket",
                                     "an allowed packet was not sent",
                                     "the socket remembers nothing",
                                     "counted otherwise than sent",
                                     "not cut by the policy",
                                     "the denial is not counted",
                                     "not open again",
                                     "its pace was not set",
                                     "its congestion window was not bound",
                                     "pace or bound stayed when the limit went"};

static struct world *here; /* for the bodies of world_inside() */

static void expect_no_fault(const char *what, int got) {
    report(got == 0, what, got > 0 && got < FAULTS ? faults[got] : "it died");
}

static uint64_t counted(uint8_t verdict, uint8_t reason) {
    return world_counted(here, WORLD_SLOT, verdict, reason);
}

static void pause_a_moment(void) {
    const struct timespec moment = {.tv_nsec = 10000000};
    nanosleep(&moment, NULL);
}

static struct sockaddr_in peer(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, WORLD_ALLOWED, &address.sin_addr);
    return address;
}

static int connected(int type) {
    const struct sockaddr_in address = peer();
    int fd = socket(AF_INET, type, 0);
    return fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

static bool is_remembered(int fd) {
    struct ps_socket memory;
    int map = bpf_object__find_map_fd_by_name(here->object, "sockets");
    return bpf_map_lookup_elem(map, &fd, &memory) == 0 && memory.flow != 0;
}

/* ---- UDP ---- */

static int datagrams(void) {
    const uint64_t before = counted(PS_ALLOW, PS_R_CIDR);
    int fd = connected(SOCK_DGRAM);
    if (fd < 0)
        return NO_SOCKET;
    for (int i = 0; i < DATAGRAMS; i++)
        if (send(fd, "x", 1, 0) != 1)
            return NOT_SENT;
    if (!is_remembered(fd))
        return NOT_REMEMBERED;
    if (counted(PS_ALLOW, PS_R_CIDR) - before != DATAGRAMS)
        return COUNTED_OTHERWISE;
    const uint64_t denied = counted(PS_DENY, PS_R_BIRTH);
    world_bind(here, PS_POLICY_BIRTH_DENY);
    const int cut = send(fd, "x", 1, 0) < 0 && errno == EPERM;
    world_bind(here, WORLD_POLICY);
    if (!cut)
        return NOT_CUT;
    if (counted(PS_DENY, PS_R_BIRTH) - denied != 1)
        return DENIAL_NOT_COUNTED;
    return send(fd, "x", 1, 0) == 1 && counted(PS_ALLOW, PS_R_CIDR) - before == DATAGRAMS + 1
               ? NO_FAULT
               : NOT_OPEN_AGAIN;
}

/* ---- TCP ---- */

static struct tcp_info info_of(int fd) {
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info;
}

/* Everything acknowledged, and as many packets counted as the kernel's own books of the connection say, soon. */
static bool books_agree(int fd, uint64_t out_before, uint64_t in_before) {
    for (int i = 0; i < POLLS; i++, pause_a_moment()) {
        const uint64_t out = counted(PS_ALLOW, PS_R_CIDR) - out_before;
        const uint64_t in = counted(PS_ALLOW, PS_R_INBOUND) - in_before;
        const struct tcp_info info = info_of(fd);
        if (info.tcpi_bytes_acked > OCTETS && info.tcpi_segs_out == out && info.tcpi_segs_in == in)
            return true;
    }
    const struct tcp_info info = info_of(fd);
    printf("sent %u, counted %llu; came %u, counted %llu\n", info.tcpi_segs_out,
           (unsigned long long)(counted(PS_ALLOW, PS_R_CIDR) - out_before), info.tcpi_segs_in,
           (unsigned long long)(counted(PS_ALLOW, PS_R_INBOUND) - in_before));
    return false;
}

static bool write_all(int fd) {
    static char octets[1 << 16];
    for (size_t left = OCTETS; left > 0;) {
        ssize_t n = send(fd, octets, left < sizeof(octets) ? left : sizeof(octets), MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        left -= (size_t)n;
    }
    return true;
}

/* What is written once the policy denies stays where it is. */
static bool is_cut(int fd) {
    const uint64_t acked = info_of(fd).tcpi_bytes_acked, denied = counted(PS_DENY, PS_R_BIRTH);
    if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
        return false;
    for (int i = 0; i < POLLS && counted(PS_DENY, PS_R_BIRTH) == denied; i++)
        pause_a_moment();
    return counted(PS_DENY, PS_R_BIRTH) > denied && info_of(fd).tcpi_bytes_acked == acked;
}

static int stream(void) {
    const uint64_t out = counted(PS_ALLOW, PS_R_CIDR), in = counted(PS_ALLOW, PS_R_INBOUND);
    int fd = connected(SOCK_STREAM);
    if (fd < 0)
        return NO_SOCKET;
    if (!write_all(fd))
        return NOT_SENT;
    if (!is_remembered(fd))
        return NOT_REMEMBERED;
    if (!books_agree(fd, out, in))
        return COUNTED_OTHERWISE;
    world_bind(here, PS_POLICY_BIRTH_DENY);
    const bool cut = is_cut(fd);
    world_bind(here, WORLD_POLICY);
    if (!cut)
        return NOT_CUT;
    for (int i = 0; i < POLLS && info_of(fd).tcpi_unacked > 0; i++)
        pause_a_moment();
    return info_of(fd).tcpi_unacked == 0 ? NO_FAULT : NOT_OPEN_AGAIN;
}

/* ---- the pace of bpf/lib/pace.h, and the bound of the congestion window, which the kernel also takes as ssthresh ---- */

static uint32_t pace_of(int fd) {
    uint32_t pace = 0;
    socklen_t length = sizeof(pace);
    getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &pace, &length);
    return pace;
}

/* Round trips, until pace and bound are below these, or (`above`) above them. */
static bool is_soon(int fd, bool above, uint32_t pace, uint32_t bound) {
    for (int i = 0; i < POLLS; i++, pause_a_moment()) {
        if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
            return false;
        if ((pace_of(fd) > pace) == above && (info_of(fd).tcpi_snd_ssthresh > bound) == above)
            return true;
    }
    return false;
}

static int paced(void) {
    int fd = connected(SOCK_STREAM); /* before its container has a limit */
    if (fd < 0)
        return NO_SOCKET;
    world_bind(here, WORLD_LIMITED);
    const bool bound = is_soon(fd, false, 110000, 8), slow = pace_of(fd) < 110000;
    world_bind(here, WORLD_POLICY);
    if (!bound)
        return slow ? NOT_BOUND : NOT_PACED;
    return is_soon(fd, true, UINT32_MAX - 1, 1U << 30) ? NO_FAULT : NOT_FREE_AGAIN;
}

/* ---- the other end, on the host: takes all, says nothing ---- */

static void swallow(int server) {
    static char octets[1 << 16];
    for (;;) {
        int fd = accept(server, NULL, NULL);
        while (fd >= 0 && recv(fd, octets, sizeof(octets), 0) > 0)
            ;
        close(fd);
    }
}

static int start_receivers(void) {
    const struct sockaddr_in address = peer();
    int datagram = socket(AF_INET, SOCK_DGRAM, 0), server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(datagram, (const struct sockaddr *)&address, sizeof(address)) ||
        bind(server, (const struct sockaddr *)&address, sizeof(address)) || listen(server, 4))
        return -1;
    int child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        swallow(server);
    }
    close(server); /* the datagram socket stays: what is sent to it has arrived, and nothing comes back */
    return child;
}

void test_open_flows(struct world *w) {
    here = w;
    report(start_receivers() > 0, "receivers run", strerror(errno));
    expect_no_fault("datagrams on a connected socket are remembered, counted one by one, and cut by a policy",
                    world_inside(WORLD_CONTAINER, datagrams));
    expect_no_fault("a stream's segments are remembered, counted one by one, and cut by a policy",
                    world_inside(WORLD_CONTAINER, stream));
    expect_no_fault("a stream keeps to a limit that comes by its pace and window, and to none when it goes",
                    world_inside(WORLD_CONTAINER, paced));
}
