/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test program of a VM: loads every program of the BPF object, attaches each for real, prints what the
 * verifier paid, then runs the functional smoke (smoke.c) against the attached programs.
 *
 *   PROG name insns N attach ok|ERRNO       LOG line (of the verifier)       NOTE text
 *   PASS what                               FAIL what: why
 *
 * Knows nothing of the daemon: maps are written through libbpf, as bpf/abi.h lays them out.
 */
#include "vm-tests/guest/smoke.h"
#include "vm-tests/guest/world.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_SIZE = 4 << 20, LOG_TAIL_LINES = 60, PROGRAMS_MAX = 64 };

static int failures;

void report(bool passed, const char *what, const char *why) {
    if (passed) {
        printf("PASS %s\n", what);
    } else {
        printf("FAIL %s: %s\n", what, why);
        failures++;
    }
}

/* libbpf tells of a failed map or relocation here; verifier logs are asked for apart. */
static int print_warning(enum libbpf_print_level level, const char *format, va_list arguments) {
    char text[512];
    vsnprintf(text, sizeof(text), format, arguments);
    if (level != LIBBPF_WARN || strstr(text, "BEGIN PROG LOAD LOG"))
        return 0;
    text[strcspn(text, "\n")] = 0;
    return printf("NOTE %s\n", text);
}

static void print_tail(char *log) {
    char *start = log + strlen(log);
    for (int lines = 0; start > log && lines <= LOG_TAIL_LINES; start--)
        lines += start[-1] == '\n';
    for (char *line = strtok(start, "\n"); line; line = strtok(NULL, "\n"))
        printf("LOG %s\n", line);
}

static unsigned verified_insns(struct bpf_program *program) {
    struct bpf_prog_info info = {0};
    __u32 size = sizeof(info);
    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size);
    return info.verified_insns;
}

/* Loads one program alone, with the verifier's log, so that each one that fails is told apart. */
static void load_alone(const char *path, const char *name, char *log) {
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    struct bpf_program *program;
    bpf_object__for_each_program(program, object)
        bpf_program__set_autoload(program, strcmp(bpf_program__name(program), name) == 0);
    program = bpf_object__find_program_by_name(object, name);
    bpf_program__set_log_buf(program, log, LOG_SIZE);
    bpf_program__set_log_level(program, 1);
    log[0] = 0;
    int error = bpf_object__load(object);
    if (error) {
        printf("PROG %s insns - attach not-loaded\n", name);
        report(false, name, strerror(-error));
        print_tail(log);
    } else {
        printf("PROG %s insns %u attach not-tried\n", name, verified_insns(program));
    }
    bpf_object__close(object);
}

static void load_each_alone(const char *path) {
    char *log = malloc(LOG_SIZE);
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    struct bpf_program *program;
    bpf_object__for_each_program(program, object) {
        load_alone(path, bpf_program__name(program), log);
        fflush(stdout);
    }
    bpf_object__close(object);
    free(log);
}

static struct bpf_link *attach(struct bpf_program *program, int cgroup) {
    switch (bpf_program__type(program)) {
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_CGROUP_SOCK:
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
    case BPF_PROG_TYPE_CGROUP_SOCKOPT:
    case BPF_PROG_TYPE_CGROUP_DEVICE:
    case BPF_PROG_TYPE_SOCK_OPS:
        return bpf_program__attach_cgroup(program, cgroup);
    case BPF_PROG_TYPE_LSM:
        if (bpf_program__expected_attach_type(program) == BPF_LSM_CGROUP)
            return bpf_program__attach_cgroup(program, cgroup);
        return bpf_program__attach(program);
    default:
        return bpf_program__attach(program);
    }
}

static void attach_and_tell(struct bpf_program *program, int cgroup) {
    const char *name = bpf_program__name(program);
    if (bpf_program__type(program) == BPF_PROG_TYPE_SCHED_CLS) { /* the daemon runs it, nothing calls it */
        printf("PROG %s insns %u attach none\n", name, verified_insns(program));
        return;
    }
    struct bpf_link *link = attach(program, cgroup);
    const char *result = link ? "ok" : strerrorname_np(errno);
    printf("PROG %s insns %u attach %s\n", name, verified_insns(program), result);
    report(link != NULL, name, result);
    /* The link lives as long as this process: the smoke tests need it. */
}

int main(int count, char **arguments) {
    if (count != 2)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    libbpf_set_print(print_warning);
    const char *path = arguments[1];
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    if (!object) {
        report(false, "open the object", strerror(errno));
        return 1;
    }
    int error = bpf_object__load(object);
    if (error) {
        report(false, "load the object", strerror(-error));
        bpf_object__close(object);
        load_each_alone(path);
        return 1;
    }
    mkdir(WORLD_ROOT, 0755);
    int cgroup = open(WORLD_ROOT, O_RDONLY | O_DIRECTORY);
    struct bpf_program *program;
    bpf_object__for_each_program(program, object) attach_and_tell(program, cgroup);
    smoke(object);
    return failures ? 1 : 0;
}
