// SPDX-License-Identifier: Apache-2.0
#include "userspace/cli/app_options.h"

#include "userspace/cli/top_table.h"

#include <map>

namespace penstock::cli {

CLI::App *add(CLI::App &parent, const char *name, const char *help, const char *examples) {
    CLI::App *command = parent.add_subcommand(name, help);
    command->footer(
        std::string("Examples:\n") + examples +
        "\nExit status: 0 yes or done; 1 no, denied or invalid; 2 usage, or no daemon to talk to.");
    return command;
}

CLI::Validator not_empty() {
    return {[](const std::string &text) {
                return text.empty() ? std::string("must not be empty") : std::string();
            },
            ""};
}

void add_format(CLI::App *command, Choice &choice) {
    const auto read = [&choice](const std::string &text) {
        static const std::map<std::string, Format> formats{
            {"table", Format::table}, {"json", Format::json}, {"yaml", Format::yaml}};
        const auto found = formats.find(text);
        if (found == formats.end())
            throw CLI::ValidationError("--output", "expected table, json or yaml, not '" + text + "'");
        choice.format = found->second;
    };
    command
        ->add_option_function<std::string>("-o,--output", read, "how to print: table (default), json or yaml")
        ->option_text("FORMAT");
}

void add_socket(CLI::App *command, Choice &choice) {
    command->add_option("--api-socket", choice.api_socket, "the daemon's socket")
        ->capture_default_str()
        ->option_text("PATH");
}

void add_container(CLI::App *command, std::string &container, bool required) {
    command
        ->add_option("-c,--container", container,
                     "cgroup path, cgroup id, or the last components of exactly one container's path")
        ->required(required)
        ->check(not_empty())
        ->option_text("C");
}

// A command that talks to the daemon.
CLI::App *add_talking(CLI::App &parent, Choice &choice, const char *name, const char *help,
                      const char *examples, std::function<int(const Session &)> command) {
    CLI::App *added = add(parent, name, help, examples);
    add_format(added, choice);
    add_socket(added, choice);
    added->callback([&choice, command = std::move(command)] { choice.command = command; });
    return added;
}

void add_showing(CLI::App &app, Choice &choice) {
    add_talking(app, choice, "status",
                "the daemon: version, policies, last reload, losses, how full the maps are",
                "  penstock status\n  penstock status -o json | jq .last_reload\n",
                [](const Session &session) { return show_status(session); });
    add_talking(app, choice, "features", "what this kernel can enforce, and what is lost where it can't",
                "  penstock features\n", [](const Session &session) { return show_features(session); });
    add_talking(app, choice, "ps", "containers and their policy", "  penstock ps\n  penstock ps -o yaml\n",
                [](const Session &session) { return show_containers(session); });
    CLI::App *counters = add_talking(
        app, choice, "counters", "packets and bytes by container, rule, direction, verdict and reason",
        "  penstock counters\n  penstock counters --container web -o json\n",
        [&choice](const Session &session) { return show_counters(session, choice.container); });
    add_container(counters, choice.container, false);
    CLI::App *learned =
        add_talking(app, choice, "learned", "addresses that DNS answers taught, by container",
                    "  penstock learned\n  penstock learned --container /penstock.slice/web\n",
                    [&choice](const Session &session) { return show_learned(session, choice.container); });
    add_container(learned, choice.container, false);
    CLI::App *events = add_talking(
        app, choice, "events", "denials, births and deaths, oldest first",
        "  penstock events --denied\n  penstock events -f --container web\n  penstock events -f -o json | "
        "jq -r .name\n",
        [&choice](const Session &session) { return show_events(session, choice.events); });
    events->add_flag("-f,--follow", choice.events.follow, "go on as they happen, until interrupted");
    events->add_flag("--denied", choice.events.denied, "only what was or would have been denied");
    add_container(events, choice.events.container, false);
    CLI::App *flows = add_talking(
        app, choice, "flows",
        "the flow log of containers whose policy says flows: on: each flow's octets and packets, when it "
        "ends and "
        "every minute",
        "  penstock flows\n  penstock flows -f --container web\n  penstock flows -o json | jq -r .remote\n",
        [&choice](const Session &session) { return show_flows(session, choice.events); });
    flows->add_flag("-f,--follow", choice.events.follow, "go on as they are told, until interrupted");
    add_container(flows, choice.events.container, false);
}

void add_top(CLI::App &app, Choice &choice) {
    CLI::App *added =
        add_talking(app, choice, "top", "live table of containers: rates, denials, limit hits, quotas",
                    "  penstock top --sort denials\n  penstock top --once --interval 5s -o json\n",
                    [&choice](const Session &session) { return top(session, choice.top); });
    added
        ->add_option_function<std::string>(
            "-s,--sort",
            [&choice](const std::string &text) {
                if (!field_named(text))
                    throw CLI::ValidationError("--sort",
                                               "expected one of " + field_names() + ", not '" + text + "'");
                choice.top.sort = text;
            },
            "what to sort by: " + field_names() + "; default egress")
        ->option_text("FIELD");
    added
        ->add_option_function<std::string>(
            "-i,--interval",
            [&choice](const std::string &text) {
                const auto interval = interval_of(text);
                if (!interval)
                    throw CLI::ValidationError("--interval", "expected 100ms to 60m, not '" + text + "'");
                choice.top.interval = *interval;
            },
            "time between two readings: 500ms, 2s, 1m; default 2s")
        ->option_text("TIME");
    added->add_flag("-r,--reverse", choice.top.reverse, "the other way round");
    added->add_flag("--once", choice.top.once,
                    "the rates of one interval, then end; also without a terminal");
}

void add_explain(CLI::App &app, Choice &choice) {
    CLI::App *explaining = add_talking(app, choice, "explain",
                                       "what the gate answers to a query or a flow, and why (exit 1: denied)",
                                       "  penstock explain -c web --domain api.example.com --port tcp/443\n"
                                       "  penstock explain -c web --ip 192.0.2.7 --port udp/443\n",
                                       {});
    add_container(explaining, choice.explain.container, true);
    CLI::Option *domain = explaining->add_option(
        "-d,--domain", choice.explain.domain, "a name to ask for; with --port also a flow to its addresses");
    CLI::Option *ip = explaining->add_option("-i,--ip", choice.explain.ip, "an address to reach");
    domain->option_text("NAME")->check(not_empty())->excludes(ip);
    ip->option_text("ADDRESS")->check(not_empty());
    explaining
        ->add_option("-p,--port", choice.explain.port,
                     "tcp/443, udp/53, icmp; with --ip tcp/443 if not given")
        ->option_text("PORT")
        ->check(not_empty());
    explaining->callback([domain, ip, &choice] {
        if (domain->count() + ip->count() == 0)
            throw CLI::RequiredError("--domain or --ip");
        choice.command = [&choice](const Session &session) { return explain(session, choice.explain); };
    });
}

void add_suggest(CLI::App &app, Choice &choice) {
    CLI::App *suggesting = add_talking(
        app, choice, "suggest", "the policy that would have allowed what a container did in audit mode",
        "  penstock suggest -c web > web.yaml\n  penstock suggest -c web --fold 3\n",
        [&choice](const Session &session) { return suggest(session, choice.suggest); });
    add_container(suggesting, choice.suggest.container, true);
    suggesting
        ->add_option("--fold", choice.suggest.fold,
                     "where at least so many names share a parent domain, a wildcard below it instead")
        ->check(CLI::Range(2, 4096))
        ->option_text("N");
}

void add_quota(CLI::App &app, Choice &choice) {
    CLI::App *quota =
        add_talking(app, choice, "quota", "what is spent of quotas, and when their windows turn",
                    "  penstock quota\n  penstock quota --container web -o json\n  penstock quota reset "
                    "--container web\n",
                    {});
    add_container(quota, choice.quota.container, false);
    quota->require_subcommand(0, 1);
    quota->callback([quota, &choice] {
        if (quota->get_subcommands().empty())
            choice.command = [&choice](const Session &session) {
                return show_quotas(session, choice.quota.container);
            };
    });
    const auto with_rule = [&](CLI::App *command) {
        add_container(command, choice.quota.container, true);
        command
            ->add_option("-r,--rule", choice.quota.rule, "a rule's quota; if not given the container's own")
            ->option_text("POLICY/RULE")
            ->check(not_empty());
        return command;
    };
    with_rule(add_talking(
        *quota, choice, "reset", "nothing is spent any more; the window stays (root)",
        "  penstock quota reset --container web\n  penstock quota reset -c web --rule agents/llm\n",
        [&choice](const Session &session) { return reset_quota(session, choice.quota); }));
    with_rule(
        add_talking(
            *quota, choice, "add", "more for the present window alone (root)",
            "  penstock quota add --container web 500MiB\n  penstock quota add -c web -r agents/llm 1GiB\n",
            [&choice](const Session &session) { return penstock::cli::add_quota(session, choice.quota); }))
        ->add_option("SIZE", choice.quota.size, "500MiB, 1GB")
        ->required()
        ->check(not_empty());
}

} // namespace penstock::cli
