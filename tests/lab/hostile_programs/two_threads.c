// SPDX-License-Identifier: Apache-2.0
// Two threads on one UDP socket that is connected to ONE:443, which is denied. One sends to ONE:9000 and the other to TWO:443, which
// are allowed; between its sends the first tries the denied pair.
//
// usage: two_threads ONE TWO SECONDS. Prints {"direct": errno before all this, "tries": n, "passed": n, "one": n, "two": n, "other": n}:
// how often the denied pair was tried and sent, and how often the allowed ones were.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static int sock;
static struct sockaddr_in one, two, denied;
static volatile int stop;
static unsigned long to_two, faults;

static struct sockaddr_in at(const char *address, int port) {
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, address, &made.sin_addr);
    return made;
}

static void on_cpu(int number) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(number, &set);
    sched_setaffinity(0, sizeof set, &set); // where there is one CPU only, they take turns
}

static int sent(const struct sockaddr_in *to) {
    if (sendto(sock, "a", 1, 0, (const void *)to, sizeof *to) == 1)
        return 1;
    __sync_fetch_and_add(&faults, 1);
    return 0;
}

static void *other(void *unused) {
    on_cpu(1);
    while (!stop)
        to_two += sent(&two);
    return unused;
}

int main(int count, char **words) {
    if (count != 4)
        return 2;
    one = at(words[1], 9000), two = at(words[2], 443), denied = at(words[1], 443);
    struct sockaddr_in here = at("0.0.0.0", 5555);
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (sock < 0 || bind(sock, (void *)&here, sizeof here) || connect(sock, (void *)&denied, sizeof denied))
        return 3;
    const int direct = send(sock, "EVIL", 4, 0) < 0 ? errno : 0;
    unsigned long to_one = 0, tries = 0, passed = 0;
    pthread_t thread;
    if (pthread_create(&thread, 0, other, 0))
        return 4;
    on_cpu(0);
    const time_t end = time(0) + atoi(words[3]);
    while (!passed && ((tries & 1023) || time(0) < end)) {
        to_one += sent(&one);
        tries++;
        passed += send(sock, "EVIL", 4, 0) >= 0;
    }
    stop = 1;
    pthread_join(thread, 0);
    printf("{\"direct\": %d, \"tries\": %lu, \"passed\": %lu, \"one\": %lu, \"two\": %lu, \"other\": %lu}\n",
           direct, tries, passed, to_one, to_two, faults);
    return 0;
}
