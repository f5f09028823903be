// SPDX-License-Identifier: Apache-2.0
// See app.h. All flags and their help stand here; what they do is in the commands.
#include "userspace/cli/app.h"

#include "userspace/cli/commands.h"
#include "userspace/cli/terminal_text.h"
#include "userspace/cli/top_table.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <functional>
#include <map>

namespace penstock::cli {
namespace {

// What the words say; `command` is the last subcommand named.
struct Choice {
    std::string api_socket = "/run/penstock/api.sock";
    Format format = Format::table;
    std::string container, file;
    PolicyShowOptions show;
    CheckOptions check;
    ExplainOptions explain;
    EventOptions events;
    QuotaOptions quota;
    SuggestOptions suggest;
    TopOptions top;
    UnloadOptions unload;
    std::function<int(const Session &)> command;
};

CLI::App *add(CLI::App &parent, const char *name, const char *help, const char *examples) {
    CLI::App *command = parent.add_subcommand(name, help);
    command->footer(
        std::string("Examples:\n") + examples +
        "\nExit status: 0 yes or done; 1 no, denied or invalid; 2 usage, or no daemon to talk to.");
    return command;
}

// An unset variable of a script must not turn "of this one" into "of all".
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

void add_policy(CLI::App &app, Choice &choice) {
    CLI::App *policy = add(app, "policy", "check, show, compare and apply policies",
                           "  penstock policy check agents.yaml\n");
    policy->require_subcommand(1);
    CLI::App *check = add(*policy, "check", "judge policy files; needs no daemon",
                          "  penstock policy check agents.yaml web.yaml\n"
                          "  penstock policy check /etc/penstock/policies.d\n");
    check
        ->add_option("FILE", choice.check.files,
                     "files, directories of files, or - for standard input (YAML)")
        ->required();
    add_format(check, choice);
    check->callback([&choice] {
        choice.command = [&choice](const Session &session) {
            return check_policies(session.output, choice.check);
        };
    });
    CLI::App *show = add_talking(
        *policy, choice, "show", "the policies in force, or one with its rules",
        "  penstock policy show\n  penstock policy show agents --source > agents.yaml\n",
        [&choice](const Session &session) {
            return choice.show.name.empty() ? show_policies(session) : show_policy(session, choice.show);
        });
    CLI::Option *name = show->add_option("NAME", choice.show.name, "a policy")->check(not_empty());
    show->add_flag("--source", choice.show.source, "print its source text")->needs(name);
    const auto with_file = [&](CLI::App *command) {
        command->add_option("FILE", choice.file, "a policy file, or - for standard input (YAML)")->required();
    };
    with_file(add_talking(*policy, choice, "diff", "what an apply would change; changes nothing",
                          "  penstock policy diff agents.yaml\n",
                          [&choice](const Session &session) { return diff_policy(session, choice.file); }));
    with_file(add_talking(*policy, choice, "apply",
                          "put policies in force, all of the file or nothing (root)",
                          "  penstock policy apply agents.yaml\n  generate | penstock policy apply -\n",
                          [&choice](const Session &session) { return apply_policy(session, choice.file); }));
    CLI::App *remove = add_talking(
        *policy, choice, "delete", "remove an applied policy (root)", "  penstock policy delete agents\n",
        [&choice](const Session &session) { return delete_policy(session, choice.show.name); });
    remove->add_option("NAME", choice.show.name, "an applied policy")->required()->check(not_empty());
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

void add_control(CLI::App &app, Choice &choice) {
    add_talking(app, choice, "reload",
                "read the policy directory again (root); exit 1 and nothing changed if it is refused",
                "  penstock reload\n", [](const Session &session) { return reload(session); });
    CLI::App *unload = add(
        app, "unload",
        "take ALL enforcement off the machine, at once (root; the daemon must be stopped first); runs "
        "penstockd "
        "--detach-all",
        "  systemctl stop penstockd && penstock unload\n  penstock unload --bpffs /sys/fs/bpf/penstock\n");
    unload->add_option("--bpffs", choice.unload.bpffs, "directory of the pins, as given to penstockd")
        ->option_text("PATH");
    unload
        ->add_option("--penstockd", choice.unload.penstockd,
                     "the daemon's program; default: beside this one, else in the PATH")
        ->option_text("PATH");
    unload->callback([&choice] {
        choice.command = [&choice](const Session &session) {
            return penstock::cli::unload(session.output, choice.unload);
        };
    });
}

// Nothing was asked for: no command at all, or none of `policy`.
bool missing_command(const CLI::App &app) {
    const auto parsed = app.get_subcommands();
    if (parsed.empty())
        return true;
    return parsed.front()->get_name() == "policy" && parsed.front()->get_subcommands().empty();
}

// Without this a mistyped command is answered by "a subcommand is required", which names no word of the user's.
std::string complaint(const CLI::App &app, const CLI::ParseError &error) {
    const bool no_command = dynamic_cast<const CLI::RequiredError *>(&error) != nullptr;
    const auto rest = app.remaining(true);
    if (!no_command || rest.empty() || !missing_command(app))
        return error.what();
    return (rest.front().starts_with('-') ? "unknown option '" : "unknown command '") + rest.front() + "'";
}

} // namespace

int run(std::vector<std::string> arguments, std::ostream &out, std::ostream &err, const Terminal &terminal) {
    Choice choice;
    CLI::App app("Asks and steers penstockd, the gate of every container's traffic.", "penstock");
    app.set_version_flag("-V,--version", std::string("penstock " PENSTOCK_VERSION));
    app.footer("Examples:\n  penstock status\n  penstock policy check agents.yaml\n  penstock explain -c web "
               "--domain example.com\n"
               "  penstock events -f --denied\n'penstock COMMAND --help' says more. Manual: penstock(1).");
    app.require_subcommand(1);
    app.fallthrough();
    add_socket(&app, choice);
    add_showing(app, choice);
    add_top(app, choice);
    add_explain(app, choice);
    add_suggest(app, choice);
    add_policy(app, choice);
    add_quota(app, choice);
    add_control(app, choice);
    std::reverse(arguments.begin(), arguments.end()); // CLI11 takes them from the back
    try {
        app.parse(std::move(arguments));
    } catch (const CLI::ParseError &error) {
        if (error.get_exit_code() == 0) // --help, --version
            return app.exit(error, out, err);
        err << "penstock: " << printable(complaint(app, error)) << " (see penstock --help)\n";
        return exit_failed;
    }
    return choice.command(Session{Client(choice.api_socket), Output{out, err, choice.format, terminal}});
}

} // namespace penstock::cli
