/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of abi.h say their layouts with, in C and in C++. */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
#include <cstddef>
#define PS_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type " changed size")
#define PS_ASSERT_OFFSET(type, field, offset)                                                                \
    static_assert(offsetof(type, field) == (offset), #type "." #field " moved")
#define PS_CAST(type, value) static_cast<type>(value)
#else
#define PS_ASSERT_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " changed size")
#define PS_ASSERT_OFFSET(type, field, offset)                                                                \
    _Static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field " moved")
#define PS_CAST(type, value) ((type)(value))
#endif
