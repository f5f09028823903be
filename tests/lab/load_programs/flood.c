// SPDX-License-Identifier: Apache-2.0
// One kind of work, as fast as it goes, until a line comes on stdin.
//
// usage: flood KIND ADDRESS PORT CPU [NAME]    CPU: to stay on; -1: any. KIND:
//   attempts  datagrams by sendto() on a socket that is not connected
//   packets   datagrams on a connected socket
//   connects  TCP connections, each reset as soon as it is made
//   queries   DNS questions for run-1.NAME, run-2.NAME and so on, up to 32 of them without an answer
// Prints {"ready": true} after the first, and at the end {"error": null, "done": n, "refused": by EPERM, "failed": by another error,
// "errno": the last, "answered": n, "seconds": from first to last}.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OUTSTANDING = 32, PATIENCE_MS = 50 };

struct flood {
    struct sockaddr_in to;
    const char *name;
    int sock, waiting;
    unsigned long long number, done, refused, failed, answered;
    int error;
};

static int opened(const struct flood *f, int type, int is_connected) {
    const int sock = socket(AF_INET, type, 0);

    if (sock < 0 || (is_connected && connect(sock, (const void *)&f->to, sizeof f->to))) {
        perror("socket");
        exit(1);
    }
    return sock;
}

static void book(struct flood *f, int is_done) {
    if (is_done)
        f->done++;
    else if (errno == EPERM)
        f->refused++;
    else
        f->failed++, f->error = errno;
}

static void attempt(struct flood *f) {
    book(f, sendto(f->sock, "x", 1, 0, (const void *)&f->to, sizeof f->to) == 1);
}

static void packet(struct flood *f) {
    book(f, send(f->sock, "x", 1, 0) == 1);
}

static void connection(struct flood *f) {
    const struct linger at_once = {.l_onoff = 1};
    const int sock = opened(f, SOCK_STREAM, 0);

    setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); // else its port is taken for a minute
    book(f, !connect(sock, (const void *)&f->to, sizeof f->to));
    close(sock);
}

static size_t put_label(unsigned char *at, const char *text, size_t length) {
    at[0] = (unsigned char)length;
    memcpy(at + 1, text, length);
    return length + 1;
}

static size_t question(const struct flood *f, unsigned char *out) {
    static const unsigned char head[12] = {0, 0, 1, 0, 0, 1}, tail[5] = {0, 0, 1, 0, 1};
    char label[32];
    size_t at = sizeof head;

    memcpy(out, head, sizeof head);
    out[0] = (unsigned char)(f->number >> 8), out[1] = (unsigned char)f->number;
    at += put_label(out + at, label, (size_t)sprintf(label, "run-%llu", f->number & 0xffffff));
    for (const char *text = f->name; *text;) {
        const size_t length = strcspn(text, ".");
        at += put_label(out + at, text, length);
        text += length + (text[length] == '.');
    }
    memcpy(out + at, tail, sizeof tail);
    return at + sizeof tail;
}

static void query(struct flood *f) {
    unsigned char message[512];
    struct pollfd input = {.fd = f->sock, .events = POLLIN};
    const unsigned long long before = f->done;

    while (f->waiting && recv(f->sock, message, sizeof message, MSG_DONTWAIT) > 0)
        f->waiting--, f->answered++;
    if (f->waiting >= OUTSTANDING) {
        if (!poll(&input, 1, PATIENCE_MS))
            f->waiting = 0; // they are lost
        return;
    }
    f->number++;
    const size_t length = question(f, message);
    book(f, send(f->sock, message, length, 0) == (ssize_t)length);
    f->waiting += f->done > before;
}

static const struct kind {
    const char *name;
    void (*once)(struct flood *);
    int is_connected;
} kinds[] = {
    {"attempts", attempt, 0}, {"packets", packet, 1}, {"connects", connection, 0}, {"queries", query, 1}};

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void stay_on(int cpu) {
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set); // where there is one CPU only, all share it
}

int main(int count, char **words) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    const struct kind *kind = kinds, *end = kinds + sizeof kinds / sizeof *kinds;
    struct flood f = {.to.sin_family = AF_INET};

    while (count >= 5 && kind < end && strcmp(kind->name, words[1]))
        kind++;
    if (count < 5 || kind == end || inet_pton(AF_INET, words[2], &f.to.sin_addr) != 1)
        return 2;
    f.to.sin_port = htons((unsigned short)atoi(words[3]));
    f.name = count > 5 ? words[5] : "";
    if (atoi(words[4]) >= 0)
        stay_on(atoi(words[4]));
    f.sock = opened(&f, SOCK_DGRAM, kind->is_connected);
    const double begun = now();
    kind->once(&f);
    printf("{\"ready\": true}\n");
    fflush(stdout);
    while (!poll(&input, 1, 0))
        for (int i = 0; i < 64; i++)
            kind->once(&f);
    printf("{\"error\": null, \"done\": %llu, \"refused\": %llu, \"failed\": %llu, \"errno\": %d, "
           "\"answered\": %llu, \"seconds\": %.3f}\n",
           f.done, f.refused, f.failed, f.error, f.answered, now() - begun);
    fflush(stdout);
    char rest[64];
    while (read(0, rest, sizeof rest) > 0) // an agent ends when its stdin does
        ;
    return 0;
}
