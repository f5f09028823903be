/* SPDX-License-Identifier: Apache-2.0 */
/* The functional smoke in the VM, and how a test says its result. */
#pragma once

#include <stdbool.h>

struct bpf_object;

/* report(): one PASS or FAIL line; `why` is printed with a failure. */
void report(bool passed, const char *what, const char *why);

/* smoke(): needs all programs of the object attached to WORLD_ROOT. */
void smoke(struct bpf_object *object);
