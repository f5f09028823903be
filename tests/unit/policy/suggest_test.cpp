// SPDX-License-Identifier: Apache-2.0
// Suggested policies against the oracle: random records beside random policies in force, read back by our own reader. All
// that is not told as blocked is allowed, and without any one entry something is denied.
#include "policy/explain.h"
#include "policy/suggest.h"
#include "tests/differential/generate.h"
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <iostream>
#include <tuple>

using namespace penstock;
using namespace penstock::policy;
using penstock::policy::test::faults;
using penstock::policy::test::load_text;

namespace {

using Kind = Recorded::Kind;

Recorded question(std::string name, std::uint64_t times = 1) {
    Recorded entry{Kind::question, std::move(name)};
    entry.times = times;
    return entry;
}

Recorded flow(const char *address, std::uint16_t port, std::vector<std::string> learned = {}) {
    Recorded entry{Kind::flow, "", *Address::parse(address), 6, port};
    entry.learned = std::move(learned);
    entry.times = 1;
    return entry;
}

auto key_of(const Recorded &entry) {
    return std::make_tuple(entry.kind, entry.name, entry.remote, entry.protocol, entry.port);
}

struct Judged {
    const SuggestInput &input;
    std::map<Address, std::vector<LearnedName>> learned{};

    explicit Judged(const SuggestInput &given) : input(given) {
        for (const auto &entry : given.record)
            for (const auto &name : entry.learned)
                learned[entry.remote].push_back({name, false});
    }
    Image image_with(const Policy &suggested) const {
        auto all = input.in_force;
        all.push_back(&suggested);
        return compile(all, input.environment);
    }
    bool allows(const Image &image, const Recorded &entry) const {
        if (entry.kind == Kind::question) {
            Question asked{entry.name, {}, {}};
            if (!image.resolvers.empty())
                asked.resolver = image.resolvers.front();
            if (const auto address = reverse_address(entry.name); address && learned.contains(*address))
                asked.learned = learned.at(*address);
            return explain(image, asked).verdict == abi::PS_ALLOW;
        }
        Flow sent{entry.remote, entry.protocol, entry.port, {}};
        if (entry.kind == Kind::resolver) {
            sent.protocol = 17;
            sent.port = 53;
        }
        for (const auto &name : entry.learned)
            sent.learned.push_back({name, false});
        return explain(image, sent).verdict == abi::PS_ALLOW;
    }
};

Policy read_back(const Suggestion &suggestion) {
    const auto loaded = load_text(suggestion.text);
    INFO(suggestion.text);
    INFO(faults(loaded));
    REQUIRE_FALSE(has_errors(loaded.diagnostics));
    REQUIRE(loaded.policies.size() == 1);
    return loaded.policies.front();
}

// What is left when the text is judged: of each entry taken out, whether anything is denied then.
void check(const SuggestInput &input) {
    const Judged judged(input);
    const auto suggestion = suggest(input);
    const Policy policy = read_back(suggestion);
    INFO(suggestion.text);
    std::vector<const Recorded *> open;
    for (const auto &entry : input.record)
        if (std::none_of(suggestion.blocked.begin(), suggestion.blocked.end(),
                         [&](const Blocked &blocked) { return key_of(blocked.what) == key_of(entry); }))
            open.push_back(&entry);
    const auto all_allowed = [&](const Policy &tried) {
        const auto image = judged.image_with(tried);
        return std::all_of(open.begin(), open.end(),
                           [&](const auto *entry) { return judged.allows(image, *entry); });
    };
    for (const auto *entry : open) {
        INFO("kind " << static_cast<int>(entry->kind) << ", name " << entry->name << ", remote "
                     << entry->remote.text() << ", protocol " << +entry->protocol << ", port " << entry->port
                     << ", names " << entry->learned.size());
        REQUIRE(judged.allows(judged.image_with(policy), *entry));
    }
    for (std::size_t r = 0; r < policy.allow.size(); ++r) {
        Policy without = policy;
        without.allow.erase(without.allow.begin() + static_cast<std::ptrdiff_t>(r));
        if (policy.allow[r].cidrs.empty() &&
            std::all_of(policy.allow[r].domains.begin(), policy.allow[r].domains.end(),
                        [](const auto &domain) { return reverse_address(domain.name).has_value(); }))
            continue;
        INFO("without rule " << policy.allow[r].name);
        REQUIRE_FALSE(all_allowed(without));
        for (std::size_t d = 0; d < policy.allow[r].domains.size(); ++d) {
            if (reverse_address(policy.allow[r].domains[d].name))
                continue; // one that a search suffix makes needless may be left
            without = policy;
            auto &domains = without.allow[r].domains;
            INFO("without " << domains[d].text());
            domains.erase(domains.begin() + static_cast<std::ptrdiff_t>(d));
            REQUIRE_FALSE(all_allowed(without));
        }
    }
    // What is told as blocked is blocked by more than the lack of a rule.
    Policy everything;
    everything.name = "everything";
    everything.dns.resolvers_any = true;
    everything.allow.emplace_back().name = "all";
    everything.allow[0].domains.push_back({NamePattern::Kind::every, ""});
    everything.allow[0].cidrs = {*Cidr::parse("0.0.0.0/0"), *Cidr::parse("::/0")};
    everything.allow[0].ports = {
        {Protocol::tcp, 0, 65535}, {Protocol::udp, 0, 65535}, {Protocol::icmp, 0, 0}};
    const auto open_image = judged.image_with(everything);
    for (const auto &[what, why] : suggestion.blocked)
        if (why.starts_with("the policies in force")) {
            INFO(why);
            CHECK_FALSE(judged.allows(open_image, what));
        }
}

} // namespace

TEST_CASE("a suggestion allows all that was recorded, and no entry of it is needless") {
    const auto seed = differential::run_seed();
    std::cout << "PENSTOCK_SEED=" << seed << '\n';
    INFO("PENSTOCK_SEED=" << seed);
    differential::Generator generator(seed);
    for (int round = 0; round < 300; ++round) {
        const auto world = generator.world();
        SuggestInput input;
        input.cgroup = "/penstock.slice/web";
        input.environment = world.environment;
        input.fold = generator.chance(50) ? 0 : 2 + generator.below(3);
        if (!generator.chance(20))
            for (const auto &policy : world.policies)
                input.in_force.push_back(&policy);
        const auto questions = generator.below(12), flows = generator.below(12);
        for (std::size_t i = 0; i < questions; ++i)
            input.record.push_back(question(generator.question(world).name));
        for (std::size_t i = 0; i < flows; ++i) {
            const auto made = generator.flow(world);
            Recorded entry{Kind::flow, "", made.remote, made.protocol, made.port};
            for (const auto &name : made.learned)
                entry.learned.push_back(name.name);
            entry.times = 1;
            if (made.port == 53)
                entry.kind = Kind::resolver;
            input.record.push_back(std::move(entry));
        }
        std::sort(input.record.begin(), input.record.end(),
                  [](const auto &a, const auto &b) { return key_of(a) < key_of(b); });
        input.record.erase(std::unique(input.record.begin(), input.record.end(),
                                       [](const auto &a, const auto &b) { return key_of(a) == key_of(b); }),
                           input.record.end());
        check(input);
    }
}

TEST_CASE("names are grouped by port, addresses without a name stand as such") {
    SuggestInput input;
    input.cgroup = "/penstock.slice/it's [odd]";
    input.environment.resolvers = {*Address::parse("10.0.0.2")};
    input.unrecorded = 3;
    input.record = {question("b.example.com", 2),
                    question("a.example.com"),
                    question("never.test"),
                    flow("192.0.2.1", 443, {"b.example.com"}),
                    flow("192.0.2.2", 443, {"a.example.com"}),
                    flow("192.0.2.3", 8080),
                    flow("192.0.2.3", 8081),
                    flow("192.0.2.4", 53)};
    input.record.push_back({Kind::other, "raw-socket"});
    input.record.back().times = 4;
    const auto suggestion = suggest(input);
    const auto policy = read_back(suggestion);
    CHECK(policy.name == "suggested-it-s--odd-");
    CHECK(policy.mode == Mode::audit);
    CHECK(*policy.select.front().cgroup == "/penstock.slice/it's??odd?");
    REQUIRE(policy.allow.size() == 2);
    CHECK(policy.allow[0].domains.size() == 3);
    CHECK(policy.allow[0].cidrs.empty());
    CHECK(policy.allow[1].cidrs.front().text() == "192.0.2.3/32");
    CHECK(policy.allow[1].ports == std::vector<PortRange>{{Protocol::tcp, 8080, 8081}});
    for (const char *line :
         {"# 3 denials were not recorded: run longer, or raise the event budget.\n",
          "#   raw-socket, 4 times: no policy can allow it\n", "asked for 2 times, reached once\n",
          "# each ? is an octet that no policy can write: others may match, too\n",
          "asked for once, never reached: the port is a guess\n", "reached 2 times, no name known\n"}) {
        INFO(suggestion.text);
        CHECK(suggestion.text.find(line) != std::string::npos);
    }
    CHECK(suggestion.blocked.size() == 2);
}

TEST_CASE("names fold only when asked, never to a top-level domain") {
    SuggestInput input;
    input.cgroup = "/x";
    input.environment.resolvers = {*Address::parse("10.0.0.2")};
    input.record = {question("a.example.com"),
                    question("b.example.com"),
                    question("c.example.com"),
                    question("one.com"),
                    question("two.com"),
                    question("three.com"),
                    flow("192.0.2.1", 8443, {"b.example.com"})};
    CHECK(read_back(suggest(input)).allow.front().domains.size() == 5);
    input.fold = 4;
    CHECK(suggest(input).policy.allow.size() == 2);
    input.fold = 3;
    const auto folded = read_back(suggest(input));
    REQUIRE(folded.allow.size() == 2);
    CHECK(folded.allow[1].domains == std::vector<NamePattern>{{NamePattern::Kind::below, "example.com"}});
    CHECK(folded.allow[1].ports == std::vector<PortRange>{{Protocol::tcp, 8443, 8443}});
    CHECK(folded.allow[0].domains.size() == 3);
}

TEST_CASE("what a name of the container's own could do to the text is done to a comment") {
    SuggestInput input;
    input.cgroup = "/x";
    input.record = {question("evil\n  mode: enforce"), question("a b.test"), question("*.test")};
    const auto suggestion = suggest(input);
    CHECK(read_back(suggestion).mode == Mode::audit);
    CHECK(suggestion.blocked.size() == 3);
    CHECK(suggestion.text.find("evil\\x0a  mode") != std::string::npos);
}

TEST_CASE("beside policies in force only what is missing is suggested, under a name of its own") {
    const auto now =
        penstock::policy::test::policy_of("  dns: {resolvers: [10.0.0.2], search: []}\n  mode: audit\n  "
                                          "allow: [{domains: [a.test], ports: [tcp/443]}]\n"
                                          "  deny: [{name: no, domains: ['*.bad.test']}]");
    SuggestInput input;
    input.cgroup = "/x";
    input.in_force = {&now};
    input.names_taken = {"p", "suggested-x"};
    input.environment.resolvers = {*Address::parse("10.0.0.9")};
    input.record = {question("a.test"), flow("192.0.2.1", 443, {"a.test"}), question("x.bad.test"),
                    flow("192.0.2.1", 80, {"a.test"})};
    const auto suggestion = suggest(input);
    const auto policy = read_back(suggestion);
    CHECK(policy.name == "suggested-x-2");
    CHECK(suggestion.allowed_already == 2);
    REQUIRE(suggestion.blocked.size() == 1);
    CHECK(suggestion.blocked[0].why == "deny rule p/no holds it");
    REQUIRE(policy.allow.size() == 1);
    CHECK(policy.allow[0].ports == std::vector<PortRange>{{Protocol::tcp, 80, 80}});
    CHECK(*policy.dns.resolvers == std::vector<Address>{*Address::parse("10.0.0.2")});
    CHECK(policy.dns.search->empty());
}
