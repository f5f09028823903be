// SPDX-License-Identifier: Apache-2.0
// Sends as fast as it goes, many packets a call, and keeps books of what the kernel took and refused, as IP packets and octets.
//
// usage: sender ENTRY..., each KIND,ADDRESS,PORT,OCTETS[,SEGMENTS[,ADDRESSES]]; until a line comes on stdin. One turn for each entry,
// then again. KIND:
//   connected  a UDP payload of SEGMENTS datagrams of OCTETS each (UDP_SEGMENT), the last one half as long, on a connected socket
//   to         the same by sendto(), in turn to ADDRESSES addresses, of which the last word counts up
//   tcp        OCTETS to a stream, what it takes without waiting; closed in order at the end
// Prints {"ready": true}, and at the end {"error": null, "entries": [{"sent": [[packets, octets] an address], "refused": [calls,
// packets, octets], "failed": times, "errno": the last}]}. Of TCP: the packets out and in that its socket counted, and the payload.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
enum { MOST_ENTRIES = 32, MOST_ADDRESSES = 1024, MOST_OCTETS = 65000 };

struct books {
    unsigned long long packets, octets;
};

struct entry {
    char kind[16];
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    int sock, octets, segments, addresses, next;
    struct books sent[MOST_ADDRESSES], refused;
    unsigned long long calls_refused, failed;
    int error;
};

static struct entry entries[MOST_ENTRIES];
static char payload[MOST_OCTETS];

static void fail(const char *what) {
    printf("{\"error\": \"%s: %s\"}\n", what, strerror(errno));
    exit(1);
}

static socklen_t length_of(const struct entry *e) {
    return e->to.any.sa_family == AF_INET6 ? sizeof e->to.v6 : sizeof e->to.v4;
}

static void read_entry(struct entry *e, const char *text) {
    char address[64];
    int port;

    e->segments = e->addresses = 1;
    if (sscanf(text, "%15[^,],%63[^,],%d,%d,%d,%d", e->kind, address, &port, &e->octets, &e->segments,
               &e->addresses) < 4 ||
        e->octets * e->segments > MOST_OCTETS || e->addresses > MOST_ADDRESSES)
        fail(text);
    if (inet_pton(AF_INET6, address, &e->to.v6.sin6_addr) == 1) {
        e->to.any.sa_family = AF_INET6;
        e->to.v6.sin6_port = htons((unsigned short)port);
    } else if (inet_pton(AF_INET, address, &e->to.v4.sin_addr) == 1) {
        e->to.any.sa_family = AF_INET;
        e->to.v4.sin_port = htons((unsigned short)port);
    } else {
        fail(address);
    }
}

static void open_entry(struct entry *e) {
    const int is_tcp = !strcmp(e->kind, "tcp");

    e->sock = socket(e->to.any.sa_family, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (e->sock < 0 || (strcmp(e->kind, "to") && connect(e->sock, &e->to.any, length_of(e))))
        fail("connect");
    if (!is_tcp && e->segments > 1 &&
        setsockopt(e->sock, IPPROTO_UDP, UDP_SEGMENT, &e->octets, sizeof e->octets))
        fail("UDP_SEGMENT");
}

static void take_turn(struct entry *e) {
    const int is_tcp = !strcmp(e->kind, "tcp"), headers = e->to.any.sa_family == AF_INET6 ? 48 : 28,
              n = e->next;
    const size_t length =
        e->segments == 1 ? (size_t)e->octets : (size_t)(e->octets * (e->segments - 1) + e->octets / 2);
    const struct books each = {(unsigned long long)e->segments, length + (size_t)(e->segments * headers)};
    ssize_t took;

    if (strcmp(e->kind, "to")) {
        took = send(e->sock, payload, length, is_tcp ? MSG_DONTWAIT | MSG_NOSIGNAL : 0);
    } else {
        const in_addr_t first = ntohl(e->to.v4.sin_addr.s_addr);
        if (e->addresses > 1)
            e->to.v4.sin_addr.s_addr = htonl(first + (in_addr_t)n);
        took = sendto(e->sock, payload, length, 0, &e->to.any, length_of(e));
        if (e->addresses > 1)
            e->to.v4.sin_addr.s_addr = htonl(first);
        e->next = (n + 1) % e->addresses;
    }
    if (took < 0 && errno == EPERM && !is_tcp) {
        e->calls_refused++;
        e->refused.packets += each.packets, e->refused.octets += each.octets;
    } else if (took < 0 && !(is_tcp && errno == EAGAIN)) {
        e->failed++, e->error = errno;
    } else if (is_tcp) {
        e->sent[0].octets += took > 0 ? (unsigned long long)took : 0;
    } else {
        e->sent[n].packets += each.packets, e->sent[n].octets += each.octets;
    }
}

// Both sides have closed; what the socket counted is all there was.
static void close_stream(struct entry *e) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    char rest;

    if (shutdown(e->sock, SHUT_WR) || recv(e->sock, &rest, 1, 0) != 0 ||
        getsockopt(e->sock, IPPROTO_TCP, TCP_INFO, &info, &size))
        fail("close a stream");
    e->sent[0].packets = info.tcpi_segs_out;
    e->refused.packets = info.tcpi_segs_in;
}

static void print_entry(const struct entry *e) {
    printf("{\"sent\": [");
    for (int n = 0; n < e->addresses; n++)
        printf("%s[%llu, %llu]", n ? ", " : "", e->sent[n].packets, e->sent[n].octets);
    if (!strcmp(e->kind, "tcp"))
        printf("], \"came\": %llu, \"refused\": [0, 0, 0]", e->refused.packets);
    else
        printf("], \"refused\": [%llu, %llu, %llu]", e->calls_refused, e->refused.packets, e->refused.octets);
    printf(", \"failed\": %llu, \"errno\": %d}", e->failed, e->error);
}

int main(int count, char **words) {
    struct pollfd input = {.fd = 0, .events = POLLIN};

    if (count < 2 || count > MOST_ENTRIES)
        return 2;
    count--;
    if (nice(10) == -1) // who looks on is to have its turn soon
        fail("nice");
    for (int i = 0; i < count; i++) {
        read_entry(&entries[i], words[i + 1]);
        open_entry(&entries[i]);
    }
    printf("{\"ready\": true}\n");
    fflush(stdout);
    for (unsigned turn = 0; turn % 32 || !poll(&input, 1, 0); turn++)
        for (int i = 0; i < count; i++)
            take_turn(&entries[i]);
    for (int i = 0; i < count; i++)
        if (!strcmp(entries[i].kind, "tcp"))
            close_stream(&entries[i]);
    printf("{\"error\": null, \"entries\": [");
    for (int i = 0; i < count; i++) {
        printf(i ? ", " : "");
        print_entry(&entries[i]);
    }
    printf("]}\n");
    fflush(stdout);
    while (poll(&input, 1, -1) > 0 &&
           read(0, payload, sizeof payload) > 0) // not before stdin ends: an agent does not die of itself
        ;
    return 0;
}
