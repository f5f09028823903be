// SPDX-License-Identifier: Apache-2.0
// The whole of it: leave out what is allowed, draft, ask the oracle about every entry, take out what can't be opened.
#include "policy/suggest.h"

#include "policy/canonical_name.h"
#include "policy/explain.h"
#include "policy/suggest_draft.h"

#include <algorithm>

namespace penstock::policy {
namespace {

using detail::NamesOf;
using detail::times;

constexpr std::size_t longest_name = 63;

std::vector<LearnedName> live_names(const std::vector<std::string> &names) {
    std::vector<LearnedName> live;
    live.reserve(names.size());
    for (const auto &name : names)
        live.push_back({name, false});
    return live;
}

bool is_resolver_port(const Recorded &entry) {
    constexpr std::uint8_t tcp = 6, udp = 17;
    return entry.port == 53 && (entry.protocol == tcp || entry.protocol == udp);
}

Verdict judge(const Image &image, const Recorded &entry, const NamesOf &learned) {
    if (entry.kind == Recorded::Kind::question) {
        Question question;
        question.name = entry.name;
        if (!image.resolvers.empty())
            question.resolver = image.resolvers.front();
        if (const auto address = reverse_address(entry.name))
            if (const auto names = learned.find(*address); names != learned.end())
                question.learned = live_names(names->second);
        return explain(image, question);
    }
    Flow flow;
    flow.remote = entry.remote;
    flow.protocol = entry.protocol;
    flow.port = entry.port;
    if (entry.kind == Recorded::Kind::resolver) {
        flow.protocol = 17;
        flow.port = 53;
    }
    flow.learned = live_names(entry.learned);
    return explain(image, flow);
}

// Why no rule of any policy could name it; empty: one could.
std::string unwritable(const Recorded &entry) {
    switch (entry.kind) {
    case Recorded::Kind::question: {
        const auto name = canonical_name(entry.name);
        return name && *name == entry.name ? "" : "no policy can write this name";
    }
    case Recorded::Kind::flow:
        if (entry.remote.is_loopback())
            return "loopback is for spec.loopback, not for rules";
        if (is_resolver_port(entry))
            return "port 53 is for questions to resolvers";
        return detail::port_of(entry) ? "" : "no rule can name this protocol or port";
    case Recorded::Kind::resolver:
        return entry.remote.is_never_learned() ? "it cannot be a resolver's address" : "";
    case Recorded::Kind::other:
        break;
    }
    return "no policy can allow it";
}

std::string refusal(const Image &image, const Verdict &verdict) {
    const auto rule = image.rules.find(verdict.rule);
    if (rule != image.rules.end() && !rule->second.allow)
        return "deny rule " + rule->second.policy + "/" + rule->second.rule + " holds it";
    return "the policies in force hold it, whatever a rule allows";
}

std::string free_name(const SuggestInput &input) {
    std::string base = "suggested-";
    for (const char c : input.cgroup.substr(input.cgroup.rfind('/') + 1)) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        base += plain || c == '.' || c == '_' || c == '-' ? c : '-';
    }
    base.resize(std::min(base.size(), longest_name - 4)); // room for a number
    const auto taken = [&](const std::string &name) {
        return std::find(input.names_taken.begin(), input.names_taken.end(), name) != input.names_taken.end();
    };
    std::string name = base;
    for (int n = 2; taken(name) && n < 1000; ++n)
        name = base + "-" + std::to_string(n);
    return name;
}

// The path as a glob that is in a policy: an octet that none may hold becomes `?`.
std::string glob_of(std::string_view path) {
    std::string glob;
    for (const char c : path) {
        const auto octet = static_cast<unsigned char>(c);
        const bool plain =
            octet > 0x20 && octet < 0x7f && std::string_view("[]{}*").find(c) == std::string_view::npos;
        glob += plain ? c : '?';
    }
    return glob;
}

template <class T> void add_all(std::vector<T> &to, const std::vector<T> &from) {
    to.insert(to.end(), from.begin(), from.end());
    std::sort(to.begin(), to.end());
    to.erase(std::unique(to.begin(), to.end()), to.end());
}

template <class Field> bool all_say(const SuggestInput &input, Field field) {
    return !input.in_force.empty() &&
           std::all_of(input.in_force.begin(), input.in_force.end(),
                       [&](const auto *policy) { return (policy->dns.*field).has_value(); });
}

// As the union with what is in force must not open what this host's defaults would: lists are spelled out where the policies
// in force spell theirs out.
Dns dns_of(const SuggestInput &input) {
    Dns dns;
    if (all_say(input, &Dns::search)) {
        dns.search.emplace();
        for (const auto *policy : input.in_force)
            add_all(*dns.search, *policy->dns.search);
    }
    std::uint32_t least = 0;
    for (const auto *policy : input.in_force)
        least = std::max(least, policy->dns.min_ttl_s);
    if (!input.in_force.empty())
        dns.min_ttl_s = std::clamp(least, 1U, dns.min_ttl_s);
    return dns;
}

// Null: any.
const std::vector<Address> *standing_resolvers(const SuggestInput &input, const Image *now) {
    if (!now)
        return &input.environment.resolvers;
    return now->settings.resolvers_any ? nullptr : &now->resolvers;
}

void set_resolvers(const SuggestInput &input, const Image *now, Suggestion &out) {
    const auto *standing = standing_resolvers(input, now);
    std::vector<Address> hosts;
    add_all(hosts, input.environment.resolvers);
    if (!standing || !now || *standing == hosts)
        return; // none is missing
    std::vector<Address> all = *standing;
    std::erase_if(all, [](const auto &address) { return address.is_never_learned(); }); // no text may say it
    std::sort(all.begin(), all.end());
    out.policy.dns.resolvers = std::move(all);
}

std::string note_of(const detail::NameNeed &need) {
    std::string note;
    if (need.asked > 0)
        note = "asked for " + times(need.asked);
    if (need.reached > 0)
        note += (note.empty() ? "reached " : ", reached ") + times(need.reached);
    if (need.guessed)
        note += ", never reached: the port is a guess";
    if (need.is_private)
        note += ", at private addresses too";
    if (!need.folded.empty()) {
        constexpr std::size_t most = 3;
        note += "; folded:";
        std::size_t shown = 0;
        for (const auto &name : need.folded)
            if (shown++ < most)
                note += " " + name;
        if (need.folded.size() > most)
            note += " and " + std::to_string(need.folded.size() - most) + " more";
    }
    return note;
}

// One rule for each set of ports; those that learn private addresses apart.
void set_rules(const detail::Draft &draft, Suggestion &out) {
    std::map<std::pair<std::vector<PortRange>, bool>, Rule> rules;
    for (const auto &[pattern, need] : draft.names) {
        rules[{detail::ranges_of(need.ports), need.is_private}].domains.push_back(pattern);
        out.notes[pattern.text()] = note_of(need);
    }
    for (const auto &[address, need] : draft.addresses) {
        const Cidr cidr{address, 128};
        rules[{detail::ranges_of(need.ports), false}].cidrs.push_back(cidr);
        out.notes[cidr.text()] = "reached " + times(need.reached) + ", no name known";
    }
    std::set<std::string> names;
    for (auto &[key, rule] : rules) {
        const auto &[ports, is_private] = key;
        std::string name = is_private ? "private" : "";
        for (std::size_t i = 0; i < ports.size() && i < 2; ++i)
            name += (name.empty() ? "" : "-") + port_text(ports[i]);
        std::replace(name.begin(), name.end(), '/', '-');
        std::string unique = name;
        for (int n = 2; !names.insert(unique).second; ++n)
            unique = name + "." + std::to_string(n);
        rule.name = std::move(unique);
        rule.ports = ports;
        if (is_private)
            rule.learn_private = true;
        std::sort(rule.domains.begin(), rule.domains.end(),
                  [](const auto &a, const auto &b) { return a.text() < b.text(); });
        out.policy.allow.push_back(std::move(rule));
    }
}

class Suggesting {
  public:
    explicit Suggesting(const SuggestInput &input) : input_(input) {
        if (!input.in_force.empty())
            now_ = compile(input.in_force, input.environment);
        for (const auto &entry : input.record)
            if (entry.kind == Recorded::Kind::flow)
                add_all(learned_[entry.remote], entry.learned);
    }

    Suggestion run() {
        for (const auto &entry : input_.record)
            sort_out(entry);
        for (;;) {
            draft();
            std::vector<const Policy *> both = input_.in_force;
            both.push_back(&out_.policy);
            const Image image = compile(both, input_.environment);
            const auto refused = [&](const Recorded *entry) {
                const auto verdict = judge(image, *entry, learned_);
                if (verdict.verdict != abi::PS_ALLOW)
                    out_.blocked.push_back({*entry, refusal(image, verdict)});
                return verdict.verdict != abi::PS_ALLOW;
            };
            if (std::erase_if(open_, refused) == 0 && std::erase_if(allowed_, refused) == 0)
                break;
        }
        out_.allowed_already = allowed_.size();
        out_.text = detail::suggestion_text(input_, out_);
        return std::move(out_);
    }

  private:
    void sort_out(const Recorded &entry) {
        if (auto why = unwritable(entry); !why.empty()) {
            out_.blocked.push_back({entry, std::move(why)});
            return;
        }
        const auto verdict = now_ ? judge(*now_, entry, learned_) : Verdict{};
        if (now_ && verdict.verdict == abi::PS_ALLOW)
            allowed_.push_back(&entry);
        else if (entry.kind == Recorded::Kind::resolver && !is_standing(entry.remote)) {
            out_.blocked.push_back({entry, "the container chose this resolver itself"});
            out_.own_resolvers[entry.remote] += entry.times;
        } else if (verdict.reason == abi::PS_R_DENY_RULE || verdict.reason == abi::PS_R_NAME_DENIED)
            out_.blocked.push_back({entry, refusal(*now_, verdict)});
        else
            open_.push_back(&entry);
    }

    bool is_standing(const Address &resolver) const {
        const auto *standing = standing_resolvers(input_, now_ ? &*now_ : nullptr);
        return !standing || std::find(standing->begin(), standing->end(), resolver) != standing->end();
    }

    void draft() {
        const Image *now = now_ ? &*now_ : nullptr;
        out_.notes.clear();
        out_.policy = {};
        out_.policy.name = free_name(input_);
        out_.policy.select.emplace_back().cgroup = glob_of(input_.cgroup);
        out_.policy.mode = Mode::audit;
        out_.policy.dns = dns_of(input_);
        std::vector<std::string> search = out_.policy.dns.search.value_or(input_.environment.search);
        for (const auto *policy : input_.in_force)
            add_all(search, policy->dns.search.value_or(input_.environment.search));
        const auto made = detail::draft_of({open_, search, now, &learned_, input_.fold});
        set_resolvers(input_, now, out_);
        set_rules(made, out_);
    }

    const SuggestInput &input_;
    std::optional<Image> now_;
    NamesOf learned_;
    std::vector<const Recorded *> open_, allowed_; // to be allowed; those that are
    Suggestion out_;
};

} // namespace

Suggestion suggest(const SuggestInput &input) {
    return Suggesting(input).run();
}

} // namespace penstock::policy
