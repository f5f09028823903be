/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Octets per window. What is spent, and in which window, is one word that is only ever changed by compare-and-swap; when its
 * windows began and how long they are is another, which that word chooses out of two. So a change of length writes the word
 * that is not chosen, and then chooses it and takes what was spent along in one swap: whoever counts meanwhile is either
 * before it or sees its swap fail. Also built on the host: tests/bpf_host.
 */
#pragma once

#include "lib/cursor.h"

#define QUOTA_TRIES 8
#define QUOTA_CHANGE_TRIES 2
#define QUOTA_NS_PER_MS 1000000
#define QUOTA_NS_PER_S 1000000000ULL
#define QUOTA_LEAST_PACKET 40 /* a SYN over IPv4 without options */

#ifdef PS_HOST
__u64 bpf_ktime_get_boot_ns();      /* the test's */
__u64 quota__looked(__u64 of_word); /* the test's: others do something after a look at a word */
#else
#define quota__looked(of_word) (of_word)
#endif

/* What quota__spend gives. */
#define QUOTA_MARK                                                                                           \
    0xff /* per cent of the quota that was passed and not told of in this window: 80, 100 or 0 */
#define QUOTA_SPENT 0x80000000U /* the quota does not hold the octets, and none was counted */
#define QUOTA_TAG_SHIFT 32      /* above: the tag of the window they are counted in */

PS_INLINE __u64 quota__load(const __u64 *word) {
    return quota__looked(*(volatile const __u64 *)word);
}

/*
 * A window's tag has 15 bits of its number: a budget that rests for a multiple of 32,768 windows (9 h of 1 s, 89 years of a
 * day) finds in that one window what it had in the old.
 */

/* The windows that the word is counted by; 0: none has begun. */
PS_INLINE __u64 quota__chosen(const struct ps_budget *b, __u64 word) {
    return quota__load(&b->window[PS_SPENT_CHOICE(word)]);
}

PS_INLINE int quota__is_long(__u64 windows, __u64 length_ns) {
    return PS_WINDOW_LENGTH_S(windows) * QUOTA_NS_PER_S == length_ns;
}

PS_INLINE __u16 quota__tag_at(const struct ps_budget *b, __u64 word, __u64 boot_ns) {
    __u64 windows = quota__chosen(b, word), length = PS_WINDOW_LENGTH_S(windows) * QUOTA_NS_PER_S;
    __s64 passed = (__s64)(boot_ns - (__u64)(PS_WINDOW_START_MS(windows) * QUOTA_NS_PER_MS));

    passed &= ~(passed >> 63); /* another CPU may have begun the windows after we looked at the clock */
    return PS_SPENT_TAG(PS_SPENT_CHOICE(word), (__u64)passed / length);
}

/*
 * The tag of the window that is now, for who has read `word` before: no later word can be of an earlier window, since the
 * clock is read after it.
 */
PS_INLINE __u16 quota__tag(const struct ps_budget *b, __u64 word) {
    return quota__tag_at(b, word, bpf_ktime_get_boot_ns());
}

/*
 * The same without a look at the clock, as long as the word's window is that of about_ns, some time ago. So a window turns
 * a little late; what is counted in it until then is of its quota all the same.
 */
PS_INLINE __u16 quota__tag_about(const struct ps_budget *b, __u64 word, __u64 about_ns) {
    __u16 tag = quota__tag_at(b, word, about_ns);

    return tag == PS_SPENT_WINDOW(word) ? tag : quota__tag(b, word);
}

PS_INLINE __u64 quota__used(__u64 word, __u16 tag) {
    return PS_SPENT_WINDOW(word) == tag ? PS_SPENT_OCTETS(word) : 0;
}

PS_INLINE __u64 quota__beginning_now(__u64 length_ns) {
    return PS_WINDOW(length_ns / QUOTA_NS_PER_S, bpf_ktime_get_boot_ns() / QUOTA_NS_PER_MS);
}

/* Nothing is left of what was said of these windows when they last were the chosen ones. Nobody reads it now. */
PS_INLINE void quota__forget(__u64 *word, __u64 choice) {
    __u64 seen = quota__load(word);

    if (PS_SPENT_CHOICE(seen) == choice)
        __sync_val_compare_and_swap(word, seen, 0);
}

/*
 * Windows of another length begin now, with what is spent in the present one. One CPU does it; the others go on in the old
 * ones until it has, and nobody waits.
 */
PS_INLINE void quota__change_length(struct ps_budget *b, __u64 length_ns) {
    __u64 word, other;

    if (__sync_val_compare_and_swap(&b->changing, 0, 1))
        return;
    for (int i = 0; i < QUOTA_CHANGE_TRIES; i++) { /* in vain: the next packet tries again */
        word = quota__load(&b->spent);
        if (quota__is_long(quota__chosen(b, word), length_ns))
            break;
        other = PS_SPENT_CHOICE(word) ^ 1;
        quota__forget(&b->granted, other);
        quota__forget(&b->told, other);
        __sync_lock_test_and_set(&b->window[other], quota__beginning_now(length_ns));
        if (__sync_val_compare_and_swap(
                &b->spent, word, PS_SPENT(PS_SPENT_TAG(other, 0), quota__used(word, quota__tag(b, word)))) ==
            word)
            break;
    }
    __sync_lock_test_and_set(&b->changing, 0);
}

/* The first octet begins window 0. */
PS_INLINE void quota__begin(struct ps_budget *b, __u64 length_ns) {
    __u64 word = quota__load(&b->spent), windows = quota__chosen(b, word);

    if (quota__is_long(windows, length_ns))
        return;
    if (windows)
        quota__change_length(b, length_ns);
    else
        __sync_val_compare_and_swap(&b->window[PS_SPENT_CHOICE(word)], 0, quota__beginning_now(length_ns));
}

/* Octets that may be spent in the window: the quota, and what was granted for this one alone. */
PS_INLINE __u64 quota__allowance(const struct ps_budget *b, const struct ps_limits *l, __u16 tag) {
    __u64 most = PS_SPENT_OCTETS(~0ULL),
          allowance = l->quota_bytes + quota__used(quota__load(&b->granted), tag);

    return allowance < most ? allowance : most; /* what `spent` can count to */
}

/* Per cent of which the container's user has not been told in this window, 0 if none: 80 or 100. */
PS_INLINE __u32 quota__mark(struct ps_budget *b, __u16 tag, __u32 per_cent) {
    __u64 seen = quota__load(&b->told);

    if (PS_SPENT_WINDOW(seen) == tag && PS_SPENT_OCTETS(seen) >= per_cent)
        return 0;
    return __sync_val_compare_and_swap(&b->told, seen, PS_SPENT(tag, per_cent)) == seen ? per_cent : 0;
}

/*
 * Counts the octets as spent, if the quota holds them; at about_ns of CLOCK_BOOTTIME. By that alone none is refused: the
 * window may be over.
 */
PS_INLINE __u64 quota__spend(struct ps_budget *b, const struct ps_limits *l, __u64 octets, __u64 about_ns) {
    __u64 seen, used = 0, allowance = 0, spent = QUOTA_SPENT;
    int is_late = 1;
    __u16 tag = 0;

    quota__begin(b, l->window_ns);
    for (int i = 0; i < QUOTA_TRIES; i++) {
        seen = quota__load(&b->spent);
        tag = quota__tag_about(b, seen, about_ns);
        allowance = quota__allowance(b, l, tag);
        used = quota__used(seen, tag) + octets;
        if (used > allowance) {
            if (!is_late)
                break;
            is_late = 0;
            about_ns = bpf_ktime_get_boot_ns();
            continue;
        }
        if (__sync_val_compare_and_swap(&b->spent, seen, PS_SPENT(tag, used)) == seen) {
            spent = (__u64)tag << QUOTA_TAG_SHIFT;
            break;
        }
    }
    if (used >= allowance - allowance / 5)
        spent |= quota__mark(b, tag, used > allowance ? 100 : 80);
    return spent;
}

/* Gives octets back that were counted in this window. */
PS_INLINE void quota__unspend(struct ps_budget *b, __u64 octets, __u16 tag) {
    __u64 seen = quota__load(&b->spent);

    /* Once: under contention, or when the window has turned, a refused packet stays spent, which is not above. */
    if (quota__used(seen, tag) >= octets)
        __sync_val_compare_and_swap(&b->spent, seen, seen - octets);
}

/* Would no packet pass? */
PS_INLINE int quota__holds_none(struct ps_budget *b, const struct ps_limits *l) {
    __u64 seen;
    __u16 tag;

    quota__begin(b, l->window_ns);
    seen = quota__load(&b->spent);
    tag = quota__tag(b, seen);
    return quota__used(seen, tag) + QUOTA_LEAST_PACKET > quota__allowance(b, l, tag);
}
