/* SPDX-License-Identifier: Apache-2.0 */
#include "vm-tests/guest/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RULE_SET = 99, FREE_SLOTS = 64, CPUS_MAX = 64 };

static int map(struct world *w, const char *name) {
    return bpf_object__find_map_fd_by_name(w->object, name);
}

static bool put(struct world *w, const char *name, const void *key, const void *value) {
    return bpf_map_update_elem(map(w, name), key, value, BPF_ANY) == 0;
}

uint64_t world_cgroup_id(const char *path) {
    struct stat s;
    return stat(path, &s) ? 0 : s.st_ino;
}

static bool make_gate(struct world *w) {
    struct ps_gate gate = {
        .abi_version = PS_ABI_VERSION,
        .level_mask = 1 << 2, /* the children of the gate root, which has level 1 */
        .root_id = world_cgroup_id(WORLD_ROOT),
        .root_level = 1,
        .next_serial = 100,
        .hash_seed = 0x5eed,
        .learned_per_slot = 64,
        .queries_per_slot = 64,
        .udp_peers_per_slot = 64,
        .domains_per_slot = 64,
    };
    uint32_t zero = 0;
    return put(w, "gate", &zero, &gate);
}

static bool make_policy(struct world *w, uint32_t id, uint8_t mode, uint8_t reason) {
    struct ps_policy policy = {
        .content_hash = id,
        .generation = id,
        .mode = mode,
        .inbound = PS_ALLOW,
        .loopback = PS_DENY,
        .default_reason = reason,
    };
    return put(w, "policies", &id, &policy);
}

/* 100 KB/s of egress, and the least burst that a policy may have. */
static bool make_limits(struct world *w, uint16_t id) {
    struct ps_limits limits = {.rates[PS_RATE_EGRESS] = {.cost = 10000, .burst_ns = 10000 * 147456ULL}};
    struct ps_limits_key key = {.policy = id};
    uint32_t index = 0, policy_id = id;
    struct ps_policy policy;
    if (bpf_map_lookup_elem(map(w, "policies"), &policy_id, &policy))
        return false;
    policy.limited = PS_LIMITED_CONTAINER;
    return put(w, "limits", &index, &limits) && put(w, "limit_ids", &key, &index) &&
           put(w, "policies", &policy_id, &policy);
}

/* The rules of one policy: one CIDR of each family, one name, one resolver, all with one rule set. */
static bool make_rules(struct world *w, uint16_t id) {
    static const char reversed[] = "moc.elpmaxe"; /* WORLD_NAME, with the final NUL that means "exact" */
    struct ps_match match = {.rule_set = RULE_SET, .rule = WORLD_RULE, .verdict = PS_ALLOW};
    struct ps_cidr4_key cidr4 = {.prefixlen = 16 + 25, .policy = id};
    struct ps_cidr6_key cidr6 = {.prefixlen = 16 + 48, .policy = id};
    struct ps_name_key name = {.prefixlen = (2 + sizeof(reversed)) * 8, .policy = id};
    struct ps_resolver_key resolver = {.policy = id, .address = {[10] = 0xff, 0xff}};
    uint8_t one = 1;

    inet_pton(AF_INET, WORLD_ALLOWED, cidr4.address);
    inet_pton(AF_INET6, WORLD_ALLOWED6, cidr6.address);
    inet_pton(AF_INET, WORLD_RESOLVER, resolver.address + 12);
    memcpy(name.name, reversed, sizeof(reversed));
    return put(w, "cidrs4", &cidr4, &match) && put(w, "cidrs6", &cidr6, &match) &&
           put(w, "names", &name, &match) && put(w, "resolvers", &resolver, &one);
}

static bool make_ports(struct world *w) {
    static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP};
    struct ps_port_rule rule = {.rule = WORLD_RULE, .verdict = PS_ALLOW};
    for (unsigned i = 0; i < sizeof(protocols); i++) {
        struct ps_port_key key = {.prefixlen = 64 + 8, .rule_set = RULE_SET, .protocol = protocols[i]};
        if (!put(w, "ports", &key, &rule))
            return false;
    }
    return true;
}

static bool make_birth(struct world *w) {
    static const char prefix[] = "docker-";
    struct ps_birth_key key = {.prefixlen = (1 + sizeof(prefix) - 1) * 8, .kind = PS_BIRTH_NAME};
    struct ps_birth birth = {.policy = PS_POLICY_BIRTH_DENY};
    memcpy(key.text, prefix, sizeof(prefix) - 1);
    for (uint32_t slot = PS_SLOT_FIRST; slot < PS_SLOT_FIRST + FREE_SLOTS; slot++)
        if (bpf_map_update_elem(map(w, "free_slots"), NULL, &slot, 0))
            return false;
    return make_policy(w, PS_POLICY_BIRTH_DENY, PS_MODE_ENFORCE, PS_R_BIRTH) && put(w, "birth", &key, &birth);
}

/* A cgroup with a row and a slot, as the daemon makes them. */
static bool make_container(struct world *w, const char *path, uint32_t slot, uint32_t flags,
                           uint16_t policy) {
    if (mkdir(path, 0755) && errno != EEXIST)
        return false;
    uint64_t id = world_cgroup_id(path);
    struct ps_slot value = {
        .binding = PS_BINDING(policy, policy), .cgroup_id = id, .serial = slot, .flags = PS_SLOT_USED};
    struct ps_row row = {.slot = slot, .flags = flags};
    return put(w, "slots", &slot, &value) && put(w, "containers", &id, &row);
}

bool world_make(struct world *w, struct bpf_object *object) {
    w->object = object;
    bool made = make_gate(w) && make_ports(w) && make_birth(w) &&
                make_policy(w, WORLD_POLICY, PS_MODE_ENFORCE, PS_R_NO_RULE) && make_rules(w, WORLD_POLICY) &&
                make_policy(w, WORLD_AUDIT, PS_MODE_AUDIT, PS_R_NO_RULE) && make_rules(w, WORLD_AUDIT) &&
                make_policy(w, WORLD_LIMITED, PS_MODE_ENFORCE, PS_R_NO_RULE) &&
                make_rules(w, WORLD_LIMITED) && make_limits(w, WORLD_LIMITED) &&
                make_container(w, WORLD_CONTAINER, WORLD_SLOT, 0, WORLD_POLICY) &&
                make_container(w, WORLD_STRICT, WORLD_STRICT_SLOT, PS_ROW_STRICT_ROOT, PS_POLICY_BIRTH_DENY);
    w->container = world_cgroup_id(WORLD_CONTAINER);
    return made;
}

bool world_bind(struct world *w, uint16_t policy) {
    static uint32_t generation = 1000;
    struct ps_slot slot;
    if (!world_slot(w, WORLD_SLOT, &slot))
        return false;
    slot.binding = PS_BINDING(++generation, policy);
    uint32_t index = WORLD_SLOT;
    return put(w, "slots", &index, &slot);
}

bool world_row(struct world *w, uint64_t cgroup, struct ps_row *row) {
    return bpf_map_lookup_elem(map(w, "containers"), &cgroup, row) == 0;
}

bool world_slot(struct world *w, uint32_t slot, struct ps_slot *value) {
    return bpf_map_lookup_elem(map(w, "slots"), &slot, value) == 0;
}

uint64_t world_counted(struct world *w, uint32_t slot, uint8_t verdict, uint8_t reason) {
    struct ps_counter values[CPUS_MAX];
    struct ps_counter_key key, *previous = NULL;
    int fd = map(w, "counters"), cells = map(w, "cells"), cpus = libbpf_num_possible_cpus();
    uint64_t packets = 0;
    if (cpus < 1 || cpus > CPUS_MAX)
        return 0;
    while (bpf_map_get_next_key(fd, previous, &key) == 0) {
        previous = &key;
        if (key.slot != slot || key.verdict != verdict || key.reason != reason)
            continue;
        uint32_t cell;
        if (bpf_map_lookup_elem(fd, &key, &cell) == 0 && bpf_map_lookup_elem(cells, &cell, values) == 0)
            for (int cpu = 0; cpu < cpus; cpu++)
                packets += values[cpu].packets;
    }
    return packets;
}

static void join(const char *cgroup) {
    char path[512];
    snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(255);
    close(fd);
}

int world_inside(const char *cgroup, int (*body)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        join(cgroup);
        _exit(body());
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 255)
        return -1;
    return WEXITSTATUS(status);
}
