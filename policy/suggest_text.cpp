// SPDX-License-Identifier: Apache-2.0
// A suggestion as YAML that its reader can judge: each entry says where it comes from.
#include "policy/suggest_draft.h"

#include <algorithm>
#include <sstream>

namespace penstock::policy::detail {
namespace {

constexpr std::size_t column = 44; // of comments
constexpr std::size_t most_blocked = 50;

// A comment of one line, whatever a container called itself.
std::string plain(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet >= 0x20 && octet < 0x7f) {
            out += c;
            continue;
        }
        constexpr std::string_view digits = "0123456789abcdef";
        out += {'\\', 'x', digits[octet >> 4], digits[octet & 15]};
    }
    return out;
}

std::string single_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? "''" : std::string(1, c);
    return out + "'";
}

std::string with_note(std::string line, const std::string &note) {
    if (note.empty())
        return line + "\n";
    line.resize(std::max(line.size() + 1, column), ' ');
    return line + "# " + plain(note) + "\n";
}

std::string describe(const Recorded &entry) {
    switch (entry.kind) {
    case Recorded::Kind::question:
        return "the question for " + entry.name;
    case Recorded::Kind::resolver:
        return "the resolver " + entry.remote.text();
    case Recorded::Kind::flow: {
        const auto port = port_of(entry);
        return (port ? port_text(*port) : "protocol " + std::to_string(entry.protocol)) + " to " +
               entry.remote.text();
    }
    case Recorded::Kind::other:
        break;
    }
    return entry.name;
}

class Writing {
  public:
    Writing(const SuggestInput &input, const Suggestion &suggestion)
        : input_(input), policy_(suggestion.policy), suggestion_(suggestion) {}

    std::string text() {
        head();
        out_ << "apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: " << policy_.name
             << "}\nspec:\n  select:\n"
             << with_note("    - cgroup: " + single_quoted(*policy_.select.front().cgroup),
                          *policy_.select.front().cgroup == input_.cgroup
                              ? ""
                              : "each ? is an octet that no policy can write: others may match, too")
             << with_note("  mode: audit", "change to enforce when this is all that it may do");
        dns();
        if (!policy_.allow.empty())
            out_ << "  allow:\n";
        for (const auto &rule : policy_.allow)
            write(rule);
        return out_.str();
    }

  private:
    void head() {
        out_ << "# What " << plain(input_.cgroup) << " did that "
             << (input_.in_force.empty() ? "no policy allows" : "its policies do not allow");
        std::string first, last;
        for (const auto &entry : input_.record) {
            first = first.empty() ? entry.first : std::min(first, entry.first);
            last = std::max(last, entry.last);
        }
        if (!first.empty())
            out_ << ", " << plain(first) << " to " << plain(last);
        out_ << ".\n";
        if (policy_.allow.empty())
            out_ << "# Nothing that a rule could allow was recorded.\n";
        if (input_.unrecorded > 0)
            out_ << "# " << input_.unrecorded << (input_.unrecorded == 1 ? " denial was" : " denials were")
                 << " not recorded: run longer, or raise the event budget.\n";
        if (!input_.in_force.empty()) {
            out_ << "# It adds to what is in force:";
            for (const auto *policy : input_.in_force)
                out_ << " " << policy->name;
            out_ << ".\n";
        }
        blocked();
    }

    void blocked() {
        if (suggestion_.blocked.empty())
            return;
        out_ << "# Not allowed below:\n";
        std::size_t shown = 0;
        for (const auto &[what, why] : suggestion_.blocked)
            if (shown++ < most_blocked)
                out_ << "#   " << plain(describe(what)) << ", " << times(what.times) << ": " << plain(why)
                     << "\n";
        if (shown > most_blocked)
            out_ << "#   and " << shown - most_blocked << " more\n";
    }

    void dns() {
        const auto &dns = policy_.dns;
        const bool ttl = dns.min_ttl_s != Dns{}.min_ttl_s;
        if (!dns.resolvers && suggestion_.own_resolvers.size() > 0) {
            out_ << "  # dns:\n  #   resolvers:\n";
            for (const auto &address : input_.environment.resolvers)
                entry("  #     - ", address.text());
            own_resolvers("  #     - ");
        }
        if (!dns.resolvers && !dns.search && !ttl)
            return;
        out_ << "  dns:\n";
        if (dns.resolvers) {
            out_ << (dns.resolvers->empty() ? "    resolvers: []\n" : "    resolvers:\n");
            for (const auto &address : *dns.resolvers)
                entry("      - ", address.text());
            own_resolvers("      # - ");
        }
        if (dns.search) {
            out_ << "    search: [";
            for (std::size_t i = 0; i < dns.search->size(); ++i)
                out_ << (i ? ", " : "") << single_quoted((*dns.search)[i]);
            out_ << "]\n";
        }
        if (ttl)
            out_ << "    minTTL: " << dns.min_ttl_s << "s\n";
    }

    void own_resolvers(const std::string &before) {
        for (const auto &[address, count] : suggestion_.own_resolvers)
            out_ << with_note(before + single_quoted(address.text()),
                              "asked " + times(count) +
                                  "; the container chose it: who answers it could teach it any address");
    }

    void write(const Rule &rule) {
        out_ << "    - name: " << rule.name << "\n";
        if (!rule.domains.empty())
            out_ << "      domains:\n";
        for (const auto &domain : rule.domains)
            entry("        - ", domain.text());
        if (!rule.cidrs.empty())
            out_ << "      cidrs:\n";
        for (const auto &cidr : rule.cidrs)
            entry("        - ", cidr.text());
        out_ << "      ports: [";
        for (std::size_t i = 0; i < rule.ports.size(); ++i)
            out_ << (i ? ", " : "") << port_text(rule.ports[i]);
        out_ << "]\n";
        if (rule.learn_private)
            out_ << "      private: allow\n";
    }

    void entry(const char *before, const std::string &text) {
        const auto note = suggestion_.notes.find(text);
        out_ << with_note(before + single_quoted(text), note == suggestion_.notes.end() ? "" : note->second);
    }

    const SuggestInput &input_;
    const Policy &policy_;
    const Suggestion &suggestion_;
    std::ostringstream out_;
};

} // namespace

std::string times(std::uint64_t count) {
    return count == 1 ? "once" : std::to_string(count) + " times";
}

std::string suggestion_text(const SuggestInput &input, const Suggestion &suggestion) {
    return Writing(input, suggestion).text();
}

} // namespace penstock::policy::detail
