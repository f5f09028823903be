/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of the smoke tests: cgroups under the gate root, the rows and policies that the daemon would write,
 * processes inside containers, and what was counted. Knows the maps as bpf/abi.h lays them out; asserts nothing.
 */
#pragma once

#include "bpf/abi.h"

#include <stdbool.h>
#include <stdint.h>

struct bpf_object;

enum {
    WORLD_POLICY = 16,
    WORLD_AUDIT = 17,
    WORLD_LIMITED = 18,
    WORLD_SLOT = 1000,
    WORLD_STRICT_SLOT = 1001,
    WORLD_RULE = 7
};

struct world {
    struct bpf_object *object;
    uint64_t container; /* cgroup id of WORLD_CONTAINER, which has slot WORLD_SLOT */
};

#define WORLD_ROOT "/sys/fs/cgroup/gate" /* the gate root: all programs are attached here */
#define WORLD_CONTAINER WORLD_ROOT "/held"
#define WORLD_STRICT WORLD_ROOT "/strict"
#define WORLD_ALLOWED "198.51.100.1" /* by CIDR; these addresses are on lo */
#define WORLD_DENIED "198.51.100.200"
#define WORLD_LEARNED "198.51.100.201" /* what the resolver answers for every name */
#define WORLD_ALLOWED6 "2001:db8:1::1"
#define WORLD_DENIED6 "2001:db8:2::1"
#define WORLD_RESOLVER "127.0.0.53"
#define WORLD_NAME "example.com" /* the only name that is allowed */

/*
 * world_make(): WORLD_CONTAINER under WORLD_POLICY: UDP and TCP to 198.51.100.0/25, 2001:db8:1::/48 and what
 * WORLD_NAME resolves to. WORLD_AUDIT is the same, not enforced; WORLD_LIMITED with 100 KB/s of egress. WORLD_STRICT is
 * a strict root. False: errno.
 */
bool world_make(struct world *w, struct bpf_object *object);

/* world_bind(): the policy of WORLD_CONTAINER from now on, as a new generation. */
bool world_bind(struct world *w, uint16_t policy);

bool world_row(struct world *w, uint64_t cgroup, struct ps_row *row);
bool world_slot(struct world *w, uint32_t slot, struct ps_slot *value);

/* world_counted(): packets that `slot` has with this verdict and reason, all rules and directions together. */
uint64_t world_counted(struct world *w, uint32_t slot, uint8_t verdict, uint8_t reason);

/* world_cgroup_id(): 0 if there is no such cgroup. */
uint64_t world_cgroup_id(const char *path);

/* world_inside(): runs body() in a process of its own in the cgroup; what it gave (0 or an errno), -1 if it died. */
int world_inside(const char *cgroup, int (*body)(void));
