// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/quota_store.h"

#include "policy/wording.h"
#include "userspace/base/clock.h"
#include "userspace/kernel/maps.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <optional>
#include <vector>

namespace penstock::daemon {
namespace {

constexpr std::string_view first_line = "penstock quotas 1";
constexpr std::string_view last_line = "end";
constexpr std::uint64_t second_ns = 1'000'000'000, year_ns = 365ULL * 24 * 60 * 60 * second_ns;

// A word of its own: what could end one, or is no plain ASCII, as %NN; nothing as "-".
std::string word_of(std::string_view text) {
    if (text.empty())
        return "-";
    constexpr std::string_view digits = "0123456789abcdef";
    std::string word;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet > ' ' && octet < 0x7f && octet != '%' && text != "-") {
            word += c;
        } else {
            word += '%';
            word += digits[octet >> 4];
            word += digits[octet & 15];
        }
    }
    return word;
}

std::optional<std::string> text_of(std::string_view word) {
    if (word == "-")
        return "";
    std::string text;
    for (std::size_t i = 0; i < word.size(); ++i) {
        if (word[i] != '%') {
            text += word[i];
            continue;
        }
        unsigned octet = 0;
        const auto *digits = word.data() + i + 1;
        if (i + 2 >= word.size() || std::from_chars(digits, digits + 2, octet, 16).ptr != digits + 2)
            return std::nullopt;
        text += static_cast<char>(octet);
        i += 2;
    }
    return text;
}

template <typename Number> bool read(std::string_view word, Number &number) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    return error == std::errc{} && end == word.data() + word.size();
}

// The line's words; exactly as many as there is room for, or none.
template <std::size_t N> std::optional<std::array<std::string_view, N>> words_of(std::string_view line) {
    std::array<std::string_view, N> words;
    for (std::size_t i = 0; i < N; ++i) {
        const auto end = line.find(' ');
        if ((end == line.npos) != (i == N - 1) || end == 0 || line.empty())
            return std::nullopt;
        words[i] = line.substr(0, end);
        line.remove_prefix(end == line.npos ? line.size() : end + 1);
    }
    return words;
}

// When the text was written, as a time that has passed since.
std::optional<std::uint64_t> read_age(std::string_view line, const Moment &now) {
    const auto words = words_of<4>(line);
    Moment then;
    if (!words || (*words)[0] != "written" || !read((*words)[1], then.wall_ns) ||
        !read((*words)[2], then.boot_ns))
        return std::nullopt;
    if (!now.boot.empty() && (*words)[3] == now.boot)
        return now.boot_ns > then.boot_ns ? now.boot_ns - then.boot_ns : 0;
    return now.wall_ns > then.wall_ns
               ? static_cast<std::uint64_t>(now.wall_ns) - static_cast<std::uint64_t>(then.wall_ns)
               : 0;
}

bool read_quota(std::string_view line, std::uint64_t age, const Moment &now, QuotaStore::Map &quotas) {
    const auto words = words_of<9>(line);
    KeptQuota quota;
    std::uint64_t left = 0;
    if (!words || (*words)[0] != "quota" || !read((*words)[1], quota.octets) ||
        !read((*words)[2], quota.granted) || !read((*words)[3], quota.told) ||
        !read((*words)[4], quota.window_ns) || !read((*words)[5], left))
        return false;
    if (quota.octets > kernel::most_octets || quota.granted > kernel::most_octets || quota.told > 100 ||
        quota.window_ns == 0 || quota.window_ns % second_ns != 0 || quota.window_ns > year_ns ||
        left > quota.window_ns)
        return false;
    const auto policy = text_of((*words)[6]), rule = text_of((*words)[7]), container = text_of((*words)[8]);
    if (!policy || !rule || !container || !container->starts_with('/') || policy->empty() != rule->empty())
        return false;
    if (left <= age) // its window is over
        return true;
    quota.turns_ns = now.boot_ns + (left - age);
    return quotas.insert_or_assign({*container, *policy, *rule}, quota).second;
}

} // namespace

Moment moment_now() {
    Moment now{wall_ns(), boot_ns(), ""};
    std::ifstream("/proc/sys/kernel/random/boot_id") >> now.boot;
    return now;
}

std::size_t QuotaStore::trim(std::uint64_t boot_ns, std::size_t room) {
    std::erase_if(quotas_, [&](const auto &entry) { return entry.second.turns_ns <= boot_ns; });
    if (quotas_.size() <= room)
        return 0;
    std::vector<Map::iterator> gone;
    for (auto entry = quotas_.begin(); entry != quotas_.end(); ++entry)
        if (entry->second.slot == 0)
            gone.push_back(entry);
    const std::size_t count = std::min(gone.size(), quotas_.size() - room);
    std::partial_sort(gone.begin(), gone.begin() + static_cast<std::ptrdiff_t>(count), gone.end(),
                      [](auto a, auto b) { return a->second.turns_ns < b->second.turns_ns; });
    for (std::size_t i = 0; i < count; ++i)
        quotas_.erase(gone[i]);
    return count;
}

QuotaStore::Text QuotaStore::text(const Entries &quotas, const Moment &now, std::size_t room) {
    Text text;
    text.octets = std::string(first_line) + "\nwritten " + std::to_string(now.wall_ns) + " " +
                  std::to_string(now.boot_ns) + " " + word_of(now.boot) + "\n";
    for (const auto &[key, quota] : quotas) {
        if (quota.turns_ns <= now.boot_ns)
            continue;
        std::string line = "quota";
        for (const std::uint64_t number : {quota.octets, quota.granted, quota.told, quota.window_ns,
                                           std::min(quota.turns_ns - now.boot_ns, quota.window_ns)})
            line += " " + std::to_string(number);
        line += " " + word_of(key.policy) + " " + word_of(key.rule) + " " + word_of(key.container) + "\n";
        if (text.octets.size() + line.size() + last_line.size() + 1 > room)
            ++text.left_out;
        else
            text.octets += line;
    }
    text.octets += std::string(last_line) + "\n"; // a file cut short is seen
    return text;
}

Result<QuotaStore> QuotaStore::parse(std::string_view text, const Moment &now) {
    const auto next_line = [&text]() -> std::optional<std::string_view> {
        const auto end = text.find('\n');
        if (end == text.npos)
            return std::nullopt;
        const auto line = text.substr(0, end);
        text.remove_prefix(end + 1);
        return line;
    };
    if (next_line() != first_line)
        return fault("read quotas: not a file of quotas");
    const auto written = next_line();
    const auto age = written ? read_age(*written, now) : std::nullopt;
    if (!age)
        return fault("read quotas: no word of when it was written");
    QuotaStore store;
    for (;;) {
        const auto line = next_line();
        if (!line)
            return fault("read quotas: the file is cut short");
        if (*line == last_line)
            return store;
        if (!read_quota(*line, *age, now, store.quotas_))
            return fault("read quotas: bad line " + policy::quoted(*line));
    }
}

} // namespace penstock::daemon
