/* SPDX-License-Identifier: Apache-2.0 */
#include "vm-tests/guest/smoke.h"

void smoke(struct bpf_object *object) {
    (void)object;
}
