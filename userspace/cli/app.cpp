// SPDX-License-Identifier: Apache-2.0
// See app.h. All flags and their help stand here and in app_options.cpp; what they do is in the commands.
#include "userspace/cli/app.h"

#include "userspace/cli/app_options.h"
#include "userspace/cli/terminal_text.h"

#include <algorithm>

namespace penstock::cli {
namespace {

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
