// SPDX-License-Identifier: Apache-2.0
#include "bench/cases.h"

#include "bench/stopwatch.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

namespace penstock::bench {

using namespace penstock::differential;

namespace {

constexpr const char *crowd = "; 10000 containers";
constexpr double growth_budget = 1.1, crowd_budget = 1.05; // 5 %: below it nothing is measurable here
constexpr double packet_budget = 60, query_budget = 250, answer_budget = 1200, refresh_budget = 500;

struct Case {
    std::function<void()> before;              // sets the state up, unmeasured
    std::function<double(int program)> sample; // ns of a run
    int program, empty;
    Row row;
    bool with_neighbours = false, crowded_too = false; // crowded: once more with neighbours
    std::function<void()> after = nullptr;
};

class Cases {
  public:
    Cases(World &world, const EmptyPrograms &empty, const Effort &effort)
        : world_(world), effort_(effort), empty_(empty), egress_(world.gate().program("ps_egress")),
          ingress_(world.gate().program("ps_ingress")) {
        add_packets();
        add_queries();
        add_answers();
        add_with_neighbours();
    }

    std::vector<Row> run() {
        for (int i = 0; i < effort_.rounds; ++i) {
            run_those(false);
            world_.bind_domains(1000);
            world_.add_neighbours();
            run_those(true);
            world_.remove_neighbours();
        }
        std::vector<Row> rows;
        for (auto &each : cases_)
            rows.push_back(std::move(each.row));
        compare(rows, "100000 domains over 1000, totals: DNS query, 30 octets",
                "DNS query, 30 octets, 100000 domains", "DNS query, 30 octets, 1000 domains", growth_budget);
        const auto count = cases_.size();
        for (std::size_t i = 0; i < count; ++i) {
            if (!cases_[i].with_neighbours)
                continue;
            const auto alone = rows[i].what.substr(0, rows[i].what.size() - std::strlen(crowd));
            compare(rows, "10000 containers over 1, totals: " + alone, alone + crowd, alone, crowd_budget);
        }
        return rows;
    }

  private:
    static void compare(std::vector<Row> &rows, const std::string &name, const std::string &what,
                        const std::string &with, double most) {
        const auto find = [&](const std::string &wanted) {
            return *std::find_if(rows.begin(), rows.end(),
                                 [&](const Row &row) { return row.what == wanted; });
        };
        Row made{name, find(what).measured, find(with).measured, Budget{Budget::Of::ratio, most}, {}};
        rows.push_back(std::move(made));
    }

    void run_those(bool with_neighbours) {
        for (auto &each : cases_) {
            if (each.with_neighbours != with_neighbours)
                continue;
            if (each.before)
                each.before();
            each.row.baseline.add(each.sample(each.empty));
            each.row.measured.add(each.sample(each.program));
            if (each.after)
                each.after();
        }
    }

    // One packet over and over; `passes`: what the real program says of it.
    std::function<double(int)> repeated(Octets packet, bool passes) {
        return [this, packet = std::move(packet), passes](int program) {
            const bool real = program == egress_ || program == ingress_;
            const auto ran = bench::run(program, packet, world_.ifindex(), effort_.repeat);
            if (real && ran.passed != passes)
                throw std::runtime_error(std::string("a packet was unexpectedly ") +
                                         (passes ? "denied" : "passed"));
            return ran.ns;
        };
    }

    // Packets that can be run once each. `make` gives the nth, and prepares its state if the program is the real one.
    std::function<double(int)> once_each(std::function<Octets(int place, bool real)> make) {
        return [this, make = std::move(make)](int program) {
            const bool real = program == egress_ || program == ingress_;
            Samples each;
            for (int i = 0; i < effort_.single; ++i) {
                const auto packet = make(i, real);
                const auto ran = bench::run(program, packet, world_.ifindex(), 1);
                if (real && !ran.passed)
                    throw std::runtime_error("a DNS message was unexpectedly denied");
                each.add(ran.ns);
            }
            return each.median();
        };
    }

    Case &add(std::string what, std::function<void()> before, std::function<double(int)> sample, int program,
              std::optional<double> net_budget = {}) {
        Case made{std::move(before),
                  std::move(sample),
                  program,
                  program == ingress_ ? empty_.ingress : empty_.egress,
                  {}};
        made.row.what = std::move(what);
        if (net_budget)
            made.row.budget = Budget{Budget::Of::net, *net_budget};
        cases_.push_back(std::move(made));
        return cases_.back();
    }

    std::function<void()> domains(int size) {
        return [this, size] { world_.bind_domains(size); };
    }

    void add_packets() {
        const Octets data(64, 'x');
        const auto v4 = v4_ends("198.51.100.7", 443), v6 = v6_ends("2001:db8:1::7", 443);
        add("data packet whose socket remembers nothing, CIDR, v4", domains(1000),
            repeated(frame(v4, ip_tcp, data), true), egress_)
            .crowded_too = true;
        add("data packet whose socket remembers nothing, CIDR, v6", domains(1000),
            repeated(frame(v6, ip_tcp, data), true), egress_);
        add("incoming data packet, TCP, v4", domains(1000), repeated(frame(reversed(v4), ip_tcp, data), true),
            ingress_, packet_budget)
            .crowded_too = true;
        add("incoming data packet, TCP, v6", domains(1000), repeated(frame(reversed(v6), ip_tcp, data), true),
            ingress_, packet_budget);
        add("new flow, TCP SYN, CIDR, v4", domains(1000), repeated(frame(v4, ip_tcp, {}), true), egress_);
        add("new flow, TCP SYN, CIDR, v6", domains(1000), repeated(frame(v6, ip_tcp, {}), true), egress_);
        const auto teach = [this] {
            world_.bind_domains(1000);
            world_.teach(domain(1), {address("93.184.216.34")});
        };
        add("new flow, TCP SYN, learned address, v4", teach,
            repeated(frame(v4_ends("93.184.216.34", 443), ip_tcp, {}), true), egress_)
            .crowded_too = true;
        add("UDP datagram, CIDR, v4", domains(1000), repeated(frame(v4, ip_udp, data), true), egress_);
        add("UDP datagram, learned address, v4", teach,
            repeated(frame(v4_ends("93.184.216.34", 443), ip_udp, data), true), egress_);
        add("denied TCP SYN, no rule (ring full: nobody reads events here)", domains(1000),
            repeated(frame(v4_ends("203.0.113.1", 443), ip_tcp, {}), false), egress_);
        add(
            "the kernel's clock, read once", [] {}, repeated(frame(v4, ip_tcp, data), true), empty_.clock);
        add_unmanaged("unmanaged packet out, rows at 1 depth", world_.own_level(), frame(v4, ip_tcp, data),
                      egress_)
            .crowded_too = true;
        add_unmanaged("unmanaged packet in, rows at 1 depth", world_.own_level(),
                      frame(reversed(v4), ip_tcp, data), ingress_);
        add_unmanaged("unmanaged packet out, rows at 4 depths", 0x1e, frame(v4, ip_tcp, data), egress_);
    }

    Case &add_unmanaged(const char *what, std::uint32_t levels, const Octets &packet, int program) {
        add(
            what,
            [this, levels] {
                world_.set_row(false);
                world_.set_levels(levels);
            },
            repeated(packet, true), program);
        cases_.back().after = [this] {
            world_.set_row(true);
            world_.set_levels(world_.own_level());
        };
        return cases_.back();
    }

    void add_queries() {
        for (const int size : sizes)
            add("DNS query, 30 octets, " + std::to_string(size) + " domains", domains(size),
                repeated(world_.query(42000, 1, domain(size / 2)), true), egress_, query_budget)
                .crowded_too = size == 1000;
        for (const std::size_t length : {10, 100, 253})
            add("DNS query, " + std::to_string(length) + " octets, 1000 domains", domains(1000),
                repeated(world_.query(42000, 2, domain_of_length(length)), true), egress_);
        add("DNS query, 30 octets, 100000 domains, denied name", domains(100000),
            repeated(world_.query(42000, 3, "h999999.bench-names-31.example"), false), egress_);
        for (const int size : sizes)
            add("DNS query, 30 octets, " + std::to_string(size) +
                    " domains, each with a new id and name, one run each",
                domains(size), once_each([this, size](int, bool) { return fresh_query(size); }), egress_)
                .crowded_too = size == 1000;
    }

    Octets fresh_query(int size) {
        ++sent_;
        const auto id = static_cast<std::uint16_t>(sent_);
        return world_.query(static_cast<std::uint16_t>(43000 + sent_ % 7), id,
                            domain(static_cast<int>(sent_ * 37U % static_cast<unsigned>(size))));
    }

    // The nth answer is asked for first. `fresh`: with addresses never seen before.
    Octets asked_answer(bool real, bool fresh) {
        const auto id = static_cast<std::uint16_t>(++sent_);
        std::vector<Address> addresses;
        for (int i = 0; i < 4; ++i) {
            auto each = address("93.184.220.1");
            if (fresh && real)
                ++taught_;
            const auto number = fresh ? 0x5e000000U + taught_ : 0x5d000000U + static_cast<unsigned>(i);
            for (unsigned place = 0; place < 4; ++place)
                each.octets[12 + place] = static_cast<std::uint8_t>(number >> (24 - 8 * place));
            addresses.push_back(each);
        }
        if (real)
            world_.gate().egress(world_.query(44000, id, domain(5)));
        return world_.answer(44000, id, domain(5), addresses);
    }

    void add_answers() {
        add("DNS answer, 4 addresses, first time, one run each", domains(1000),
            once_each([this](int, bool real) { return asked_answer(real, true); }), ingress_, answer_budget)
            .crowded_too = true;
        add(
            "DNS answer, 4 addresses, first time, the container's oldest addresses make room, one run each",
            [this] {
                world_.bind_domains(1000);
                world_.set_learned_cap(default_learned_cap);
            },
            once_each([this](int, bool real) { return asked_answer(real, true); }), ingress_)
            .after = [this] { world_.set_learned_cap(roomy_learned_cap); };
        add("DNS answer, 4 addresses, refresh, one run each", domains(1000),
            once_each([this](int, bool real) { return asked_answer(real, false); }), ingress_,
            refresh_budget);
        add("DNS answer nobody asked for, 4 addresses", domains(1000),
            repeated(world_.answer(45000, 9, domain(5), std::vector<Address>(4, address("93.184.216.34"))),
                     true),
            ingress_);
    }

    // The same case again, with 10,000 containers' rows and learned addresses in the maps.
    void add_with_neighbours() {
        const auto count = cases_.size();
        for (std::size_t i = 0; i < count; ++i) {
            if (!cases_[i].crowded_too)
                continue;
            auto again = cases_[i];
            again.with_neighbours = true;
            again.row.what += crowd;
            cases_.push_back(std::move(again));
        }
    }

    World &world_;
    Effort effort_;
    EmptyPrograms empty_;
    int egress_, ingress_;
    std::vector<Case> cases_;
    unsigned sent_ = 0, taught_ = 0;
};

} // namespace

std::vector<Row> test_run_rows(World &world, const EmptyPrograms &empty, const Effort &effort) {
    return Cases(world, empty, effort).run();
}

} // namespace penstock::bench
