// SPDX-License-Identifier: Apache-2.0
// getaddrinfo as an application calls it, timed. usage: resolve NAME TIMES [PORT]; see README.md.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static const char *name_of(int error) {
    switch (error) {
    case EAI_AGAIN:
        return "\"EAI_AGAIN\"";
    case EAI_NONAME:
        return "\"EAI_NONAME\"";
    case EAI_FAIL:
        return "\"EAI_FAIL\"";
    case EAI_SYSTEM:
        return "\"EAI_SYSTEM\"";
    default:
        return error ? "\"other\"" : "null";
    }
}

/* The errno of a connect to the address at once, 0 if it worked. */
static int reach(const struct addrinfo *to, const char *port) {
    struct sockaddr_storage address;
    int sock, error = 0;

    memcpy(&address, to->ai_addr, to->ai_addrlen);
    ((struct sockaddr_in *)&address)->sin_port =
        htons((unsigned short)atoi(port)); /* sin6_port stands there too */
    sock = socket(to->ai_family, SOCK_STREAM, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&address, to->ai_addrlen))
        error = errno;
    close(sock);
    return error;
}

static void look_up(const char *name, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL, *last = NULL;
    double start = now_us();
    int error = getaddrinfo(name, NULL, &hints, &found);

    printf("{\"error\": %s, \"us\": %.1f, \"addresses\": [", name_of(error), now_us() - start);
    for (struct addrinfo *at = error ? NULL : found; at; last = at, at = at->ai_next) {
        char text[INET6_ADDRSTRLEN] = "";

        getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
        printf("%s\"%s\"", at == found ? "" : ", ", text);
    }
    if (port && last)
        printf("], \"connect\": %d}\n", reach(last, port));
    else
        printf("]}\n");
    fflush(stdout);
    if (!error)
        freeaddrinfo(found);
}

int main(int count, char **words) {
    if (count < 3)
        return 2;
    for (int i = atoi(words[2]); i > 0; i--)
        look_up(words[1], count > 3 ? words[3] : NULL);
    return 0;
}
