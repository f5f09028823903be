// SPDX-License-Identifier: Apache-2.0
#include "policy/units.h"

#include "policy/unit_table.h"
#include "policy/wording.h"

#include <limits>

namespace penstock::policy {
namespace {

constexpr std::uint64_t largest_packet = 1500; // a bucket that holds no whole packet never lets one pass

template <std::size_t N> Outcome<std::uint64_t> factor_of(const Unit (&units)[N], std::string_view word) {
    std::vector<std::string_view> names;
    for (const Unit &unit : units) {
        if (unit.name == word)
            return unit.factor;
        names.push_back(unit.name);
    }
    if (word.empty())
        return Fault{"a unit is missing; expected " + any_of(names)};
    std::string_view near;
    const auto suggestion = did_you_mean(word, names, &near);
    for (const auto name : names) // did_you_mean is for longer words
        if (near.empty() && name.size() == word.size() && (name[0] | 0x20) == (word[0] | 0x20))
            return Fault{"unknown unit " + quoted(word) + "; did you mean " + quoted(name) + "?"};
    return Fault{"unknown unit " + quoted(word) +
                 (near.empty() ? "; expected " + any_of(names) : suggestion)};
}

class Scanner {
  public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    bool at_end() const { return rest_.empty(); }
    std::string_view rest() const { return rest_; }
    bool skip(char c) {
        if (rest_.empty() || rest_[0] != c)
            return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool at_digit() const { return !rest_.empty() && is_digit(rest_[0]); }

    // A whole number above zero.
    Outcome<std::uint64_t> number() {
        if (!rest_.empty() && rest_[0] == '-')
            return Fault{"the amount is negative; expected a whole number above zero"};
        if (!at_digit())
            return Fault{"expected a whole number, found " + (rest_.empty() ? "the end" : quoted(rest_))};
        std::uint64_t value = 0;
        for (; at_digit(); rest_.remove_prefix(1))
            if (__builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, static_cast<std::uint64_t>(rest_[0] - '0'), &value))
                return Fault{"the amount is too large"};
        if (!rest_.empty() && (rest_[0] == '.' || rest_[0] == ','))
            return Fault{"expected a whole number; write a part as a smaller unit (1536MiB for 1.5GiB)"};
        if (value == 0)
            return Fault{"the amount is zero; expected a whole number above zero"};
        return value;
    }
    std::string_view word() {
        std::size_t n = 0;
        while (n < rest_.size() && (rest_[n] | 0x20) >= 'a' && (rest_[n] | 0x20) <= 'z')
            ++n;
        const auto word = rest_.substr(0, n);
        rest_.remove_prefix(n);
        return word;
    }

  private:
    static bool is_digit(char c) { return c >= '0' && c <= '9'; }
    std::string_view rest_;
};

Outcome<std::uint64_t> amount(Scanner &scanner, Quantity quantity) {
    const auto number = scanner.number();
    if (!number)
        return number.error();
    const auto word = scanner.word();
    if (quantity != Quantity::octets) {
        if (!word.empty())
            return Fault{"a count has no unit, found " + quoted(word)};
        return *number;
    }
    const auto factor = factor_of(size_units, word);
    if (!factor)
        return factor.error();
    std::uint64_t value = 0;
    if (__builtin_mul_overflow(*number, *factor, &value))
        return Fault{"the amount is too large"};
    return value;
}

// "s", "24h"; the number may be left out.
Outcome<std::uint64_t> seconds(Scanner &scanner) {
    std::uint64_t value = 1;
    if (scanner.at_end() || scanner.at_digit() || scanner.rest()[0] == '-') {
        const auto number = scanner.number();
        if (!number)
            return number.error();
        value = *number;
    }
    const auto factor = factor_of(time_units, scanner.word());
    if (!factor)
        return factor.error();
    if (__builtin_mul_overflow(value, *factor, &value) || value > year_s)
        return Fault{"the time is longer than a year"};
    return value;
}

Outcome<std::uint64_t> per(Scanner &scanner, const char *example) {
    if (!scanner.skip('/'))
        return Fault{std::string("expected / and a time, as in ") + quoted(example) +
                     (scanner.at_end() ? "" : ", found " + quoted(scanner.rest()))};
    return seconds(scanner);
}

Fault left_over(const Scanner &scanner, const char *example) {
    return {"unexpected " + quoted(scanner.rest()) + "; expected a form as " + quoted(example)};
}

// A slower one has no place in the kernel's arithmetic, and is most likely a mistake.
Outcome<Rate> checked(const Rate &rate, Quantity quantity) {
    if (refills_in_a_year(rate, quantity))
        return rate;
    return Fault{"so slow that its burst of " + std::to_string(burst_of(rate, quantity)) +
                 (quantity == Quantity::octets ? "B" : "") + " takes more than a year to come back"};
}

} // namespace

Outcome<Rate> parse_rate(std::string_view text, Quantity quantity) {
    const bool octets = quantity == Quantity::octets;
    const char *example = octets ? "10MiB/s burst 20MiB" : "50/s burst 100";
    Scanner scanner(text);
    Rate rate;
    const auto size = amount(scanner, quantity);
    if (!size)
        return size.error();
    const auto time = per(scanner, example);
    if (!time)
        return time.error();
    rate.amount = *size;
    rate.per_ns = *time * ns_per_s;
    if (scanner.at_end())
        return checked(rate, quantity);
    while (scanner.skip(' ')) {
    }
    if (scanner.word() != "burst" || !scanner.skip(' '))
        return Fault{"expected nothing or \" burst AMOUNT\" after the rate, as in " + quoted(example)};
    while (scanner.skip(' ')) {
    }
    const auto burst = amount(scanner, quantity);
    if (!burst)
        return Fault{"burst: " + burst.error().message};
    if (!scanner.at_end())
        return left_over(scanner, example);
    if (octets && *burst < largest_packet)
        return Fault{"the burst is smaller than one packet (" + std::to_string(largest_packet) + "B)"};
    rate.burst = *burst;
    return checked(rate, quantity);
}

Outcome<std::uint64_t> parse_size(std::string_view text) {
    Scanner scanner(text);
    auto size = amount(scanner, Quantity::octets);
    if (size && !scanner.at_end())
        return left_over(scanner, "500MiB");
    return size;
}

Outcome<Quota> parse_quota(std::string_view text) {
    Scanner scanner(text);
    const auto size = amount(scanner, Quantity::octets);
    if (!size)
        return size.error();
    const auto window = per(scanner, "1GiB/24h");
    if (!window)
        return window.error();
    if (*size >> PS_SPENT_BITS)
        return Fault{"the quota is too large; expected less than 256TiB"};
    Quota quota{*size, *window};
    if (scanner.at_end())
        return quota;
    while (scanner.skip(' ')) {
    }
    const std::string_view rest = scanner.rest();
    if (rest != "egress" && rest != "ingress")
        return Fault{"expected nothing, \" egress\" or \" ingress\" after the quota, found " + quoted(rest)};
    quota.directions = rest == "egress" ? Quota::egress : Quota::ingress;
    return quota;
}

Outcome<std::uint64_t> parse_seconds(std::string_view text) {
    Scanner scanner(text);
    const auto number = scanner.number();
    if (!number)
        return number.error();
    const auto factor = factor_of(time_units, scanner.word());
    if (!factor)
        return factor.error();
    if (!scanner.at_end())
        return left_over(scanner, "30s");
    std::uint64_t value = 0;
    if (__builtin_mul_overflow(*number, *factor, &value) || value > year_s)
        return Fault{"the time is longer than a year"};
    return value;
}

} // namespace penstock::policy
