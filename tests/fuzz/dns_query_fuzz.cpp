// SPDX-License-Identifier: Apache-2.0
// The kernel's reader of DNS queries against the naive one, and its trie key against what user space compiles for the
// same name. Input: a message.
#include "policy/canonical_name.h"
#include "policy/compile.h"
#include "policy/explain.h"
#include "tests/fuzz/message_in_scratch.h"
#include "tests/fuzz/naive_dns.h"

#include <cstring>

using namespace penstock;
using namespace penstock::fuzz;

namespace {

const std::vector<policy::NamePattern> &patterns() {
    using Kind = policy::NamePattern::Kind;
    static const std::vector<policy::NamePattern> all = {{Kind::exact, "example.com"},
                                                         {Kind::below, "example.com"},
                                                         {Kind::exact, "a"},
                                                         {Kind::below, "a.b.c"},
                                                         {Kind::exact, "in-addr.arpa"}};
    return all;
}

const policy::Image &image() {
    static const policy::Image compiled = [] {
        policy::Policy p;
        p.name = "p";
        p.allow.emplace_back();
        p.allow[0].name = "r";
        p.allow[0].domains = patterns();
        return policy::compile({&p}, {});
    }();
    return compiled;
}

// The longest entry that the key begins with: what an LPM trie does.
bool in_trie(const std::string &key) {
    for (const auto &entry : image().names)
        if (key.starts_with(entry.reversed))
            return true;
    return false;
}

void check_key(const std::string &key, const std::string &name) {
    require(key == reversed(name) + '\0', "the key is the folded name reversed, and a NUL");
    bool matches = false;
    for (const auto &pattern : patterns())
        matches = matches || pattern.matches(name);
    require(in_trie(key) == matches, "the trie has the key exactly when a pattern matches the name");
    require(policy::find_name(image(), name).has_value() == matches, "so says the oracle's look-up");
    if (const auto canonical = policy::canonical_name(name))
        require(*canonical == name, "the policy's canonical form of the name is the kernel's");
}

void check_reverse_address(struct scratch &s, const std::string &name) {
    const auto expected = policy::reverse_address(name);
    const int found = name__reverse_address(0);
    require_equal(found, expected.has_value(), "is it the reverse name of an address");
    if (found)
        require(!std::memcmp(s.address.octets, expected->octets.data(), 16), "the reverse name's address");
}

// The name written out again in another case is the same name, with the same hash.
void check_case(const std::string &name, std::uint64_t hash) {
    bpf_host::Message again;
    again.name = name;
    for (std::size_t i = 0; i < name.size(); i += 2)
        again.name[i] = name[i] >= 'a' && name[i] <= 'z' ? static_cast<char>(name[i] - 32) : name[i];
    MessageInScratch message(again.octets());
    require(dns__read_query(0, hash_seed) == 0, "a name that was read is read again in another case");
    require(message.key() == reversed(name) + '\0', "case does not change the key");
    require(message.scratch().name_hash == hash, "case does not change the hash");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const bpf_host::Octets octets(data, data + size);
    const auto naive = read_naive_query(Bytes(octets).first(std::min<std::size_t>(size, abi::PS_ANSWER_MAX)));
    std::uint64_t hash = 0;
    {
        MessageInScratch message(octets);
        const int reason = message.copied() ? message.copied() : dns__read_query(0, hash_seed);
        require_equal(reason, naive.reason, "reason");
        if (reason)
            return 0;
        auto &s = message.scratch();
        require_equal(s.id, naive.id, "id");
        require_equal(s.type, naive.type, "type");
        hash = s.name_hash;
        require(hash != 0, "a name's hash is not 0, which means none");
        check_key(message.key(), naive.name);
        check_reverse_address(s, naive.name);
    }
    check_case(naive.name, hash);
    return 0;
}
