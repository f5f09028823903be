/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spend CGROUP ADDRESS PORT OCTETS COUNT [PAUSE_MS]: sends so many UDP datagrams of so many IP octets out of a cgroup, and
 * prints how many were sent and refused. With a pause each is told when it is sent: SENT its number, ms since the boot.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void join(const char *cgroup) {
    char path[256];
    snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) {
        perror(path);
        exit(2);
    }
    close(fd);
}

static long uptime_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int count, char **arguments) {
    static char payload[65535];
    struct sockaddr_in to = {.sin_family = AF_INET};
    int sent = 0, refused = 0;
    if (count < 6 || inet_pton(AF_INET, arguments[2], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons((unsigned short)atoi(arguments[3]));
    size_t octets = (size_t)atoi(arguments[4]) - 28;
    int wanted = atoi(arguments[5]), pause_ms = count > 6 ? atoi(arguments[6]) : 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    join(arguments[1]);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < wanted; i++) {
        if (sendto(fd, payload, octets, 0, (struct sockaddr *)&to, sizeof(to)) >= 0)
            sent++;
        else if (errno == EPERM)
            refused++;
        else
            return perror("sendto"), 1;
        if (pause_ms) {
            printf("SENT %d %ld\n", sent, uptime_ms());
            usleep((useconds_t)pause_ms * 1000);
        }
    }
    printf("sent %d refused %d\n", sent, refused);
    return 0;
}
